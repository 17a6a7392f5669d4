"""Data files with absurd rows, as JSON Lines, CSV and Parquet: read by `plan`, `verify` and `init`.

Good rows are mutated: values of other types, numbers that are none, halves of characters, columns and keys that are
missing or there twice, answers out of the options' range, tests that do not parse, files that break off. Counted are
commands; what it is for a command to hold is said in `command`.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.torture.command import attempt
from benchmarks.torture.part import Outcome
from benchmarks.torture.run_files import offline, write_toml

Row = dict[str, Any]
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, math.nan, math.inf, -math.inf, 1e300, 10**30, 2**63, -(2**64), [], {}, [None]),
    *("", " ", "\n", "\0", "a\0b", "\ud83d", "\udc00x", "\u202e", "\u2028", "x" * 200_000, "é", "None", "nan", "1e999"),
    *("<think>", "{question}", "####", "9" * 5000, "1/0", "0/0", "(" * 3000, "-" * 1500, "$" * 500, "\\boxed{" * 300),
    *([1, 2, 3], ["a"], ["a", "a"], ["a", None], [["a"], ["b"]], {"text": ["a", "b"]}),
    *({"text": ["a"], "label": ["A", "B"]}, "assert", "def f(:"),
    *({"text": ["a", "b"], "label": [1, 1]}, ["x"] * 60, "Z", "AB", "(C)", "5", "import os\n" * 400),
)
_DEEP = 60_000


class Kind(NamedTuple):
    """One kind of data: how a good row looks, and what the run file says of its columns."""

    make: Callable[[int], Row]
    options: dict[str, Any]


KINDS = (
    Kind(lambda n: {"question": f"What is {n} + {n}?", "answer": str(2 * n)}, {"scorer": "numeric"}),
    Kind(lambda n: {"id": f"q{n}", "question": f"Name {n}?", "answer": f"name {n}", "skill": "s"}, {"scorer": "exact"}),
    Kind(
        lambda n: {"question": f"Which {n}?", "answer": "ABC"[n % 3], "choices": [f"x{n}", f"y{n}", f"z{n}"]},
        {"scorer": "choice", "choices": "choices"},
    ),
    Kind(
        lambda n: {"question": f"Which {n}?", "answer": n % 2, "a": f"x{n}", "b": f"y{n}"},
        {"scorer": "choice", "choices": ["a", "b"], "count_from": 0},
    ),
    Kind(
        lambda n: {"question": f"{n}: f()", "answer": f"def f():\n    return {n}", "tests": f"assert f() == {n}"},
        {"scorer": "code", "tests": "tests"},
    ),
    Kind(
        lambda n: {
            "question": f"{n} apples?",
            "answer": f"So {n}.\n#### {n}",
            "split": ("train", "dev", "test")[n % 3],
        },
        {"scorer": "numeric", "after": "####"},
    ),
)


def torment(seconds: float, seed: int) -> Outcome:
    """Mutated data files for about so many seconds."""
    broken: dict[str, str] = {}
    end, tried = time.monotonic() + seconds, 0
    rng = random.Random(f"data files {seed}")
    with tempfile.TemporaryDirectory(prefix="errorbook-torture-") as place, offline():
        folder = Path(place)
        number = 0
        while time.monotonic() < end:
            number += 1
            for command in prepare(folder, rng):
                found = attempt(command, folder)
                tried += 1
                if found:
                    told = f"file {number} of seed {seed}, {' '.join(command[:2])}: {found}"
                    if broken.setdefault(found[:60], told) == told:
                        _keep(folder, number, seed)
    return Outcome(tried=tried, broken=tuple(broken.values()))


def prepare(folder: Path, rng: random.Random) -> list[list[str]]:
    """Write a data file and a run file over it; the commands that read them."""
    kind = rng.choice(KINDS)
    rows = [kind.make(number) for number in range(rng.choice((1, 12, 60)))]
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        rng.choice(_MUTATIONS)(rows, rng)
    form = rng.choice(("jsonl", "jsonl", "csv", "parquet"))
    path = folder / f"data.{form}"
    try:
        path.write_bytes(_FORMS[form](rows, rng))
    except (TypeError, ValueError, OverflowError, ImportError):  # the form cannot hold such rows
        form, path = "jsonl", folder / "data.jsonl"
        path.write_bytes(_json_lines(rows, rng))
    if rng.random() < 0.15:
        path.write_bytes(rng.choice(DAMAGES)(path.read_bytes(), rng))
    sizes = rng.choice(({"train": 5, "dev": 5, "test": 5}, {"train": 100, "dev": 100, "test": 0}))
    task = {"name": "mine", "kind": form, "path": path.name, **kind.options, **sizes}
    if rng.random() < 0.2:
        task["scorer"] = rng.choice(("numeric", "exact", "choice", "contains", "code"))
    data = {"run": {"name": "x"}, "target": {"engine": "scripted"}, "tasks": [task], "verify": {"against": []}}
    (folder / "run.toml").write_text(write_toml({**data, "train": {"method": "scripted"}}))
    commands = [["plan", "run.toml"]]
    if form == "jsonl":
        commands.append(["verify", path.name, *(["--against", path.name] if rng.random() < 0.5 else [])])
        commands.append(["init", "new.toml", "--data", path.name, "--yes", "--force"])
    return commands


def _keep(folder: Path, number: int, seed: int) -> None:
    """Keep what broke, to try it again."""
    for path in folder.glob("data.*"):
        kept = Path(tempfile.gettempdir()) / f"errorbook-broken-{seed}-{number}{path.suffix}"
        kept.write_bytes(path.read_bytes())


def _json_lines(rows: list[Row], rng: random.Random) -> bytes:
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.7, default=str) for row in rows]
    if rng.random() < 0.1:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(_lines()))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _lines() -> tuple[str, ...]:
    return (
        *("", "null", "[]", "3", '"x"', "{", "{}", '{"question": NaN}', '{"a": 1, "a": 2}', "\ufeff{}", "nonsense"),
        *('{"question": ' * _DEEP, "[" * _DEEP, '{"question": "x", "answer": ' + "9" * 6000 + "}"),
        '{"question": "twice", "question": "other", "answer": "1", "answer": "2"}',
    )


def _csv(rows: list[Row], rng: random.Random) -> bytes:
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["question", "answer"]
    writer = csv.DictWriter(out, names, delimiter=rng.choice(",,;\t"))
    writer.writeheader()
    writer.writerows(rows)
    text = out.getvalue()
    if rng.random() < 0.1:
        text = text.replace('"', "", 1) if '"' in text else text + '"'
    return text.encode("utf-8", "surrogatepass")


def _parquet(rows: list[Row], rng: random.Random) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    return out.getvalue()


_FORMS: dict[str, Callable[[list[Row], random.Random], bytes]] = {
    "jsonl": _json_lines,
    "csv": _csv,
    "parquet": _parquet,
}


def _odd_value(rows: list[Row], rng: random.Random) -> None:
    row = rng.choice(rows)
    if row:
        row[rng.choice(list(row))] = copy.deepcopy(rng.choice(ODD))


def _odd_column(rows: list[Row], rng: random.Random) -> None:
    # Not the long ones: in every row they make a file of many megabytes, which takes its time.
    short = [odd for odd in ODD if not isinstance(odd, str) or len(odd) < 10_000]
    name, value = rng.choice(list(rows[0]) or ["question"]), rng.choice(short)
    for row in rows:
        row[name] = value


def _drop(rows: list[Row], rng: random.Random) -> None:
    name = rng.choice(list(rows[0]) or ["question"])
    for row in rows if rng.random() < 0.5 else [rng.choice(rows)]:
        row.pop(name, None)


def _add(rows: list[Row], rng: random.Random) -> None:
    name = rng.choice(("split", "id", "group", "label", "", "\0", "x" * 3000, "solution", "A", "B", "choices", "tests"))
    for row in rows:
        row[name] = copy.deepcopy(rng.choice(ODD)) if rng.random() < 0.3 else "train"


def _repeat(rows: list[Row], rng: random.Random) -> None:
    row = dict(rng.choice(rows))
    if rng.random() < 0.5 and row:
        row[rng.choice(list(row))] = copy.deepcopy(rng.choice(ODD))
    rows.append(row)


_MUTATIONS = (_odd_value, _odd_value, _odd_value, _odd_column, _drop, _add, _repeat)


def _noise(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randint(1, 30)) + content[place:]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _noise,
    lambda content, rng: content[: rng.randrange(len(content) + 1)],
    lambda content, _: content.decode("utf-8", "replace").encode("utf-16"),
    lambda content, _: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"),
    lambda content, _: content.replace(b"\n", b"\r"),
    lambda content, _: b"\x1f\x8b\x08" + content,
    lambda content, _: b"",
    lambda content, _: b"\n\n \n",
    lambda content, _: b"\0" * 5000,
    lambda content, _: b"PAR1" + content[4:],
)

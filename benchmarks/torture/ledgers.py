"""Damaged ledgers: bytes flipped, zeroed and cut off, rows edited, tables changed; under every command, and salvaged.

One try is one damage under one command. A command must end with one sentence and exit code 2, or do what it does on the
whole ledger. Every few tries the damaged run is salvaged: the new ledger must be whole, hold most of what the old one
did (`LEAST`) and nothing else, and the run must go on from it.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.torture.command import call
from benchmarks.torture.part import Outcome
from errorbook.errors import LedgerError
from errorbook.ledger.file import open_ledger
from errorbook.ledger.health import check_ledger

RUN_FILE = """
[run]
name = "damaged"
cycles = 2
seed = 5

[target]
engine = "scripted"
accuracy = 0.4
gain = 0.4

[[tasks]]
name = "arithmetic"
train = 13
dev = 26
test = 13

[strategy]
retriever = "scripted"

[train]
method = "scripted"
"""
PAGE = 4096
COMMANDS = (
    "status {run}",
    "status {run} --json",
    "report {run}",
    "report {run} --format html",
    "report {run} --control {other}",
    "export {run} --what samples --force",
    "export {run} --what card --force",
    "compare {run} {other}",
    "compare {other} {run}:base --change all",
    "run {file} --out {run}",
    "exam {file} --out {run}",
    "doctor {run}",
    "import {log} --task arithmetic --label right --out {run}",
)
Damage = Callable[[Path, random.Random], str]


def torment(seconds: float, seed: int) -> Outcome:
    """Try damages under commands, and salvage every fourth damaged run."""
    broken: list[str] = []
    figures = {"refused": 0.0, "served": 0.0, "salvaged": 0.0, "went on": 0.0}
    names = sorted(DAMAGES)
    kept: dict[str, list[float]] = {name: [] for name in names}
    tried, end = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        bench = Bench(Path(folder))
        while time.monotonic() < end or tried < len(DAMAGES):
            rng = random.Random(f"{seed}:{tried}")
            turn, place = divmod(tried, len(names))
            name, command = names[place], rng.choice(COMMANDS)
            told = DAMAGES[name](bench.damage(), rng)
            if (turn + place) % 4 == 3:  # another damage each turn
                command, (problem, share) = "salvage", bench.salvage(figures)
                kept[name].append(share)
            else:
                problem = bench.command(command, figures)
            if problem:
                broken.append(f"seed {seed}, try {tried}, {name} ({told}), {command}: {problem}")
            tried += 1
    return Outcome(tried, (*broken, *list_losses(kept)), {**figures, **_average(kept)})


def list_losses(kept: Mapping[str, Sequence[float]]) -> list[str]:
    """What salvage kept too little of: one try of the damages that cost nothing, the mean of many of the others."""
    return [
        f"salvage after '{name}' kept {sum(shares) / len(shares):.3f} of what the ledger held, and not {LEAST[name]:g}"
        for name, shares in kept.items()
        if len(shares) >= (1 if LEAST[name] == 1.0 else MANY) and sum(shares) < LEAST[name] * len(shares)
    ]


def _average(kept: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {f"kept after {name}": sum(shares) / len(shares) for name, shares in kept.items() if shares}


class Bench:
    """A finished run, a copy to damage, and another run to compare it with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = {name: folder / name for name in ("whole", "run", "other", "new", "file", "log")}
        self.places["file"] = folder / "run.toml"
        self.places["log"] = folder / "log.jsonl"
        self.places["file"].write_text(RUN_FILE, encoding="utf-8")
        self.places["log"].write_text('{"question": "Calculate 1 + 1.", "response": "Answer: 2"}\n', encoding="utf-8")
        _call(f"run {self.places['file']} --out {self.places['whole']}")
        with closing(sqlite3.connect(self.places["whole"] / "ledger.sqlite")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(self.places["whole"], self.places["other"])
        self.content = _content(self.places["whole"])
        self.texts = _texts(self.places["whole"])

    def damage(self) -> Path:
        """A fresh copy of the run, whose ledger is to be damaged."""
        for name in ("run", "new"):
            shutil.rmtree(self.places[name], ignore_errors=True)
        shutil.copytree(self.places["whole"], self.places["run"])
        return self.places["run"] / "ledger.sqlite"

    def command(self, command: str, figures: dict[str, float]) -> str:
        """What a command did wrong on the damaged run, or an empty text."""
        code, said = _call(command.format(**self.places))
        if code == 2:
            figures["refused"] += 1
            lines = said.strip().splitlines()
            fits = "doctor" in command or (len(lines) == 1 and lines[0].startswith("errorbook: "))
            return "" if fits else f"said {said[-300:]!r}"
        figures["served"] += 1
        if code not in {0, 1}:
            return f"exit code {code}: {said[-300:]}"
        if code == 1 and not command.startswith(("run", "exam")):
            return f"exit code 1: {said[-300:]}"
        try:
            same = _content(self.places["run"]) >= self.content
        except LedgerError as error:
            return f"went through a ledger that is damaged: {error}"
        return "" if same or command.startswith(("run", "exam")) else "took another content for the run's"

    def salvage(self, figures: dict[str, float]) -> tuple[str, float]:
        """What went wrong in salvaging the damaged run and going on from it, or an empty text, and the share kept."""
        code, said = _call(f"doctor {self.places['run']} --salvage {self.places['new']}")
        if code != 0:
            return f"not salvaged ({code}): {said[-300:]}", 0.0
        figures["salvaged"] += 1
        if damage := check_ledger(self.places["new"] / "ledger.sqlite"):
            return f"salvaged with {damage[0].what}", 0.0
        texts = _texts(self.places["new"])
        share = (texts & self.texts).total() / self.texts.total()
        if strange := texts - self.texts:
            return f"salvaged what was not there: {str(next(iter(strange)))[:300]}", share
        code, said = _call(f"run {self.places['file']} --out {self.places['new']}")
        if code not in {0, 1}:
            return f"did not go on ({code}): {said[-300:]}", share
        figures["went on"] += 1
        return "", share


def _call(line: str) -> tuple[int, str]:
    """Run a command in this process: its exit code, and what it said on stderr."""
    code, _, err = call(line.split())
    said = "\n".join(text for text in err.splitlines() if text.startswith(("errorbook", "Error", "Trace")))
    return code, said if code == 2 else err


def _content(folder: Path) -> set[tuple[object, ...]]:
    """All that the ledger says of records, responses and facts."""
    found: set[tuple[object, ...]] = set()
    with open_ledger(folder) as ledger:
        for table in ("records", "responses", "bodies", "facts"):
            found |= {(table, *row) for row in ledger.connection.execute(f"SELECT * FROM {table}")}
    return found


def _texts(folder: Path) -> Counter[tuple[object, ...]]:
    """The records and the responses, without their numbers."""
    asked = ("SELECT kind, key, hash, parent, cycle, body FROM records", "SELECT body FROM bodies")
    with open_ledger(folder) as ledger:
        return Counter(tuple(row) for sql in asked for row in ledger.connection.execute(sql))


# the damages ------------------------------------------------------------------------------------------------------


def _flip(path: Path, rng: random.Random, count: int) -> str:
    content = bytearray(path.read_bytes())
    places = [rng.randrange(len(content)) for _ in range(count)]
    for place in places:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"bytes {places[:3]}"


def _flip_head(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    place = rng.randrange(108)
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"byte {place}"


def _overwrite(path: Path, rng: random.Random, new: Callable[[int], bytes]) -> str:
    content = bytearray(path.read_bytes())
    page = rng.randrange(len(content) // PAGE)
    content[page * PAGE : (page + 1) * PAGE] = new(PAGE)
    path.write_bytes(content)
    return f"page {page + 1}"


def _cut(path: Path, rng: random.Random, low: float) -> str:
    content = path.read_bytes()
    size = rng.randrange(int(low * len(content)), len(content))
    path.write_bytes(content[:size])
    return f"{size} bytes left"


def _edit(path: Path, rng: random.Random) -> str:
    number = rng.randrange(1, 200)
    statement = rng.choice(
        [
            f"UPDATE records SET body = replace(body, 'a', 'b') WHERE seq = {number}",
            f"UPDATE records SET body = substr(body, 1, 20) WHERE seq = {number}",
            f"UPDATE records SET body = '[1' WHERE seq = {number}",
            f"UPDATE records SET body = CAST(x'ff00fe' AS TEXT) WHERE seq = {number}",
            f"UPDATE records SET kind = 'Nonsense' WHERE seq = {number}",
            f"UPDATE records SET hash = 'none' WHERE seq = {number}",
            f"UPDATE records SET cycle = 'x' WHERE seq = {number}",
            f"UPDATE bodies SET body = '{{}}' WHERE seq = {1 + number % 50}",
            f"UPDATE bodies SET body = CAST(x'7b22ff' AS TEXT) WHERE seq = {1 + number % 50}",
            f"DELETE FROM bodies WHERE seq = {1 + number % 50}",
            f"UPDATE responses SET verdict = 'perhaps' WHERE seq = {1 + number % 50}",
            f"UPDATE responses SET tokens = tokens + 1 WHERE seq = {1 + number % 50}",
            f"UPDATE responses SET evaluation = 7 WHERE seq = {1 + number % 50}",
            "UPDATE facts SET value = replace(value, '2', '3') WHERE name = 'config'",
            "UPDATE facts SET value = '{' WHERE name = 'config'",
            "UPDATE facts SET value = CAST(x'ff' AS TEXT) WHERE name = 'config'",
            "UPDATE events SET cycle = 'x', at = 'y'",
        ]
    )
    return _sql(path, statement)


def _change_tables(path: Path, rng: random.Random) -> str:
    return _sql(
        path,
        rng.choice(
            [
                "DROP INDEX records_by_hash",
                "ALTER TABLE bodies RENAME TO texts",
                "ALTER TABLE events RENAME COLUMN at TO time",
                "ALTER TABLE records ADD COLUMN more TEXT",
                "DROP TABLE events",
            ]
        ),
    )


def _sql(path: Path, statement: str) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return statement


DAMAGES: dict[str, Damage] = {
    "a bit": lambda path, rng: _flip(path, rng, 1),
    "ten bits": lambda path, rng: _flip(path, rng, 10),
    "a bit of the head": _flip_head,
    "a page of noise": lambda path, rng: _overwrite(path, rng, rng.randbytes),
    "a page of zeros": lambda path, rng: _overwrite(path, rng, bytes),
    "cut": lambda path, rng: _cut(path, rng, 0.3),
    "an edited row": _edit,
    "a table": _change_tables,
}
LEAST = {
    "a bit": 0.9,
    "ten bits": 0.75,
    "a bit of the head": 1.0,
    "a page of noise": 0.75,
    "a page of zeros": 0.75,
    "cut": 0.2,
    "an edited row": 0.9,
    "a table": 1.0,
}
"""The share of records and responses that salvage keeps at least, in the mean.

What came of a lost one is lost with it: a page that holds an evaluation costs its responses, too.
"""
MANY = 10
"""Tries from which on a mean is judged."""

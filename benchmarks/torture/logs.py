"""Logs of other programs with absurd rows: read by `import`, trusted or judged again, and reported.

Good logs of every format are mutated anywhere in their tree; zip files are damaged, or unpack without end. Counted are
commands; what it is for a command to hold is said in `command`.
"""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.torture.command import attempt
from benchmarks.torture.data_files import DAMAGES, ODD
from benchmarks.torture.part import Outcome
from benchmarks.torture.run_files import offline

_PLAIN = [
    {"id": f"q{n}", "question": f"What is {n} + 1?", "answer": str(n + 1), "response": f"It is {n}.", "correct": n % 2}
    for n in range(6)
]
_HARNESS = [
    {
        "doc_id": n,
        "doc": {"question": f"Which {n}?", "choices": ["a", "b", "c"], "answer": n % 3},
        "target": str(n % 3),
        "arguments": [[f"Which {n}?", " a"], [f"Which {n}?", " b"], [f"Which {n}?", " c"]],
        "resps": [[["-1.5", "False"]], [["-0.5", "True"]], [["-3", "False"]]],
        "acc": 1.0,
        "metrics": ["acc"],
    }
    for n in range(5)
]
_TEXTS = [
    {
        "doc_id": n,
        "doc": {"question": f"{n}?", "answer": f"#### {n}"},
        "resps": [[f"#### {n}"]],
        "exact_match": 1,
        "filter": "x",
    }
    for n in range(5)
]
_SOLUTIONS = [
    {
        "question": f"{n}?",
        "ground_truth": str(n),
        "m1": {"solution": f"#### {n}", "is_correct": True},
        "m2": {"solution": "0", "is_correct": False},
    }
    for n in range(4)
]
_PROGRAMS = [
    {
        "task_id": f"t/{n}",
        "prompt": "def f():\n",
        "test": "def check(c):\n    assert c() == 1",
        "entry_point": "f",
        "completion": "    return 1",
        "passed": True,
    }
    for n in range(3)
]
_INSPECT = {
    "version": 2,
    "eval": {"model": "m", "task": "t"},
    "samples": [
        {
            "id": n,
            "epoch": 1,
            "input": [{"role": "user", "content": f"{n}?"}],
            "target": str(n),
            "output": {
                "choices": [{"message": {"role": "assistant", "content": str(n)}, "stop_reason": "stop"}],
                "usage": {"output_tokens": 3},
            },
            "scores": {"match": {"value": "C"}},
        }
        for n in range(4)
    ],
}
_LOGS: tuple[Any, ...] = (_PLAIN, _PLAIN, _HARNESS, _TEXTS, _SOLUTIONS, _PROGRAMS, _INSPECT)


def torment(seconds: float, seed: int) -> Outcome:
    """Mutated logs for about so many seconds."""
    broken: dict[str, str] = {}
    end, tried, number = time.monotonic() + seconds, 0, 0
    rng = random.Random(f"logs {seed}")
    with tempfile.TemporaryDirectory(prefix="errorbook-torture-") as place, offline():
        folder = Path(place)
        while time.monotonic() < end:
            number += 1
            for command in prepare(folder, rng):
                found = attempt(command, folder)
                tried += 1
                if found and found[:60] not in broken:
                    broken[found[:60]] = f"log {number} of seed {seed}, {' '.join(command[:1])}: {found}"
                    kept = Path(tempfile.gettempdir()) / f"errorbook-broken-log-{seed}-{number}"
                    kept.write_bytes((folder / command[1]).read_bytes() if (folder / command[1]).is_file() else b"")
    return Outcome(tried=tried, broken=tuple(broken.values()))


def prepare(folder: Path, rng: random.Random) -> list[list[str]]:
    """Write a log; the commands that read it."""
    log = copy.deepcopy(rng.choice(_LOGS))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        mutate(log, rng)
    path = folder / "log.json"
    path.write_bytes(_write(log, rng))
    if rng.random() < 0.12:
        path.write_bytes(rng.choice(DAMAGES)(path.read_bytes(), rng))
    shutil.rmtree(folder / "book", ignore_errors=True)
    exact = ["jsonl", "--option", "path=log.json", "--option", "scorer=exact"]
    task = rng.choice((["arithmetic"], ["gsm8k"], ["mmlu"], exact))
    how = rng.choice(([], ["--rescore"], ["--label", "wrong"], ["--model", "m"], ["--rescore", "--json"]))
    commands = [["import", "log.json", "--task", *task, *how, "--out", "book"]]
    if rng.random() < 0.3:
        commands += [["report", "book"], ["status", "book"], ["export", "book", "--what", "samples", "--force"]]
    return commands


def mutate(tree: Any, rng: random.Random) -> None:
    """Something absurd somewhere in a tree of lists and objects."""
    place = tree
    while True:
        items = place.values() if isinstance(place, dict) else place
        inner = [item for item in items if isinstance(item, dict | list) and item]
        if not inner or rng.random() < 0.25:
            break
        place = rng.choice(inner)
    key = rng.choice(list(place) if isinstance(place, dict) else range(len(place))) if place else None
    if key is None:
        return
    turn = rng.random()
    if turn < 0.65:
        place[key] = copy.deepcopy(rng.choice(ODD))
    elif turn < 0.8:
        del place[key]
    elif isinstance(place, list):
        place.append(copy.deepcopy(rng.choice(place)))
    else:
        name = rng.choice(("model", "id", "label", "choices", "metrics", "\0", "", "response", "score"))
        place[name] = copy.deepcopy(rng.choice(ODD))


def _write(log: Any, rng: random.Random) -> bytes:
    turn = rng.random()
    text = json.dumps(log, ensure_ascii=rng.random() < 0.6)
    if isinstance(log, list) and turn < 0.7:
        text = "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.6) for row in log)
    elif turn < 0.8:
        text = json.dumps(log, indent=1)
    elif turn < 0.85:
        deep = ('{"a":' * 70_000, "[" * 70_000, '{"question": "x", "response": ' + "[" * 60_000)
        text = rng.choice((*deep, text[: len(text) // 2]))
    content = text.encode("utf-8", "surrogatepass")
    return _zip(log, rng) if isinstance(log, dict) and rng.random() < 0.6 else content


def _zip(log: dict[str, Any], rng: random.Random) -> bytes:
    out = io.BytesIO()
    samples = log.get("samples")
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as packed:
        packed.writestr("header.json", json.dumps({key: log[key] for key in log if key != "samples"}))
        for number, sample in enumerate(samples if isinstance(samples, list) else []):
            packed.writestr(f"samples/{number}.json", json.dumps(sample))
        if rng.random() < 0.1:
            packed.writestr("samples/bomb.json", b"[" + b" " * rng.choice((10**6, 3 * 10**8)) + b"]")
        if rng.random() < 0.1:
            packed.writestr("samples/deep.json", b"[" * 70_000)
    return out.getvalue()

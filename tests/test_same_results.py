"""Whole scripted runs give the decisions, the samples and the report's numbers that they gave before.

`golden/runs.json` holds what the runs gave when it was written: counts and statistics as they are, texts as digests of
their sequence. Records' hashes, seconds and paths are left out, since they may change without any result changing.
A change that means to change results says why and writes the file anew:

    python tests/test_same_results.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from errorbook import open_ledger
from errorbook.records import Decision, Diagnosis, Draft, Lesson, Rejection, Sample, Training, digest

GOLDEN = Path(__file__).with_name("golden") / "runs.json"
PROGRAM = str(Path(sys.executable).parent / "errorbook")
RUN_FILE = """
[run]
name = "golden"
cycles = 2
seed = 3

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.2

[instructor]
kind = "tutor"

[[tasks]]
name = "arithmetic"
train = 39
dev = 78
test = 78

[[tasks]]
name = "arithmetic_transfer"
role = "guard"
train = 0
dev = 64
test = 64
margin = 0.1

[[tasks]]
name = "retention"
role = "guard"
train = 14
dev = 70
test = 70
margin = 0.1

[strategy]
name = "contrast"
retriever = "scripted"

[train]
method = "scripted"
"""
CHANGES = {
    "contrast": {},
    "error": {'name = "contrast"': 'name = "error"'},
    "undirected": {'name = "contrast"': 'name = "undirected"'},
    "cluster": {'name = "contrast"': 'name = "cluster"'},
    "preference": {'method = "scripted"': 'method = "scripted"\nobjective = "dpo"'},
    "restart": {'method = "scripted"': 'method = "scripted"\nstart = "restart"\nscales = [0.5, 1.0]\nreplay = 0.3'},
    "noise": {'kind = "tutor"': 'kind = "noise"'},
    "scripted instructor": {'kind = "tutor"': 'kind = "scripted"'},
    "no gain": {"gain = 0.2": "gain = 0.0"},
    "words": {'retriever = "scripted"': 'retriever = "tfidf"\nk = 2\nsamples_per_error = 3\nrounds = 2'},
}
LEFT_OUT = {"run", "checkpoint", "candidate", "before", "after", "seconds", "folder", "version", "started", "ended"}
LEFT_OUT |= {"evaluation"}  # a hash


def read_run(folder: Path) -> dict[str, Any]:
    """What one finished run gave, without what may differ between two equal runs."""
    with open_ledger(folder) as ledger:
        samples, lessons = list(ledger.all(Sample)), list(ledger.all(Lesson))
        return {
            "decisions": [
                {
                    "outcome": decision.outcome,
                    "reason": decision.reason,
                    "comparisons": [list_numbers(comparison) for comparison in decision.comparisons],
                }
                for decision in ledger.all(Decision)
            ],
            "counts": {kind.__name__: ledger.count(kind) for kind in (Diagnosis, Draft, Sample, Rejection, Lesson)},
            "rejected": dict(Counter(rejection.reason for rejection in ledger.all(Rejection))),
            "diagnoses": digest(*map(diagnosis_text, ledger.all(Diagnosis))),
            "samples": digest(*map(sample_text, samples)),
            "first sample": samples[0].question if samples else "",
            "lessons": digest(*map(lesson_text, lessons)),
            "trainings": [(item.lessons, item.replayed, item.steps) for item in ledger.all(Training)],
        }


def diagnosis_text(item: Diagnosis) -> str:
    return f"{item.example} {item.error_kind} {item.skill} {item.border}"


def sample_text(item: Sample) -> str:
    return f"{item.task}\n{item.question}\n{item.answer}\n{item.solution}\n{item.checks}"


def lesson_text(item: Lesson) -> str:
    return f"{item.prompt}\n{item.completion}\n{item.replay}\n{item.rejected}"


def list_numbers(comparison: Any) -> dict[str, Any]:
    """A comparison without the hashes of its evaluations."""
    fields = {name: getattr(comparison, name) for name in comparison.__struct_fields__}
    return {name: value for name, value in fields.items() if name not in LEFT_OUT}


def prune(value: Any) -> Any:
    """A report's JSON without seconds, paths and hashes of records."""
    if isinstance(value, dict):
        return {key: prune(item) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        return [prune(item) for item in value]
    return round(value, 12) if isinstance(value, float) else value


def numbers_of(report: dict[str, Any]) -> Any:
    """The numbers of a report, section by section; its example cases are texts and hashes."""
    return prune({key: value for key, value in report.items() if key in REPORTED})


REPORTED = ("tasks", "skills", "relearnt", "funnel", "cycles", "trainings", "noise", "fates", "spending")


def make_run(name: str, folder: Path) -> dict[str, Any]:
    text = RUN_FILE
    for old, new in CHANGES[name].items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "run.toml"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [PROGRAM, "run", str(file), "--out", str(folder / "run")], check=False, capture_output=True, timeout=300
    )
    assert done.returncode in {0, 1}, done.stderr.decode()
    command = [PROGRAM, "report", str(folder / "run"), "--format", "json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    found = {**read_run(folder / "run"), "report": numbers_of(report)}
    return json.loads(json.dumps(prune(found)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CHANGES)
def test_a_scripted_run_gives_what_it_gave_before(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))

    assert make_run(name, tmp_path) == prune(golden[name])


def write_golden() -> None:
    """Run everything once and write the file."""
    found = {}
    for name in CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = make_run(name, Path(folder))
    GOLDEN.parent.mkdir(exist_ok=True)
    lines = (f"{json.dumps(name)}: {json.dumps(run, ensure_ascii=False)}" for name, run in found.items())
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden()

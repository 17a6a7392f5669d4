"""Whole scripted runs give the decisions, the samples and the report's numbers that they gave before.

`golden/runs.json` holds what the runs gave when it was written: counts and statistics as they are, texts as digests of
their sequence. Records' hashes, seconds and paths are left out, since they may change without any result changing.
A change that means to change results says why and writes the file anew:

    PYTHONPATH=tests/kits python tests/test_same_results.py
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_kit import call

from errorbook import open_ledger
from errorbook.records import Decision, Diagnosis, Draft, Lesson, Rejection, Sample, Training, digest

GOLDEN = Path(__file__).with_name("golden") / "runs.json"
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
MOST_SHOWN = 20
HOW_TO_RENEW = (
    "If the change is meant, say why and write the file anew: PYTHONPATH=tests/kits python tests/test_same_results.py"
)


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
    done = call(folder, "run", file, "--out", "run")
    assert done.returncode in {0, 1}, done.stderr
    report = json.loads(call(folder, "report", "run", "--format", "json").stdout)
    found = {**read_run(folder / "run"), "report": numbers_of(report)}
    return json.loads(json.dumps(prune(found)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CHANGES)
def test_a_scripted_run_gives_what_it_gave_before(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))

    changes = list(list_changes(prune(golden[name]), make_run(name, tmp_path), name))
    if changes:
        more = [f"... and {len(changes) - MOST_SHOWN} more"] if len(changes) > MOST_SHOWN else []
        pytest.fail("\n".join(["The results differ:", *changes[:MOST_SHOWN], *more, HOW_TO_RENEW]), pytrace=False)


def test_changes_are_listed_by_their_paths() -> None:
    old = {"a": [1, {"b": 2}], "c": "x", "gone": None, "same": [0]}
    new = {"a": [1, {"b": 3}, 4], "c": {"d": 5}, "same": [0], "new": []}

    assert list(list_changes(old, new, "run")) == [
        "run.a.1.b: 2 -> 3",
        "run.a.2: nothing -> 4",
        "run.c: 'x' -> {'d': 5}",
        "run.gone: None -> nothing",
        "run.new: nothing -> []",
    ]
    assert list(list_changes(old, old, "run")) == []


class Nothing:
    """Stands for a value that only the other side has."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = Nothing()


def list_changes(old: Any, new: Any, path: str) -> Iterator[str]:
    """Each path whose value differs, with the old value and the new one."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            yield from list_changes(old.get(key, NOTHING), new.get(key, NOTHING), f"{path}.{key}")
    elif old != new:
        yield f"{path}: {shorten(repr(old), 200)} -> {shorten(repr(new), 200)}"


def shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def lay_out(runs: dict[str, dict[str, Any]]) -> str:
    """The golden file's text: one line a section of a run, and one a section of its report."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {lay_out_section(run, 1)}" for name, run in runs.items()) + "\n}\n"


def lay_out_section(sections: dict[str, Any], depth: int) -> str:
    lines = (
        f"{'  ' * depth}{json.dumps(name)}: "
        + (lay_out_section(item, depth + 1) if name == "report" else json.dumps(item, ensure_ascii=False))
        for name, item in sections.items()
    )
    return "{\n" + ",\n".join(lines) + "\n" + "  " * (depth - 1) + "}"


def test_the_file_is_laid_out_for_a_diff() -> None:
    text = GOLDEN.read_text(encoding="utf-8")

    assert text == lay_out(json.loads(text))


def write_golden() -> None:
    """Run everything once and write the file."""
    found = {}
    for name in CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = make_run(name, Path(folder))
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(lay_out(found), encoding="utf-8")


if __name__ == "__main__":
    write_golden()

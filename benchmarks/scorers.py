"""All recorded responses of the reference data through our scorers: agreement with their labels, and speed.

    ERRORBOOK_DATA=/path/to/data python -m benchmarks.scorers [--json] [--closing]

Reads the files as `errorbook import --rescore` does. "Published" is the accuracy that came with a file; the time is
the scorer's alone, in one process. --closing checks the rule for unmarked numbers instead: GSM8K's own train solutions
without their last line, "#### 18", with and without the question beside them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from errorbook import plugins
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.errors import PluginError
from errorbook.importing.book import apply_label, rescore, select_model, tally
from errorbook.importing.logs.formats import read_log
from errorbook.interfaces import Scorer, Task
from errorbook.records import Example


class Recorded(NamedTuple):
    """One file of responses (a pattern below `responses`), its task, and the label of all of it, if it has one."""

    pattern: str
    task: str
    label: Literal["right", "wrong"] | None = None


FILES = (
    Recorded("gsm8k_*.jsonl", "gsm8k"),
    Recorded("*/gsm8k_right.jsonl", "gsm8k", "right"),
    Recorded("*/gsm8k_wrong.jsonl", "gsm8k", "wrong"),
    Recorded("*/mmlu_right.jsonl", "mmlu", "right"),
    Recorded("*/mmlu_wrong.jsonl", "mmlu", "wrong"),
    Recorded("*/mbpp_right.jsonl", "mbpp", "right"),
    Recorded("*/mbpp_wrong.jsonl", "mbpp", "wrong"),
    Recorded("bbh_*/*.jsonl", "bbh"),
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One file's counts; `published` is its accuracy in percent if one was published."""

    file: str
    task: str
    n: int
    right: int
    wrong: int
    unscorable: int
    disagree: int
    published: float | None
    per_second: float

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * self.right / self.n


def main() -> None:
    """Score every file and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--closing", action="store_true", help="check the rule for numbers without a marker")
    options = parser.parse_args()
    root = os.environ.get("ERRORBOOK_DATA")
    if not root:
        sys.exit("Set ERRORBOOK_DATA to the folder of the reference data.")
    if options.closing:
        print(_closing(Path(root) / "gsm8k" / "train.jsonl"))
        return
    lines = list(_lines(Path(root) / "responses"))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if options.json:
        print(msgspec.json.format(msgspec.json.encode({"machine": machine, "files": lines}), indent=2).decode())
    else:
        print(f"{_table(lines)}\n\nMachine: {machine}.")


def _closing(path: Path) -> str:
    """How often the number that a solution without its marker closes with is the marked one."""
    rows = [msgspec.json.decode(line, type=dict[str, str]) for line in path.read_bytes().splitlines()]
    scorer = Numeric()
    found = {"with the question": 0, "without it": 0}
    for row in rows:
        solution, _, answer = row["answer"].rpartition("####")
        for kind, question in zip(found, (row["question"], "?"), strict=True):
            example = Example(id="", task="gsm8k", split="train", question=question, answer=answer.strip())
            found[kind] += scorer.score(example, solution).verdict == "right"
    return f"{len(rows)} solutions: " + ", ".join(f"{count} {kind}" for kind, count in found.items())


def _lines(root: Path) -> Iterator[Line]:
    for recorded in FILES:
        for path in sorted(root.glob(recorded.pattern)):
            if path.name.endswith(".metrics.jsonl"):
                continue
            try:
                yield _line(path, root, recorded)
            except PluginError as error:
                print(f"{path.relative_to(root)}: {error}", file=sys.stderr)


def _line(path: Path, root: Path, recorded: Recorded) -> Line:
    task: Task = plugins.create("tasks", recorded.task)
    scorer: Scorer = plugins.create("scorers", task.scorer)
    entries = apply_label(select_model(read_log(path), None), recorded.label)
    started = time.perf_counter()
    counted = tally(list(rescore(entries, task.name, scorer, lambda done, total: None)))
    seconds = time.perf_counter() - started
    return Line(
        file=str(path.relative_to(root)),
        task=task.name,
        n=counted.n,
        right=counted.right,
        wrong=counted.wrong,
        unscorable=counted.unscorable,
        disagree=len(counted.disagree),
        published=_published(path),
        per_second=counted.n / seconds,
    )


def _published(path: Path) -> float | None:
    """The accuracy beside a file, in percent."""
    beside = path.with_suffix(".metrics.jsonl")
    return msgspec.json.decode(beside.read_bytes(), type=dict[str, float])["accuracy"] if beside.is_file() else None


def _table(lines: list[Line]) -> str:
    head = "| file | task | n | right | wrong | unscorable | disagree | accuracy | published | per second |"
    rows = [
        f"| {item.file} | {item.task} | {item.n} | {item.right} | {item.wrong} | {item.unscorable} | {item.disagree}"
        f" | {item.accuracy:.1f}% | {'' if item.published is None else f'{item.published:.1f}%'}"
        f" | {item.per_second:,.0f} |"
        for item in lines
    ]
    total = f"| all | | {sum(item.n for item in lines)} | | | {sum(item.unscorable for item in lines)}"
    total += f" | {sum(item.disagree for item in lines)} | | | |"
    return "\n".join([head, "|---|---|" + "---:|" * 8, *rows, total])


if __name__ == "__main__":
    main()

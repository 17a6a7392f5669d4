"""Honest programs a second through the code scorer, with everything that a run does: cells, tests, verdicts.

    python -m benchmarks.sandbox [--workers 1 2] [--programs 200]

Takes the right programs that Mistral-7B-Instruct wrote for MBPP if ERRORBOOK_DATA points at the reference data,
else a few invented ones of the same size. Prints a Markdown table with the machine; every program has to be right.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
from pathlib import Path

from errorbook.adapters.scorers.code import Code
from errorbook.checks.verdicts import require_verdicts
from errorbook.records import Example

RECORDED = "responses/mistral-7b-instruct/mbpp_right.jsonl"
INVENTED = (
    ("total", "    return sum(items)\n", "assert candidate([1, 2, 3]) == 6", "    assert candidate([]) == 0"),
    ("longest", "    return max(items, key=len)\n", "assert candidate(['a', 'bb']) == 'bb'", ""),
    ("counts", "    return {i: items.count(i) for i in items}\n", "assert candidate([1, 1]) == {1: 2}", ""),
)


def main() -> None:
    """Measure once for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, len(os.sched_getaffinity(0))])
    parser.add_argument("--programs", type=int, default=200)
    options = parser.parse_args()
    name, known = programs()
    pairs = list(itertools.islice(itertools.cycle(known), options.programs))
    print(f"{len(pairs)} programs ({name}) on {machine()}\n\n| workers | programs a second |\n|---|---|")
    for workers in dict.fromkeys(options.workers):
        print(f"| {workers} | {rate(pairs, workers):.1f} |")


def rate(pairs: list[tuple[Example, str]], workers: int) -> float:
    """Programs a second, the start of the pool included."""
    scorer = Code(workers=workers)
    scorer.score_all(pairs[:1])  # the check that the sandbox works is made once in a process
    start = time.perf_counter()
    scores = require_verdicts(scorer.score_all(pairs), "programs")
    seconds = time.perf_counter() - start
    failed = [example.id for (example, _), score in zip(pairs, scores, strict=True) if score.verdict != "right"]
    if failed:
        raise SystemExit(f"These honest programs were not right: {failed}.")
    return len(pairs) / seconds


def programs() -> tuple[str, list[tuple[Example, str]]]:
    """What the programs are, and pairs of an example and its right response."""
    data = os.environ.get("ERRORBOOK_DATA")
    if not data:
        return "invented", [
            (
                example(name, f"def {name}(items):\n    '''?'''\n", f"def check(candidate):\n    {first}\n{second}\n"),
                body,
            )
            for name, body, first, second in INVENTED
        ]
    with (Path(data) / RECORDED).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return "recorded MBPP", [
        (example(row["entry_point"], row["prompt"], row["test"]), row["completion"]) for row in rows
    ]


def example(entry: str, question: str, tests: str) -> Example:
    """One example in the form of the code tasks."""
    tests = f"{tests}\ncheck({entry})\n"
    return Example(id=entry, task="mbpp", split="train", question=question, answer="", tests=tests)


def machine() -> str:
    """Processor and cores that this process may use."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()

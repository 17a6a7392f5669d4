"""Loop overhead: wall time of a whole run over the time that its engines were at work.

    python -m benchmarks.overhead [--train 2000] [--delay 0.02] [--json] [--profile FILE]

The target is a scripted one that takes `--delay` seconds for each prompt; it, and an instructor and a trainer that take
next to nothing, add up the seconds that they were at work. All else is the real loop on a file of word problems:
reading, ledger, scoring, retrieval of contrasts, verification, gate. What the run took beyond its engines is the
overhead: the ratio depends on the delay, the milliseconds for each response do not. On a busy machine the wall time
holds the waiting for a core; the CPU time that the run took beyond its engines does not.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.overhead_engine import PLUGINS, Busy, Problem, problems
from errorbook.config import parse
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.loop import run
from errorbook.records import Sample
from errorbook.render.status_words import stage_name

RUN_FILE = """
[run]
name = "overhead"
cycles = 1
seed = 3

[target]
engine = "timed"
path = "{path}"
accuracy = 0.6
gain = 0.2
delay = {delay}

[instructor]
kind = "timed"

[[tasks]]
name = "problems"
kind = "jsonl"
path = "{path}"
train = {train}
dev = {held}
test = {held}
solution = "solution"

[strategy]
name = "contrast"

[verify]
answers = "trust"
against = []

[train]
method = "scripted"
"""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run, in seconds. `each_ms` is what a response costs beyond the engines, in milliseconds of wall time.

    `overhead` is wall over engine, `quiet` what it would be on a machine on which nothing waits: from CPU time.
    """

    machine: str
    responses: int
    samples: int
    delay: float
    wall: float
    engine: float
    cpu: float
    overhead: float
    quiet: float
    each_ms: float
    stages: dict[str, float]
    unaccounted: float


def main() -> None:
    """Run once and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=2000, help="train questions")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds that the engine takes for one prompt")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--profile", type=Path, help="write a profile of the run for pstats")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ERRORBOOK_CACHE"] = f"{folder}/cache"  # its cost counts, its content is of no use
        found = measure(Path(folder), options.train, options.delay, options.profile)
    if options.json:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        print(_table(found))


def measure(folder: Path, train: int, delay: float, profile: Path | None = None) -> Measured:
    """One run in `folder`, on `train` questions and a quarter of that for dev and test each."""
    _install(folder / "plugins")
    held = max(20, train // 4)
    path = folder / "problems.jsonl"
    path.write_bytes(b"".join(_lines({"train": train, "dev": held, "test": held})))
    config = parse(RUN_FILE.format(path=path, train=train, held=held, delay=delay))
    before, responses, computed = Busy.seconds, Busy.responses, Busy.cpu
    profiler = cProfile.Profile(time.process_time)  # not the wall: the engines sleep
    started, computing = time.perf_counter(), time.process_time()
    if profile is not None:
        profiler.runcall(run, config, folder / "run")
        profiler.dump_stats(profile)
    else:
        run(config, folder / "run")
    wall, engine, asked = time.perf_counter() - started, Busy.seconds - before, Busy.responses - responses
    cpu = time.process_time() - computing - (Busy.cpu - computed)
    with open_ledger(folder / "run") as ledger:
        stages, samples = _stages(ledger), ledger.count(Sample)
    return Measured(
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        responses=asked,
        samples=samples,
        delay=delay,
        wall=wall,
        engine=engine,
        cpu=cpu,
        overhead=wall / engine,
        quiet=1 + cpu / engine,
        each_ms=1000 * (wall - engine) / asked,
        stages=stages,
        unaccounted=wall - sum(stages.values()),
    )


def _lines(sizes: Mapping[str, int]) -> Iterator[bytes]:
    """The data, a line a question, none of them twice."""
    distinct: dict[str, Problem] = {}
    for problem in problems(3 * sum(sizes.values()), "data"):
        distinct.setdefault(problem.question, problem)
    supply = iter(distinct.values())
    for split, n in sizes.items():
        for problem in itertools.islice(supply, n):
            yield msgspec.json.encode({**problem._asdict(), "split": split}) + b"\n"


def _install(folder: Path) -> None:
    """Make the engines known as any plugin is: by the entry points of a distribution on the path."""
    about = folder / "timed-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: timed\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(PLUGINS)
    sys.path.append(str(folder))


def _stages(ledger: Ledger) -> dict[str, float]:
    """Seconds of each stage by its name, the longest first."""
    seconds: dict[str, float] = {}
    for event in ledger.events():
        name = stage_name(event)
        seconds[name] = seconds.get(name, 0.0) + event.seconds
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _table(found: Measured) -> str:
    rows: list[tuple[str, Any]] = [
        ("responses", f"{found.responses:,} at {1000 * found.delay:g} ms"),
        ("samples", f"{found.samples:,}"),
        ("engines", f"{found.engine:.2f} s"),
        ("wall", f"{found.wall:.2f} s"),
        ("overhead, wall / engines", f"{found.overhead:.3f}"),
        ("the same from CPU time", f"{found.quiet:.3f}, {found.cpu:.2f} s"),
        ("overhead for each response", f"{found.each_ms:.3f} ms"),
        *((f"stage: {name}", f"{seconds:.2f} s") for name, seconds in found.stages.items()),
        ("outside the stages", f"{found.unaccounted:.2f} s"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(["| what | how much |", "|---|---:|", *lines, "", f"Machine: {found.machine}."])


if __name__ == "__main__":
    main()

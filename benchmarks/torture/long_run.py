"""A long run in one process: six cycles of up to 5,000 questions with scripted parts.

One try is one cycle. No later cycle may be slower for what it records, memory must stay flat after the second, and
the ledger must grow with what is recorded. The number of questions follows from the time that there is.
"""

from __future__ import annotations

import resource
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.torture.part import Outcome
from errorbook.config import parse
from errorbook.ledger.events import Event
from errorbook.loop import run

CYCLES, MOST, LEAST = 6, 5000, 60
PER_SECOND = 10
"""Questions of train for each second that there is: what a slow machine with two processors does."""
SLOWER, LARGER = 2.0, 1.3
"""How much slower for a row, and how much larger in memory, the last cycles may be than the second and third."""
RUN_FILE = """
[run]
name = "long"
cycles = {cycles}
seed = {seed}

[target]
engine = "scripted"
accuracy = 0.2
gain = 0.08

[[tasks]]
name = "arithmetic"
train = {train}
dev = {dev}
test = 13

[strategy]
max_samples = {samples}

[train]
method = "scripted"
"""


def torment(seconds: float, seed: int) -> Outcome:
    """Run once, as large as the time allows, and compare the cycles."""
    train = max(LEAST, min(MOST, round(PER_SECOND * seconds)))
    text = RUN_FILE.format(cycles=CYCLES, seed=seed % 1000, train=train, dev=min(400, train), samples=train)
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        beats = _Beats()
        run(parse(text), Path(folder), beats)
        beats.end()
        path = Path(folder) / "ledger.sqlite"
        rows = _count_rows(path)
        size = sum(item.stat().st_size for item in Path(folder).glob("ledger.sqlite*"))
    return _judge(train, beats, rows, size)


class _Beats:
    """What a watcher notes at the first event of each cycle: the time, and the memory of the process in MB."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.memory: dict[int, float] = {}

    def __call__(self, event: Event) -> None:
        if event.cycle not in self.at:
            self.at[event.cycle] = time.monotonic()
            self.memory[event.cycle] = _memory()

    def end(self) -> None:
        """The run is over."""
        last = max(self.at) + 1
        self.at[last], self.memory[last] = time.monotonic(), _memory()


def _memory() -> float:
    """Megabytes that the process holds now; if the system does not say, the most that it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def _count_rows(path: Path) -> dict[int, int]:
    """Records and responses by cycle."""
    with closing(sqlite3.connect(path)) as connection:
        found = dict(connection.execute("SELECT cycle, count(*) FROM records GROUP BY cycle"))
        answers = connection.execute(
            "SELECT records.cycle, count(*) FROM responses JOIN records ON records.seq = responses.evaluation"
            " GROUP BY records.cycle"
        )
        for cycle, count in answers:
            found[cycle] = found.get(cycle, 0) + count
    return found


def _judge(train: int, beats: _Beats, rows: dict[int, int], size: int) -> Outcome:
    cycles = [cycle for cycle in sorted(beats.at) if 1 <= cycle <= CYCLES and cycle + 1 in beats.at]
    pace = {cycle: (beats.at[cycle + 1] - beats.at[cycle]) / max(1, rows.get(cycle, 0)) for cycle in cycles}
    early = [cycle for cycle in cycles if cycle in {2, 3}]
    late = [cycle for cycle in cycles if cycle > 3]
    broken = []
    if len(late) < CYCLES - 3:
        broken.append(f"the run ended after {len(cycles)} cycles, so there is nothing to compare")
    else:
        slower = statistics.median(pace[cycle] for cycle in late) / statistics.median(pace[cycle] for cycle in early)
        larger = beats.memory[max(beats.memory)] / beats.memory[3]
        if slower > SLOWER:
            broken.append(f"{train} questions: a row took {slower:.1f} times as long in the later cycles")
        if larger > LARGER:
            broken.append(f"{train} questions: memory grew {larger:.2f} times from the third cycle on")
    figures = {
        "questions": float(train),
        "rows": float(sum(rows.values())),
        "bytes a row": size / max(1, sum(rows.values())),
        "MB at cycle 3": beats.memory.get(3, 0.0),
        "MB at the end": beats.memory[max(beats.memory)],
        "ms a row, cycle 2": 1000 * pace.get(2, 0.0),
        "ms a row, cycle 6": 1000 * pace.get(CYCLES, 0.0),
    }
    return Outcome(len(cycles), tuple(broken), figures)

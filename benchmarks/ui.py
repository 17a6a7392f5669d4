"""The book in a browser on 100,000 questions and five checkpoints: how quick, how small, how live.

    python -m benchmarks.ui [--folder DIR] [--items N] [--rounds N] [--json]

Writes the ledger of `ui_ledger`, starts the real `errorbook ui` on it as a process of its own, and asks for every kind
of page many times with ever other filters and words, as a reader of a slow mind would: one at a time, over one
connection. Then it appends answers to the run and watches them appear. Marks are for the full size; at another one they
are not judged. Exit code 1 if a mark is missed. Nothing here needs a model, a browser or the network.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import msgspec

from benchmarks.scale import machine
from benchmarks.scale_marks import Stopwatch, Value
from benchmarks.ui_ledger import append_open, write
from benchmarks.ui_pages import addresses
from benchmarks.ui_server import Reply, Server

FULL = 100_000
LIVE = 12
"""Times that answers are appended and looked for."""
PATIENCE = 20.0
"""Seconds that they are looked for."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and where."""

    machine: str
    items: int
    values: list[Value]


def main() -> int:
    """Measure, print, and say whether every mark was kept."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        root = (options.folder or Path(scratch)) / f"ui-{options.items}"
        values = measure(root, Path(scratch) / "cache", options.items, options.rounds)
    report = Report(machine=machine(), items=options.items, values=values)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print(render(report))
    return 1 if options.items >= FULL and any(value.kept is False for value in values) else 0


def measure(root: Path, cache: Path, items: int, rounds: int) -> list[Value]:
    """All values, on a run of so many questions below `root`."""
    writing = Stopwatch()
    with writing.running():
        run = write(root / "big", items)
    values = [Value(part="ledger", name="written in", value=writing.seconds, unit="s")]
    values.append(Value(part="ledger", name="size", value=(run / "ledger.sqlite").stat().st_size / 1e6, unit="MB"))
    with Server(root, cache) as server:
        values += _opening(server, run)
        values += _pages(server, run, cache, rounds)
        values += _live(server, run, items)
        values.append(Value(part="server", name="peak memory", value=server.peak_mb(), unit="MB", mark="< 300"))
    return values


def render(report: Report) -> str:
    """The table that docs/performance.md shows."""
    lines = ["| part | what | value | mark | |", "|---|---|---|---|---|"]
    for value in report.values:
        verdict = {True: "kept", False: "MISSED", None: ""}[value.kept if report.items >= FULL else None]
        number = f"{value.value:,.0f}" if value.value >= 1000 else f"{value.value:.3g}"
        lines.append(f"| {value.part} | {value.name} | {number} {value.unit} | {value.mark} | {verdict} |")
    return "\n".join([*lines, "", f"{report.machine}, {report.items:,} questions"])


def _opening(server: Server, run: Path) -> list[Value]:
    """From the first look to the whole index, and the longest wait for a page on the way."""
    began, slowest, first = time.perf_counter(), 0.0, server.ask("/runs/big/book?sort=id").seconds
    while not server.indexed(run):
        reply = server.ask("/runs/big/book?sort=id")
        slowest = max(slowest, reply.seconds)
        time.sleep(0.2)
    return [
        Value(part="opening", name="first page", value=1000 * first, unit="ms"),
        Value(part="opening", name="index made", value=time.perf_counter() - began, unit="s", mark="< 60"),
        Value(part="opening", name="processor time for that", value=server.cpu_seconds(), unit="s"),
        Value(part="opening", name="slowest page meanwhile", value=1000 * slowest, unit="ms"),
        Value(part="opening", name="peak memory until then", value=server.peak_mb(), unit="MB"),
    ]


def _pages(server: Server, run: Path, cache: Path, rounds: int) -> list[Value]:
    """Every kind of page, `rounds` times each, in a random order."""
    asked = [(name, address) for name, some in addresses(run, cache, rounds).items() for address in some]
    random.Random(1).shuffle(asked)
    for name in dict.fromkeys(name for name, _ in asked):  # what is made once for all readers
        server.ask(next(address for kind, address in asked if kind == name))
    replies: dict[str, list[Reply]] = {}
    for name, address in asked:
        replies.setdefault(name, []).append(server.ask(address))
    values: list[Value] = []
    for name, some in sorted(replies.items()):
        times = [1000 * reply.seconds for reply in some]
        values += [
            Value(part=name, name="half are served within", value=median(times), unit="ms"),
            Value(part=name, name="95% are served within", value=quantiles(times, n=20)[-1], unit="ms", mark="< 300"),
            Value(part=name, name="largest", value=max(reply.size for reply in some) / 1e3, unit="kB", mark="< 300"),
            Value(part=name, name="over the wire", value=max(reply.sent for reply in some) / 1e3, unit="kB"),
        ]
    return values


def _live(server: Server, run: Path, items: int) -> list[Value]:
    """Answers are appended ten at a time; how long until a search for what they say finds them, and what is sent."""
    waits, sent = list[float](), list[int]()
    for number in range(LIVE):
        note = f"zebra{time.time_ns()}"
        page = f"/runs/big/book?task=chat&split=test&q={note}"
        stamp, shown, bytes_sent = server.changes("big", ""), 0, 0
        n = append_open(run, items, 10, note)
        began = time.perf_counter()
        while shown < n and time.perf_counter() - began < PATIENCE:
            new = server.changes("big", stamp)
            if new == stamp:
                time.sleep(0.05)
                continue
            stamp, reply = new, server.ask(page)
            bytes_sent += reply.sent
            shown = reply.text.count("data-row")
        if n and number:  # the first one opens what others find open
            waits.append(time.perf_counter() - began)
            sent.append(bytes_sent)
    if not waits:
        return []  # nothing was left to answer
    return [
        Value(part="live", name="answers are shown within, half", value=median(waits), unit="s"),
        Value(part="live", name="the slowest", value=max(waits), unit="s", mark="< 2"),
        Value(part="live", name="sent for ten answers", value=max(sent) / 1e3, unit="kB", mark="< 100"),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--folder", type=Path, help="keep the ledger there, for another time; else it goes with the measurement"
    )
    parser.add_argument("--items", type=int, default=FULL, help="questions; %(default)s judges the marks")
    parser.add_argument("--rounds", type=int, default=40, help="times that each kind of page is asked for")
    parser.add_argument("--json", action="store_true", help="all values as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""A million responses, a million candidates, a million drafts: what the loop's bookkeeping costs at that size.

    [ERRORBOOK_DATA=...] python -m benchmarks.scale [ledger|retrieval|duplicates] [--rows N] [--json]

Each part runs in a process of its own, so its peak memory is its own, too. Marks are for the full size; at another one
they are not judged. Exit code 1 if a mark is missed. Nothing here needs a model or the network.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks.scale_marks import Value, peak_gb

MEMORY = {"ledger": 1.5, "retrieval": 8.0, "duplicates": 4.0}
"""GB that each part may take at the most."""
FULL = 1_000_000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and where."""

    machine: str
    rows: int
    values: list[Value]


def main() -> int:
    """Run the parts that were asked for, print, and say whether every mark was kept."""
    options = _options()
    if options.inside:
        print(msgspec.json.encode(measure(options.parts[0], options.rows)).decode())
        return 0
    values = [value for part in options.parts or MEMORY for value in _apart(part, options.rows)]
    report = Report(machine=machine(), rows=options.rows, values=values)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print(render(report))
    return 1 if options.rows == FULL and any(value.kept is False for value in values) else 0


def measure(part: str, rows: int) -> list[Value]:
    """One part's values in this process, its peak memory last."""
    run: Callable[[int, Path], list[Value]] = import_module(f"benchmarks.scale_{part}").measure
    with tempfile.TemporaryDirectory() as folder:
        values = run(rows, Path(folder))
    return [*values, Value(part=part, name="peak memory", value=peak_gb(), unit="GB", mark=f"< {MEMORY[part]}")]


def render(report: Report) -> str:
    """The table that docs/performance.md shows."""
    lines = ["| part | what | value | mark | |", "|---|---|---|---|---|"]
    for value in report.values:
        verdict = {True: "kept", False: "MISSED", None: ""}[value.kept if report.rows == FULL else None]
        number = f"{value.value:,.0f}" if value.value >= 1000 else f"{value.value:.3g}"
        lines.append(f"| {value.part} | {value.name} | {number} {value.unit} | {value.mark} | {verdict} |")
    return "\n".join([*lines, "", report.machine])


def machine() -> str:
    """One line about the machine: processor, cores that may be used, versions."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.processor()}, {cores} cores, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _apart(part: str, rows: int) -> list[Value]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", part, "--rows", str(rows), "--inside"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=list[Value])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*MEMORY, []], metavar="ledger|retrieval|duplicates")
    parser.add_argument("--rows", type=int, default=FULL, help="responses, candidates and drafts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

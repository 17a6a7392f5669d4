"""A small process beside a cluster that we started: it ends Ray's helpers if we are killed.

Ray ties most of its processes to ours, but its agents outlive a `kill -9` by minutes. This one watches which processes
we have, waits until we are gone, and ends those of Ray that are left. It needs the kernel's list of processes (Linux)
and does nothing without one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_EVERY, _GRACE = 1.0, 5.0
"""Seconds between two looks, and that Ray has to end its processes itself."""
_PROCESSES = Path("/proc")

_TITLES = ("ray::", "ray-dashboard-")
"""How the names begin that Ray's agents and workers give themselves."""

Known = dict[int, str]
"""Processes by their number, with the moment at which each began: a number is used again one day."""


def start_reaper() -> subprocess.Popen[bytes] | None:
    """Start it for this process; None if the system has no list of processes."""
    if not (_PROCESSES / "self" / "stat").is_file():
        return None
    command = [sys.executable, "-m", "errorbook.adapters.ray.reaper", str(os.getpid())]
    quiet = subprocess.DEVNULL
    # In a session of its own: Ctrl-C, which ends us in good order, is not for it.
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603


def main(parent: int) -> None:
    """Watch `parent` until it is gone, then end what it left of Ray."""
    known: Known = {}
    while os.getppid() == parent:
        known |= find_helpers(parent)
        time.sleep(_EVERY)
    time.sleep(_GRACE)
    for number, began in known.items():
        if read_process(number)[1] == began:
            try:
                os.kill(number, signal.SIGKILL)
            except OSError:  # it ended this very moment
                continue


def find_helpers(parent: int) -> Known:
    """The processes of Ray that `parent` started, and those that they started."""
    table = {int(path.name): read_process(int(path.name)) for path in _PROCESSES.iterdir() if path.name.isdigit()}
    found, newest = set[int](), {parent}
    while newest:
        newest = {number for number, (above, _) in table.items() if above in newest and number not in found}
        found |= newest
    return {number: table[number][1] for number in found if _is_of_ray(number)}


def read_process(number: int) -> tuple[int, str]:
    """The parent of a process and the moment at which it began; (0, "") if there is none."""
    try:
        fields = (_PROCESSES / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[1]), fields[19]
    except (OSError, IndexError, ValueError):
        return 0, ""


def _is_of_ray(number: int) -> bool:
    try:
        words = os.fsdecode((_PROCESSES / str(number) / "cmdline").read_bytes()).split("\0")
    except OSError:
        return False
    return is_command_of_ray(words, _find_package())


def is_command_of_ray(words: Sequence[str], package: str) -> bool:
    """Whether a command is one of Ray's: by the name it gave itself, or as a program or script of Ray's package.

    Nothing else in a command says so: a home or a run's folder may be called `ray`, and our own run may be told of Ray.
    """
    program, *rest = words
    if program.startswith(_TITLES):
        return True
    if Path(program).name.startswith("python"):
        program = next((word for word in rest if not word.startswith("-")), "")
    return bool(package) and program.startswith(f"{package}{os.sep}")


@cache
def _find_package() -> str:
    """The folder of the package `ray`, as Ray's own commands spell it; an empty text if it is not installed."""
    spec = find_spec("ray")
    return str(Path(spec.origin).parent.absolute()) if spec and spec.origin else ""


if __name__ == "__main__":
    main(int(sys.argv[1]))

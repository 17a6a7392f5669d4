"""Runs one command and sees to it that nothing of it outlives whoever asked for it. A program, not to be imported.

    python guard.py COMMAND ARGUMENT ...

It is started with a pipe as its standard input, and puts the command into a process group of its own. When the pipe
closes, or the parent is gone (`kill -9` included), it asks that group to end and kills what has not after a while.
Otherwise it ends as the command does. It imports the standard library only, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

GRACE = 8.0
"""Seconds that the command has to end by itself."""
_LOOK = 0.1  # seconds between two looks at the parent and the command
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def main(command: list[str], parent: int) -> int:
    """Run the command until it ends or nobody wants it any more; returns its exit status."""
    child = subprocess.Popen(  # noqa: S603 - the user's own command
        command,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_die_with_the_guard,  # noqa: PLW1509 - there are no threads here
    )
    while child.poll() is None:
        if os.getppid() != parent or select.select([sys.stdin], [], [], _LOOK)[0]:
            _end(child)
    # Workers that the command left behind.
    _signal(child, signal.SIGKILL)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _die_with_the_guard() -> None:
    """Linux can end the command with the guard, should somebody kill the guard itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _end(child: subprocess.Popen[bytes]) -> None:
    _signal(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.getppid()))

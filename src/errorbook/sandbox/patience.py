"""How long to wait for a program: the time that others kept it from running is not its own.

The kernel says for each process how long it ran, and how long it was ready to run and had to wait for a processor. On
a busy machine the latter can be most of the wall clock, and a verdict must not depend on it. Time that a program sleeps
or computes is its own, and time that its own threads take from it stays bounded by its limit of processor time. If the
kernel does not say (it was built without these counts), the wall clock decides alone. Time that a host takes from a
virtual machine is not seen.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

MOST = 30
"""A wait is given up after so many times its length, whatever kept the program from running."""


class BusyError(Exception):
    """The machine was too busy to tell whether a program ends in time."""


class Times(NamedTuple):
    """Seconds of processes: on a processor, and ready to run but not let."""

    ran: float
    waited: float


def wait_for_frame(link: socket.socket, seconds: float, read: Callable[[], Sequence[Times]]) -> bool:
    """Whether something arrives within `seconds`, not counting what the processes of `read` spent waiting to run.

    Raises:
        BusyError: The machine was too busy for `MOST` times as long.
    """
    begun, before = time.monotonic(), _add(read())
    left = seconds
    while True:
        if _arrives(link, left):
            return True
        elapsed, now = time.monotonic() - begun, _add(read())
        # Two processes that answer each other are both ready at times, so both counts together can exceed the clock.
        left = seconds - max(elapsed - max(0.0, now.waited - before.waited), now.ran - before.ran)
        if left <= 0.01:
            return False
        if elapsed >= MOST * seconds:
            raise BusyError(f"the machine was too busy to run a program for {seconds:g} seconds in {elapsed:.0f}")


def read_times(process: int) -> Times:
    """What the kernel says of the main thread of a process; zeros if that is not known."""
    try:
        ran, waited, *_ = Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()
        return Times(int(ran) / 1e9, int(waited) / 1e9)
    except (OSError, ValueError):
        return Times(0.0, 0.0)


def _add(times: Sequence[Times]) -> Times:
    return Times(sum(each.ran for each in times), sum(each.waited for each in times))


def find_innermost(process: int) -> int:
    """The last of a chain of only children: the program that bubblewrap's processes hold."""
    while True:
        try:
            below = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        except OSError:
            return process
        if len(below) != 1:
            return process
        process = int(below[0])


def _arrives(link: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))

"""Whether something writes to a run's ledger at this moment, found out without touching its lock.

A run that starts while somebody looks must never find its own lock taken, so the kernel's list of locks is read if
there is one (Linux). If there is none, or if it does not show other users' locks, a write-ahead log that changed lately
is taken for a sign of life. It opens no ledger.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

RECENT = 120.0
"""Seconds. Without a list of locks a run counts as going on for so long after its last write."""
_LOCKS = Path("/proc/locks")


class Pulse(NamedTuple):
    """Whether a process writes to the ledger, since when (0 if unknown), and when it was last written to."""

    running: bool
    since: float
    changed: float


def read_pulse(folder: Path, locks: Path = _LOCKS) -> Pulse:
    """The sign of life of the run in `folder`; `locks` is the kernel's list."""
    lock, last = _stat(folder / "ledger.lock"), changed(folder)
    held = _held(lock, locks) if lock is not None else False
    if held is None:  # no list to read: a log with content is there while a run writes, and after a kill
        log = _stat(folder / "ledger.sqlite-wal")
        held = log is not None and log.st_size > 0 and time.time() - last < RECENT
    return Pulse(held, lock.st_mtime if held and lock is not None else 0.0, last)


def changed(folder: Path) -> float:
    """When the ledger was last written to, 0 if there is none; an empty log is one that a reader left behind."""
    ledger, log = _stat(folder / "ledger.sqlite"), _stat(folder / "ledger.sqlite-wal")
    times = [found.st_mtime for found in (ledger, log if log and log.st_size else None) if found]
    return max(times, default=0.0)


def _held(lock: os.stat_result, locks: Path) -> bool | None:
    """Whether the list names the lock's file, or None if there is no list."""
    wanted = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    try:
        with locks.open(encoding="ascii") as lines:
            return any(wanted in line.split() for line in lines)
    except (OSError, UnicodeDecodeError):
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None

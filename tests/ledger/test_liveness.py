"""Whether a run goes on: by the kernel's list of locks, or, if there is none, by a log that changed lately."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from errorbook.ledger.liveness import RECENT, Pulse, changed, read_pulse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder: the lock is of the time 500, the ledger of the time 1000."""
    folder = tmp_path / "run"
    folder.mkdir()
    write(folder / "ledger.lock", "", 500.0)
    write(folder / "ledger.sqlite", "content", 1000.0)
    return folder


def write(path: Path, text: str, at: float) -> Path:
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def list_lock(folder: Path, change: str = "{device}:{inode}") -> Path:
    """A list of locks as Linux writes it; `change` is how the lock's file is named in it."""
    status = (folder / "ledger.lock").stat()
    device = "%02x:%02x" % (os.major(status.st_dev), os.minor(status.st_dev))  # noqa: UP031 - as the kernel prints it
    name = change.format(device=device, inode=status.st_ino)
    lines = ["1: POSIX  ADVISORY  READ 1 fe:00:1 128 128", f"2: FLOCK  ADVISORY  WRITE 2 {name} 0 EOF", ""]
    path = folder / "locks"
    path.write_text("\n".join(lines))
    return path


def test_a_lock_on_the_list_is_a_run_that_goes_on(folder: Path) -> None:
    assert read_pulse(folder, list_lock(folder)) == Pulse(running=True, since=500.0, changed=1000.0)


@pytest.mark.parametrize("other", ["{device}:{inode}0", "{device}:1{inode}", "ff:{device}:{inode}", "{inode}", ""])
def test_a_lock_that_is_not_on_the_list_is_none(folder: Path, other: str) -> None:
    write(folder / "ledger.sqlite-wal", "content", time.time())
    found = read_pulse(folder, list_lock(folder, other))
    assert (found.running, found.since) == (False, 0.0)


def test_a_run_without_a_lock_does_not_go_on_whatever_its_log_says(folder: Path) -> None:
    locks = list_lock(folder)
    write(folder / "ledger.sqlite-wal", "content", time.time())
    (folder / "ledger.lock").unlink()
    assert not read_pulse(folder, locks).running
    assert not read_pulse(folder, folder / "absent").running


def test_the_real_list_shows_a_real_lock(folder: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("This system has no list of locks.")
    assert not read_pulse(folder).running
    with FileLock(folder / "ledger.lock"):
        assert read_pulse(folder).running
    assert not read_pulse(folder).running


@pytest.mark.parametrize("content", [None, b"1: \xff\xfe", b"1: \xe2\x98\x83"], ids=["absent", "no text", "a snowman"])
def test_without_a_list_a_log_with_content_is_a_sign_of_life_for_a_while(folder: Path, content: bytes | None) -> None:
    locks, log = folder / "locks", folder / "ledger.sqlite-wal"
    if content is not None:
        locks.write_bytes(content)

    assert read_pulse(folder, locks) == (False, 0.0, 1000.0)
    now = float(int(time.time()))  # a file keeps whole seconds exactly
    write(log, "", now)
    assert read_pulse(folder, locks) == (False, 0.0, 1000.0)
    write(folder / "ledger.sqlite", "content", now)
    assert not read_pulse(folder, locks).running
    write(folder / "ledger.sqlite", "content", 1000.0)
    write(log, "1", now)
    assert read_pulse(folder, locks) == (True, 500.0, now)
    write(log, "1", now - RECENT + 30)
    assert read_pulse(folder, locks).running
    write(log, "1", now - RECENT - 1)
    assert read_pulse(folder, locks) == (False, 0.0, now - RECENT - 1)


def test_a_run_counts_for_two_minutes() -> None:
    assert RECENT == 120.0


def test_the_newest_of_ledger_and_log_counts_and_an_empty_log_does_not(folder: Path) -> None:
    ledger, log = folder / "ledger.sqlite", folder / "ledger.sqlite-wal"

    assert changed(folder) == 1000.0
    write(log, "", 3000.0)
    assert changed(folder) == 1000.0
    write(log, "1", 2000.0)
    assert changed(folder) == 2000.0
    write(ledger, "content", 4000.0)
    assert changed(folder) == 4000.0
    ledger.unlink()
    assert changed(folder) == 2000.0
    log.unlink()
    assert changed(folder) == 0.0
    assert changed(folder / "absent") == 0.0

"""Runs a command that outlives us: its output goes to a file, and its exit status to another when it ends.

So a run that is killed finds a command that is still at work, or has finished meanwhile, and does not start it again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from errorbook.errors import ConfigError, OutageError
from errorbook.files import write_file

_TAIL, _LONGEST_LINE = 5, 200
_STATUS, _PROCESS, _LOG = "command.status", "command.process", "command.log"
_POLL = 0.2
# The status is written whole: under another name first.
_SHELL = 'out=$1; shift; "$@"; status=$?; echo $status > "$out.new" && mv "$out.new" "$out"; exit $status'


def finish_command(command: Sequence[str], folder: Path) -> None:
    """Return when the command has ended well; `folder` remembers it. One that failed before is started anew.

    Ctrl-C ends it; a kill of this process does not.

    Raises:
        ConfigError: The program is not there.
        OutageError: It failed; the sentence has its last lines.
    """
    status = _read(folder / _STATUS)
    if status == "0":
        return
    process, started = _read(folder / _PROCESS), None
    if status or not _is_running(process):
        started = _start(command, folder)
        process = f"{started.pid} {_birth(started.pid)}"
        write_file(folder / _PROCESS, process)
    try:
        # One of our own that has ended stays in the system's list until it was asked after.
        while started.poll() is None if started else _is_running(process):
            time.sleep(_POLL)
    except KeyboardInterrupt:
        with suppress(OSError):
            os.killpg(int(process.split()[0]), signal.SIGTERM)
        if started is not None:
            started.wait()
        raise
    status = _read(folder / _STATUS)
    if status != "0":
        told = f"ended with status {status}" if status else "was ended from outside"
        raise OutageError(
            f"The command '{' '.join(command)[:120]}' {told}; see to it and give the same command again, which starts"
            f" it once more. The end of '{folder / _LOG}': {read_tail(folder)}"
        )


def read_tail(folder: Path) -> str:
    """The last lines that the command wrote, as one line."""
    try:
        text = (folder / _LOG).read_bytes()[-8000:].decode("utf-8", "replace")
    except OSError:
        return "it is empty"
    lines = [line.strip()[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_TAIL:]) or "it is empty"


def _start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    if shutil.which(command[0]) is None:
        raise ConfigError(f"The program '{command[0]}' of command in [train] is not there; install it or correct that.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STATUS).unlink(missing_ok=True)
    with (folder / _LOG).open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - the user's own command
            ["/bin/sh", "-c", _SHELL, "sh", str((folder / _STATUS).resolve()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _is_running(process: str) -> bool:
    """Whether the process that was noted is there, and no other that has got its number."""
    number, _, birth = process.partition(" ")
    return bool(number and birth) and _birth(int(number)) == birth


def _birth(number: int) -> str:
    """When a process began, as the system counts it; empty if there is none."""
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:  # a system without /proc
        os.kill(number, 0)
    except OSError:
        return ""
    return "alive"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

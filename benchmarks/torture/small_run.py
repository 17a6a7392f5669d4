"""A small run with scripted parts, or with its instructor behind a server, in its own process. No part by itself."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from errorbook.errors import LedgerError
from errorbook.ledger.file import open_ledger

CONCURRENCY = 4
RUN_FILE = """
[run]
name = "small"
cycles = 2
seed = 5

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.25
delay = 0.01

[[tasks]]
name = "arithmetic"
train = 39
dev = 78
test = 39

[strategy]
name = "contrast"
retriever = "scripted"

[train]
method = "scripted"
"""
SERVED = """
[instructor]
kind = "openai"
model = "stand-in"
base_url = "{base_url}"
concurrency = {concurrency}
patience = {patience}
"""


def write_run_file(folder: Path, base_url: str = "", patience: float = 20.0) -> Path:
    """The run file, with an instructor at `base_url` if one is given."""
    served = SERVED.format(base_url=base_url, concurrency=CONCURRENCY, patience=patience) if base_url else ""
    file = folder / ("served.toml" if base_url else "scripted.toml")
    file.write_text(RUN_FILE + served, encoding="utf-8")
    return file


def start(file: Path, run: Path) -> subprocess.Popen[str]:
    """`errorbook run` in a session of its own, so that whatever it leaves behind can be found."""
    return subprocess.Popen(
        [sys.executable, "-m", "errorbook", "run", str(file), "--out", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_digest(run: Path) -> str:
    """The ledger's digest, or an empty text if there is no whole ledger yet."""
    try:
        with open_ledger(run) as ledger:
            return ledger.digest()
    except LedgerError:
        return ""


def list_open_files(process: int) -> list[str]:
    """What a process has open; nothing if it has ended."""
    found = []
    with suppress(OSError):
        for place in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                found.append(str(place.readlink()))
    return found


def list_session(leader: int) -> list[str]:
    """The processes that are left of a session, with their commands."""
    left = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                left.append((place / "cmdline").read_text().replace("\0", " ").strip())
        except (OSError, ValueError, IndexError):
            continue
    return left

"""One command of the product in this process, with a time limit: did it hold, and if not, what broke?

A command holds if it ends in time with a result (0 or 1), or with 2 and one sentence on stderr. Not here: what is
tried.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

from errorbook.cli.main import run_command

LIMIT = 10.0
"""Seconds within which a command must have ended."""


TRACEBACK = 99
"""The code of a command that ended with an exception."""


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Hung(BaseException):
    """The time is over. Not an Exception, so that nothing on the way takes it for a fault of its own."""


def attempt(arguments: Sequence[str], folder: Path, limit: float = LIMIT) -> str:
    """Run a command in a folder. Returns what broke in one sentence, or an empty text if it held.

    Needs the main thread: the limit is a signal.
    """
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with _inside(folder), _limited(limit):
            ended = capture(arguments)
    except Hung as hung:
        return f"no end within {limit:g} s, {_where(hung)}"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}, {_where(error)}"
    finally:
        sys.stdin = stdin
    return _judge(ended.code, ended.err)


def capture(arguments: Sequence[str]) -> Ended:
    """Run a command and keep what it prints; an exception goes on to the caller."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(list(arguments))
    return Ended(code, out.getvalue(), err.getvalue())


def call(arguments: Sequence[str]) -> Ended:
    """The same where any command is as good as the next: an exception is an end with the code `TRACEBACK`."""
    try:
        return capture(arguments)
    except Exception as error:  # a traceback is what is looked for
        return Ended(TRACEBACK, "", f"{type(error).__name__}: {error}")


def _judge(code: int, said: str) -> str:
    """What is wrong with how a command has ended."""
    if "Traceback" in said:
        return f"a traceback on stderr: {said.strip().splitlines()[-1][:120]}"
    if code in {0, 1}:
        return ""
    if code != 2:
        return f"exit code {code}"
    sentences = [line for line in said.splitlines() if line.startswith(("errorbook: ", "Error: "))]
    if not sentences or said.splitlines()[-1] != sentences[-1]:
        return f"exit code 2 without one sentence at the end: {said[-160:]!r}"
    return ""


def _where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "errorbook" in frame.filename]
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside of the package"


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Hung

    before = signal.signal(signal.SIGALRM, end)
    # Again and again: one that comes while a destructor runs is swallowed.
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

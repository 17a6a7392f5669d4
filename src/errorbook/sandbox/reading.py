"""Has what a model wrote parsed in another process, so that no text can end this one, fill it or hold it up.

One process serves all threads, and is started again if a text ended it. It needs no sandbox, since it runs nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from errorbook.sandbox import wire
from errorbook.sandbox.patience import BusyError, read_times, wait_for_frame

SECONDS = 5.0
"""For one text; honest ones take milliseconds."""
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from errorbook.sandbox.parser_process import main; main()"


class UnreadableError(Exception):
    """A text that cannot be parsed within bounds of time, memory and depth."""


class _Reader:
    """A running process and the socket to it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.link, theirs = socket.socketpair()
        package = str(Path(__file__).parents[2])
        with contextlib.ExitStack() as unused, theirs:
            unused.callback(self.link.close)  # if the process does not start, nobody else closes it
            command = [sys.executable, "-I", "-S", "-B", "-c", _BOOT, package, str(theirs.fileno())]
            self.process = subprocess.Popen(  # noqa: S603  (no shell; every word is made here)
                command, pass_fds=[theirs.fileno()], env={}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            unused.pop_all()

    def close(self) -> None:
        """End it."""
        self.link.close()
        self.process.kill()
        self.process.wait()


_lock = threading.Lock()
_running: list[_Reader] = []


def read(function: str, *arguments: Any) -> Any:
    """What a function of `parser_process` says of its arguments, which are plain values.

    Raises:
        UnreadableError: It took too long or too much memory, or ended the process twice.
        BusyError: The machine is too busy to tell, or cannot start the process.
    """
    for _ in range(2):
        with _lock:
            answer = _ask([function, *arguments])
        if answer is not None and answer[0] == "ok":
            return answer[1]
        if answer is not None:
            raise UnreadableError(f"it is too deep or too large ({answer[1]})")
    raise UnreadableError("it ends the parser")


def _ask(request: wire.Tree) -> Any:
    """The answer, or None if the process was ended."""
    if _running and _running[0].owner != os.getpid():  # this process is a copy: the socket is its parent's
        _running.pop()
    try:
        reader = _running[0] if _running else _Reader()
    except OSError as error:
        raise BusyError(f"the parser does not start ({error})") from None
    _running[:] = [reader]
    done = late = False
    try:
        wire.send(reader.link.fileno(), request)
        late = not wait_for_frame(reader.link, SECONDS, lambda: (read_times(reader.process.pid),))
        answer = None if late else wire.receive(reader.link.fileno())
        done = not late
    except wire.ClosedError:
        return None
    except ValueError as error:
        done = True
        raise UnreadableError(str(error)) from None
    finally:
        if not done:
            _running.clear()
            reader.close()
    if late:
        raise UnreadableError(f"it holds up the parser for {SECONDS:g} seconds")
    return answer


@atexit.register
def close() -> None:
    """End the process, if it runs."""
    with _lock:
        while _running:
            reader = _running.pop()
            if reader.owner == os.getpid():
                reader.close()

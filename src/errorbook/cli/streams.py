"""Standard streams and signals as the world hands them over: closed, full, without a reader, or with an end in view.

Work goes on if nobody reads its progress. What is asked for on stdout and cannot be written there is the caller's to
know: `main` says it.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from traceback import format_exception
from types import FrameType, TracebackType
from typing import Any, NoReturn, TextIO, cast

from errorbook.redact import mask

_ENDS = ("SIGTERM", "SIGHUP")
"""Signals by which a machine, a scheduler or a closed terminal ends a command: they end it as Ctrl-C does."""


def prepare() -> None:
    """Make the standard streams usable, whatever they are, and have a request to end raise KeyboardInterrupt."""
    _fill_descriptors()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stderr = cast(TextIO, _Forgiving(sys.stderr))
    sys.excepthook = _print_traceback
    for name in _ENDS:
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(getattr(signal, name), _end)


def finish() -> None:
    """Nothing is left to do but to exit: a second signal now would only leave a traceback."""
    for name in ("SIGINT", *_ENDS):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # Python sends itself SIGINT at its end if a first Ctrl-C fell into some library's start; the code is ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def drop_stdout() -> None:
    """If stdout takes no more, write what is still to be flushed nowhere."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _print_traceback(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """In one piece: in pieces, a secret could be cut so that it is not seen."""
    sys.stderr.write("".join(format_exception(kind, error, traceback)))


def _fill_descriptors() -> None:
    """Open what is closed of the descriptors 0 to 2: a ledger that got one of them would be written into by chance."""
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(free)


class _Forgiving:
    """A stream for people whose failures stop no work, and that lets no secret through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream; a text that cannot be written is lost."""
        with suppress(OSError, ValueError):
            self._stream.write(mask(text))
        return len(text)

    def flush(self) -> None:
        """As the stream, as far as it can."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

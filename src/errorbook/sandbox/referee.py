"""The trusted side: runs the tests, calls the program over the wire, and tells the parent the result.

It lives in a sandbox of its own, which the program's cannot see, and forks for each program, so that no tests see what
other tests did. Helpers that the question defines run here, not in the program, which therefore cannot redefine them.
Tests that pass functions of their own to the program, or compare its objects, cannot be told.
"""

from __future__ import annotations

import builtins
import importlib
import json
import operator
import os
import random
import reprlib
import socket
import sys
from collections.abc import Callable
from typing import Any

from errorbook.sandbox import remote, rewriting, wire
from errorbook.sandbox.confine import confine

NOTES = 32
_WARM = (
    "collections",
    "copy",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "itertools",
    "math",
    "string",
    "typing",
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}


class Notes:
    """What each assertion said: all are counted, the first failed ones are kept with their values."""

    def __init__(self) -> None:
        self.held = 0
        self.failed = 0
        self.kept: list[dict[str, str]] = []
        self._source = ""
        self._values: tuple[str, Any, Any] | None = None

    def begin(self, source: str) -> None:
        """An assertion starts."""
        self._source, self._values = source, None

    def compare(self, sign: str, left: Any, right: Any) -> Any:
        """The comparison that an assertion is about; its values are remembered."""
        self._values = (sign, left, right)
        return _COMPARE[sign](left, right)

    def note(self, error: Exception | None) -> None:
        """An assertion held, or ended with `error`."""
        if error is None:
            self.held += 1
            return
        self.failed += 1
        if len(self.kept) < NOTES:
            self.kept.append({"test": self._source, **self._why(error)})

    def _why(self, error: Exception) -> dict[str, str]:
        if isinstance(error, AssertionError) and self._values is not None:
            sign, left, right = self._values
            return {"got": shorten(left), "expected": shorten(right) if sign == "==" else f"{sign} {shorten(right)}"}
        return {"error": f"{type(error).__name__}: {error}"[:300]}


class Namespace(dict[str, Any]):
    """The tests' names. What neither they, Python nor the question defines is a library module or the program's."""

    def __init__(self, link: remote.Link, entry: str, closed: bool) -> None:
        super().__init__(__name__="tests", __errorbook_exception__=Exception)
        self._link, self._entry, self._closed = link, entry, closed

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and name != self._entry:
            raise KeyError(name)
        if name != self._entry and name in sys.stdlib_module_names:
            return importlib.import_module(name)
        if name != self._entry and self._closed:
            raise remote.CannotTell(f"the tests use the name '{name}', which the question does not define")
        answer = self._link.ask("name", name)
        if answer[0] == "missing":
            raise NameError(f"the program does not define '{name}'")
        return self._link.decode(answer[1])


def shorten(value: Any) -> str:
    """A short text of a value; never raises."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 120
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = 24
    try:
        return short.repr(value)[:300]
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def examine(job: dict[str, Any], descriptor: int) -> dict[str, Any]:
    """Run one program's tests: the counts, the failed assertions, and how it ended."""
    link, notes = remote.Link(descriptor), Notes()
    ended, why = _attempt(job, link, notes)
    if link.gone:
        ended = "gone"
    return {
        "ended": ended,
        "why": why[:300],
        "held": notes.held,
        "failed": notes.failed,
        "calls": link.calls,
        "notes": notes.kept,
    }


def _attempt(job: dict[str, Any], link: remote.Link, notes: Notes) -> tuple[str, str]:
    try:
        tests = compile(rewriting.rewrite(job["tests"]), "tests.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "broken", f"the tests do not parse: {error}"
    try:
        link.ask("run", *job["parts"])
        names = Namespace(link, job["entry"], closed=bool(job["prelude"]))
        exec(compile(job["prelude"], "question.py", "exec", dont_inherit=True), names)  # noqa: S102
        names.pop(job["entry"], None)
        names.update(
            {
                rewriting.BEGIN: notes.begin,
                rewriting.NOTE: notes.note,
                rewriting.COMPARE: notes.compare,
                rewriting.CALL: remote.call,
            }
        )
        exec(tests, names)  # noqa: S102
    except remote.CannotTell as error:
        return "broken", str(error)
    except remote.Gone as error:
        return "gone", str(error)
    except BaseException as error:  # SystemExit of the tests, too
        return "raised", f"{type(error).__name__}: {error}"
    return "ended", ""


def main() -> None:
    """Serve on the descriptor that the command line names: one forked child for each program."""
    options = json.loads(sys.argv[1])
    control = socket.socket(fileno=options.pop("descriptor"))
    confine(**options)
    for name in _WARM:
        importlib.import_module(name)
    os.dup2(1, 2)  # as in the worker
    wire.send(control.fileno(), ["ready"])
    while True:
        mark, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not mark:
            return
        job = wire.receive(control.fileno())
        child = os.fork()
        if child == 0:
            random.seed(0)
            wire.send(control.fileno(), examine(job, descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])
        _, status = os.waitpid(child, 0)
        wire.send(control.fileno(), ["end", os.waitstatus_to_exitcode(status)])

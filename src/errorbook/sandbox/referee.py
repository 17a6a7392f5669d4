"""The trusted side: runs the tests, calls the program over the wire, and tells the parent the result.

It lives in a sandbox of its own, which the program's cannot see, and forks for each program, so that no tests see what
other tests did. Helpers that the question defines run here, not in the program, which therefore cannot redefine them.
Whose fault an error is, the program's or that of the tests, says `blame`.
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
from collections.abc import Callable, Sequence
from functools import partial
from types import CodeType
from typing import Any, NamedTuple

from errorbook.sandbox import remote, rewriting, wire
from errorbook.sandbox.confine import confine
from errorbook.sandbox.faults import MARK, CannotTell, Fault, Gone

NOTES = 32
TESTS = "tests.py"
_DEEPEST = 5000
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
        self.fault = ""
        self.blame_tests: Callable[[BaseException], str] = lambda error: ""
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
        """An assertion held, or ended with `error`; one that fails by itself is kept apart."""
        if error is None:
            self.held += 1
            return
        fault = self.blame_tests(error)
        if fault:
            self.fault = self.fault or fault
            return
        self.failed += 1
        if len(self.kept) < NOTES:
            self.kept.append({"test": self._source, **self._why(error)})

    def _why(self, error: Exception) -> dict[str, str]:
        if isinstance(error, AssertionError) and self._values is not None:
            sign, left, right = self._values
            return {"got": shorten(left), "expected": shorten(right) if sign == "==" else f"{sign} {shorten(right)}"}
        return {"error": f"{type(error).__name__}: {error}"[:300]}


class Ending(NamedTuple):
    """How a program's tests ended (`ended`, `raised`, `broken` or `gone`), and why."""

    ended: str
    why: str = ""
    fault: Fault = ""


class Namespace(dict[str, Any]):
    """The tests' names. What neither they, Python nor the question defines is a library module or the program's.

    `asked` are names that the question mentions: a program that lacks one of these is wrong, and if it lacks another
    one, that is the fault of the tests.
    """

    def __init__(self, link: remote.Link, entry: str, closed: bool, asked: Sequence[str] = ()) -> None:
        super().__init__(__name__="tests", __errorbook_exception__=Exception)
        self._link, self._closed, self._entry = link, closed, entry
        self._asked = {entry, *asked}

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and name != self._entry:
            raise KeyError(name)
        if name != self._entry and name in sys.stdlib_module_names:
            return importlib.import_module(name)
        if name not in self._asked and self._closed:
            raise CannotTell(f"the tests use the name '{name}', which the question does not define")
        try:
            return self._link.value("name", name)
        except LookupError:
            if name not in self._asked:
                raise CannotTell(f"the tests use the name '{name}', which nobody defines", "tests") from None
        missing = NameError(f"the program does not define '{name}'")
        setattr(missing, MARK, True)
        raise missing


def shorten(value: Any) -> str:
    """A short text of a value; never raises."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 120
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = 24
    try:
        return short.repr(value)[:300]
    except (Exception, Gone, CannotTell) as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def examine(job: dict[str, Any], descriptor: int) -> dict[str, Any]:
    """Run one program's tests: the counts, the failed assertions, and how it ended."""
    link, notes = remote.Link(descriptor, frozenset(job["classes"])), Notes()
    ending = _attempt(job, link, notes)
    if link.gone:
        ending = Ending("gone", ending.why)
    return {
        "ended": ending.ended,
        "why": ending.why[:300],
        "fault": ending.fault,
        "held": notes.held,
        "failed": notes.failed,
        "calls": link.calls,
        "notes": notes.kept,
    }


def _attempt(job: dict[str, Any], link: remote.Link, notes: Notes) -> Ending:
    try:
        tree, names = rewriting.rewrite(job["tests"], job["entry"])
        tests = compile(tree, TESTS, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Ending("broken", f"the tests do not parse: {error}")
    if names is not None:
        notes.blame_tests = partial(names.blame_tests, files=(TESTS,))
    space = Namespace(link, job["entry"], bool(job["prelude"]), job["asked"])
    try:
        exec(compile(job["prelude"], "question.py", "exec", dont_inherit=True), space)  # noqa: S102
    except Exception as error:
        return Ending("broken", f"the question's own code fails: {type(error).__name__}: {error}", "tests")
    space.pop(job["entry"], None)
    link.helpers = frozenset(name for name, value in space.items() if isinstance(value, type))
    space.update({rewriting.BEGIN: notes.begin, rewriting.NOTE: notes.note, rewriting.COMPARE: notes.compare})
    space[rewriting.CALL] = remote.call
    ending = _run(job["parts"], tests, space, link, notes)
    if notes.fault and ending.ended in ("ended", "raised"):
        return Ending(ending.ended if notes.failed else "broken", notes.fault, "tests")
    return ending


def _run(parts: Sequence[str], tests: CodeType, space: Namespace, link: remote.Link, notes: Notes) -> Ending:
    try:
        link.ask("run", *parts)
        exec(tests, space)  # noqa: S102
    except CannotTell as error:
        return Ending("broken", str(error), error.fault)
    except Gone as error:
        return Ending("gone", str(error))
    except BaseException as error:  # SystemExit of the tests, too
        notes.fault = notes.fault or notes.blame_tests(error)
        return Ending("raised", f"{type(error).__name__}: {error}")
    return Ending("ended")


def main() -> None:
    """Serve on the descriptor that the command line names: one forked child for each program."""
    options = json.loads(sys.argv[1])
    control = socket.socket(fileno=options.pop("descriptor"))
    confine(**options)
    for name in _WARM:
        importlib.import_module(name)
    os.dup2(1, 2)  # as in the worker
    sys.setrecursionlimit(_DEEPEST)
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

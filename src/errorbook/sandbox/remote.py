"""The tests' side of a tested program: objects that stand for the program's own and ask it over the wire.

Only plain values come back; a comparison is always made here, and no expected value is ever sent. Objects of the
program's own classes can be called, iterated and read, but two of them are never compared: only the program could
say whether they are equal, and it may lie.
"""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Iterator
from types import BuiltinFunctionType
from typing import Any

from errorbook.sandbox import wire

_HOW = "_errorbook_how"


class Gone(BaseException):
    """The program ended, was killed, or answered out of the format. Not an Exception: no test can catch it away."""


class CannotTell(BaseException):
    """The tests need something that cannot cross, so neither right nor wrong can be said."""


class ProgramError(Exception):
    """The program raised an exception that is not a built-in one."""


class Link:
    """One program at the other end of a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.calls = 0
        self.gone = False

    def ask(self, *request: wire.Tree) -> list[Any]:
        """Send a request and return the answer's fields. Raises what the program raised, Gone or CannotTell."""
        if self.gone:
            raise Gone
        try:
            wire.send(self._descriptor, list(request))
            answer = wire.receive(self._descriptor)
        except wire.ClosedError as error:
            self.gone = True
            raise Gone(str(error)) from None
        except ValueError as error:
            raise CannotTell(str(error)) from None
        if not isinstance(answer, list) or not answer:
            raise ProgramError("an answer that is not in the format")
        if answer[0] == "error":
            _raise(*answer[1:3])
        return answer

    def value(self, *request: wire.Tree) -> Any:
        """Ask for one value. Raises what `ask` raises, and StopIteration at the end of an iterator."""
        answer = self.ask(*request)
        if answer[0] == "end":
            raise StopIteration
        return self.decode(answer[1])

    def call(self, handle: int, args: Any, keywords: dict[str, Any], in_place: bool) -> Any:
        """Call one of the program's objects; with `in_place`, what it did to its arguments is done here as well."""
        self.calls += 1
        answer = self.ask("call", ["o", handle], self.encode(args), self.encode(keywords), in_place)
        if in_place:
            for before, after in zip(args, self.decode(answer[2]), strict=True):
                _refill(before, after)
        return self.decode(answer[1])

    def encode(self, value: Any) -> wire.Tree:
        """A value of the tests as the program may see it. Raises CannotTell if it cannot cross."""
        try:
            return wire.encode(value, self._encode_other)
        except RecursionError:
            raise CannotTell("an argument is nested too deeply, or holds itself") from None

    def decode(self, tree: wire.Tree) -> Any:
        """A value that the program answered, of our own types. Raises ProgramError if it is malformed."""
        try:
            return wire.decode(tree, self._decode_other)
        except Exception as error:
            raise ProgramError(f"a value that cannot be read ({type(error).__name__})") from None

    def _encode_other(self, value: Any) -> wire.Tree:
        if isinstance(value, Remote):
            return ["o", getattr(value, _HOW)[1]]
        if isinstance(value, BuiltinFunctionType) and wire.is_builtin(value):
            return ["B", value.__name__]
        if hasattr(value, "__dict__") and type(value).__module__ == "tests":
            return ["O", type(value).__name__, self.encode(vars(value))]
        raise CannotTell(f"the tests pass a {type(value).__name__} to the program, which cannot cross")

    def _decode_other(self, tree: wire.Tree) -> Remote:
        tag, handle, name, truth = tree
        if tag != "o" or type(handle) is not int or type(name) is not str or type(truth) is not bool:
            raise ValueError("an unknown tag")
        return Remote(self, handle, name, truth)


class Remote:
    """An object of the program: it can be called, iterated, indexed and read."""

    # An operator may not send its other operand, which could be the expected value. So there is no `__contains__`, no
    # `__lt__` and no arithmetic here: `in` iterates, `==` is decided below, and the rest is an error of the program.

    def __init__(self, link: Link, handle: int, name: str, truth: bool) -> None:
        self.__dict__[_HOW] = (link, handle, name, truth)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The program's answer to a call; arguments that it changes stay unchanged here."""
        link, handle, _, _ = self.__dict__[_HOW]
        return link.call(handle, args, keywords, False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._errorbook_ask("get", name)

    def __iter__(self) -> Iterator[Any]:
        found = self._errorbook_ask("iter")
        return found if isinstance(found, Remote) else iter(found)

    def __next__(self) -> Any:
        return self._errorbook_ask("next")

    def __len__(self) -> int:
        return int(self._errorbook_ask("len"))

    def __getitem__(self, key: Any) -> Any:
        return self._errorbook_ask("item", key)

    def __bool__(self) -> bool:
        return bool(self.__dict__[_HOW][3])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Remote):
            raise CannotTell("the tests compare two objects of the program's own classes")
        return False

    def __hash__(self) -> int:
        return hash(self.__dict__[_HOW][1])

    def __repr__(self) -> str:
        return f"<{self.__dict__[_HOW][2]} object>"

    def _errorbook_ask(self, operation: str, *values: Any) -> Any:
        link, handle, _, _ = self.__dict__[_HOW]
        return link.value(operation, ["o", handle], *(link.encode(value) for value in values))


def call(function: Any, *args: Any, **keywords: Any) -> Any:
    """A call whose result the tests drop: made for its effect, so the arguments change with it."""
    if isinstance(function, Remote):
        link, handle, _, _ = function.__dict__[_HOW]
        return link.call(handle, args, keywords, True)
    return function(*args, **keywords)


def _refill(before: Any, after: Any) -> None:
    if type(before) is not type(after):
        return
    if isinstance(before, list | bytearray):
        before[:] = after
    elif isinstance(before, dict | set):
        before.clear()
        before.update(after)
    elif isinstance(before, deque):
        before.clear()
        before.extend(after)


def _raise(name: Any, message: Any) -> None:
    """Raise the program's exception as the built-in one of that name, if there is one."""
    kind = vars(builtins).get(str(name))
    text = str(message)[:300]
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not StopIteration:
        try:
            error = kind(text)
        except TypeError:  # an exception with other arguments, such as UnicodeDecodeError
            raise ProgramError(f"{name}: {text}") from None
        raise error
    raise ProgramError(f"{name}: {text}"[:300])

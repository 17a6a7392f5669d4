"""The tests' side of a tested program's objects: stand-ins that ask the program, and exceptions of its classes.

A comparison with a value of the tests is made here and never sent. An operator between two objects of the program is a
call of it, as a method would be, and so is an operator between a value and an object of a class that the question asks
for by name; everything else has no operators, so that no object of another class can pass for a number.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Protocol

from errorbook.sandbox import wire
from errorbook.sandbox.faults import MARK, CannotTell, ProgramError

_HOW = "_errorbook_how"
_ORDER = ("lt", "le", "gt", "ge")
_SILENT = ("__call__", "__eq__", "__ne__", "__hash__", "__contains__", "__await__", "__aiter__", "__anext__")
"""Abilities that are not simply handed on; see `_methods`."""


class Asks(Protocol):
    """The link, as an object sees it."""

    asked_classes: frozenset[str]

    def value(self, *request: wire.Tree) -> Any:
        """The program's answer to a request."""
        ...

    def encode(self, value: Any) -> wire.Tree:
        """A value of the tests as the program may see it."""
        ...

    def call(self, handle: int, args: Any, keywords: dict[str, Any], places: list[Any]) -> Any:
        """Call one of the program's objects."""
        ...


class Remote:
    """An object of the program; what can be done with it depends on its class, which is made by `make_class`."""

    def __init__(self, link: Asks, handle: int, family: tuple[str, ...]) -> None:
        self.__dict__[_HOW] = (link, handle, family)

    def __getattr__(self, name: str) -> Any:
        return ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        ask(self, "set", name, value)

    def __delattr__(self, name: str) -> None:
        ask(self, "del", name)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Remote):
            if is_asked_for(self):
                raise CannotTell("the tests compare an object of the program with a value, which may not be sent")
            return False
        if not (is_asked_for(self) or is_asked_for(other)):
            raise CannotTell("the tests compare two objects of the program's own classes")
        equal = ask(self, "special", "__eq__", other) is True
        if equal and _equals_ours(self):
            raise ProgramError("an object that equals everything")
        return equal

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        if is_asked_for(self) and getattr(type(self), "_errorbook_hashes", False):
            return int(ask(self, "special", "__hash__"))
        return hash(self.__dict__[_HOW][1])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object>"

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and ask(self, "isinstance", value, swap=True) is True

    def __subclasscheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and ask(self, "issubclass", value, swap=True) is True


def ask(one: Remote, operation: str, *values: Any, swap: bool = False) -> Any:
    """Have the program do something with an object; `swap` puts the object behind the one value."""
    link, handle, _ = one.__dict__[_HOW]
    own: wire.Tree = ["o", handle]
    if operation == "special":
        name, *rest = values
        return link.value("special", name, own, *(link.encode(value) for value in rest))
    trees = [link.encode(value) for value in values]
    return link.value(operation, *([*trees, own] if swap else [own, *trees]))


def handle_of(value: Any) -> int | None:
    """The number of a stand-in, or None for anything else."""
    if isinstance(value, Remote):
        return int(value.__dict__[_HOW][1])
    found = getattr(value, "_errorbook_handle", None) if isinstance(value, BaseException | type) else None
    return found if type(found) is int and found >= 0 else None


def is_asked_for(one: Remote) -> bool:
    """Whether the question asks for its class, or one that its class is made of, by name."""
    link, _, family = one.__dict__[_HOW]
    return bool(link.asked_classes.intersection(family))


def make_remote(link: Asks, handle: int, name: str, able: list[str], family: tuple[str, ...], what: str) -> Any:
    """A stand-in for one object; `family` names the classes that its class is made of."""
    made: Remote = _make_class(_clean(name), frozenset(able), what)(link, handle, family)
    return _wait_for(made) if what == "coroutine" else made


@cache
def _make_class(name: str, able: frozenset[str], what: str) -> type[Remote]:
    return type(name, (Remote,), _methods(able, what))


def make_exception_class(link: Asks, name: str, handle: int, base: type[BaseException]) -> type[BaseException]:
    """A class of exceptions that stands for the program's own; what its instances hold is asked for."""

    def read(self: BaseException, attribute: str) -> Any:
        number = self.__dict__.get("_errorbook_handle", -1)
        if attribute.startswith("_errorbook") or number < 0:
            raise AttributeError(attribute)
        return link.value("get", ["o", number], attribute)

    def show(self: BaseException) -> str:
        return str(self.__dict__.get("_errorbook_text", ", ".join(map(str, self.args))))

    return type(_clean(name), (base,), {"__getattr__": read, "__str__": show, "_errorbook_handle": handle})


def make_exception(kind: type[BaseException], arguments: Any, text: str, handle: int) -> BaseException:
    """The program's exception, as one that the tests can catch."""
    try:
        error = kind(*arguments) if isinstance(arguments, list) else kind(text)
    except Exception:
        error = ProgramError(f"{kind.__name__}: {text}")
    error.__dict__.update({MARK: True, "_errorbook_text": text})
    if handle >= 0:
        error.__dict__["_errorbook_handle"] = handle
    return error


def find_builtin_exception(name: str) -> type[BaseException] | None:
    """Python's own exception of this name, but for those by which an interpreter is stopped from outside."""
    kind = vars(builtins).get(name)
    stops = (KeyboardInterrupt, GeneratorExit)
    usable = isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, stops)
    return kind if usable and isinstance(kind, type) else None


def _clean(name: str) -> str:
    return name.replace("\0", "") or "object"


def _equals_ours(one: Remote) -> bool:
    """Whether it claims to equal object 0, which is not the program's; a class that cannot be asked that does not."""
    link, handle, _ = one.__dict__[_HOW]
    try:
        return link.value("special", "__eq__", ["o", handle], ["o", 0]) is True
    except Exception:
        return False


def _methods(able: frozenset[str], what: str) -> dict[str, Any]:
    """The methods of a class of stand-ins."""
    found: dict[str, Any] = {"_errorbook_hashes": "__hash__" in able}
    for name in able.intersection(wire.ABILITIES):
        bare = name.strip("_")
        if bare in wire.BINARY or bare[1:] in wire.ARITHMETIC:
            if bare not in ("eq", "ne"):
                found[name] = _operator(bare)
        elif name not in _SILENT:
            found[name] = _hand_on(name)
    found |= {name: method for name, method in _GIVEN.items() if name in able}
    if "__aiter__" in able and "__anext__" not in able:
        found["__aiter__"] = _hand_on("__aiter__")
    if what == "generator":
        found["__class__"] = property(lambda self: types.GeneratorType)
    return found


def _hand_on(name: str) -> Callable[..., Any]:
    return lambda self, *values: ask(self, "special", name, *values)


def _operator(name: str) -> Callable[..., Any]:
    """An operator: with another object of the program, or with a value if the question asks for the class."""
    reflected = name[0] == "r" and name[1:] in wire.ARITHMETIC
    called = f"__{name[1:] if reflected else name}__"

    def method(self: Remote, other: Any) -> Any:
        # A value that an order is asked for is an expected one, whatever the class.
        sends = isinstance(other, Remote) or (name not in _ORDER and is_asked_for(self))
        if not sends:
            if name in _ORDER and is_asked_for(self):
                raise CannotTell("the tests compare an object of the program with a value, which may not be sent")
            return NotImplemented
        if isinstance(other, Remote) and not (is_asked_for(self) or is_asked_for(other)):
            raise CannotTell("the tests combine two objects of the program's own classes")
        return _combine(self, called, other, reflected)

    return method


def _combine(one: Remote, name: str, other: Any, reflected: bool) -> Any:
    link, handle, _ = one.__dict__[_HOW]
    sides = [["o", handle], link.encode(other)]
    return link.value("special", name, *(reversed(sides) if reflected else sides))


def _call(self: Remote, *args: Any, **keywords: Any) -> Any:
    """The program's answer to a call; arguments that it changes stay unchanged here."""
    link, handle, _ = self.__dict__[_HOW]
    return link.call(handle, args, keywords, [])


def _contains(self: Remote, value: Any) -> bool:
    if isinstance(value, Remote) or is_asked_for(self):
        return ask(self, "special", "__contains__", value) is True
    items: Iterator[Any] = iter(self)
    return any(item is value or item == value for item in items)


def _leave(self: Remote, kind: Any, error: Any, trace: Any) -> bool:
    link, handle, _ = self.__dict__[_HOW]
    return link.value("special", "__exit__", ["o", handle], *_describe(error)) is True


async def _leave_later(self: Remote, kind: Any, error: Any, trace: Any) -> bool:
    link, handle, _ = self.__dict__[_HOW]
    return await link.value("special", "__aexit__", ["o", handle], *_describe(error)) is True


def _describe(error: BaseException | None) -> list[wire.Tree]:
    """What a context manager of the program is told of an error: the class that is Python's, and the program's object.

    An error of the tests has no such object, and what it says stays here.
    """
    if error is None:
        return [None, None, None]
    shown = handle_of(error)
    return [["T", _base(error).__name__], ["o", shown] if shown else None, None]


def _base(error: BaseException) -> type:
    own: list[type] = [kind for kind in type(error).__mro__ if vars(builtins).get(kind.__name__) is kind]
    return own[0]


def _waiting(name: str) -> Callable[..., Any]:
    async def method(self: Remote, *values: Any) -> Any:
        found = ask(self, "special", name, *values)
        return await found

    return method


async def _wait_for(one: Remote) -> Any:
    return ask(one, "await")


async def _wait_for_next(self: Remote) -> Any:
    found = ask(self, "special", "__anext__")
    return await found


_GIVEN: dict[str, Callable[..., Any]] = {
    "__call__": _call,
    "__contains__": _contains,
    "__await__": lambda self: _wait_for(self).__await__(),
    "__aiter__": lambda self: self,
    "__anext__": _wait_for_next,
    "__aenter__": _waiting("__aenter__"),
    "__aexit__": _leave_later,
    "__exit__": _leave,
}
"""Methods that do more than ask the program for what they are named after."""

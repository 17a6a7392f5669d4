"""The untrusted side: runs one program and then answers calls to what it defined, until it is killed.

It is told the program and the arguments of each call, never a test or an expected value, so nothing in this process
is worth stealing. Whatever the program does to this interpreter can only change the values that it answers.
"""

from __future__ import annotations

import io
import json
import operator
import os
import sys
import threading
import types
import typing  # noqa: F401  (nearly every program imports it: loaded before the clock starts)
from collections.abc import Callable
from functools import cache
from typing import Any

from errorbook.sandbox import wire
from errorbook.sandbox.confine import confine

NAME = "program"
_DEEPEST = 5000
_MOST_SAID = 1 << 20


class Objects:
    """What the program made that is no plain value, by number: the other side holds the numbers only."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._kept: list[Any] = [object()]  # number 0 is ours: nothing of the program may claim to equal it
        self._numbers: dict[int, int] = {}
        self.turn = threading.RLock()

    def number(self, value: Any) -> int:
        """The number of an object, the same each time."""
        if id(value) not in self._numbers:
            self._kept.append(value)
            self._numbers[id(value)] = len(self._kept) - 1
        return self._numbers[id(value)]

    def keep(self, value: Any) -> wire.Tree:
        """Encode an object as its number, the name of its class, what can be done with it, and what it is."""
        if isinstance(value, Lent):
            return ["k", object.__getattribute__(value, "_errorbook_number")]
        kind = type(value)
        able = [name for name in wire.ABILITIES if _is_able(kind, name)]
        what: wire.Tree = ""
        if isinstance(value, type):
            what = ["class", self.family(value)]
        elif kind is types.GeneratorType or kind is types.CoroutineType:
            what = kind.__name__
        return ["o", self.number(value), kind.__name__[:80], able, what]

    def family(self, kind: type) -> wire.Tree:
        """The classes that a class is made of: names of Python's own, names and numbers of the program's."""
        made: list[wire.Tree] = []
        for each in type.mro(kind)[:-1]:
            made.append([each.__name__[:80], -1 if wire.is_builtin(each) else self.number(each)])
        return made

    def find(self, tree: wire.Tree) -> Any:
        """Decode a number, a built-in function, something lent, or an instance of a class that the question defines."""
        tag, *rest = tree
        if tag == "o":
            return self._kept[rest[0]]
        if tag == "B":
            return getattr(__import__("builtins"), rest[0])
        if tag == "k":
            return _lend(self, *rest)
        name, attributes = rest
        made = object.__new__(getattr(sys.modules[NAME], name))
        for key, value in wire.decode(attributes, self.find).items():
            object.__setattr__(made, key, value)
        return made

    def borrow(self, operation: str, number: int, *values: Any) -> Any:
        """Ask the tests to do something with what they lent; meanwhile they may ask in turn."""
        with self.turn:
            asked = ["ask", operation, number, *(wire.encode(value, self.keep) for value in values)]
            wire.send(self.descriptor, asked)
            while True:
                answer = wire.receive(self.descriptor)
                if answer[0] == "back":
                    return wire.decode(answer[1], self.find)
                if answer[0] == "raised":
                    raise _theirs(self, *answer[1:])
                respond(self.descriptor, answer, self)


class Lent:
    """Something of the tests that the program may use."""


def _lend(objects: Objects, number: int, name: str, able: list[str]) -> Lent:
    """A stand-in for what the tests lend: it can be called, iterated and read as far as that one can."""

    def method(operation: str) -> Callable[..., Any]:
        return lambda self, *values: objects.borrow(operation, number, *values)

    def call(self: Lent, *args: Any, **keywords: Any) -> Any:
        return objects.borrow("call", number, list(args), keywords)

    body: dict[str, Any] = {"_errorbook_number": number, "__module__": "tests", "__name__": name}
    if "__call__" in able:
        body["__call__"] = call
    if "__next__" in able:
        body |= {"__iter__": lambda self: self, "__next__": method("next")}
    if "get" in able:
        body |= {"__getattr__": method("get"), "__setattr__": method("set")}
    made: Lent = type(name, (Lent,), body)()
    return made


def _theirs(objects: Objects, index: int, family: list[str], arguments: wire.Tree, text: str) -> BaseException:
    """What the tests' function raised, as the program may catch it; it goes back to them as what it was."""
    kinds = [kind for name in family if isinstance(kind := getattr(__import__("builtins"), name, None), type)]
    base = next((kind for kind in kinds if issubclass(kind, BaseException)), Exception)
    body = {"_errorbook_theirs": index, "__str__": lambda self: text}
    made: Any = type(family[0] if family else "Exception", (base,), body)
    error: BaseException = made.__new__(made)
    error.args = tuple(wire.decode(arguments, objects.find))
    return error


def _is_able(kind: type, name: str) -> bool:
    for each in kind.__mro__:
        if name in vars(each):
            return vars(each)[name] is not None and each is not object
    return False


class _Said(io.StringIO):
    """What the program prints, up to a limit, until it is handed on."""

    def write(self, text: str) -> int:
        if self.tell() < _MOST_SAID:
            super().write(text[:_MOST_SAID])
        return len(text)


SAID = _Said()


def main() -> None:
    """Serve on the descriptor that the command line names."""
    options = json.loads(sys.argv[1])
    descriptor: int = options.pop("descriptor")
    confine(**options)
    os.dup2(1, 2)  # nobody reads the program's errors: a full pipe would stop it
    sys.argv[:] = [f"{NAME}.py"]
    sys.path.pop(0)
    sys.modules[NAME] = types.ModuleType(NAME)
    sys.stdout = SAID
    objects = Objects(descriptor)
    wire.send(descriptor, ["ready"])
    while True:
        try:
            request = wire.receive(descriptor)
        except wire.ClosedError:
            return
        respond(descriptor, request, objects)


def respond(descriptor: int, request: wire.Tree, objects: Objects) -> None:
    """Answer one request, with what the program printed meanwhile."""
    answer = _answer(request, objects)
    said = SAID.getvalue()
    if said:
        SAID.seek(0)
        SAID.truncate()
        answer = ["said", said, answer]
    deepest = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(max(deepest, _DEEPEST))
        wire.send(descriptor, answer)
    except (ValueError, RecursionError) as error:
        wire.send(descriptor, ["error", "ValueError", _message(error), None, -1, []])
    finally:
        sys.setrecursionlimit(deepest)


def _answer(request: wire.Tree, objects: Objects) -> wire.Tree:
    operation, *rest = request
    try:
        value = _OPERATIONS[operation](objects, *rest)
        deepest = sys.getrecursionlimit()
        try:
            sys.setrecursionlimit(max(deepest, _DEEPEST))
            return _encode_answer(value, objects)
        finally:
            sys.setrecursionlimit(deepest)
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too, are only errors of the program
        return _describe(error, objects)


class _Called:
    """What a call gave, and what became of its arguments, of which `places` are to be sent back."""

    def __init__(self, value: Any, positional: list[Any], keywords: dict[str, Any], places: list[Any]) -> None:
        given = [positional[place] if isinstance(place, int) else keywords[place] for place in places]
        same = [number for number, item in enumerate(given) if item is value]
        self.same = same[0] if same else -1
        self.value, self.given = value, given


def _encode_answer(value: Any, objects: Objects) -> wire.Tree:
    if isinstance(value, _Called):
        given = [wire.encode(item, objects.keep) for item in value.given]
        return ["ok", None if value.same >= 0 else wire.encode(value.value, objects.keep), given, value.same]
    known = objects.number(value) if type(value) in (list, dict, set, bytearray) else -1
    return ["ok", wire.encode(value, objects.keep), known]


def _describe(error: BaseException, objects: Objects) -> wire.Tree:
    """An exception: its name, text, arguments, number and classes; what cannot be told of it is left out."""
    theirs = getattr(error, "_errorbook_theirs", None)
    if isinstance(theirs, int):
        return ["theirs", theirs]
    name, arguments, number, family = type(error).__name__[:80], None, -1, []
    try:
        arguments = wire.encode(list(error.args), objects.keep)
        number, family = objects.number(error), objects.family(type(error))
    except BaseException:  # the program's own exception class may do anything
        arguments = None
    return ["error", name, _message(error), arguments, number, family]


def _message(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except BaseException:  # the program's own exception class may do anything
        return ""


def _run(objects: Objects, *parts: str) -> None:
    for part in parts:
        exec(compile(part, f"{NAME}.py", "exec", dont_inherit=True), sys.modules[NAME].__dict__)  # noqa: S102


class MissingError(Exception):
    """A name that the program does not define."""


def _name(objects: Objects, name: str) -> Any:
    names = sys.modules[NAME].__dict__
    if name not in names:
        raise MissingError(name)
    return names[name]


def _call(objects: Objects, handle: wire.Tree, arguments: wire.Tree, keywords: wire.Tree, places: list[Any]) -> Any:
    positional, named = wire.decode(arguments, objects.find), wire.decode(keywords, objects.find)
    value = objects.find(handle)(*positional, **named)
    return _Called(value, positional, named, places) if places else value


def _await(objects: Objects, handle: wire.Tree) -> Any:
    return _make_loop().run_until_complete(_wait_for(objects.find(handle)))


@cache
def _make_loop() -> Any:
    """One for the whole program, since what is awaited may belong to it."""
    import asyncio

    return asyncio.new_event_loop()


async def _wait_for(value: Any) -> Any:
    return await value


def _apply(function: Callable[..., Any]) -> Callable[..., Any]:
    def operation(objects: Objects, *trees: wire.Tree) -> Any:
        return function(*(wire.decode(tree, objects.find) for tree in trees))

    return operation


def _special(objects: Objects, name: str, *trees: wire.Tree) -> Any:
    return _SPECIAL[name](*(wire.decode(tree, objects.find) for tree in trees))


def _method(name: str) -> Callable[..., Any]:
    return lambda value, *rest: getattr(type(value), name)(value, *rest)


_SPECIAL: dict[str, Callable[..., Any]] = {
    **{f"__{name}__": getattr(operator, f"__{name}__") for name in wire.BINARY},
    **{f"__i{name}__": getattr(operator, f"__i{name}__") for name in wire.ARITHMETIC},
    **{f"__{name}__": getattr(operator, name) for name in ("neg", "pos", "abs", "invert", "index", "contains")},
    **{"__setitem__": operator.setitem, "__delitem__": operator.delitem, "__getitem__": operator.getitem},
    **{"__str__": str, "__repr__": repr, "__int__": int, "__float__": float, "__bool__": bool, "__hash__": hash},
    **{"__len__": len, "__iter__": iter, "__next__": next, "__round__": round, "__format__": format},
    **{"__complex__": complex, "__divmod__": divmod, "__reversed__": reversed},
    **{name: _method(name) for name in ("__enter__", "__exit__", "__aenter__", "__aexit__", "__aiter__", "__anext__")},
}
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "run": _run,
    "name": _name,
    "call": _call,
    "await": _await,
    "special": _special,
    "get": _apply(getattr),
    "set": _apply(setattr),
    "del": _apply(delattr),
    "isinstance": _apply(isinstance),
    "issubclass": _apply(issubclass),
}

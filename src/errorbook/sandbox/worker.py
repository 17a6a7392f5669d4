"""The untrusted side: runs one program and then answers calls to what it defined, until it is killed.

It is told the program and the arguments of each call, never a test or an expected value, so nothing in this process
is worth stealing. Whatever the program does to this interpreter can only change the values that it answers.
"""

from __future__ import annotations

import json
import os
import sys
import types
import typing  # noqa: F401  (nearly every program imports it: loaded before the clock starts)
from collections.abc import Callable
from typing import Any

from errorbook.sandbox import wire
from errorbook.sandbox.confine import confine

NAME = "program"


class Objects:
    """What the program made that is no plain value, by number: the other side holds the numbers only."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def keep(self, value: Any) -> wire.Tree:
        """Encode an object as its number, the name of its class and its truth."""
        self._kept.append(value)
        return ["o", len(self._kept) - 1, type(value).__name__[:80], bool(value)]

    def find(self, tree: wire.Tree) -> Any:
        """Decode a number, a built-in function, or an instance of a class that the question defines."""
        tag, *rest = tree
        if tag == "o":
            return self._kept[rest[0]]
        if tag == "B":
            return getattr(__import__("builtins"), rest[0])
        name, attributes = rest
        made = object.__new__(getattr(sys.modules[NAME], name))
        for key, value in wire.decode(attributes, self.find).items():
            object.__setattr__(made, key, value)
        return made


def main() -> None:
    """Serve on the descriptor that the command line names."""
    options = json.loads(sys.argv[1])
    descriptor: int = options.pop("descriptor")
    confine(**options)
    os.dup2(1, 2)  # nobody reads the program's errors: a full pipe would stop it
    sys.argv[:] = [f"{NAME}.py"]
    sys.path.pop(0)
    module = types.ModuleType(NAME)
    sys.modules[NAME] = module
    objects = Objects()
    wire.send(descriptor, ["ready"])
    while True:
        try:
            request = wire.receive(descriptor)
        except wire.ClosedError:
            return
        wire.send(descriptor, _answer(request, module, objects))


def _answer(request: wire.Tree, module: types.ModuleType, objects: Objects) -> wire.Tree:
    operation, *rest = request
    try:
        answer = _OPERATIONS[operation](module, objects, *rest)
        size = len(json.dumps(answer))
        return answer if size < wire.MAX_BYTES else ["error", "ValueError", f"the value is too large: {size:,} bytes"]
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too, are only errors of the program
        return ["error", type(error).__name__[:80], _message(error)]


def _message(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except BaseException:  # the program's own exception class may do anything
        return ""


def _run(module: types.ModuleType, objects: Objects, *parts: str) -> wire.Tree:
    for part in parts:
        exec(compile(part, f"{NAME}.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    return ["ok", None]


def _name(module: types.ModuleType, objects: Objects, name: str) -> wire.Tree:
    if name not in module.__dict__:
        return ["missing", name]
    return ["ok", wire.encode(module.__dict__[name], objects.keep)]


def _call(module: types.ModuleType, objects: Objects, *call: Any) -> wire.Tree:
    handle, arguments, keywords, in_place = call
    positional = wire.decode(arguments, objects.find)
    value = objects.find(handle)(*positional, **wire.decode(keywords, objects.find))
    answer = ["ok", wire.encode(value, objects.keep)]
    return [*answer, wire.encode(positional, objects.keep)] if in_place else answer


def _next(module: types.ModuleType, objects: Objects, handle: wire.Tree) -> wire.Tree:
    for value in objects.find(handle):
        return ["ok", wire.encode(value, objects.keep)]
    return ["end"]


def _apply(function: Callable[..., Any]) -> Callable[..., wire.Tree]:
    def operation(module: types.ModuleType, objects: Objects, handle: wire.Tree, *rest: wire.Tree) -> wire.Tree:
        values = [wire.decode(tree, objects.find) for tree in rest]
        return ["ok", wire.encode(function(objects.find(handle), *values), objects.keep)]

    return operation


_OPERATIONS: dict[str, Callable[..., wire.Tree]] = {
    "run": _run,
    "name": _name,
    "call": _call,
    "iter": _apply(iter),
    "next": _next,
    "get": _apply(getattr),
    "len": _apply(len),
    "item": _apply(lambda value, key: value[key]),
}

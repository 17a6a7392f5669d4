"""The tests' side of the wire: asks the program, and lends it what the tests pass to it.

Only plain values come back; what stands for an object of the program is made in `objects`. What the tests lend is a
function, an iterator, or an object of a class of theirs: the program may call, advance or read just that, and no more.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from errorbook.sandbox import objects, wire
from errorbook.sandbox.faults import CannotTell, Gone, ProgramError
from errorbook.sandbox.objects import Remote

_CALLABLE = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.BuiltinMethodType, type)

_LENDABLE = ("__call__", "__iter__", "__next__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__")


class Link:
    """One program at the other end of a descriptor."""

    def __init__(self, descriptor: int, asked_classes: frozenset[str] = frozenset()) -> None:
        self._descriptor = descriptor
        self.asked_classes = asked_classes
        self.helpers: frozenset[str] = frozenset()
        """Classes that the question defines: their instances are made anew in the program, which has them, too."""
        self.calls = 0
        self.gone = False
        self._lent: list[Any] = []
        self._raised: list[BaseException] = []
        self._objects: dict[int, Any] = {}
        self._values: dict[int, Any] = {}

    def ask(self, *request: wire.Tree) -> list[Any]:
        """Send a request and return the answer's fields. Raises what the program raised, Gone or CannotTell."""
        self._send(list(request))
        while True:
            answer = self._receive()
            if answer[0] == "said":
                sys.stdout.write(str(answer[1]))
                answer = answer[2] if isinstance(answer[2], list) and answer[2] else [""]
            if answer[0] == "ask":
                self._send(self._serve(answer))
            elif answer[0] == "theirs":
                raise self._raised[int(answer[1])]
            elif answer[0] == "error":
                self._raise(*answer[1:6])
            else:
                return answer

    def value(self, *request: wire.Tree) -> Any:
        """Ask for one value. Raises what `ask` raises."""
        answer = self.ask(*request)
        value = self.decode(answer[1])
        known = answer[2] if len(answer) > 2 else -1
        if type(known) is int and known >= 0:  # the same list as before, whatever it holds now
            before = self._values.setdefault(known, value)
            if type(before) is type(value):
                refill(before, value)
                return before
        return value

    def call(self, handle: int, args: Any, keywords: dict[str, Any], places: list[Any]) -> Any:
        """Call one of the program's objects; what it did to the arguments at `places` is done here as well.

        A StopIteration that leaves a call is a RuntimeError, as one that leaves a generator is (PEP 479): tests that
        consume `map(f, values)` would else end early, compare nothing and pass.
        """
        try:
            return self._call(handle, args, keywords, places)
        except StopIteration as error:
            raise RuntimeError("the call raised StopIteration") from error

    def _call(self, handle: int, args: Any, keywords: dict[str, Any], places: list[Any]) -> Any:
        self.calls += 1
        request = ["call", ["o", handle], self.encode(list(args)), self.encode(keywords), places]
        if not places:
            return self.value(*request)
        answer = self.ask(*request)
        given = [args[place] if isinstance(place, int) else keywords[place] for place in places]
        for before, tree in zip(given, answer[2], strict=True):
            refill(before, self.decode(tree))
        same = answer[3]
        return given[same] if type(same) is int and same >= 0 else self.decode(answer[1])

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

    def _send(self, tree: wire.Tree) -> None:
        if self.gone:
            raise Gone
        try:
            wire.send(self._descriptor, tree)
        except wire.ClosedError as error:
            self.gone = True
            raise Gone(str(error)) from None
        except ValueError as error:
            raise CannotTell(str(error)) from None

    def _receive(self) -> list[Any]:
        try:
            answer = wire.receive(self._descriptor)
        except wire.ClosedError as error:
            self.gone = True
            raise Gone(str(error)) from None
        if not isinstance(answer, list) or not answer:
            raise ProgramError("an answer that is not in the format")
        return answer

    # what the tests lend -----------------------------------------------------------------------------------------

    def _encode_other(self, value: Any) -> wire.Tree:
        handle = objects.handle_of(value)
        if handle is not None:
            return ["o", handle]
        if isinstance(value, types.BuiltinFunctionType) and wire.is_builtin(value):
            return ["B", value.__name__]
        kind = type(value)
        if kind.__module__ == "tests" and hasattr(value, "__dict__") and kind.__name__ in self.helpers:
            return ["O", kind.__name__, self.encode(vars(value))]
        able = _list_abilities(value)
        if not able:
            raise CannotTell(f"the tests pass a {kind.__name__} to the program, which cannot cross")
        places = [place for place, item in enumerate(self._lent) if item is value]
        if not places:
            self._lent.append(value)
        return ["k", places[0] if places else len(self._lent) - 1, str(getattr(value, "__name__", kind.__name__)), able]

    def _serve(self, asked: list[Any]) -> wire.Tree:
        """Do with something lent what the program asks for; what comes of it goes back."""
        try:
            _, operation, number, *trees = asked
            lent = self._lent[number]
            result = _USES[operation](lent, *(self.decode(tree) for tree in trees))
            return ["back", self.encode(result)]
        except (Gone, CannotTell):
            raise
        except BaseException as error:  # the program may catch it; if it does not, it comes back as it is
            self._raised.append(error)
            family = [kind.__name__ for kind in type(error).__mro__[:-1]]
            try:
                arguments = self.encode(list(error.args))
            except CannotTell:
                arguments = ["l"]
            return ["raised", len(self._raised) - 1, family, arguments, str(error)[:300]]

    # what the program has -----------------------------------------------------------------------------------------

    def _decode_other(self, tree: wire.Tree) -> Any:
        tag, handle, *rest = tree
        if tag == "k":
            return self._lent[handle]
        name, able, what = rest
        form, family = (what[0], what[1]) if isinstance(what, list) else (what, [])
        if tag != "o" or type(handle) is not int or handle < 1 or type(name) is not str or type(form) is not str:
            raise ValueError("an unknown tag")
        if handle not in self._objects or form == "coroutine":
            self._objects[handle] = self._make(handle, name, able, form, family)
        return self._objects[handle]

    def _make(self, handle: int, name: str, able: list[str], form: str, family: wire.Tree) -> Any:
        if form == "class":
            names = [str(member) for member, _ in family]
            kinds = [kind for member in names if (kind := objects.find_builtin_exception(member))]
            if kinds:
                return self._exception_class(family)
            return objects.make_remote(self, handle, name, able, tuple(names), form)
        return objects.make_remote(self, handle, name, able, (name,), form)

    def _exception_class(self, family: wire.Tree) -> type[BaseException]:
        """A class of exceptions by the classes that it is made of, of which the first that is Python's is the base."""
        own: list[tuple[str, int]] = []
        base: type[BaseException] = ProgramError
        for name, handle in family:
            kind = objects.find_builtin_exception(str(name)) if handle == -1 else None
            if kind is not None:
                base = kind
                break
            own.append((str(name), int(handle)))
        for name, handle in reversed(own):
            if handle not in self._objects or not isinstance(self._objects[handle], type):
                self._objects[handle] = objects.make_exception_class(self, name, handle, base)
            base = self._objects[handle]
        return base

    def _raise(self, name: Any, message: Any, arguments: wire.Tree = None, handle: Any = -1, family: Any = ()) -> None:
        """Raise the program's exception, as one that tests can catch by the name of its class or of a base of it."""
        text, number = str(message)[:300], handle if type(handle) is int else -1
        if name == "MissingError":
            raise LookupError(text)
        try:
            kind = self._exception_class(family) if family else objects.find_builtin_exception(str(name))
            given = self.decode(arguments) if arguments is not None else None
        except (ValueError, TypeError, ProgramError):
            kind, given = None, None
        if kind is None or kind is ProgramError:
            kind, given = ProgramError, [f"{name}: {text}"[:300]]
        raise objects.make_exception(kind, given, text, number)


def _list_abilities(value: Any) -> list[str]:
    """What the program may do with something that the tests pass to it; nothing if it cannot be lent."""
    if isinstance(value, _CALLABLE) or (callable(value) and type(value).__module__ in ("functools", "operator")):
        return ["__call__"]
    own = type(value).__module__ == "tests"
    if own and any(_defines(type(value), name) for name in wire.ABILITIES if name not in _LENDABLE):
        return []
    able = ["__next__"] if isinstance(value, Iterator) else []
    return able + (["get"] if own else []) + (["__call__"] if own and callable(value) else [])


def _defines(kind: type, name: str) -> bool:
    return any(name in vars(each) for each in kind.__mro__[:-1])


def _read(value: Any, name: str) -> Any:
    if name.startswith("_") or type(value).__module__ != "tests":
        raise AttributeError(name)
    return getattr(value, name)


def _write(value: Any, name: str, item: Any) -> None:
    if name.startswith("_") or type(value).__module__ != "tests":
        raise AttributeError(name)
    setattr(value, name, item)


_USES: dict[str, Callable[..., Any]] = {
    "call": lambda value, args, keywords: value(*args, **keywords),
    "next": next,
    "get": _read,
    "set": _write,
}


def call(places: Any, function: Any, *args: Any, **keywords: Any) -> Any:
    """A call that may change its arguments: those at `places`, or all of them if the tests drop the result."""
    if not (isinstance(function, Remote) and callable(function)):
        return function(*args, **keywords)
    link, handle = function.__dict__["_errorbook_how"][:2]
    return link.call(handle, args, keywords, [*range(len(args)), *keywords] if places is True else list(places))


def refill(before: Any, after: Any) -> None:
    """Make a value of the tests equal to another; parts of the same kind at the same place stay the same objects."""
    if before is after or type(before) is not type(after):
        return
    if isinstance(before, tuple):
        for old, new in zip(before, after, strict=False):
            refill(old, new)
    elif isinstance(before, list):
        same = len(before) == len(after)
        before[:] = [_kept(old, new) for old, new in zip(before, after, strict=True)] if same else after
    elif isinstance(before, dict):
        filled = {key: _kept(before[key], item) if key in before else item for key, item in after.items()}
        before.clear()
        dict.update(before, filled)
    elif isinstance(before, bytearray):
        before[:] = after
    elif isinstance(before, set | deque):
        before.clear()
        before.update(after) if isinstance(before, set) else before.extend(after)


def _kept(old: Any, new: Any) -> Any:
    if type(old) is not type(new) or not isinstance(old, list | dict | set | bytearray | deque):
        return new
    refill(old, new)
    return old

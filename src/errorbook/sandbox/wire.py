"""How values cross between a tested program and the tests: length-prefixed JSON that holds plain values only.

Runs inside the sandbox, on both sides, so it uses the standard library alone. What `decode` returns is built here, of
exact built-in types (and a few value types of the standard library): no class, and so no `__eq__`, of the other side
ever crosses. Shared references inside one value are not kept.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any

Tree = Any
"""What JSON can hold: None, bool, int, str and lists of these."""

Other = Callable[[Any], Any]
"""Encodes, or decodes, what is not a plain value; raises TypeError if it cannot."""

MAX_BYTES = 64 << 20
ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
"""Operators of two values, as Python names their methods."""
BINARY = (*ARITHMETIC, "lt", "le", "gt", "ge", "eq", "ne")
_OF_ONE = ("neg", "pos", "abs", "invert", "index", "int", "float", "complex", "round", "bool", "str", "repr", "format")
_OTHERS = (
    *("call", "iter", "next", "len", "reversed", "getitem", "setitem", "delitem", "contains", "hash", "divmod"),
    *("enter", "exit", "aenter", "aexit", "aiter", "anext", "await"),
)
ABILITIES = tuple(
    f"__{name}__"
    for name in (
        *(*BINARY, *_OF_ONE, *_OTHERS),
        *(f"{first}{name}" for name in ARITHMETIC for first in "ri"),
    )
)
"""What can be done with an object because of its class, by the names that Python gives these methods."""
_NATIVE = 1 << 63
_SEQUENCES: dict[str, type] = {"l": list, "t": tuple, "s": set, "z": frozenset, "q": deque}
_SEQUENCE_TAGS = {kind: tag for tag, kind in _SEQUENCES.items()}
_MAPPINGS = {"dict": "builtins", "OrderedDict": "collections", "Counter": "collections"}
_TEXTUAL = {
    "Decimal": ("decimal", ""),
    "Fraction": ("fractions", ""),
    "date": ("datetime", "fromisoformat"),
    "datetime": ("datetime", "fromisoformat"),
    "time": ("datetime", "fromisoformat"),
    **dict.fromkeys(("PosixPath", "PurePosixPath", "PureWindowsPath"), ("pathlib", "")),
    "UUID": ("uuid", ""),
}
_NUMBERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "range": ("builtins", ("start", "stop", "step")),
    "timedelta": ("datetime", ("days", "seconds", "microseconds")),
}


class ClosedError(Exception):
    """The other side is gone, or does not keep to the format."""


def send(descriptor: int, tree: Tree) -> None:
    """Write one frame. Raises ClosedError if nobody reads, ValueError if it is larger than MAX_BYTES."""
    data = json.dumps(tree, separators=(",", ":")).encode()
    if len(data) > MAX_BYTES:
        raise ValueError(f"a value of {len(data):,} bytes is too large")
    view = memoryview(len(data).to_bytes(4, "big") + data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise ClosedError(str(error)) from None


def receive(descriptor: int) -> Tree:
    """Read one frame. Raises ClosedError at the end of the stream and for a frame that is too large or not ours."""
    size = int.from_bytes(_read(descriptor, 4), "big")
    if size > MAX_BYTES:
        raise ClosedError(f"a frame of {size:,} bytes")
    data = _read(descriptor, size)
    try:
        return json.loads(data, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ClosedError(f"not a frame ({type(error).__name__})") from None


def encode(value: Any, other: Other) -> Tree:
    """The value as a tree. An instance of a subclass becomes its built-in base; the rest is left to `other`."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_NATIVE < value < _NATIVE else ["i", hex(value)]
    if kind in _SEQUENCE_TAGS:
        if _are_native(value):
            return [_SEQUENCE_TAGS[kind], *value]
        return [_SEQUENCE_TAGS[kind], *(encode(item, other) for item in value)]
    if isinstance(value, dict):
        name = kind.__name__ if _named(kind, _MAPPINGS) else "dict"
        return ["d", name, *([encode(key, other), encode(item, other)] for key, item in dict.items(value))]
    tree = _encode_scalar(value, kind)
    return tree if tree is not None else _encode_base(value, other)


def decode(tree: Tree, other: Other) -> Any:
    """The value of a tree. Raises ValueError or TypeError if it is malformed; unknown tags are left to `other`."""
    if not isinstance(tree, list):
        return tree
    tag, *rest = tree
    if tag in _SEQUENCES:
        plain = list not in set(map(type, rest))
        return _SEQUENCES[tag](rest) if plain else _SEQUENCES[tag](decode(item, other) for item in rest)
    if tag == "N":
        name, fields, *items = rest
        return _named_tuple(name, tuple(fields))(*(decode(item, other) for item in items))
    if tag == "d":
        name, *items = rest
        pairs = [(decode(key, other), decode(item, other)) for key, item in items]
        # The table names the module, so a name that is not in it raises; no message can have another one imported.
        made: dict[Any, Any] = getattr(importlib.import_module(_MAPPINGS[name]), name)()
        made.update(pairs) if name != "Counter" else dict.update(made, pairs)
        return made
    simple = _SCALARS.get(tag)
    return simple(*rest) if simple else other(tree)


def _are_native(value: Any) -> bool:
    """Whether all items are what JSON can hold as it is, so that a long list need not be gone through one by one."""
    kinds = set(map(type, value))
    if not kinds <= {str, bool, int, type(None)}:
        return False
    numbers = value if kinds == {int} else [item for item in value if type(item) is int]
    return not numbers or (min(numbers) > -_NATIVE and max(numbers) < _NATIVE)


def _are_names(fields: tuple[Any, ...], count: int) -> bool:
    fit = (type(field) is str and field.isidentifier() and field[0] != "_" for field in fields)
    return len(fields) == count and all(fit) and len(set(fields)) == count


def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    """A named tuple's class, made here from checked names: a tuple that can be read by name, and nothing else."""
    from collections import namedtuple

    if len(fields) > 255 or not all(type(field) is str and len(field) < 100 for field in (name, *fields)):
        raise ValueError("no named tuple")
    return namedtuple(name, fields)


def is_builtin(value: Any) -> bool:
    """Whether a type or function is the one that Python itself has under that name."""
    return vars(builtins).get(getattr(value, "__name__", "")) is value


def _read(descriptor: int, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = os.read(descriptor, min(size, 1 << 16))
        except OSError as error:
            raise ClosedError(str(error)) from None
        if not part:
            raise ClosedError("the end")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not part of the format")


def _named(kind: type, table: Any) -> bool:
    return kind.__name__ in table and kind.__module__ in (table[kind.__name__], table[kind.__name__][0])


def _encode_scalar(value: Any, kind: type) -> Tree:
    if kind is float or kind is complex:
        parts = (value,) if kind is float else (value.real, value.imag)
        return [kind.__name__[0], *(float.hex(part) for part in parts)]
    if kind is bytes or kind is bytearray:
        return ["b", kind.__name__, value.hex()]
    if kind is type and is_builtin(value):
        return ["T", value.__name__]
    if _named(kind, _TEXTUAL):
        text = str(value) if _TEXTUAL[kind.__name__][1] == "" else value.isoformat()
        return ["x", kind.__name__, text]
    if _named(kind, _NUMBERS):
        return ["n", kind.__name__, *(hex(getattr(value, name)) for name in _NUMBERS[kind.__name__][1])]
    return ["e"] if value is ... else None


def _encode_base(value: Any, other: Other) -> Tree:
    """By the base type's own methods: what a subclass overrides has no say."""
    if isinstance(value, int):
        return encode(int.__int__(value), other)
    if isinstance(value, float):
        return ["f", float.hex(float.__float__(value))]
    if isinstance(value, str):
        return str.__str__(value)
    fields = getattr(type(value), "_fields", None)
    if isinstance(value, tuple) and type(fields) is tuple and _are_names(fields, len(value)):
        items = (encode(item, other) for item in tuple.__iter__(value))
        return ["N", type(value).__name__, list(fields), *items]
    for kind, tag in _SEQUENCE_TAGS.items():
        if isinstance(value, kind):
            return [tag, *(encode(item, other) for item in kind.__iter__(value))]  # type: ignore[attr-defined]
    return other(value)


def _bytes(name: str, text: str) -> Any:
    data = bytes.fromhex(text)
    return bytearray(data) if name == "bytearray" else data


def _type(name: str) -> type:
    found = getattr(builtins, name)
    if not isinstance(found, type):
        raise TypeError(f"{name} is not a type")
    return found


def _textual(name: str, text: str) -> Any:
    module, maker = _TEXTUAL[name]
    kind = getattr(importlib.import_module(module), name)
    return getattr(kind, maker)(text) if maker else kind(text)


def _numbers(name: str, *parts: str) -> Any:
    return getattr(importlib.import_module(_NUMBERS[name][0]), name)(*(int(part, 16) for part in parts))


_SCALARS: dict[str, Callable[..., Any]] = {
    "i": lambda text: int(text, 16),
    "f": float.fromhex,
    "c": lambda real, imaginary: complex(float.fromhex(real), float.fromhex(imaginary)),
    "b": _bytes,
    "e": lambda: ...,
    "T": _type,
    "x": _textual,
    "n": _numbers,
}

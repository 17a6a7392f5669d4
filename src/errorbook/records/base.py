"""What every record is: immutable, and named by the hash of its content."""

from __future__ import annotations

import hashlib
from functools import cache, cached_property
from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Base of every record: immutable, JSON-serialisable, and addressed by `hash`.

    `omit_defaults` is for kinds that come by the million: msgspec then leaves a field out if it is the same object as
    the default, which is right only if every default is None, False, 0, "" or ().
    """

    @cached_property
    def hash(self) -> str:
        """128-bit BLAKE2b of the record's type and content, as 32 hexadecimal digits."""
        return content_hash(type(self), encode(self))


def encode(record: Record) -> bytes:
    """A record's JSON without what equals its default: so a new field with a default changes no older record's hash."""
    return msgspec.json.encode(record if record.__struct_config__.omit_defaults else without_defaults(record))


def content_hash(kind: type[Record], content: bytes) -> str:
    """The hash of the record of this kind that is encoded as `content`."""
    return digest(kind.__name__, content)


def without_defaults(value: Any) -> Any:
    """Structs, at any depth, as dictionaries without what equals its default; other dictionaries sorted by key."""
    if isinstance(value, msgspec.Struct):
        given = ((name, default, getattr(value, name)) for name, default in _defaults(type(value)))
        return {name: without_defaults(item) for name, default, item in given if item != default}
    if isinstance(value, dict):
        return {name: without_defaults(item) for name, item in sorted(value.items())}
    return [without_defaults(item) for item in value] if isinstance(value, tuple) else value


@cache
def _defaults(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    fields = ((field.name, field.default, field.default_factory) for field in msgspec.structs.fields(kind))
    return tuple((name, value if make is msgspec.NODEFAULT else make()) for name, value, make in fields)


def digest(*parts: str | bytes) -> str:
    """128-bit BLAKE2b over the parts, each preceded by its length, as 32 hexadecimal digits."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()

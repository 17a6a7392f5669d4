"""Content hashes: a field with a default can be added to any record, at any depth, and no older hash changes."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook import records
from errorbook.records import Generation, Record, Response, Score, content_hash, encode

texts = st.text(max_size=8)
numbers = st.floats(allow_nan=False)
defaults = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), numbers, texts, st.tuples(), st.tuples(texts, numbers)
)
KINDS = [kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Record)]


def define(fields: list[Any], inner: type[Record] | None = None) -> type[Record]:
    """A kind of record that is called Note, and whose `inner` field, if it has one, holds another record."""
    inside: list[Any] = [("inner", inner), ("more", tuple[inner, ...])] if inner else []  # type: ignore[valid-type]
    return msgspec.defstruct("Note", [*fields, *inside], bases=(Record,), frozen=True, kw_only=True)  # type: ignore[return-value]


def copy(value: Any) -> Any:
    """An equal value that is another object, if Python can make one."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value))


@given(texts, defaults, st.sampled_from(["begin", "end"]))
def test_a_field_that_equals_its_default_does_not_count(text: str, default: Any, place: str) -> None:
    added: list[Any] = [("added", Any, default)]
    old = define([("text", str)])
    new = define([*added, ("text", str)] if place == "begin" else [("text", str), *added])

    assert new(text=text).hash == old(text=text).hash
    assert new(text=text, added=copy(default)).hash == old(text=text).hash
    assert new(text=text, added="another value").hash != old(text=text).hash


@given(texts, defaults)
def test_nor_does_it_count_inside_another_record(text: str, default: Any) -> None:
    old_part = define([("text", str)])
    new_part = define([("text", str), ("added", Any, default)])
    old = define([("n", int)], old_part)(n=1, inner=old_part(text=text), more=(old_part(text=text),))
    given_it = new_part(text=text, added=copy(default))
    new = define([("n", int)], new_part)(n=1, inner=new_part(text=text), more=(given_it,))

    assert new.hash == old.hash


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_record_that_was_read_has_the_hash_with_which_it_was_written(kind: type[Record]) -> None:
    """Every default is given once as the class's own object and once as an equal one from a decoder."""
    required = {field.name: _value(field.type) for field in msgspec.structs.fields(kind) if field.required}
    record = kind(**required)
    full = msgspec.json.decode(msgspec.json.encode(msgspec.structs.asdict(record)), type=kind)

    assert full == record
    assert encode(full) == encode(record)
    assert msgspec.json.decode(encode(record), type=kind) == record
    assert full.hash == record.hash == content_hash(kind, encode(record))


def _value(annotation: Any) -> Any:
    """Some value of a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        fields = msgspec.structs.fields(annotation)
        return annotation(**{field.name: _value(field.type) for field in fields if field.required})
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if get_origin(annotation) is dict:
        return {"b": 1, "a": 2}
    if get_origin(annotation) is tuple:
        return tuple(_value(part) for part in get_args(annotation) if part is not ...)
    return {str: "text", int: 3, float: 0.5, bool: True}[annotation]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__struct_config__.omit_defaults])
def test_the_quick_way_is_only_taken_if_python_has_one_object_of_each_default(kind: type[Record]) -> None:
    """Two equal floats need not be one object, and msgspec compares objects."""
    for field in msgspec.structs.fields(kind):
        assert field.required or any(field.default is one for one in (None, False, 0, "", ()))
        for part in list_parts(field.type):
            assert not (isinstance(part, type) and issubclass(part, msgspec.Struct)) or (
                part.__struct_config__.omit_defaults
            )


def list_parts(annotation: Any) -> list[Any]:
    """A type and all types that it is made of."""
    return [annotation, *(inner for part in get_args(annotation) for inner in list_parts(part))]


def test_responses_and_scores_go_the_quick_way() -> None:
    assert Response.__struct_config__.omit_defaults
    assert Score.__struct_config__.omit_defaults


def test_what_differs_from_its_default_counts() -> None:
    assert Generation(max_new_tokens=8, temperature=0.5).hash != Generation(max_new_tokens=8).hash
    assert Generation(max_new_tokens=8, temperature=float("0.0")).hash == Generation(max_new_tokens=8).hash


def test_a_dictionary_counts_without_its_order() -> None:
    note = define([("options", dict[str, Any], msgspec.field(default_factory=dict))])
    assert note(options={"a": 1, "b": {"c": 2, "d": 3}}).hash == note(options={"b": {"d": 3, "c": 2}, "a": 1}).hash
    assert note(options={}).hash == note().hash == define([("text", str, "")])().hash

"""What the test server makes up for a JSON schema fits that schema, or it says why it cannot."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook.testing.fill import UnfillableError, fill


class Step(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    next: Step | None


class Everything(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["slip", "gap"]
    steps: list[Step]
    share: float
    count: int
    sure: bool
    note: str | None


def test_a_record_with_lists_choices_and_itself_inside_is_filled() -> None:
    filled = fill(msgspec.json.schema(Everything), Random(0), 40)

    assert msgspec.convert(filled, Everything, strict=True).kind in {"slip", "gap"}


@given(st.integers(-1000, 1000), st.integers(0, 50), st.booleans(), st.integers(0, 99))
def test_numbers_keep_their_bounds(low: int, width: int, exclusive: bool, seed: int) -> None:
    schema: dict[str, Any] = {"type": "number", "minimum": low, "maximum": low + width}
    if exclusive:
        schema = {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + width + 1}
    value = fill(schema, Random(seed))

    assert (low < value < low + width + 1) if exclusive else (low <= value <= low + width)


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 200), st.integers(0, 99))
def test_strings_and_lists_keep_their_lengths(least: int, more: int, wanted: int, seed: int) -> None:
    bounds = {"minLength": least, "maxLength": least + more}
    schema = {"type": "array", "items": {"type": "string", **bounds}, "minItems": 1, "maxItems": 1 + more}
    filled = fill(schema, Random(seed), wanted)

    assert 1 <= len(filled) <= 1 + more
    assert all(least <= len(text) <= least + more for text in filled)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "a+"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"allOf": [{"type": "string"}, {"minLength": 2}]},
    ],
)
def test_what_cannot_be_filled_is_said(schema: dict[str, Any]) -> None:
    with pytest.raises(UnfillableError):
        fill(schema, Random(0))

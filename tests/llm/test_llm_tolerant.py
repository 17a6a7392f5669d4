"""Reading what models write: everything whole is found, nothing is made up."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errorbook.llm import structured, tolerant
from errorbook.llm.records import InvalidReply
from errorbook.records import Record

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.text(max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4) | st.lists(VALUES)


class Note(Record, frozen=True, kw_only=True):
    thought: str
    answer: int


class Page(Record, frozen=True, kw_only=True):
    title: str
    notes: tuple[Note, ...] = ()


@QUICK
@given(OBJECTS, st.booleans())
def test_whole_json_is_read_as_the_standard_library_does(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert list(tolerant.find_values(text)) == [json.loads(text)]


@QUICK
@given(OBJECTS, st.text(alphabet=st.characters(exclude_characters="{[")), st.sampled_from(["", "```json\n", "Sure!\n"]))
def test_text_around_the_value_is_no_matter(value: Any, prose: str, opening: str) -> None:
    text = f"{opening}{json.dumps(value)}\n```{prose}"

    assert list(tolerant.find_values(text)) == [value]


@given(st.text(alphabet='{}[]":,\\ab1-e.u tru'))
def test_nothing_crashes_the_reader(text: str) -> None:
    list(tolerant.find_values(text))


@QUICK
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), st.data())
def test_a_reply_that_was_cut_off_is_never_taken_for_the_whole(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    assert value not in list(tolerant.find_values(cut)) or value in value.values()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": "two\nlines\tand a tab"}', {"a": "two\nlines\tand a tab"}),
        (r'{"a": "\(x + 1\)"}', {"a": r"\(x + 1\)"}),
        ('{"a": True, "b": None}', {"a": True, "b": None}),
        (r'{"a": "\ud83d\ude00\u00e9"}', {"a": "😀é"}),
        (r'{"a": "half \ud83d a pair"}', {"a": r"half \ud83d a pair"}),
    ],
)
def test_small_faults_are_forgiven(text: str, value: Any) -> None:
    assert list(tolerant.find_values(text)) == [value]


@pytest.mark.parametrize(
    "text", ["", "no", '{"a": 1', '{"a"', '{"a": "b}', "[1, 2", "{'a': 1}", "{a: 1}", "{,}", "[,]", "{" * 5000]
)
def test_what_is_not_whole_has_no_value(text: str) -> None:
    assert list(tolerant.find_values(text)) == []


def test_deep_nesting_is_refused_rather_than_followed() -> None:
    assert len(list(tolerant.find_values("[" * 100 + "]" * 100))) <= 1


def test_the_last_fitting_value_is_meant() -> None:
    read = structured.make_reader(Note)

    text = 'Let me try {"answer": 3}. Or: {"thought": "a", "answer": 4}. No: {"thought": "b", "answer": 5}.'

    assert read(text) == Note(thought="b", answer=5)


@pytest.mark.parametrize("half", ["\ud83d", "\udc00\ud800"])
@pytest.mark.parametrize(
    "text",
    [
        '{"thought": "a%s", "answer": 4}',
        'Well%s: {"thought": "a", "answer": 4}',
        '{"thought": "a%s", "answer": 4,}',
    ],
)
def test_half_a_character_is_read_as_a_mark_that_can_be_kept(text: str, half: str) -> None:
    note = structured.make_reader(Note)(text.replace("%s", half))

    assert note.answer == 4
    assert note.thought in {"a", "a" + "\ufffd" * len(half)}
    assert msgspec.json.decode(msgspec.json.encode(note), type=Note) == note


def test_the_two_halves_of_a_character_are_that_character() -> None:
    note = structured.make_reader(Note)('{"thought": "\ud83d\ude00", "answer": 4}')

    assert note.thought == "\U0001f600"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("I cannot do that.", "no complete JSON object"),
        ('{"thought": "a", "answer": "4"}', "`$.answer`"),
        ('{"thought": "a"}', "`answer`"),
        ('{"thought": "a", "more\udcff": 1}', "`more\ufffd`"),
    ],
)
def test_an_invalid_reply_says_where(text: str, words: str) -> None:
    with pytest.raises(InvalidReply) as caught:
        structured.make_reader(Note)(text)

    assert words in str(caught.value)


def test_a_schema_is_self_contained_strict_and_in_the_order_of_thought() -> None:
    schema = msgspec.json.decode(structured.schema_of(Page))
    note = schema["properties"]["notes"]["items"]

    assert "$ref" not in structured.schema_of(Page)
    assert schema["required"] == ["title", "notes"]
    assert schema["additionalProperties"] is False
    assert "title" in schema["properties"]
    assert list(note["properties"]) == ["thought", "answer"]
    assert note["additionalProperties"] is False

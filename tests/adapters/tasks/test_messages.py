"""Rows that hold a conversation: in files and data sets, in the spellings of others, compared and divided rightly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from errorbook import plugins
from errorbook.adapters.tasks.splits import choose_split
from errorbook.checks.groups import find_groups
from errorbook.checks.taken import Protected, Taken
from errorbook.errors import DataError
from errorbook.importing.check_samples import put_question
from errorbook.importing.sample_rows import read_samples
from errorbook.interfaces import Task
from errorbook.records import Example, Message, read_messages, read_talk
from errorbook.select import refuse_shared
from errorbook.setup.data_layout import inspect_data

SYSTEM = {"role": "system", "content": "Answer in one word."}
FIRST = [{"role": "user", "content": "I keep bees in Ghent."}, {"role": "assistant", "content": "How nice."}]


def asked(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def load(path: Path, kind: str = "jsonl", **options: Any) -> dict[str, Example]:
    task: Task = plugins.create(
        "tasks", kind, {"path": str(path), "scorer": "exact", "messages": "messages", **options}
    )
    found: list[Example] = []
    for split in ("train", "dev", "test"):
        try:
            found += task.examples(split, None, 0)
        except DataError:
            continue
    return {example.question: example for example in found}


def written(tmp_path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_last_message_of_the_user_is_asked_after_all_before_it(tmp_path: Path) -> None:
    rows = [
        {"messages": [SYSTEM, *FIRST, asked("Where do I live?")], "answer": "Ghent"},
        {"messages": [asked("Where is Rome?")], "answer": "Italy"},
    ]
    found = load(written(tmp_path, rows))

    talk = found["Where do I live?"]
    assert [(one.role, one.content) for one in talk.before] == [
        ("system", "Answer in one word."),
        ("user", "I keep bees in Ghent."),
        ("assistant", "How nice."),
    ]
    assert (talk.answer, talk.solution) == ("Ghent", "")
    assert found["Where is Rome?"].before == ()


def test_an_answer_of_the_assistant_is_the_gold_one_or_its_solution(tmp_path: Path) -> None:
    end = {"role": "assistant", "content": "12 hives and 3 more.\n#### 15"}
    rows: list[dict[str, Any]] = [
        {"messages": [asked("How many hives?"), end]},
        {"messages": [asked("How many bees?"), end], "answer": "9"},
    ]
    found = load(written(tmp_path, rows), after="####")

    assert (found["How many hives?"].answer, found["How many hives?"].solution) == ("15", "12 hives and 3 more.")
    assert (found["How many bees?"].answer, found["How many bees?"].solution) == ("9", end["content"])


def test_a_parquet_file_and_json_in_a_cell_hold_messages_as_well(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    talk = [SYSTEM, asked("Where is Oslo?")]
    parquet.write_table(pyarrow.Table.from_pylist([{"messages": talk, "answer": "Norway"}]), tmp_path / "talks.parquet")
    (tmp_path / "talks.csv").write_text("messages;answer\n" + '"' + json.dumps(talk).replace('"', '""') + '";Norway\n')

    for kind in ("parquet", "csv"):
        [example] = load(tmp_path / f"talks.{kind}", kind).values()
        assert example.before == (Message(role="system", content="Answer in one word."),)
        assert example.question == "Where is Oslo?"


@pytest.mark.parametrize(
    "value",
    [
        [{"from": "system", "value": "S"}, {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}],
        [{"role": "developer", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "model", "content": "A"}],
        [
            {"role": "system", "content": [{"type": "text", "text": "S"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "Q"}]},
            {"role": "assistant", "content": ["A"], "tool_calls": []},
        ],
        [{"role": "System", "content": "S"}, {"role": "USER", "content": "Q"}, {"role": "assistant", "content": "A"}],
    ],
)
def test_other_spellings_are_understood(value: Any) -> None:
    talk = read_talk(value)

    assert (talk.before, talk.question, talk.answer) == ((Message(role="system", content="S"),), "Q", "A")


def test_neighbours_of_one_role_are_one_message() -> None:
    found = read_messages([asked("A"), asked("B"), {"role": "assistant", "content": None}, asked("C")])

    assert found == (Message(role="user", content="A\n\nB\n\nC"),)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("What?", "is no list of messages"),
        ([], "is no list of messages"),
        ([{"role": "user"}, "x"], "holds no role and content (message 2)"),
        ([{"role": "tool", "content": "3"}], "of the role 'tool'"),
        ([asked("Q"), {"role": "assistant", "tool_calls": [{"id": 1}]}], "calls a tool"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "something else than text"),
        ([asked("Q"), {"role": "assistant", "content": "A"}, SYSTEM], "system message behind others"),
        ([SYSTEM], "no message of the user"),
        ([{"role": "assistant", "content": "Hello"}], "answer to no question"),
    ],
)
def test_what_cannot_be_asked_again_is_refused_with_its_line(value: Any, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, [{"messages": value, "answer": "A"}])

    with pytest.raises(DataError) as refused:
        plugins.create("tasks", "jsonl", {"path": str(path), "messages": "messages"}).examples("train", 1, 0)
    assert said in str(refused.value)
    assert "line 1" in str(refused.value)


def talk(id: str, question: str, *before: tuple[str, str], **given: Any) -> Example:
    messages = tuple(Message(role=role, content=text) for role, text in before)  # type: ignore[arg-type]
    return Example(id=id, task="t", split="train", question=question, answer="A", before=messages, **given)


def test_questions_of_one_conversation_stay_in_one_split(tmp_path: Path) -> None:
    for number in range(30):
        opening = [asked(f"I have {number} bees and a question."), {"role": "assistant", "content": "Ask."}]
        more = [asked("Where?"), {"role": "assistant", "content": "There."}]
        rows = [
            {"messages": [opening[0]], "answer": "A"},
            {"messages": [*opening, asked("Where do they fly?")], "answer": "A"},
            {"messages": [*opening, *more, asked("When do they fly?")], "answer": "A"},
        ]
        assert len({example.split for example in load(written(tmp_path, rows)).values()}) == 1


def test_a_question_without_turns_keeps_its_split(tmp_path: Path) -> None:
    for number in range(20):
        text = f"Number {number}?"
        [example] = load(written(tmp_path, [{"messages": [SYSTEM, asked(text)], "answer": "A"}])).values()
        assert example.split == choose_split(text, "train", {"train"})


def test_equal_words_under_another_system_message_are_another_question(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "system", "content": f"The report of {city}."}, asked("Sum it up.")], "answer": city}
        for city in ("Ghent", "Bruges", "Antwerp")
    ]
    path = written(tmp_path, rows)
    task: Task = plugins.create("tasks", "jsonl", {"path": str(path), "messages": "messages", "scorer": "exact"})
    split = choose_split("Sum it up.", "train", {"train"})

    assert len({example.id for example in task.examples(split, None, 0)}) == 3


def test_groups_see_turns_and_system_messages() -> None:
    passage = " ".join(f"word{number}" for number in range(40))
    report = ("Bees were few in the spring.", "The harbour is silting up again.", "Nobody came to the fair at all.")
    documents = [talk(text[:4], "Sum it up, please.", ("system", text)) for text in report]
    assert find_groups(documents) == ()
    kind = ("system", "Be kind.")
    same = [talk("a", "Sum it up, please.", kind), talk("b", "Sum it up,  please.", kind)]
    assert find_groups(same) == (("a", "b"),)
    shared = [talk("a", "Who?", ("user", passage), ("assistant", "Yes.")), talk("b", "When?", ("user", passage))]
    assert find_groups(shared) == (("a", "b"),)
    apart = [talk("a", "And then?", ("user", "I sold a cow.")), talk("b", "And then?", ("user", "We lost the cup."))]
    assert find_groups(apart) == ()


def test_the_same_words_after_another_conversation_are_not_taken() -> None:
    cow, cup = talk("a", "And what came after that?", ("user", "A cow.")), talk("b", "x", ("user", "A cup."))
    taken = Taken(0.8)
    taken.add(cow.question, cow.before)

    assert taken.clash("And what came after that?", cow.before) is not None
    assert taken.clash("And, what came after that?", cow.before) is not None
    assert taken.clash("And what came after that?", cup.before) is None
    assert taken.clash("And what came after that?") is None


def test_shots_and_the_place_of_a_question_do_not_make_it_another() -> None:
    shot = (Message(role="user", content="1 + 1?", shot=True), Message(role="assistant", content="2", shot=True))
    taken = Taken(0.8)
    taken.add("What is 3 + 3?")

    assert taken.clash("What is 3 + 3?", shot) is not None


def test_nothing_of_a_held_out_conversation_may_be_in_a_sample() -> None:
    words = "the quick brown beekeeper jumped over seven lazy hives before noon"
    held = talk("h", "And then?", ("user", f"Yesterday {words}."), ("assistant", "Indeed."))
    protected = Protected([held], [], 8)

    assert protected.clash(f"Is it true that {words}?", "A") is not None
    assert protected.clash("And then?", "A") is None
    assert protected.clash("And then?", "A", held.before) is not None


def test_shared_conversations_are_refused_and_shared_words_are_not() -> None:
    same = {"train": [talk("a", "And?", ("user", "x"))], "dev": [talk("b", "And?", ("user", "x"))]}
    with pytest.raises(DataError, match="train questions as well"):
        refuse_shared("t", same)  # type: ignore[arg-type]
    other = {"train": [talk("a", "And?", ("user", "x"))], "dev": [talk("b", "And?", ("user", "y"))]}
    refuse_shared("t", other)  # type: ignore[arg-type]


def test_init_finds_a_conversation(tmp_path: Path) -> None:
    path = written(tmp_path, [{"messages": [SYSTEM, asked("Where?"), {"role": "assistant", "content": "Here."}]}])

    layout = inspect_data(path)
    assert (layout.messages, layout.question, layout.answer) == ("messages", "", "")


def test_samples_in_chat_form_are_read_and_written_back(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "3 + 3 = 6\nAnswer: 6"}
    rows: list[dict[str, Any]] = [
        {"messages": [SYSTEM, asked("Question: What is 3 + 3?"), answer]},
        {"conversations": [{"from": "human", "value": "What is 4 + 4?"}, {"from": "gpt", "value": "Answer: 8"}]},
    ]
    found = list(read_samples(written(tmp_path, rows), "t", plugins.create("scorers", "numeric")))

    assert [one.draft.answer for one in found] == ["6", "8"]
    assert found[0].draft.before == (Message(role="system", content="Answer in one word."),)
    values: dict[str, Any] = dict(rows[0])
    put_question(values, "What is 3 + 3?")
    assert values["messages"][1]["content"] == "What is 3 + 3?"
    assert rows[0]["messages"][1]["content"] == "Question: What is 3 + 3?"

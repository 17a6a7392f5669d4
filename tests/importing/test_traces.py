"""Logs of requests with their responses, in the forms of several programs, and runs that start from such a book."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from errorbook import plugins
from errorbook.cli.import_logs import import_logs
from errorbook.config import parse
from errorbook.errors import DataError
from errorbook.importing.logs.entry import Logged
from errorbook.importing.logs.formats import read_log
from errorbook.interfaces import Task
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Draft, Example, Message

SYSTEM = {"role": "system", "content": "You sell chairs."}
TURNS = [
    {"role": "user", "content": "I have 12 chairs."},
    {"role": "assistant", "content": "Noted."},
    {"role": "user", "content": "I sold 5. How many are left?"},
]
REQUEST: dict[str, Any] = {"model": "shop-1", "messages": [SYSTEM, *TURNS], "temperature": 0.2}
RESPONSE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "shop-1-2026",
    "choices": [{"message": {"role": "assistant", "content": "8 are left."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 30, "completion_tokens": 4},
}
ANSWERED = {"role": "assistant", "content": "8 are left."}
RESPONSES = {
    "model": "shop-1-2026",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "8 are left."}]},
    ],
    "usage": {"output_tokens": 4},
}


def read(tmp_path: Path, *rows: Any) -> list[Logged]:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = read_log(path)
    assert log.format.startswith("requests with responses")
    return log.entries


@pytest.mark.parametrize(
    "row",
    [
        {"request": REQUEST, "response": RESPONSE},
        {"request": json.dumps(REQUEST), "response": json.dumps(RESPONSE)},
        {"request": {"method": "POST", "body": REQUEST}, "response": {"status_code": 200, "body": RESPONSE}},
        {"request_body": json.dumps(REQUEST), "response_body": RESPONSE, "status": 200},
        {**REQUEST, **RESPONSE},
        {"messages": [SYSTEM, *TURNS], "response": "8 are left."},
        {"messages": [SYSTEM, *TURNS, ANSWERED], "model": "shop-1"},
        {"inputs": {"messages": [SYSTEM, *TURNS]}, "outputs": {"messages": [ANSWERED]}},
        {"input": [SYSTEM, *TURNS], "output": ANSWERED},
        {"input": {"messages": [SYSTEM, *TURNS]}, "output": {"message": ANSWERED}},
        {"request": {"model": "m", "instructions": "You sell chairs.", "input": TURNS}, "response": RESPONSES},
        {
            "request": {"model": "c", "system": "You sell chairs.", "messages": TURNS},
            "response": {"content": [{"type": "text", "text": "8 are left."}], "stop_reason": "end_turn"},
        },
    ],
)
def test_an_exchange_is_a_question_after_its_conversation(row: dict[str, Any], tmp_path: Path) -> None:
    [entry] = read(tmp_path, row)

    assert entry.question == "I sold 5. How many are left?"
    assert entry.before == (
        Message(role="system", content="You sell chairs."),
        Message(role="user", content="I have 12 chairs."),
        Message(role="assistant", content="Noted."),
    )
    assert entry.text == "8 are left."
    assert not entry.truncated


def test_model_tokens_and_the_cut_are_those_of_the_response(tmp_path: Path) -> None:
    cut = {**RESPONSE, "choices": [{"message": ANSWERED, "finish_reason": "length"}]}
    whole, short = read(tmp_path, {"request": REQUEST, "response": RESPONSE}, {"request": REQUEST, "response": cut})

    assert (whole.model, whole.tokens, whole.truncated) == ("shop-1-2026", 4, False)
    assert short.truncated
    assert (whole.id, short.id) == ("log:1", "log:2")


def test_a_single_prompt_of_a_responses_request_is_a_question(tmp_path: Path) -> None:
    [entry] = read(tmp_path, {"request": {"model": "m", "input": "Left?"}, "response": RESPONSES})

    assert (entry.question, entry.before) == ("Left?", ())


@pytest.mark.parametrize(
    ("told", "label"),
    [
        ({"is_correct": False}, "wrong"),
        ({"feedback": {"score": 1}}, "right"),
        ({"feedback": "thumbs_down"}, "wrong"),
        ({"metadata": {"verdict": "correct"}}, "right"),
        ({"rating": "👎"}, "wrong"),
        ({"feedback": {"value": -1}}, "wrong"),
        ({"score": 0.5}, ""),
        ({}, ""),
    ],
)
def test_labels_stand_beside_the_exchange(told: dict[str, Any], label: str, tmp_path: Path) -> None:
    [entry] = read(tmp_path, {"request": REQUEST, "response": RESPONSE, **told})

    assert entry.label == label


def test_gold_answers_stand_beside_the_exchange(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"answer": "7"}, {"metadata": {"expected": "7", "category": "stock"}}, {}]
    entries = read(tmp_path, *({"request": REQUEST, "response": RESPONSE, **row} for row in rows))

    assert [entry.answer for entry in entries] == ["7", "7", ""]
    assert entries[1].skill == "stock"


def test_a_failed_request_has_no_response(tmp_path: Path) -> None:
    [first, second] = read(
        tmp_path, {"request": REQUEST, "response": None, "error": "timeout"}, {"request": REQUEST, "response": {}}
    )

    assert (first.text, second.text) == ("", "")


def test_exchanges_with_tools_and_images_are_left_out_and_counted(tmp_path: Path) -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    rows: list[dict[str, Any]] = [
        {"request": REQUEST, "response": RESPONSE},
        {"request": REQUEST, "response": {"choices": [{"message": calling}]}},
        {"request": {"messages": [image]}, "response": RESPONSE},
        {"request": {"model": "m", "input": TURNS}, "response": {"output": [{"type": "function_call"}]}},
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = read_log(path)

    assert len(log.entries) == 1
    assert log.note.startswith("3 of 4 exchanges are left out")
    path.write_text(json.dumps(rows[1]) + "\n")
    with pytest.raises(DataError, match="None of 1 exchanges"):
        read_log(path)


def test_plain_rows_stay_plain(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"input": "2 + 2?", "output": "4", "model": "m", "answer": "4"}) + "\n")

    assert read_log(path).format.startswith("plain rows")


def test_the_harness_conversation_is_what_stood_before(tmp_path: Path) -> None:
    sent = [SYSTEM, {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}, TURNS[2]]
    path = tmp_path / "samples.jsonl"
    row = {"doc": {"question": "How many?", "answer": "7"}, "resps": [["7"]], "arguments": [[json.dumps(sent), {}]]}
    path.write_text(json.dumps(row) + "\n")
    [entry] = read_log(path).entries

    assert entry.question == "How many?"
    assert [(one.role, one.shot) for one in entry.before] == [("system", False), ("user", True), ("assistant", True)]


def test_an_inspect_log_keeps_system_and_turns(tmp_path: Path) -> None:
    sample = {"id": 1, "input": TURNS, "target": "7", "messages": [SYSTEM, *TURNS, ANSWERED]}
    choices = [{"message": ANSWERED, "stop_reason": "stop"}]
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval": {"model": "m"}, "samples": [{**sample, "output": {"choices": choices}}]}))
    [entry] = read_log(path).entries

    assert entry.question == "I sold 5. How many are left?"
    assert [one.role for one in entry.before] == ["system", "user", "assistant"]


def test_an_inspect_sample_with_tools_is_read_by_its_questions(tmp_path: Path) -> None:
    turns = [TURNS[0], {"role": "tool", "content": "3"}, TURNS[2]]
    sample = {"id": 1, "input": turns, "output": {"choices": [{"message": ANSWERED}]}}
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval": {}, "samples": [sample]}))
    [entry] = read_log(path).entries

    assert entry.question == "I have 12 chairs.\n\nI sold 5. How many are left?"
    assert entry.before == ()


def test_keys_in_a_log_are_not_kept(tmp_path: Path) -> None:
    key = "sk-" + "abcDEF123456" * 3
    told = {"model": "m", "messages": [{"role": "system", "content": f"Use {key}."}, {"role": "user", "content": key}]}
    [entry] = read(tmp_path, {"request": told, "response": f"I used {key}."})

    assert key not in f"{entry.question} {entry.text} {entry.before}"
    assert entry.text == "I used [key]."


# From the book to a run --------------------------------------------------------------------------------------------


def traces(count: int = 60) -> list[dict[str, Any]]:
    """Exchanges about sums; every third answer is wrong and labelled so, and half of the rows have a gold answer."""
    rows = []
    for n in range(count):
        said, gold = n + (7 if n % 3 else 8), n + 7
        row = {
            "request": {"model": "shop-1", "messages": [SYSTEM, {"role": "user", "content": f"What is {n} + 7?"}]},
            "response": {"choices": [{"message": {"role": "assistant", "content": f"{said}"}}]},
            "feedback": "up" if said == gold else "down",
        }
        rows.append(row | ({"answer": str(gold)} if n % 2 else {}))
    return rows


def imported(tmp_path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    log = tmp_path / "traces.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    book = tmp_path / "book"
    reply = CliRunner().invoke(import_logs, [str(log), "--task", "arithmetic", "--out", str(book)])
    assert reply.exit_code == 0, reply.output
    return book


def make(book: Path, **options: Any) -> Task:
    task: Task = plugins.create("tasks", "book", {"path": str(book), "scorer": "numeric", **options})
    return task


def test_a_book_is_a_task_that_asks_what_was_asked(tmp_path: Path) -> None:
    task = make(imported(tmp_path, traces()))
    train, dev, test = (task.examples(split, None, 1) for split in ("train", "dev", "test"))

    found = [*train, *dev, *test]
    assert {example.before for example in found} == {(Message(role="system", content="You sell chairs."),)}
    # Wrong without a gold answer: nobody knows what would be right.
    assert len(found) == 50
    assert all(str(int(one.question.split()[2]) + 7) == one.answer for one in found)
    assert len(dev) > 3
    assert len(test) > 3


def test_what_was_wrong_is_examined_first(tmp_path: Path) -> None:
    train = make(imported(tmp_path, traces())).examples("train", None, 1)
    wrong = [int(one.question.split()[2]) % 3 == 0 for one in train]

    assert any(wrong)
    assert wrong == sorted(wrong, reverse=True)
    shorter = make(tmp_path / "book").examples("train", 5, 1)
    assert [one.id for one in shorter] == [one.id for one in train[:5]]


def test_a_judge_can_do_without_answers(tmp_path: Path) -> None:
    task = make(imported(tmp_path, traces()), scorer="judge")

    assert sum(len(task.examples(split, None, 1)) for split in ("train", "dev", "test")) == 60


def test_a_run_starts_from_a_book(tmp_path: Path) -> None:
    book = imported(tmp_path, traces())
    config = parse(
        f"""
[run]
name = "from-traces"
cycles = 1

[target]
engine = "scripted"
accuracy = 0.5
gain = 0.4

[instructor]
kind = "scripted"

[[tasks]]
name = "shop"
kind = "book"
path = "{book}"
scorer = "numeric"
train = 20

[strategy]
retriever = "scripted"

[verify]
answers = "trust"

[train]
method = "scripted"
"""
    )
    run(config, tmp_path / "run")
    with open_ledger(tmp_path / "run") as ledger:
        examples = list(ledger.all(Example))
        assert {example.task for example in examples} == {"shop"}
        assert sum(example.split == "train" for example in examples) == 20
        drafts = list(ledger.all(Draft))
        assert drafts
        assert {draft.before for draft in drafts} == {(Message(role="system", content="You sell chairs."),)}


def test_what_is_no_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no error book"):
        make(tmp_path / "none").examples("train", 1, 0)
    _run_small(tmp_path / "run")
    with pytest.raises(DataError, match="is a run and no imported book"):
        make(tmp_path / "run").examples("train", 1, 0)


def _run_small(folder: Path) -> None:
    text = '[run]\nname = "x"\ncycles = 1\n[target]\nengine = "scripted"\n[[tasks]]\nname = "arithmetic"\ntrain = 13\n'
    run(parse(text + 'dev = 13\ntest = 13\n[strategy]\nretriever = "scripted"\n[train]\nmethod = "scripted"\n'), folder)

"""What a log holds as a model's reasoning is kept as the thought of the response, and is not judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from errorbook.adapters.scorers.contains import Contains
from errorbook.config import TaskSection
from errorbook.importing.book import rescore, write_books
from errorbook.importing.logs.entry import Logged
from errorbook.importing.logs.formats import read_log
from errorbook.ledger.file import open_ledger
from errorbook.records import Evaluation, Response


def logged(path: Path, value: Any) -> Logged:
    path.write_text(json.dumps(value) + ("\n" if path.suffix == ".jsonl" else ""), encoding="utf-8")
    [entry] = read_log(path).entries
    return entry


def exchange(message: dict[str, Any]) -> dict[str, Any]:
    asked = {"model": "m", "messages": [{"role": "user", "content": "How much is 9 + 9?"}]}
    return {"request": asked, "response": {"choices": [{"message": {"role": "assistant", **message}}]}}


@pytest.mark.parametrize(
    "message",
    [
        {"content": "18", "reasoning_content": "Is it 17?"},
        {"content": "18", "reasoning": "Is it 17?"},
        {"content": "<think>Is it 17?</think>\n\n18"},
    ],
)
def test_a_trace_has_its_thought_apart(message: dict[str, Any], tmp_path: Path) -> None:
    response = book_of(logged(tmp_path / "traces.jsonl", exchange(message)), tmp_path)

    assert (response.text, response.thought, response.truncated) == ("18", "Is it 17?", False)


def book_of(entry: Logged, folder: Path) -> Response:
    """The response as the book keeps it, judged by a scorer that reads whatever it is given."""
    entry = Logged(**{name: getattr(entry, name) for name in entry.__struct_fields__} | {"answer": "17"})
    [judged] = rescore([entry], "gsm8k", Contains(), lambda done, total: None)
    [path] = write_books(folder / "book", TaskSection(name="gsm8k"), [judged], "contains")
    with open_ledger(path, "read") as ledger:
        [evaluation] = ledger.all(Evaluation)
        [response] = ledger.responses(evaluation)
    return response


def test_the_thought_is_not_judged(tmp_path: Path) -> None:
    # The gold answer stands in the thought alone.
    entry = Logged(id="a", place="line 1", question="?", text="18", thought="Is it 17?")
    assert book_of(entry, tmp_path).score.verdict == "wrong"


def test_a_log_of_a_thought_alone_is_cut_off_and_no_mistake(tmp_path: Path) -> None:
    entry = Logged(id="a", place="line 1", question="?", text="", thought="Is it 17? No, m")
    response = book_of(entry, tmp_path)

    assert (response.text, response.thought, response.truncated) == ("", "Is it 17? No, m", True)
    assert response.score.verdict == "unscorable"


def test_inspects_reasoning_parts_are_the_thought(tmp_path: Path) -> None:
    content = [{"type": "reasoning", "reasoning": "Is it B? No."}, {"type": "text", "text": "C"}]
    choice = {"message": {"role": "assistant", "content": content}, "stop_reason": "stop"}
    sample = {
        "id": 1,
        "epoch": 1,
        "input": "Which one?",
        "target": "C",
        "output": {"choices": [choice]},
        "messages": [],
    }
    entry = logged(
        tmp_path / "log.json",
        {"version": 2, "status": "success", "eval": {"task": "t", "model": "org/m"}, "samples": [sample]},
    )

    assert (entry.text, entry.thought) == ("C", "Is it B? No.")
    assert entry.said == "<think>Is it B? No.</think>\nC"

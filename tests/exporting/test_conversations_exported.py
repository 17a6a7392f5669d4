"""Exported samples keep the system message, the shots and the turns that their questions come after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from errorbook.config import parse
from errorbook.exporting.samples import Wanted, rows, write
from errorbook.ledger.file import open_ledger
from errorbook.loop import run

RUN = """
[run]
name = "talks"
cycles = 1

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.4

[instructor]
kind = "scripted"

[[tasks]]
name = "shop"
kind = "jsonl"
path = "{path}"
messages = "messages"
train = 10
dev = 4
test = 4
{keys}

[strategy]
retriever = "scripted"

[verify]
answers = "trust"

[train]
method = "scripted"
"""


def talk(number: int) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": f"I have {number} chairs in the store."},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": f"What is {number} + {number + 1}?"},
        {"role": "assistant", "content": f"{number} + {number + 1} = {2 * number + 1}"},
    ]
    own = [{"role": "system", "content": "Own words."}] if number % 2 else []
    return {"messages": [*own, *turns], "answer": str(2 * number + 1)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talks")
    (folder / "talks.jsonl").write_text("".join(json.dumps(talk(number)) + "\n" for number in range(40)))
    keys = 'system = "The task\'s words."\nshots = 1'
    run(parse(RUN.format(path=folder / "talks.jsonl", keys=keys)), folder / "run")
    return folder / "run"


def exported(finished: Path, folder: Path, form: Any) -> list[dict[str, Any]]:
    with open_ledger(finished, "read") as ledger:
        write(folder, form, rows(ledger, Wanted(pairs=form != "jsonl")))
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_chat_rows_are_whole_conversations(finished: Path, tmp_path: Path) -> None:
    found = exported(finished, tmp_path, "chat")

    assert found
    for row in found:
        messages = row["messages"]
        assert [one["role"] for one in messages] == ["system", *["user", "assistant"] * 4]
        assert messages[0]["content"] in {"Own words.", "The task's words."}
        assert "chairs" in messages[-4]["content"]
        assert set(messages[1]) == {"role", "content"}
    assert len({row["messages"][0]["content"] for row in found}) == 2


def test_alpaca_rows_have_them_as_system_and_history(finished: Path, tmp_path: Path) -> None:
    for row in exported(finished, tmp_path, "alpaca"):
        assert row["system"]
        assert len(row["history"]) == 3
        assert all(len(pair) == 2 for pair in row["history"])


def test_full_rows_and_data_sets_tell_what_stands_before(finished: Path, tmp_path: Path) -> None:
    [first, *_] = exported(finished, tmp_path, "jsonl")
    assert first["before"][0]["role"] == "system"
    parquet = pytest.importorskip("pyarrow.parquet")
    with open_ledger(finished, "read") as ledger:
        write(tmp_path, "datasets", rows(ledger, Wanted(pairs=True)))
    [table, *_] = parquet.read_table(tmp_path / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert table["before"][0]["role"] == "system"
    assert len(table["messages"]) == len(table["before"]) + 2


def test_a_run_of_conversations_is_asked_after_their_own_words(finished: Path) -> None:
    from errorbook.records import Draft, Example

    with open_ledger(finished, "read") as ledger:
        examples = {example.before for example in ledger.all(Example)}
        drafts = {draft.before for draft in ledger.all(Draft)}
    assert drafts <= examples
    assert len(drafts) > 3

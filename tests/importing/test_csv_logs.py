"""Logs in CSV and TSV: the same entries as from JSON Lines with the same columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from errorbook.cli.import_logs import import_logs
from errorbook.errors import DataError
from errorbook.importing.logs.entry import Logged
from errorbook.importing.logs.formats import read_log

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": 'What is "pi"; roughly?'}]
ANSWERED = {
    "model": "m-1",
    "choices": [{"message": {"role": "assistant", "content": "3.14,\nroughly"}, "finish_reason": "length"}],
    "usage": {"completion_tokens": 6},
}
LOGS: dict[str, list[dict[str, Any]]] = {
    "plain": [
        {"id": "007", "question": "2, 3 and 4: sum?", "answer": "0.10", "response": "[1, 2]", "is_correct": False},
        {"id": "8", "question": '{"a": 1}', "answer": "[1]", "response": '{"a": 2}', "is_correct": True},
        {"id": "9", "question": "Say nothing.", "answer": "", "response": "", "is_correct": None},
    ],
    "options": [
        {"question": "Floats?", "choices": ["iron", "cork", "2"], "answer": 1, "response": "B", "correct": 1},
        {"question": "Sinks?", "choices": ["iron", "cork"], "answer": "A", "response": "B", "correct": 0},
    ],
    "letters": [{"question": "Floats?", "A": "iron", "B": "cork", "answer": "B", "response": "A", "subject": "wood"}],
    "bodies": [
        {"request": {"messages": ASKED}, "response": ANSWERED, "feedback": {"score": 0, "answer": "3.14"}},
        {"request": {"messages": ASKED}, "response": ANSWERED, "feedback": {"score": 1, "answer": "3.14"}},
    ],
    "thumbs": [
        {"messages": ASKED, "output": "3.14", "rating": -1},
        {"messages": ASKED, "output": "3.2", "rating": 1},
        {"messages": ASKED, "output": "", "rating": None},
    ],
    "replies": [{"messages": ASKED, "choices": ANSWERED["choices"], "model": "m-2", "label": "up"}],
    "models": [{"question": "1 + 1?", "ground_truth": "2", "small": {"solution": "It is 3.", "is_correct": False}}],
}


def in_cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def read(path: Path, rows: Sequence[dict[str, Any]]) -> list[Logged]:
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            table = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t")
            table.writerow(["", *rows[0]])  # as data frames are written: their numbers first
            table.writerows([number, *map(in_cell, row.values())] for number, row in enumerate(rows))
    return [msgspec.structs.replace(entry, place="") for entry in read_log(path).entries]


@pytest.mark.parametrize("ending", ["csv", "tsv", "CSV"])
@pytest.mark.parametrize("rows", LOGS.values(), ids=LOGS)
def test_a_table_is_read_like_json_with_the_same_columns(
    rows: list[dict[str, Any]], ending: str, tmp_path: Path
) -> None:
    rows = [{"task_id": f"t{number}", **row} for number, row in enumerate(rows)]

    assert read(tmp_path / f"log.{ending}", rows) == read(tmp_path / "log.jsonl", rows)


def test_an_entry_of_a_table_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('question,response,correct\n"Two\nlines?",a,yes\nOne?,b,no\n')

    entries = read_log(tmp_path / "log.csv").entries

    assert [(entry.id, entry.label) for entry in entries] == [("log:3", "right"), ("log:4", "wrong")]
    assert entries[1].place == f"line 4 of '{tmp_path / 'log.csv'}'"


def test_json_lines_may_still_be_called_csv(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('{"question": "1?", "response": "1", "correct": true}\n')

    assert [entry.label for entry in read_log(tmp_path / "log.csv").entries] == ["right"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("question,choices,response\n1?,\"['a', 'b']\",A\n", "The choices on line 2 of .* are no JSON"),
        ("question,response\n1?\n", "Line 2 of .* has 1 fields"),
        ("question,response\n", "is empty"),
        ("name,age\nAnn,3\n", "has the columns name, age, which is no log that is known"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(text)

    with pytest.raises(DataError, match=fault):
        read_log(tmp_path / "log.csv")


def test_a_table_becomes_a_book(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text(
        "prompt\tgold\tcompletion\tverdict\n1 + 1?\t2\tAnswer: 3\twrong\n2?\t2\t2\tright\n"
    )
    command = ["--task", "gsm8k", "--out", str(tmp_path / "book"), "--json", str(tmp_path / "log.tsv")]

    reply = CliRunner().invoke(import_logs, command, catch_exceptions=False)

    assert reply.exit_code == 0, reply.output
    assert (json.loads(reply.stdout)["n"], json.loads(reply.stdout)["wrong"]) == (2, 1)

"""One table of column guesses: what each command takes from a row."""

from pathlib import Path

import pytest

from errorbook.importing.logs.columns import ANSWER, QUESTION, find_columns, first_value
from errorbook.importing.logs.plain import read
from errorbook.setup.data_layout import inspect_data


def test_the_order_of_the_names_decides_and_case_does_not() -> None:
    row = {"Prompt": "p", "QUESTION": None, "answerKey": "B"}

    assert find_columns(row, QUESTION) == ["QUESTION", "Prompt"]
    assert first_value(row, QUESTION) == "p"
    assert first_value(row, ANSWER) == "B"
    assert first_value({}, ANSWER) is None


@pytest.mark.parametrize("column", ["label", "output", "gold", "Response"])
def test_a_file_of_questions_may_call_its_answer_so(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "q", "{column}": "a"}}\n')

    assert inspect_data(path)[:2] == ("text", column)


def test_in_a_log_a_label_is_the_verdict_and_no_answer() -> None:
    from errorbook.files import Row

    (entry,) = read([Row("log", 1, {"question": "q", "response": "r", "label": "right"})], "log")

    assert (entry.label, entry.answer) == ("right", "")

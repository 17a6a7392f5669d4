"""The user's own JSONL: splits that hold, and a clear sentence for every way a file can be wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook import plugins
from errorbook.adapters.tasks.jsonl import Jsonl
from errorbook.errors import ConfigError, DataError
from errorbook.interfaces import Task
from errorbook.records import Example, Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)


def everything(task: Task, seed: int = 0) -> list[Example]:
    return [example for split in SPLITS for example in task.examples(split, None, seed)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.jsonl"


def test_reads_every_line_once_in_stable_splits(path: Path) -> None:
    rows = [{"question": f"What is {i} + 1?", "answer": i + 1} for i in range(300)]
    task = plugins.create("tasks", "jsonl", {"path": write(path, rows)})
    found = everything(task)
    assert sorted(example.question for example in found) == sorted(str(row["question"]) for row in rows)
    assert len({example.id for example in found}) == 300
    assert {example.question: example.answer for example in found}["What is 7 + 1?"] == "8"
    sizes = [len(task.examples(split, None, 0)) for split in SPLITS]
    assert sizes[0] > 130
    assert min(sizes[1:]) > 30
    split_of = {example.question: example.split for example in found}
    more = Jsonl(write(path, [{"question": "a new one", "answer": "1"}, *reversed(rows)]))
    assert all(split_of.get(example.question, example.split) == example.split for example in everything(more, seed=9))


def test_numbers_are_kept_as_written(path: Path) -> None:
    path.write_text('{"question": "q", "answer": 1234567890123456789012345.10, "split": "dev"}', encoding="utf-8")
    assert Jsonl(str(path)).examples("dev", None, 0)[0].answer == "1234567890123456789012345.10"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("column", ["question", "answer"])
def test_what_is_no_number_is_refused_with_its_line(path: Path, number: str, column: str) -> None:
    row = {"question": "q", "answer": "1"} | {column: "HERE"}
    path.write_text(json.dumps(row).replace('"HERE"', number), encoding="utf-8")

    with pytest.raises(DataError, match=f"Column '{column}' on line 1"):
        Jsonl(str(path)).examples("train", None, 0)


def test_n_takes_a_prefix_and_the_seed_decides(path: Path) -> None:
    file = write(path, [{"question": f"q{i}", "answer": str(i)} for i in range(200)])
    whole = Jsonl(file).examples("train", None, 1)
    assert Jsonl(file).examples("train", 5, 1) == whole[:5]
    assert Jsonl(file).examples("train", 5, 2) != whole[:5]


@given(st.lists(st.sampled_from(["Why?", "why?", " WHY?  ", "How so?", "How  so?"]), min_size=1, max_size=8))
def test_equal_questions_never_cross_a_split(tmp_path_factory: pytest.TempPathFactory, questions: list[str]) -> None:
    rows = [{"question": question, "answer": str(i)} for i, question in enumerate(questions)]
    task = Jsonl(write(tmp_path_factory.mktemp("jsonl") / "q.jsonl", rows))
    seen: dict[str, str] = {}
    for split in SPLITS:
        try:
            found = task.examples(split, None, 3)
        except DataError:
            continue
        for example in found:
            key = " ".join(example.question.casefold().split())
            assert seen.setdefault(key, split) == split
    assert seen.keys() == {" ".join(question.casefold().split()) for question in questions}


def test_a_split_column_decides(path: Path) -> None:
    rows = [{"question": f"q{i}", "answer": "1", "split": SPLITS[i % 3]} for i in range(9)]
    task = Jsonl(write(path, rows))
    assert {example.question for example in task.examples("dev", None, 0)} == {"q1", "q4", "q7"}


def test_columns_choices_prompt_and_completion(path: Path) -> None:
    rows = [{"q": "Pick {x}", "a": "B", "o": ["one", "two"], "key": 7, "kind": "easy", "split": "train"}]
    task = Jsonl(
        write(path, rows),
        name="mine",
        question="q",
        answer="a",
        choices="o",
        id="key",
        skill="kind",
        scorer="exact",
        prompt="Think {hard}.\n{question}",
    )
    (example,) = task.examples("train", None, 0)
    assert (example.id, example.task, example.skill, example.choices) == ("7", "mine", "easy", ("one", "two"))
    assert task.prompt(example.question, example.choices) == "Think {hard}.\nPick {x}\nA. one\nB. two"
    assert task.prompt("Plain") == "Think {hard}.\nPlain"
    assert task.completion("1 + 1 = 2", "2") == "1 + 1 = 2\nAnswer: 2"
    assert (task.scorer, task.max_new_tokens) == ("exact", 256)


GOOD = '{"question": "q", "answer": "1", "id": "a"}\n'
BAD = [
    ("", "is empty"),
    ("\n \n", "is empty"),
    (GOOD + "{nope\n", "Line 2 of .* is not JSON"),
    (GOOD + "\n[1]\n", "Line 3 of .* is not a JSON object"),
    ('{"frage": "q", "answer": "1"}', "no column 'question' on line 1 .*it has frage, answer"),
    ('{"question": " ", "answer": "1"}', "Column 'question' on line 1 .* is empty"),
    ('{"question": "q", "answer": ""}', "Column 'answer' on line 1 .* is empty"),
    ('{"question": "q", "answer": null}', "Column 'answer' on line 1 .* is not text"),
    ('{"question": "q", "answer": true}', "Column 'answer' on line 1 .* is not text"),
    (GOOD + GOOD, "repeats line 1 on line 2"),
    ('{"question": "q", "answer": "1", "split": "valid"}', "split 'valid' on line 1"),
    (
        '{"question": "q", "answer": "1", "split": "dev"}\n{"question": "Q ", "answer": "2", "split": "test"}',
        "question 'Q' in the splits dev and test",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_a_bad_file_is_one_clear_sentence(path: Path, content: str, message: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        Jsonl(str(path)).examples("train", None, 0)
    assert "\n" not in str(caught.value)


def test_duplicate_ids_name_both_lines(path: Path) -> None:
    path.write_text(GOOD + "\n" + GOOD.replace('"q"', '"r"'), encoding="utf-8")
    with pytest.raises(DataError, match="id 'a' on line 1 and on line 3"):
        Jsonl(str(path), id="id").examples("train", None, 0)


def test_files_that_are_not_there_or_not_text(path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        Jsonl(str(path)).examples("train", None, 0)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        Jsonl(str(path)).examples("train", None, 0)
    with pytest.raises(DataError, match="cannot be read"):
        Jsonl(str(path.parent)).examples("train", None, 0)


def test_an_empty_split_is_refused(path: Path) -> None:
    with pytest.raises(DataError, match="no example in the dev split"):
        Jsonl(write(path, [{"question": "q", "answer": "1", "split": "train"}])).examples("dev", None, 0)


def test_choices_must_be_options(path: Path) -> None:
    file = write(path, [{"question": "q", "answer": "A", "choices": ["one"]}])
    with pytest.raises(DataError, match="not a list of 2 to 26"):
        Jsonl(file, choices="choices").examples("train", None, 0)


@pytest.mark.parametrize(
    "options", [{"dev": 0.7, "test": 0.7}, {"dev": -0.1}, {"max_new_tokens": 0}, {"prompt": "no place"}]
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Jsonl("mine.jsonl", **options)

"""The user's own data: one mapping over CSV, Parquet and hub datasets, and a sentence for every way it can be wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.csv_file import Csv
from errorbook.adapters.tasks.hub import Hub
from errorbook.adapters.tasks.jsonl import Jsonl
from errorbook.adapters.tasks.parquet import Parquet
from errorbook.adapters.tasks.splits import SPLITS
from errorbook.errors import ConfigError, DataError
from errorbook.records import Example, Split

ROWS = [{"frage": f"What is {n}, times {n}?", "antwort": n * n, "art": "squares"} for n in range(60)]
NAMES: dict[str, Any] = {"question": "frage", "answer": "antwort", "skill": "art", "name": "mine"}


def everything(task: Collection) -> dict[Split, list[Example]]:
    found: dict[Split, list[Example]] = {}
    for split in SPLITS:
        try:
            found[split] = list(task.examples(split, None, 0))
        except DataError:
            continue
    return found


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], separator: str = ",") -> str:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return str(path)


class TestOneMapping:
    def test_the_same_rows_are_the_same_examples_in_every_format(self, tmp_path: Path) -> None:
        expected = everything(Jsonl(write_jsonl(tmp_path / "a.jsonl", ROWS), **NAMES))
        tasks = [
            Csv(write_csv(tmp_path / "a.csv", ROWS), **NAMES),
            Csv(write_csv(tmp_path / "b.csv", ROWS, ";"), **NAMES),
            Csv(write_csv(tmp_path / "c.csv", ROWS, "\t"), **NAMES),
            Parquet(write_parquet(tmp_path / "a.parquet", ROWS), **NAMES),
        ]

        assert set(expected) == set(SPLITS)
        assert [everything(task) for task in tasks] == [expected] * len(tasks)
        assert all("blake2b:" in task.origin for task in tasks)

    def test_a_dataset_of_the_hub_has_them_too(self, tmp_path: Path) -> None:
        pytest.importorskip("datasets")
        write_jsonl(tmp_path / "train.jsonl", ROWS)
        expected = everything(Jsonl(str(tmp_path / "train.jsonl"), **NAMES))
        hub = Hub(str(tmp_path), **NAMES)

        assert everything(hub) == expected
        assert f"{tmp_path}/train blake2b:" in hub.origin

    def test_the_kind_is_the_name_where_none_is_given(self) -> None:
        assert [kind("x").name for kind in (Jsonl, Csv, Parquet, Hub)] == ["jsonl", "csv", "parquet", "hub"]


class TestCsvForms:
    def first(self, path: Path, text: str, **options: Any) -> Example:
        path.write_text(text, encoding="utf-8")
        return Csv(str(path), dev=0, test=0, **options).examples("train", 1, 0)[0]

    def test_a_field_may_be_long(self, tmp_path: Path) -> None:
        story = "word " * 60_000

        assert self.first(tmp_path / "a.csv", f"question,answer\n{story},4\n").question == story.strip()

    @pytest.mark.parametrize(
        "header", ['"question, as asked";answer', '"question; as asked",answer', '"question,\nas asked"\tanswer']
    )
    def test_the_header_may_quote_a_separator(self, tmp_path: Path, header: str) -> None:
        separator = next(sign for sign in ";,\t" if f'"{sign}answer' in header)
        name = header.rpartition('"')[0].removeprefix('"')

        example = self.first(tmp_path / "a.csv", f"{header}\nQ{separator}4\n", question=name)

        assert (example.question, example.answer) == ("Q", "4")

    def test_two_columns_of_one_name_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="two columns called 'note'"):
            self.first(tmp_path / "a.csv", "question,answer,note, note\nQ,4,x,y\n")

    def test_last_options_may_be_empty(self, tmp_path: Path) -> None:
        names = ["A", "B", "C", "D"]
        example = self.first(tmp_path / "a.csv", "question,A,B,C,D,answer\nQ,x,y,,,B\n", choices=names)
        assert example.choices == ("x", "y")

        with pytest.raises(DataError, match=r"'B' on line 2 .* is empty"):
            self.first(tmp_path / "b.csv", "question,A,B,C,D,answer\nQ,x,,z,,B\n", choices=names)


class TestColumns:
    def first(self, path: Path, row: Mapping[str, Any], **options: Any) -> Example:
        [[example]] = everything(Jsonl(write_jsonl(path / "one.jsonl", [row]), **options)).values()
        return example

    def test_options_may_have_a_column_each(self, tmp_path: Path) -> None:
        row = {"question": "Which?", "answer": "B", "A": "one", "B": 2}
        example = self.first(tmp_path, row, choices=("A", "B"))

        assert (example.choices, example.answer) == (("one", "2"), "B")

    def test_options_may_be_texts_with_labels(self, tmp_path: Path) -> None:
        row = {"question": "Which?", "answer": "B", "choices": {"text": ["one", "two"], "label": ["A", "B"]}}

        assert self.first(tmp_path, row, choices="choices").choices == ("one", "two")

    @pytest.mark.parametrize(("start", "answer"), [(0, "C"), (1, "B")])
    def test_numbers_of_options_become_letters(self, tmp_path: Path, start: int, answer: str) -> None:
        row = {"question": "Which?", "answer": 2, "o": ["one", "two", "three"]}

        assert self.first(tmp_path, row, choices="o", count_from=start).answer == answer

    @pytest.mark.parametrize(
        ("cells", "options", "answers"),
        [
            ({"answer": ["Niger", "Republic of Niger", "Niger"]}, {}, ("Niger", "Republic of Niger")),
            ({"answer": [5, 7]}, {}, ("5", "7")),
            ({"answer": ["Niger"]}, {}, ("Niger",)),
            ({"answer": {"text": ["a day", "24 hours"], "answer_start": [1, 9]}}, {}, ("a day", "24 hours")),
            ({"answer": ["A", "C"], "o": ["x", "y", "z"]}, {"choices": "o", "several": "all"}, ("A, C",)),
            ({"answer": ["x, y", "z"], "o": ["x, y", "y", "z"]}, {"choices": "o", "several": "all"}, ("A, C",)),
            ({"answer": [0, 2], "o": ["x", "y", "z"]}, {"choices": "o", "several": "all", "count_from": 0}, ("A, C",)),
            ({"answer": [1, 3], "o": ["x", "y", "z"]}, {"choices": "o", "count_from": 1}, ("A", "C")),
            ({"answer": [3, 5, 7]}, {"several": "all"}, ("3, 5, 7",)),
            (
                {"answer": "Niger", "more": ["Republic of Niger", "Niger"]},
                {"accepted": "more"},
                ("Niger", "Republic of Niger"),
            ),
            (
                {"answer": "Niger", "more": "NE | Republic of Niger"},
                {"accepted": "more"},
                ("Niger", "NE", "Republic of Niger"),
            ),
            ({"answer": "Niger", "more": []}, {"accepted": "more"}, ("Niger",)),
            ({"answer": "Niger", "more": ""}, {"accepted": "more"}, ("Niger",)),
        ],
    )
    def test_several_answers_are_accepted_or_all_required(
        self, tmp_path: Path, cells: dict[str, Any], options: dict[str, Any], answers: tuple[str, ...]
    ) -> None:
        example = self.first(tmp_path, {"question": "Q", **cells}, **options)

        assert (example.answer, *example.accepted) == answers

    def test_an_empty_list_of_answers_is_refused_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"'answer' on line 1 .*is empty"):
            Jsonl(write_jsonl(tmp_path / "one.jsonl", [{"question": "Q", "answer": []}])).examples("train", 1, 0)

    def test_the_answer_may_follow_a_mark_in_the_solution(self, tmp_path: Path) -> None:
        example = self.first(tmp_path, {"question": "Q", "answer": "One and one.\n#### 2"}, after="####")

        assert (example.solution, example.answer) == ("One and one.", "2")

    def test_the_solution_may_have_its_own_column(self, tmp_path: Path) -> None:
        assert self.first(tmp_path, {"question": "Q", "answer": 2, "why": "1 + 1"}, solution="why").solution == "1 + 1"

    def test_tests_judge_programs_without_a_reference_answer(self, tmp_path: Path) -> None:
        row = {"question": "Double it.", "tests": ["assert twice(1) == 2", "assert twice(2) == 4"]}
        path = write_jsonl(tmp_path / "code.jsonl", [row])
        task = Jsonl(path, tests="tests", scorer="code")
        [[example]] = everything(task).values()

        assert (example.tests, example.answer) == ("assert twice(1) == 2\nassert twice(2) == 4", "")
        assert task.completion("", "twice = int") == "```python\ntwice = int\n```"

    def test_the_entry_point_is_checked_by_the_tests(self, tmp_path: Path) -> None:
        row = {"question": "Double it.", "t": "def check(candidate):\n    assert candidate(1) == 2\n", "f": "twice"}

        assert self.first(tmp_path, row, tests="t", entry_point="f").tests.endswith("\ncheck(twice)")


class TestHubSplits:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        pytest.importorskip("datasets")
        for part in ("train", "validation", "test"):
            rows = [{"question": f"{part} {n}", "answer": str(n)} for n in range(20)]
            write_jsonl(tmp_path / f"{part}.jsonl", [*rows, {"question": "Shared?", "answer": "yes"}, rows[0]])
        return tmp_path

    def test_named_splits_are_used_and_a_repeated_question_stays_in_the_last(self, folder: Path) -> None:
        found = everything(Hub(str(folder), dev_split="validation", test_split="test"))
        shared = [split for split, examples in found.items() for e in examples if e.question == "Shared?"]

        assert {split: len(examples) for split, examples in found.items()} == {"train": 20, "dev": 20, "test": 21}
        assert shared == ["test"]

    def test_what_is_not_named_comes_out_of_train(self, folder: Path) -> None:
        found = everything(Hub(str(folder), test_split="test"))

        assert {example.question.split()[0] for example in found["dev"]} == {"train"}
        assert {example.question.split()[0] for example in found["test"]} == {"test", "Shared?"}

    def test_a_dataset_with_test_questions_only_is_halved(self, folder: Path) -> None:
        assert set(everything(Hub(str(folder), train_split="", test_split="test"))) == {"dev", "test"}

    def test_a_missing_split_or_dataset_is_one_sentence(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"cannot be loaded .*check its name, subset and split") as caught:
            Hub(str(folder), train_split="nope").examples("train", 1, 0)
        assert "\n" not in str(caught.value)
        with pytest.raises(DataError, match="cannot be loaded"):
            Hub(str(folder / "nowhere")).examples("train", 1, 0)

    def test_a_hub_that_cannot_be_reached_is_said_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        before, start = constants.HF_HUB_OFFLINE, time.monotonic()
        with pytest.raises(DataError, match=r"'nobody/nothing' cannot be loaded \(the hub cannot be reached"):
            Hub("nobody/nothing").examples("train", 1, 0)
        assert time.monotonic() - start < 30
        assert before == constants.HF_HUB_OFFLINE

    def test_ids_that_start_again_in_each_split_are_refused(self, folder: Path) -> None:
        task = Hub(str(folder), dev_split="validation", id="answer")

        with pytest.raises(DataError, match=r"has the id '.*' twice; leave out the task's 'id'"):
            task.examples("train", 1, 0)


BAD_CSV = [
    ("", "is empty"),
    ("question,answer\n", "is empty; give it a header line and one record a line"),
    ("question,answer\nq,1\nr\n", r"Line 3 of .* has 1 fields, its header 2; quote fields"),
    ('question,answer\n"q,1\n', r"Line 2 of .* is not CSV .*; close its quotes"),
    ("frage,answer\nq,1\n", "no column 'question' on line 2 .*it has frage, answer"),
    ("question,answer\nq,\n", "Column 'answer' on line 2 .* is empty"),
    ("question,answer\nq,1\nq,1\n", "repeats line 2 on line 3"),
    ("question,answer,split\nq,1,exam\n", "split 'exam' on line 2"),
]


class TestBadData:
    @pytest.mark.parametrize(("content", "message"), BAD_CSV)
    def test_a_bad_csv_is_one_sentence(self, tmp_path: Path, content: str, message: str) -> None:
        path = tmp_path / "bad.csv"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=message) as caught:
            Csv(str(path)).examples("train", None, 0)

        assert "\n" not in str(caught.value)

    def test_a_csv_record_may_span_lines_and_hold_rare_line_separators(self, tmp_path: Path) -> None:
        path = tmp_path / "long.csv"
        path.write_text('question,answer\n"one\ntwo, \u2028three",1\nfour\u2028five,2\n', encoding="utf-8")
        questions = {example.question for examples in everything(Csv(str(path))).values() for example in examples}

        assert questions == {"one\ntwo, \u2028three", "four\u2028five"}

    def test_a_file_that_is_no_parquet_is_one_sentence(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        path = tmp_path / "bad.parquet"
        path.write_text("question\n", encoding="utf-8")
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            Parquet(str(path)).examples("train", 1, 0)
        with pytest.raises(DataError, match="There is no file"):
            Parquet(str(tmp_path / "none.parquet")).examples("train", 1, 0)

    def test_a_number_that_is_none_is_refused(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "a.parquet", [{"question": "q", "answer": float("nan")}])
        with pytest.raises(DataError, match=r"Column 'answer' on row 1 of .* is not text or a number"):
            Parquet(path).examples("train", 1, 0)

    def test_an_option_number_out_of_range_names_its_line(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": 2, "o": ["x", "y"]}])
        with pytest.raises(DataError, match=r"The answer '2' on line 1 .* is not a number from 0 to 1"):
            Jsonl(path, choices="o", count_from=0).examples("train", 1, 0)

    def test_nothing_after_the_mark_names_its_line(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": "so #### "}])
        with pytest.raises(DataError, match=r"Column 'answer' on line 1 .* has nothing after '####'"):
            Jsonl(path, after="####").examples("train", 1, 0)

    @pytest.mark.parametrize("options", [{"count_from": 0}, {"entry_point": "f"}])
    def test_options_that_need_another_say_which(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="the task names no"):
            Jsonl("mine.jsonl", **options)

    def test_a_hub_task_without_any_split_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="name a train_split"):
            Hub("someone/something", train_split="")

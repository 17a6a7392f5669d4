"""`errorbook import`: which logs are understood, what their labels count for, and that a book can be added to."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errorbook import plugins
from errorbook.cli.main import cli
from errorbook.config import TaskSection
from errorbook.errors import DataError, LedgerError, UserError
from errorbook.importing.book import apply_label, rescore, select_model, tally, trust_labels, write_books
from errorbook.importing.logs.dataset_row import split_solution
from errorbook.importing.logs.entry import Logged, read_label
from errorbook.importing.logs.formats import read_log
from errorbook.ledger.file import open_ledger
from errorbook.records import Evaluation, Example
from errorbook.report.build import build
from errorbook.report.status import read_status

PROGRAM = Path(sys.executable).parent / "errorbook"
PLAIN = [
    {"question": "What is 3 + 4?", "answer": "7", "response": "It is 7.", "is_correct": True},
    {"question": "What is 5 + 6?", "answer": "11", "response": "It is 12.", "is_correct": False},
    {"question": "What is 2 + 2?", "answer": "4", "response": "It is 4.", "is_correct": False},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def entries(path: Path, rows: list[dict[str, Any]]) -> list[Logged]:
    return read_log(write(path, rows)).entries


def errorbook(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def counts(*arguments: str | Path) -> dict[str, Any]:
    """What `import --json` prints."""
    found: dict[str, Any] = json.loads(errorbook("import", *arguments, "--json").stdout)
    return found


# Formats ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q?", "answer": "7", "response": "So 7.", "is_correct": True},
        {"problem": "Q?", "gold": 7, "model_prediction": "So 7.", "result": True},
        {"input": "Q?", "target": "7", "prediction": "So 7.", "label": "right"},
        {"prompt": "Q?", "ground_truth": "7", "completion": "So 7.", "passed": 1},
        {"query": "Q?", "expected_answer": ["7"], "output": ["So 7."], "score": 1.0},
    ],
    ids=lambda row: next(iter(row)),
)
def test_plain_rows_are_understood_in_the_usual_spellings(tmp_path: Path, row: dict[str, Any]) -> None:
    [entry] = entries(tmp_path / "log.jsonl", [row])

    assert (entry.question, entry.text, entry.answer, entry.label) == ("Q?", "So 7.", "7", "right")
    assert entry.id == "log:1"


def test_a_row_keeps_its_own_id_and_others_are_named_by_file_and_line(tmp_path: Path) -> None:
    rows = [{"id": "own", "question": "Q?", "response": "a"}, {"question": "R?", "response": "b"}]
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(rows[0]) + "\n\n" + json.dumps(rows[1]), encoding="utf-8")

    assert [entry.id for entry in read_log(path).entries] == ["own", "log:3"]


def test_a_json_array_is_read_like_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps(PLAIN, indent=2), encoding="utf-8")

    assert [entry.label for entry in read_log(path).entries] == ["right", "wrong", "wrong"]


def test_decimals_keep_their_spelling(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"question": "Q?", "answer": 0.10, "response": "0.10"}', encoding="utf-8")

    assert read_log(path).entries[0].answer == "0.10"


@pytest.mark.parametrize(
    ("columns", "gold"),
    [
        ({"A": "stone", "B": "pear", "answer": "B"}, "B"),
        ({"choices": ["stone", "pear"], "answer": 1}, "B"),
        ({"choices": {"text": ["stone", "pear"], "label": ["1", "2"]}, "answerKey": "2"}, "B"),
        ({"options": ["stone", "pear"], "answer": "pear"}, "pear"),
    ],
    ids=["letter columns", "index", "labels", "text"],
)
def test_options_are_found_with_the_gold_one(tmp_path: Path, columns: dict[str, Any], gold: str) -> None:
    [entry] = entries(tmp_path / "log.jsonl", [{"question": "A fruit?", "response": "B", **columns}])

    assert (entry.choices, entry.answer) == (("stone", "pear"), gold)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("3 + 4 = 7\nA: 7", "7"),
        ("#### None", "None"),
        ("A: is a letter", "A: is a letter"),
        ("7", "7"),
        ("nothing after ####", "nothing after ####"),
    ],
)
def test_a_worked_gold_answer_is_split_from_its_steps(text: str, answer: str) -> None:
    assert split_solution(text)[0] == answer


def test_several_models_in_a_row_become_one_response_each(tmp_path: Path) -> None:
    row = {
        "question": "What is 3 + 4?",
        "ground_truth": "3 + 4 = 7\nA: 7",
        "small": {"is_correct": False, "solution": "A: 8"},
        "large": {"is_correct": True, "solution": "A: 7"},
    }
    found = entries(tmp_path / "log.jsonl", [row])

    assert [(entry.id, entry.label, entry.text) for entry in found] == [
        ("log:1:small", "wrong", "A: 8"),
        ("log:1:large", "right", "A: 7"),
    ]
    assert {entry.answer for entry in found} == {"7"}


def test_programs_come_with_their_tests_and_the_completion_that_was_run(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "task_id": 7,
        "prompt": "def twice(n):\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
        "entry_point": "twice",
        "completion": "    return 2 * n",
        "response": "Here it is: ...",
        "passed": True,
    }
    [entry] = entries(tmp_path / "log.jsonl", [row])

    assert (entry.id, entry.text, entry.label) == ("7", "    return 2 * n", "right")
    assert entry.tests == row["test"] + "\ncheck(twice)"


def generated(doc_id: int, filter: str, score: float, text: str = "So 7.") -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc": {"question": f"What is {doc_id} + 4?", "answer": f"Add.\n#### {doc_id + 4}"},
        "target": f"#### {doc_id + 4}",
        "arguments": {"gen_args_0": {"arg_0": "Q: ...\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [[text]],
        "filtered_resps": ["[invalid]"],
        "filter": filter,
        "metrics": ["exact_match"],
        "exact_match": score,
    }


def test_lm_eval_samples_are_read_raw_and_right_where_one_filter_says_so(tmp_path: Path) -> None:
    rows = [generated(3, "strict", 0.0), generated(5, "strict", 0.0)]
    rows += [generated(3, "flexible", 1.0), generated(5, "flexible", 0.0)]
    log = read_log(write(tmp_path / "samples.jsonl", rows))

    assert log.format.startswith("lm-evaluation-harness")
    assert [(entry.id, entry.label, entry.answer) for entry in log.entries] == [
        ("samples:3", "right", "7"),
        ("samples:5", "wrong", "9"),
    ]
    assert {entry.text for entry in log.entries} == {"So 7."}


@pytest.mark.parametrize(
    "responses",
    [[[["-2.5", "False"]], [["-0.5", "True"]]], [[-2.5, False], [-0.5, True]]],
    ids=["as text", "as numbers"],
)
@pytest.mark.parametrize("doc", [{"choices": ["stone", "pear"], "answer": 1}, {}], ids=["in the doc", "as asked"])
def test_lm_eval_multiple_choice_is_the_likeliest_option(
    tmp_path: Path, responses: list[Any], doc: dict[str, Any]
) -> None:
    row = {
        "doc_id": 0,
        "doc": {"question": "A fruit?", **doc},
        "target": "1",
        "arguments": [["A fruit?", " stone"], ["A fruit?", " pear"]],
        "resps": responses,
        "acc": 1.0,
    }
    [entry] = entries(tmp_path / "samples.jsonl", [row])

    assert (entry.text, entry.answer, entry.choices, entry.label) == ("B", "B", ("stone", "pear"), "right")


def inspected(id: str, answer: str, value: object, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer}
    return {
        "id": id,
        "epoch": 1,
        "input": "What is 3 + 4?",
        "target": "7",
        "output": {"choices": [{"message": message, "stop_reason": "stop"}], "usage": {"output_tokens": 5}},
        "scores": {"match": {"value": value}},
        "attachments": {},
        **more,
    }


INSPECTED = [
    inspected("a", "It is 7.", "C"),
    inspected("b", "It is 8.", "I"),
    inspected("c", "7 or 8", 0.5),
    inspected("d", "", None, output={"choices": []}, scores=None, error={"message": "lost"}),
    inspected(
        "a",
        "attachment://f00",
        "C",
        epoch=2,
        attachments={"f00": "A long answer: 7"},
        input=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"text": "What is 3 + 4?"}]}],
    ),
]


def pack(path: Path, samples: list[dict[str, Any]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("header.json", json.dumps({"eval": {"model": "some/model", "task": "sums"}}))
        for number, sample in enumerate(samples):
            packed.writestr(f"samples/{number}_epoch_1.json", json.dumps(sample))
    return path


def unpacked(path: Path, samples: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"version": 2, "eval": {"model": "some/model"}, "samples": samples}, indent=1))
    return path


@pytest.mark.parametrize("make", [pack, unpacked], ids=[".eval", ".json"])
def test_inspect_logs_are_read_without_inspect(
    tmp_path: Path, make: Callable[[Path, list[dict[str, Any]]], Path]
) -> None:
    log = read_log(make(tmp_path / "log.eval", INSPECTED))

    assert log.models == ["some/model"]
    assert [(entry.id, entry.label, entry.text) for entry in log.entries] == [
        ("a", "right", "It is 7."),
        ("b", "wrong", "It is 8."),
        ("c", "", "7 or 8"),
        ("d", "", ""),
        ("a:epoch 2", "right", "A long answer: 7"),
    ]
    assert {entry.question for entry in log.entries} == {"What is 3 + 4?"}
    assert log.entries[0].tokens == 5


def recompress(path: Path, compress: Callable[[bytes], bytes]) -> None:
    """Write the zip again with zstd, which this Python's zipfile may not be able to write."""
    with zipfile.ZipFile(path) as packed:
        contents = {name: packed.read(name) for name in packed.namelist()}
    body, directory = b"", b""
    for name, data in contents.items():
        small, raw = compress(data), name.encode()
        sizes = struct.pack("<IIIHH", zlib.crc32(data), len(small), len(data), len(raw), 0)
        head = struct.pack("<HHHHH", 63, 0, 93, 0, 33)
        directory += b"PK\x01\x02" + struct.pack("<H", 63) + head + sizes + struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += raw
        body += b"PK\x03\x04" + head + sizes + raw + small
    end = struct.pack("<HHHHIIH", 0, 0, len(contents), len(contents), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)


def test_inspect_logs_compressed_with_zstd_are_read(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="reading zstd needs the package zstandard")
    path = pack(tmp_path / "log.eval", INSPECTED)
    recompress(path, zstandard.ZstdCompressor().compress)

    assert len(read_log(path).entries) == len(INSPECTED)


# Labels and verdicts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *((value, "right") for value in (True, 1, "1.0", "Passed", "C", " correct ")),
        *((value, "wrong") for value in (False, 0, "0.0", "failed", "I", "Incorrect")),
        *((value, "") for value in (None, 0.5, "nan", "P", "N", "")),
        *((value, None) for value in ("maybe", 7, -1, ["A"], {"text": "A"})),
    ],
)
def test_labels_in_their_spellings(value: object, label: str | None) -> None:
    assert read_label(value) == label


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(VALUES)
def test_no_value_of_a_label_is_an_exception(value: object) -> None:
    assert read_label(value) in {"right", "wrong", "", None}


LOGGED = st.builds(
    lambda number, text, label: Logged(
        id=str(number), place="line 1", question="Q?", text=text, answer="7", label=label
    ),
    st.integers(0, 99),
    st.sampled_from(["7", "8", "none", ""]),
    st.sampled_from(["right", "wrong", ""]),
)


NUMERIC = plugins.create("scorers", "numeric")


@given(st.lists(LOGGED, min_size=1))
@settings(deadline=None)
def test_counts_add_up_and_only_labelled_responses_disagree(logged: list[Logged]) -> None:
    found = tally(list(rescore(logged, "sums", NUMERIC, lambda done, total: None)))

    assert found.n == found.right + found.wrong + found.unscorable == len(logged)
    assert len(found.disagree) <= sum(bool(entry.label) for entry in logged)
    assert all(case.label != case.score for case in found.disagree)


def test_json_has_the_counts_and_each_disagreement(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", PLAIN)

    trusted = counts(path, "--task", "arithmetic", "--out", tmp_path / "trusted")
    again = counts(path, "--task", "arithmetic", "--rescore", "--out", tmp_path / "again")

    assert trusted == {"n": 3, "right": 1, "wrong": 2, "unscorable": 0, "disagree": []}
    assert again == {
        "n": 3,
        "right": 2,
        "wrong": 1,
        "unscorable": 0,
        "disagree": [
            {"id": "log:3", "label": "wrong", "score": "right", "extracted": "4", "method": "last number"},
        ],
    }


def test_responses_without_a_label_never_disagree(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "is_correct"} for row in PLAIN]
    found = counts(write(tmp_path / "log.jsonl", rows), "--task", "arithmetic", "--rescore", "--out", tmp_path / "book")

    assert (found["right"], found["wrong"], found["disagree"]) == (2, 1, [])


def test_the_label_of_a_whole_file(tmp_path: Path) -> None:
    rows = [{"question": "What is 3 + 4?", "answer": "7", "response": "8"}]
    found = counts(write(tmp_path / "log.jsonl", rows), "--task", "arithmetic", "--label", "right", "--out", tmp_path)

    assert (found["right"], found["wrong"]) == (1, 0)


def test_without_json_a_table_and_the_disagreements_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", PLAIN)
    shown = errorbook("import", path, "--task", "arithmetic", "--rescore", "--out", tmp_path / "book")

    assert "plain rows" in shown.stderr
    assert "log:3" in shown.stdout
    assert f"errorbook report {tmp_path / 'book'}" in shown.stdout


# The book -----------------------------------------------------------------------------------------------------------

SUMS = TaskSection(name="arithmetic")


def shelved(folder: Path, path: Path, rescored: bool = False, model: str | None = None) -> None:
    logged = select_model(read_log(path), model)
    items = (
        list(rescore(logged, SUMS.name, NUMERIC, lambda done, total: None))
        if rescored
        else trust_labels(logged, SUMS.name)
    )
    write_books(folder, SUMS, items, "numeric" if rescored else "label")


def digest_of(folder: Path) -> str:
    with open_ledger(folder) as ledger:
        return ledger.digest()


def verdicts(folder: Path) -> dict[str, str]:
    with open_ledger(folder) as ledger:
        return dict(ledger.verdicts(list(ledger.all(Evaluation))[-1]))


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", PLAIN)
    shelved(tmp_path / "book", path)
    before = digest_of(tmp_path / "book")
    shelved(tmp_path / "book", path)

    assert digest_of(tmp_path / "book") == before


def test_another_file_adds_to_the_book_and_the_order_does_not_matter(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.jsonl", PLAIN[:1]), write(tmp_path / "b.jsonl", PLAIN[1:])
    for name, order in (("ab", (first, second)), ("ba", (second, first)), ("aba", (first, second, first))):
        for path in order:
            shelved(tmp_path / name, path)

    assert verdicts(tmp_path / "ab") == {"a:1": "right", "b:1": "wrong", "b:2": "wrong"}
    assert verdicts(tmp_path / "ab") == verdicts(tmp_path / "ba") == verdicts(tmp_path / "aba")


def test_an_import_that_was_killed_loses_nothing_that_was_there(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.jsonl", PLAIN[:1]), write(tmp_path / "b.jsonl", PLAIN[1:])
    book = tmp_path / "book"
    shelved(tmp_path / "whole", first)
    shelved(tmp_path / "whole", second)
    with open_ledger(tmp_path / "whole") as ledger:
        last = list(ledger.all(Evaluation))[-1]
    shelved(book, first)
    with open_ledger(book, "write") as ledger:  # what a kill between two transactions leaves
        ledger.open_evaluation(last)
    shelved(book, second)

    assert verdicts(book) == verdicts(tmp_path / "whole")


def test_status_and_report_read_a_book_like_an_exam(tmp_path: Path) -> None:
    shelved(tmp_path, write(tmp_path / "log.jsonl", PLAIN), model="some/model")

    with open_ledger(tmp_path) as ledger:
        report, where = build(ledger), read_status(ledger)
        example = ledger.find(Example, "arithmetic:train:log:2")

    base = report.tasks["arithmetic"]["train"].base
    assert (report.model, base.right, base.n) == ("some/model", 1, 3)
    assert [(item.checkpoint, item.done, item.total) for item in where.evaluations] == [("base", 3, 3)]
    assert example is not None
    assert (example.question, example.answer, example.split) == ("What is 5 + 6?", "11", "train")


def test_a_book_holds_one_model_and_several_get_a_folder_each(tmp_path: Path) -> None:
    rows = [{**row, "model": model} for model in ("small", "org/large") for row in PLAIN]
    path = write(tmp_path / "log.jsonl", rows)
    shelved(tmp_path / "all", path)
    shelved(tmp_path / "one", path, model="small")

    assert sorted(folder.name for folder in (tmp_path / "all").iterdir()) == ["org-large", "small"]
    assert verdicts(tmp_path / "one") == verdicts(tmp_path / "all" / "small")


def test_what_does_not_belong_into_a_book_is_refused(tmp_path: Path) -> None:
    path, book = write(tmp_path / "log.jsonl", PLAIN), tmp_path / "book"
    shelved(book, path)
    before = digest_of(book)

    with pytest.raises(LedgerError, match="is not a book of arithmetic and the model 'other'"):
        shelved(book, path, model="other")
    with pytest.raises(LedgerError, match="judged by the log's labels"):
        shelved(book, path, rescored=True)
    with pytest.raises(DataError, match="with another response"):
        shelved(book, write(path, [{**PLAIN[0], "response": "It is 9."}]))
    with pytest.raises(DataError, match="with another question"):
        shelved(book, write(path, [{**PLAIN[0], "question": "What is 3 + 5?"}]))
    assert digest_of(book) == before


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800")
NESTED = st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=3), LEAVES, max_size=2)
ANY = LEAVES | NESTED | st.lists(NESTED, max_size=2)
TEXT = st.text(min_size=1, max_size=5)
MESSAGE = st.fixed_dictionaries({"role": TEXT | ANY}, optional={"content": TEXT | ANY})


def shape(**needed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Rows with the needed columns, and any others of those that are looked at, with anything in them."""
    others = {"answer", "is_correct", "choices", "A", "B", "arguments", "target", "acc", "model", "id", "test"}
    return st.fixed_dictionaries(needed, optional=dict.fromkeys(sorted(others - needed.keys()), ANY))


OUTPUT = st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": MESSAGE}), max_size=2)})
SAMPLE = shape(id=TEXT, input=TEXT | st.lists(MESSAGE, max_size=2), output=OUTPUT | ANY, scores=ANY)
LIKELIHOOD = st.tuples(st.floats(), st.booleans()).map(list)
ROWS = st.one_of(
    shape(question=TEXT | ANY, response=TEXT | ANY),
    shape(question=TEXT, small=st.fixed_dictionaries({"solution": TEXT | ANY, "is_correct": ANY})),
    shape(prompt=TEXT, test=TEXT | ANY, entry_point=TEXT | ANY, completion=TEXT),
    shape(doc=shape(question=TEXT), resps=st.lists(LIKELIHOOD | ANY, max_size=30)),
    shape(eval=shape(), samples=st.lists(SAMPLE | ANY, max_size=3)),
)


@given(st.lists(ROWS, min_size=1, max_size=3))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_the_rows_hold_they_are_read_or_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        found = entries(tmp_path / "log.jsonl", rows)
    except DataError:
        return

    assert len({entry.id for entry in found}) == len(found)
    assert all(msgspec.json.encode(entry) for entry in found)


# What the user must fix ---------------------------------------------------------------------------------------------

GOOD = json.dumps(PLAIN[0])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("[]", "is an empty list"),
        (b"\x80\x81\xff\x00", "is not text"),
        (b"PK\x03\x04 and no more", "is a damaged .eval file"),
        (GOOD + "\n{'question': 1}", "Line 2 of"),
        (GOOD + "\n[1]", "is not a JSON object"),
        ("[" * 100_000, "Line 1 of"),
        ('{"question": ' + "9" * 5000 + "}", "Line 1 of"),
        ('{"accuracy": 1}', "has the columns accuracy, which is no log"),
        (GOOD + '\n{"accuracy": 1}', "The columns accuracy on line 2"),
        ('{"question": "Q?", "response": null}', "no response in 'response' on line 1"),
        ('{"question": " ", "response": "r"}', "no question on line 1"),
        (GOOD + "\n" + GOOD.replace("true", '"perhaps"'), "label 'perhaps' in 'is_correct' on line 2"),
        ('{"id": 1, "question": "Q?", "response": "r"}\n' * 2, "id '1' is on line 1"),
        ('{"doc": {}, "resps": [["r"]]}', "no question on line 1"),
        ('{"doc": {"question": "Q?"}, "resps": []}', "no response on line 1"),
        ('{"doc": {"question": "Q?"}, "resps": [[["-1.5", "True"]]]}', "belong to no options"),
        ('{"eval": {}, "samples": [{"id": 1}]}', "no sample of inspect's"),
        ('{"eval": {}, "samples": []}', "holds no response"),
    ],
)
def test_a_bad_file_is_one_sentence_that_says_where(tmp_path: Path, content: str | bytes, expected: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)

    with pytest.raises(DataError) as caught:
        read_log(path)

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_log(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read_log(tmp_path)


def test_a_zip_of_something_else_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
        packed.writestr("hello.txt", "hello")
    damaged = bytearray(pack(tmp_path / "log.eval", INSPECTED, zipfile.ZIP_STORED).read_bytes())
    damaged[80:90] = b"##########"
    (tmp_path / "log.eval").write_bytes(damaged)

    with pytest.raises(DataError, match="without inspect's header"):
        read_log(tmp_path / "other.zip")
    with pytest.raises(DataError, match="damaged"):
        read_log(tmp_path / "log.eval")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_is_damaged_anywhere_is_refused_or_read(tmp_path: Path, method: int) -> None:
    path, rng = tmp_path / "log.eval", random.Random(method)
    whole = pack(path, INSPECTED, method).read_bytes()
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 2, 4))):
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(damaged)
        try:
            read_log(path)
        except DataError:
            refused += 1
    assert refused > 50


def test_a_zip_that_ends_too_early_or_lies_on_several_disks_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "log.eval", INSPECTED, zipfile.ZIP_STORED)
    whole, size = path.read_bytes(), struct.pack("<L", 10**6)
    at = whole.index(b"PK\x01\x02")
    path.write_bytes(whole[: at + 20] + size * 2 + whole[at + 28 :])
    with pytest.raises(DataError, match="ends too early"):
        read_log(path)

    path.write_bytes(whole[:-22] + struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 5) + whole[-22:])
    with pytest.raises(DataError, match="damaged"):
        read_log(path)


@pytest.mark.parametrize(
    ("rows", "arguments", "expected"),
    [
        (PLAIN, ("--task", "sums"), "There is no task called 'sums'; known: arc, arithmetic"),
        (PLAIN, ("--task", "jsonl"), "needs the key 'path'"),
        (PLAIN, ("--task", "arithmetic", "--option", "size"), "not a new KEY=VALUE"),
        (PLAIN, ("--task", "arithmetic", "--option", "size=3"), "has no key 'size'"),
        (PLAIN, ("--task", "arithmetic", "--label", "wrong"), "contradicts the log, which says right on line 1"),
        ([{"question": "Q?", "response": "r"}], ("--task", "arithmetic"), "has no labels"),
        ([{"question": "Q?", "response": "r"}], ("--task", "arithmetic", "--rescore"), "no gold answer on line 1"),
        ([{**PLAIN[0], "model": "a"}], ("--task", "arithmetic", "--model", "b"), "holds no model 'b'; it holds a"),
    ],
)
def test_a_command_that_cannot_work_is_one_sentence_and_leaves_nothing_behind(
    tmp_path: Path, rows: list[dict[str, Any]], arguments: tuple[str, ...], expected: str
) -> None:
    path = write(tmp_path / "log.jsonl", rows)

    with pytest.raises(UserError) as caught:
        errorbook("import", path, *arguments, "--out", tmp_path / "book")

    assert expected in str(caught.value)
    assert not (tmp_path / "book").exists()


def test_the_program_exits_with_two_and_says_it_on_stderr(tmp_path: Path) -> None:
    command = [str(PROGRAM), "import", "absent.jsonl", "--task", "arithmetic", "--json"]
    reply = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert (reply.returncode, reply.stdout) == (2, "")
    assert reply.stderr.startswith("errorbook: There is no file 'absent.jsonl'")


# Recorded responses of real models ----------------------------------------------------------------------------------

DATA = Path(os.environ.get("ERRORBOOK_DATA", "/nowhere")) / "responses"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="ERRORBOOK_DATA does not point at the reference data")
FILES = sorted(path for path in DATA.glob("**/*.jsonl") if not path.name.endswith(".metrics.jsonl"))


@needs_data
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recorded_file_is_understood_as_it_lies(path: Path) -> None:
    found = read_log(path).entries

    assert len(found) >= sum(1 for line in path.read_text(encoding="utf-8").split("\n") if line.strip())
    assert all(entry.answer or entry.tests for entry in found)


@needs_data
@pytest.mark.parametrize(
    "path", [path for path in FILES if path.with_suffix(".metrics.jsonl").is_file()], ids=lambda path: path.stem
)
def test_the_published_accuracy_is_found_again(path: Path) -> None:
    published = json.loads(path.with_suffix(".metrics.jsonl").read_text(encoding="utf-8"))["accuracy"]
    exact = plugins.create("scorers", "exact")
    found = tally(list(rescore(read_log(path).entries, "bbh", exact, lambda done, total: None)))

    assert 100 * found.right / found.n == pytest.approx(published, abs=1e-6)


@needs_data
def test_the_labels_of_four_models_are_read_and_nearly_always_shared() -> None:
    logged = apply_label(read_log(DATA / "gsm8k_gpt3_solutions.jsonl").entries, None)
    found = tally(list(rescore(logged, "gsm8k", NUMERIC, lambda done, total: None)))

    assert len({entry.model for entry in logged}) == 4
    assert found.n == 2640
    assert len(found.disagree) < 10


def judged_again(path: Path, scorer: str) -> list[str]:
    judge = plugins.create("scorers", scorer)
    items = rescore(select_model(read_log(path), None), "t", judge, lambda done, total: None)
    return [item.score.verdict for item in items]


def test_a_list_of_targets_accepts_each_of_them(tmp_path: Path) -> None:
    samples = [
        inspected(str(n), f"ANSWER: {said}", "C", target=["half a day", "twelve hours"])
        for n, said in enumerate(["half a day", "twelve hours", "a day"])
    ]

    assert judged_again(unpacked(tmp_path / "log.json", samples), "exact") == ["right", "right", "wrong"]


def test_a_list_of_options_asks_for_all_of_them(tmp_path: Path) -> None:
    samples = [
        inspected(str(n), f"ANSWER: {said}", "C", target=["A", "C"], choices=["stone", "pear", "plum"])
        for n, said in enumerate(["A, C", "C and A", "A", "A, B, C"])
    ]

    assert judged_again(unpacked(tmp_path / "log.json", samples), "choice") == ["right", "right", "wrong", "wrong"]


def test_plain_rows_may_list_what_is_accepted(tmp_path: Path) -> None:
    rows = [
        {"question": "Which?", "answer": ["Niger", "Republic of Niger"], "response": f"ANSWER: {said}", "correct": True}
        for said in ("Niger", "Republic of Niger", "Nigeria")
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))

    assert judged_again(path, "exact") == ["right", "right", "wrong"]


def test_the_harness_accepts_any_of_several_targets(tmp_path: Path) -> None:
    rows = [
        {
            "doc_id": n,
            "doc": {"question": f"Which {n}?"},
            "target": ["Niger", "Republic of Niger"],
            "arguments": [["Which?", {"until": ["Q:"]}]],
            "resps": [[f"The answer is {said}."]],
            "filter": "none",
            "exact_match": 1.0,
        }
        for n, said in enumerate(["Niger", "Republic of Niger", "Mali"])
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))

    assert judged_again(path, "exact") == ["right", "right", "wrong"]


def harness(doc_id: int, **more: Any) -> dict[str, Any]:
    doc = {"question": f"Which {doc_id}?", "choices": ["x", "y", "z"], "answer": 0}
    asked = [["Which?", " A"], ["Which?", " B"], ["Which?", " C"]]
    return {"doc_id": doc_id, "doc": doc, "target": 0, "arguments": asked, "acc": 1.0, **more}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((float("nan"), -3.0, -2.0), "C"),
        ((-1.0, float("nan"), float("-inf")), "A"),
        ((-2.0, -2.0, -3.0), ""),
        ((-2.0, -2.0, -1.0), "C"),
    ],
)
def test_the_likeliest_option_is_one_number_above_all_others(
    tmp_path: Path, values: tuple[float, ...], text: str
) -> None:
    row = harness(0, resps=[[[value, False]] for value in values])

    assert read_log(lines(tmp_path / "s.jsonl", [row])).entries[0].text == text


def test_likelihoods_that_are_no_numbers_are_refused_with_the_line(tmp_path: Path) -> None:
    rows = [harness(n, resps=[[[float("nan") if n else -1.0, False]]] * 2 + [[[float("nan"), False]]]) for n in (0, 1)]

    with pytest.raises(DataError, match=r"line 2 .*no numbers"):
        read_log(lines(tmp_path / "s.jsonl", rows))


def test_options_that_differ_in_their_questions_only_are_refused(tmp_path: Path) -> None:
    asked = [["The owl slept, the owl", " was tired."], ["The owl slept, the mouse", " was tired."]]
    row = harness(0, doc={"sentence": "The owl slept, the _ was tired.", "query": "?"}, arguments=asked)

    with pytest.raises(DataError, match="are equal"):
        read_log(lines(tmp_path / "s.jsonl", [row | {"resps": [[[-1.0, False]], [[-2.0, False]]]}]))


def test_filters_that_an_older_log_does_not_name_are_one_document(tmp_path: Path) -> None:
    rows = [
        harness(n, resps=[["It is C."]], filtered_resps=[found], acc=share)
        for found, share in (("C", 0.0), ("[invalid]", 1.0), ("c", 0.0))
        for n in (0, 1)
    ]

    assert [entry.label for entry in read_log(lines(tmp_path / "s.jsonl", rows)).entries] == ["right", "right"]


@pytest.mark.parametrize(
    ("golds", "letters"),
    [((1, 3, 2), "ACB"), ((0, 2, 1), "ACB"), ((1, 2), "BC"), ((3,), "C")],
    ids=["from 1", "from 0", "either, so from 0", "the last"],
)
def test_numbers_of_options_count_as_the_whole_file_shows(tmp_path: Path, golds: tuple[int, ...], letters: str) -> None:
    rows = [
        {"question": f"Which {n}?", "choices": ["x", "y", "z"], "answer": gold, "response": "A"}
        for n, gold in enumerate(golds)
    ]

    assert "".join(entry.answer for entry in read_log(lines(tmp_path / "l.jsonl", rows)).entries) == letters


def test_the_first_scorer_that_gives_a_verdict_counts(tmp_path: Path) -> None:
    scores = [
        {"judge": {"value": {"style": 3}}, "match": {"value": "I"}},
        {"match": {"value": "P"}, "other": {"value": "C"}},
        {"judge": {"value": [1]}},
    ]
    samples = [inspected(str(n), "It is 8.", None, scores=each) for n, each in enumerate(scores)]

    assert [entry.label for entry in read_log(unpacked(tmp_path / "l.json", samples)).entries] == ["wrong", "", ""]


@pytest.mark.parametrize("kept", [8, 100, 0.5, 0.9])
def test_an_eval_file_that_lost_its_end_is_called_damaged(tmp_path: Path, kept: float) -> None:
    whole = pack(tmp_path / "a.eval", INSPECTED).read_bytes()
    (tmp_path / "b.eval").write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])

    with pytest.raises(DataError, match=r"damaged \.eval file"):
        read_log(tmp_path / "b.eval")

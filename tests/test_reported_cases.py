"""The cases from public reports in the reference data: each has the verdict, or the sentence, that a user expects.

The data are not copied here. What a case stands for is tested with other inputs in the rooms that it is about; here
every row must come out as expected, and a row that no check knows fails.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from errorbook import plugins
from errorbook.adapters.scorers.exact import Exact
from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.loading import load_tokenizer
from errorbook.errors import ModelError, UserError
from errorbook.importing.book import rescore, select_model
from errorbook.importing.logs.entry import Logged
from errorbook.importing.logs.formats import read_log
from errorbook.records import Example
from errorbook.sandbox.cell import find_lack

FILE = Path(os.environ.get("ERRORBOOK_DATA", "/nowhere")) / "reports" / "scoring.jsonl"
ROWS: list[dict[str, Any]] = (
    [json.loads(line) for line in FILE.read_text("utf-8").splitlines()] if FILE.is_file() else []
)
NEEDS = pytest.mark.skipif(not ROWS, reason="needs the reference data; set ERRORBOOK_DATA to its folder")
SCORED = [row for row in ROWS if row["command"].startswith("scorer ")]
OTHERS = [row for row in ROWS if not row["command"].startswith("scorer ")]

ELSEWHERE = {
    "X01": (
        "tests/adapters/targets/test_served_thoughts.py",
        "test_an_exam_of_a_reasoning_model_that_answers_all_right",
    ),
    "X03": ("tests/adapters/targets/test_served_thoughts.py", "test_what_ends_inside_its_thought_is_cut_off"),
}
"""Cases that need a server or a model: the test that holds them."""


@NEEDS
@pytest.mark.parametrize("row", SCORED, ids=[f"{row['id']}: {row['kind']}" for row in SCORED])
def test_a_scorer_gives_the_verdict_that_a_user_expects(row: dict[str, Any]) -> None:
    name = row["command"].removeprefix("scorer ")
    if name == "code" and (lack := find_lack()) is not None:
        pytest.skip(f"no sandbox here: {lack}")
    if name == "numeric":
        pytest.importorskip("math_verify")
    example = Example(
        id=row["id"],
        task="t",
        split="dev",
        question=row.get("question", ""),
        answer=row.get("gold", ""),
        choices=tuple(row.get("options", ())),
        tests=row.get("tests", ""),
    )

    score = plugins.create("scorers", name).score(example, row["input"])

    assert score.verdict in row["expected"].split(" or "), score


def write(row: dict[str, Any], folder: Path) -> list[Path]:
    """The files of a row; bytes are written as Python shows them, and long ones are cut off."""
    paths = []
    for name, text in json.loads(row["input"]).items():
        path = folder / name
        if text.startswith("b'"):
            path.write_bytes(codecs.escape_decode(text[2:].rstrip("'").encode("latin-1"))[0])
        else:
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def entries(row: dict[str, Any], folder: Path) -> list[Logged]:
    return select_model(read_log(write(row, folder)[-1]), None)


def verdicts(row: dict[str, Any], folder: Path, scorer: str) -> list[str]:
    judge = plugins.create("scorers", scorer)
    return [item.score.verdict for item in rescore(entries(row, folder), "t", judge, lambda done, total: None)]


def examples(row: dict[str, Any], folder: Path, **options: Any) -> list[Example]:
    """What a task over the row's first file holds, in any split."""
    path = write(row, folder)[0]
    given = {"path": str(path), "scorer": "choice" if "choices" in options else "exact", "dev": 0, "test": 0, **options}
    task = plugins.create("tasks", path.suffix[1:], given)
    return list(task.examples("train", None, 0))


def refused(act: Callable[[], object], *says: str) -> None:
    with pytest.raises(UserError) as raised:
        act()
    assert "\n" not in str(raised.value)
    assert all(part in str(raised.value) for part in says), raised.value


def _likeliest_third(row: dict[str, Any], folder: Path) -> None:
    assert entries(row, folder)[0].text == "C"


def _finite(row: dict[str, Any], folder: Path) -> None:
    assert entries(row, folder)[0].text == "B"


def _not_a_number(row: dict[str, Any], folder: Path) -> None:
    log = {"doc_id": 0, "doc": {"question": "Which?", "choices": ["x", "y"], "answer": 1}, "target": 1, "acc": 1.0}
    log |= {"arguments": [["q", " A"], ["q", " B"]], "resps": [[[float("nan"), False]], [[-2.5, False]]]}
    (folder / "s.jsonl").write_text(json.dumps(log))
    assert read_log(folder / "s.jsonl").entries[0].text == "B"
    (folder / "s.jsonl").write_text(json.dumps(log).replace("-2.5", "NaN"))
    refused(lambda: read_log(folder / "s.jsonl"), "line 1", "NaN")


def _equal(row: dict[str, Any], folder: Path) -> None:
    log = {"doc_id": 0, "doc": {"question": "Which?", "choices": ["x", "y"], "answer": 0}, "target": 0, "acc": 1.0}
    log |= {"arguments": [["q", " A"], ["q", " B"]], "resps": [[[-2.5, False]], [[-2.5, False]]]}
    (folder / "s.jsonl").write_text(json.dumps(log))
    assert verdicts({"input": json.dumps({"s.jsonl": json.dumps(log)})}, folder, "choice") == ["unscorable"]


def _text_part(row: dict[str, Any], folder: Path) -> None:
    assert entries(row, folder)[0].text == "C"


def _blank(row: dict[str, Any], folder: Path) -> None:
    refused(lambda: verdicts(row, folder, "exact"), "There is no gold answer")


def _quoted_field(row: dict[str, Any], folder: Path) -> None:
    assert [example.answer for example in examples(row, folder)] == ["4"]


def _texts_as_labels(row: dict[str, Any], folder: Path) -> None:
    assert examples(row, folder, choices="choices")[0].answer == "D"
    assert entries(row, folder)[0].answer == "D"


def _structs(row: dict[str, Any], folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(
        pyarrow.Table.from_pylist([{"question": "Which?", "o": [{"t": "x"}, {"t": "y"}], "answer": "A"}]),
        folder / "a.parquet",
    )
    task = plugins.create("tasks", "parquet", {"path": str(folder / "a.parquet"), "choices": "o", "scorer": "choice"})
    refused(lambda: task.examples("train", None, 0), "Column 'o'")


def _third_is_gold(row: dict[str, Any], folder: Path) -> None:
    assert (entries(row, folder)[0].answer, entries(row, folder)[0].text) == ("C", "A")
    assert verdicts(row, folder, "choice") == ["wrong"]


def _read(row: dict[str, Any], folder: Path) -> None:
    assert examples(row, folder)


def _filter_is_wrong(row: dict[str, Any], folder: Path) -> None:
    assert (verdicts(row, folder, "choice"), entries(row, folder)[0].label) == (["right"], "wrong")


def _five(row: dict[str, Any], folder: Path) -> None:
    assert verdicts(row, folder, "numeric") == ["right"]


def _label_is_read(row: dict[str, Any], folder: Path) -> None:
    assert entries(row, folder)[0].label == "right"


def _program_passes(row: dict[str, Any], folder: Path) -> None:
    if (lack := find_lack()) is not None:
        pytest.skip(f"no sandbox here: {lack}")
    assert (verdicts(row, folder, "code"), entries(row, folder)[0].label) == (["right"], "right")


def _filters(row: dict[str, Any], folder: Path) -> None:
    assert [entry.label for entry in entries(row, folder)] == ["right", "wrong"]


def _second_alternative(row: dict[str, Any], folder: Path) -> None:
    assert verdicts(row, folder, "exact") == ["right"]


def _any_alias(row: dict[str, Any], folder: Path) -> None:
    assert verdicts(row, folder, "exact") == ["right"]
    [example] = examples(row, folder)
    assert [Exact().score(example, f"ANSWER: {said}").verdict for said in ("Niger", "Republic of Niger", "Mali")] == [
        "right",
        "right",
        "wrong",
    ]


def _long_field(row: dict[str, Any], folder: Path) -> None:
    (folder / "a.csv").write_text('question,answer\n"' + "long text " * 14_000 + '",4\n')
    task = plugins.create("tasks", "csv", {"path": str(folder / "a.csv"), "dev": 0, "test": 0})
    assert len(task.examples("train", None, 0)[0].question) > 131_072


def _labelled_options(row: dict[str, Any], folder: Path) -> None:
    found = examples(row, folder, choices="choices", answer="answerKey")
    assert [example.answer for example in found] == ["B", "B"]


def _counted_from_one(row: dict[str, Any], folder: Path) -> None:
    assert [entry.answer for entry in entries(row, folder)] == ["B", "D"]


CHECKS: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "I01": _filters,
    "I03": _likeliest_third,
    "I05": lambda row, folder: refused(lambda: entries(row, folder), "line 1", "Winogrande"),
    "I06": _finite,
    "I07": _program_passes,
    "I08": _program_passes,
    "I10": lambda row, folder: refused(lambda: entries(row, folder), ".eval files"),
    "I11": lambda row, folder: refused(lambda: entries(row, folder), "damaged"),
    "I12": _label_is_read,
    "I13": _second_alternative,
    "I16": _text_part,
    "I18": _blank,
    "I20": lambda row, folder: refused(lambda: entries(row, folder), "without questions and tests"),
    "I22": lambda row, folder: refused(lambda: examples(row, folder), "ine 1"),
    "I23": lambda row, folder: refused(lambda: examples(row, folder), "Column 'answer' on line 1"),
    "I25": _long_field,
    "I26": _quoted_field,
    "I28": lambda row, folder: refused(lambda: examples(row, folder), "two columns called 'answer'"),
    "I30": _labelled_options,
    "I32": _texts_as_labels,
    "I34": _counted_from_one,
    "I35": _structs,
    "I37": _third_is_gold,
    "I39": _read,
    "I41": _any_alias,
    "I42": _filter_is_wrong,
    "I44": _five,
    "I47": _not_a_number,
    "I48": _equal,
}


def _one_beginning(tokenizer: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    from errorbook.adapters.trainers.batches import encode_row

    start = tokenizer.bos_token
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.content }}\n{% endfor %}"
    known = [(start, tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{start} $A", special_tokens=known)
    assert encode_row(tokenizer, "Which?", "This.", "off").ids.count(tokenizer.bos_token_id) == 1


def _no_template(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    assert render(tokenizer, "Which?") == "Which?\n"


def _named_templates(tokenizer: Any) -> None:
    tokenizer.chat_template = {"tools": "{{ messages }}", "rag": "{{ messages }}"}
    with pytest.raises(ModelError, match="rag"):
        render(tokenizer, "Which?")


def _opens_a_thought(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
    )
    closed = render(tokenizer, "Which?", "off")
    assert closed.count("<think>") == closed.count("</think>")


TEMPLATES = {"H02": _one_beginning, "H04": _named_templates, "H05": _no_template, "H06": _opens_a_thought}


@NEEDS
@pytest.mark.parametrize("row", OTHERS, ids=[f"{row['id']}: {row['kind']}" for row in OTHERS])
def test_a_log_a_file_or_a_template_is_read_as_a_user_expects(
    row: dict[str, Any], tmp_path: Path, tiny_model: Path
) -> None:
    if row["id"] in CHECKS:
        CHECKS[row["id"]](row, tmp_path)
    elif row["id"] in TEMPLATES:
        TEMPLATES[row["id"]](load_tokenizer(str(tiny_model)))
    else:
        file, test = ELSEWHERE[row["id"]]
        assert f"def {test}" in (ROOT / file).read_text("utf-8")


@NEEDS
def test_every_reported_case_is_checked() -> None:
    assert len(ROWS) == 138
    assert {row["id"] for row in OTHERS} == CHECKS.keys() | TEMPLATES.keys() | ELSEWHERE.keys()

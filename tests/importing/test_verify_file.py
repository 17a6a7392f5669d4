"""`errorbook verify FILE` as a user meets it, and the recorded instructor file where the reference data is at hand."""

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from errorbook.adapters.scorers.numeric import Numeric
from errorbook.cli.verify import load_held_out, verify
from errorbook.errors import DataError, UserError
from errorbook.importing.check_samples import Rules, check_samples
from errorbook.importing.sample_rows import RecordedTask, read_questions
from errorbook.records import Sample

GOOD: dict[str, object] = {
    "question": "Ann has 3 pears and buys 5 more. How many has she?",
    "response": "3 + 5 = 8\nShe has 8 pears.",
}
ROWS: list[dict[str, object]] = [
    GOOD,
    GOOD,
    {"question": "#### Question:\nBob has 2 pens and finds 4. How many has he?", "response": "2 + 4 = 6"},
    {"question": "Eve reads 20 pages on each of 4 days. How many?", "solution": "20 * 4 = 90", "answer": 90},
    {"question": "Say hello.", "response": "Hello!"},
    {"question": "A held out question about 9 blue birds on a very old wire?", "response": "There are 9."},
    {"question": "Bob has 2 pens and finds 4. How many has he?\n#### Answer: 6", "response": "2 + 4 = 6"},
]


@pytest.fixture
def sample_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ERRORBOOK_DATA", raising=False)
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "held.jsonl").write_text(json.dumps({"question": ROWS[5]["question"]}) + "\n")
    return tmp_path / "samples.jsonl"


def test_the_funnel_and_both_files(sample_file: Path) -> None:
    folder = sample_file.parent
    arguments = [str(sample_file), "--against", str(folder / "held.jsonl"), "--out", str(folder / "out"), "--json"]
    result = CliRunner().invoke(verify, arguments, catch_exceptions=False)
    funnel = json.loads(result.stdout)
    assert funnel["samples"] == 7
    assert funnel["accepted"] == 2
    assert funnel["rejected"] == {"format": 1, "leak": 1, "wrong_step": 1, "duplicate": 1, "contaminated": 1}
    shown = [[one["line"], one["answer"]] for one in funnel["shown"]]
    assert shown == [[5, ""], [7, "6"], [4, "90"], [2, "8"], [6, "9"]]
    assert funnel["found"]["repeated"] == 1
    accepted = (folder / "out/accepted.jsonl").read_text().splitlines()
    bare = {**ROWS[2], "question": "Bob has 2 pens and finds 4. How many has he?"}
    assert [json.loads(line) for line in accepted] == [GOOD, bare]
    rejected = [json.loads(line) for line in (folder / "out/rejected.jsonl").read_text().splitlines()]
    assert {row["rejection"]["line"]: row["rejection"]["reason"] for row in rejected} == {
        2: "duplicate",
        4: "wrong_step",
        5: "format",
        6: "contaminated",
        7: "leak",
    }
    assert rejected[1]["rejection"]["answer"] == "90"
    assert "9 blue birds" in rejected[3]["question"]


def test_the_table_for_people(sample_file: Path) -> None:
    result = CliRunner().invoke(verify, [str(sample_file)], catch_exceptions=False)
    assert "7  samples" in result.stdout
    assert "line 4      wrong_step      read '90': 20 * 4 = 90" in result.stdout
    assert "line 5      format          read nothing:" in result.stdout
    assert "overlap is not checked" in result.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("not json\n", "Line 1 of .* is not JSON"),
        ('{"question": "Why?"}\n', "neither solution nor answer on line 1"),
        ('{"answer": "4"}\n', "no question on line 1"),
        ('{"question": ["a"], "answer": "4"}\n', "on line 1 .* holds a list"),
    ],
)
def test_bad_input_is_named_by_its_line(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=sentence):
        check_samples(path, Rules(RecordedTask("numeric"), Numeric(), [], [], 10, 0.8))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        check_samples(tmp_path / "none.jsonl", Rules(RecordedTask("numeric"), Numeric(), [], [], 10, 0.8))


@pytest.mark.slow
@pytest.mark.skipif("ERRORBOOK_DATA" not in os.environ, reason="needs the reference data: set ERRORBOOK_DATA")
def test_the_recorded_instructor_file() -> None:
    """Known of the file: 493 repeated questions, 128 tags, overlaps with 151 train questions."""
    folder = Path(os.environ["ERRORBOOK_DATA"])
    train = list(read_questions(folder / "gsm8k/train.jsonl", "gsm8k"))
    rules = Rules(RecordedTask("numeric"), Numeric(), load_held_out(str(folder)), train, 10, 0.8)
    funnel, outcomes = check_samples(folder / "instructor/gpt4_contrast_gsm8k.jsonl", rules, keep=True)
    assert funnel.samples == 4_000 == funnel.accepted + sum(funnel.rejected.values())
    assert funnel.found["repeated"] == 493
    assert funnel.found["overlaps_train"] == 151
    assert "contaminated" not in funnel.found, "the ten words that some share with a question are phrasing"
    assert funnel.found["leak"] >= 418
    accepted = [outcome.decision.question for outcome in outcomes if isinstance(outcome.decision, Sample)]
    assert len(accepted) == len(set(accepted)) == funnel.accepted
    assert not [question for question in accepted if "WRONG ANSWER" in question or "####" in question]


@pytest.mark.parametrize("name", ["accepted.jsonl", "rejected.jsonl"])
@pytest.mark.parametrize("role", ["file", "--against", "--train"])
def test_results_never_take_the_place_of_what_is_read(sample_file: Path, name: str, role: str) -> None:
    out = sample_file.parent / "out"
    out.mkdir()
    (out / name).write_bytes(sample_file.read_bytes())
    arguments = [str(out / name)] if role == "file" else [str(sample_file), role, str(out / name)]
    result = CliRunner().invoke(verify, [*arguments, "--out", str(out), "--force"])

    assert isinstance(result.exception, UserError)
    assert (out / name).read_bytes() == sample_file.read_bytes()
    assert [path.name for path in out.iterdir()] == [name]


def test_earlier_results_are_replaced_only_by_force(sample_file: Path) -> None:
    out = sample_file.parent / "out"
    arguments = [str(sample_file), "--out", str(out)]
    assert CliRunner().invoke(verify, arguments).exit_code == 0
    (out / "accepted.jsonl").write_text("earlier")

    assert isinstance(CliRunner().invoke(verify, arguments).exception, UserError)
    assert (out / "accepted.jsonl").read_text() == "earlier"
    assert CliRunner().invoke(verify, [*arguments, "--force"]).exit_code == 0
    assert (out / "accepted.jsonl").read_text() != "earlier"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--train", "nope"], "There is no file 'nope'"),
        (["--train", "gsm8k"], "There is no file 'gsm8k'"),
        (["--against", "nope"], "There is no file, folder or task 'nope'"),
    ],
)
def test_a_mistyped_file_is_no_task(sample_file: Path, arguments: list[str], sentence: str) -> None:
    error = CliRunner().invoke(verify, [str(sample_file), *arguments]).exception

    assert isinstance(error, DataError)
    assert sentence in str(error)
    assert "known" not in str(error)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.jsonl", "{", "Line 1 of .* is not JSON"),
        ("a.jsonl", '{"question": ' + "9" * 5000 + "}", "a number has more than 4,300 digits"),
        ("a.jsonl", '{"question": ' + "[" * 100_000 + "}", "it is nested too deeply"),
        ("a.csv", "question,answer\n1 + 1?,2\n", "holds no JSON; save it as JSON Lines"),
    ],
)
def test_a_bad_file_is_one_sentence(
    name: str, text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERRORBOOK_DATA", raising=False)
    (tmp_path / name).write_text(text)
    result = CliRunner().invoke(verify, [str(tmp_path / name)])

    assert result.output == ""
    assert isinstance(result.exception, DataError)
    assert re.search(sentence, str(result.exception))
    assert "sys." not in str(result.exception)

"""Two checkpoints compared: numbers that a reader can recompute, questions in order, and honest words about both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from synthetic_run import Scribe, write_exam, write_run

from errorbook.cli.compare import compare as command
from errorbook.cli.main import cli
from errorbook.errors import DataError, LedgerError
from errorbook.ledger import keys
from errorbook.ledger.file import open_ledger
from errorbook.ledger.pairs import Pair, Place
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Checkpoint, Evaluation, Example, Noise, Response, Split, Verdict
from errorbook.render.compare_words import choice_text, comparison_notes, list_remarks
from errorbook.report.compare_runs import (
    SHOWN,
    Compared,
    Paired,
    _with_holm,
    compare,
    find_side,
    list_choices,
    list_items,
    open_pairs,
    parse_side,
)
from errorbook.report.records import Difference
from errorbook.stats import CHANGES, change_of, mcnemar, paired_interval


class OtherModel(Scribe):
    """A run of another model, whose questions were put in other words."""

    def evaluation(self, checkpoint: Checkpoint, task: str, split: Split) -> Evaluation:
        return replace(super().evaluation(checkpoint, task, split), target="o" * 32)

    def _response(self, checkpoint: Checkpoint, evaluation: Evaluation, example: Example) -> Response:
        return replace(super()._response(checkpoint, evaluation, example), prompt_hash="of other words")


class OtherScorer(Scribe):
    """A run that was scored in another way."""

    def evaluation(self, checkpoint: Checkpoint, task: str, split: Split) -> Evaluation:
        return replace(super().evaluation(checkpoint, task, split), scorer="exact")


class OtherQuestions(Scribe):
    """A run that was asked something else."""

    def _example(self, task: str, split: Split, index: int) -> Example:
        return replace(super()._example(task, split, index), question=f"What is {index} + 2?")


def write_as(kind: type[Scribe], folder: Path) -> Path:
    with open_ledger(folder / "ledger.sqlite", "write") as ledger:
        list(kind(ledger).steps())
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with an accepted cycle, one of another model, and an exam."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "one")
    write_as(OtherModel, root / "other")
    write_exam(root / "exam")
    return root


def verdicts(folder: Path, name: str, task: str, split: Split) -> dict[str, Verdict]:
    with open_ledger(folder) as ledger:
        points = Checkpoints(ledger)
        found = points.evaluation(find_side(ledger, name).checkpoint, task, split)
        assert found is not None
        return ledger.verdicts(found)


def row_of(compared: Compared, task: str, split: str) -> Paired:
    return next(row for row in compared.tasks if (row.task, row.split) == (task, split))


# Numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_numbers_are_those_of_the_raw_verdicts(split: Split, runs: Path) -> None:
    before, after = (verdicts(runs / "one", name, "sums", split) for name in ("base", "final"))
    row = row_of(compare(parse_side(f"{runs / 'one'}:base"), parse_side(f"{runs / 'one'}:final")), "sums", split)

    changes = [change_of(before[key], after[key]) for key in before]
    fixed, broken = changes.count("fixed"), changes.count("broken")
    low, high = paired_interval(fixed, broken, len(before))
    assert row.n == len(before)
    assert (row.fixed, row.broken) == (fixed, broken)
    assert (row.right_before, row.right_after) == tuple(list(one.values()).count("right") for one in (before, after))
    assert (row.unscorable_before, row.unscorable_after) == tuple(
        list(one.values()).count("unscorable") for one in (before, after)
    )
    assert row.changes == {change: changes.count(change) for change in CHANGES}
    assert row.difference == Difference(value=(fixed - broken) / len(before), low=low, high=high)
    assert row.p_value == mcnemar(fixed, broken)


def test_the_numbers_of_the_final_exam_are_the_reports(runs: Path) -> None:
    from errorbook.report.build import build

    with open_ledger(runs / "one") as ledger:
        reported = build(ledger).tasks["sums"]["test"]

    row = row_of(compare(parse_side(f"{runs / 'one'}:base"), parse_side(str(runs / "one"))), "sums", "test")

    assert row.difference == reported.difference
    assert row.p_value == reported.p_value
    assert row.truncated_before == reported.base.truncated


def test_several_tests_at_once_are_corrected_by_holm(runs: Path) -> None:
    row = compare(parse_side(f"{runs / 'one'}:base"), parse_side(str(runs / "one"))).tasks[0]
    corrected = _with_holm([replace(row, p_value=p) for p in (0.01, 0.04, 0.03, 0.005)])

    assert [round(item.p_holm, 10) for item in corrected] == [0.03, 0.06, 0.06, 0.02]
    assert _with_holm([replace(row, p_value=0.7)])[0].p_holm == 0.7


def test_the_noise_floor_stands_beside_the_split_that_it_was_measured_on(tmp_path: Path) -> None:
    write_run(tmp_path)
    noise = Noise(
        evaluation="e" * 32,
        task="sums",
        split="dev",
        n=64,
        texts_differ=3,
        verdicts_differ=2,
        right_before=30,
        right_after=31,
    )
    with open_ledger(tmp_path, "write") as ledger:
        ledger.append(noise, key=keys.noise("sums"))

    compared = compare(parse_side(f"{tmp_path}:base"), parse_side(str(tmp_path)))

    assert {(row.task, row.split): row.noise for row in compared.tasks if row.noise} == {("sums", "dev"): noise}


# What may be compared ----------------------------------------------------------------------------------------------


def test_two_models_asked_the_same_are_compared_and_said_to_be_two(runs: Path) -> None:
    compared = compare(parse_side(f"{runs / 'one'}:base"), parse_side(f"{runs / 'other'}:base"))

    said = " ".join(list_remarks(row_of(compared, "sums", "test")))
    assert "different base weights" in said
    assert "Of the first 50 questions, 50 were put in other words" in said
    assert any("association, not proof" in note for note in comparison_notes(compared))
    assert row_of(compared, "sums", "test").fixed == 0  # the synthetic answers are the same


def test_other_questions_or_another_scorer_are_refused_in_the_words_of_the_gate(runs: Path, tmp_path: Path) -> None:
    for kind, sentence in ((OtherScorer, r"the scorer \('numeric' and 'exact'\)"), (OtherQuestions, "the examples")):
        other = write_as(kind, tmp_path / kind.__name__)

        with pytest.raises(DataError, match=sentence):
            compare(parse_side(f"{runs / 'one'}:base"), parse_side(f"{other}:base"))


def test_what_is_not_answered_by_both_is_left_out(runs: Path) -> None:
    compared = compare(parse_side(f"{runs / 'exam'}:base"), parse_side(f"{runs / 'one'}:base"))

    assert {(row.task, row.split) for row in compared.tasks} == {("sums", "train"), ("sums", "dev"), ("chat", "dev")}
    with pytest.raises(DataError, match="no task's split in common"):
        compare(parse_side(f"{runs / 'exam'}:base"), parse_side(f"{runs / 'one'}:base"), split="test")


def test_an_evaluation_that_goes_on_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, stop_after=3)  # the second half of the train questions is not asked yet

    with pytest.raises(DataError, match="no task's split in common"):
        compare(parse_side(f"{tmp_path}:base"), parse_side(f"{tmp_path}:base"), split="dev")


def test_checkpoints_go_by_name_or_by_the_first_digits_of_their_hash(runs: Path) -> None:
    with open_ledger(runs / "one") as ledger:
        known = list_choices(ledger)
        assert [item.name for item in known[:2]] == ["base", "final"]
        assert "cycle 1, accepted" in choice_text(known[2])
        assert "cycle 2, rejected" in choice_text(known[3])
        for item in known[2:]:
            assert find_side(ledger, item.checkpoint[:6]).checkpoint == item.checkpoint
        with pytest.raises(LedgerError, match="no checkpoint 'best'; it has base, final, "):
            find_side(ledger, "best")
    with open_ledger(runs / "exam") as ledger:
        assert [item.name for item in list_choices(ledger)] == ["base"]
        assert find_side(ledger).name == "base"
    with pytest.raises(LedgerError, match="There is no ledger"):
        parse_side(str(runs / "nowhere"))


def test_a_comparison_reads_while_a_run_writes(tmp_path: Path) -> None:
    write_run(tmp_path)
    with open_ledger(tmp_path, "write"):
        assert compare(parse_side(f"{tmp_path}:base"), parse_side(str(tmp_path))).tasks


# Questions ---------------------------------------------------------------------------------------------------------


def test_regressions_come_first_then_gains_then_the_rest(runs: Path) -> None:
    a, b = parse_side(f"{runs / 'one'}:base"), parse_side(str(runs / "one"))
    row = row_of(compare(a, b), "sums", "test")
    before, after = (verdicts(runs / "one", name, "sums", "test") for name in ("base", "final"))

    listed = list_items(a, b, row, "all", 1000)

    wanted = sorted(before, key=lambda key: (CHANGES.index(change_of(before[key], after[key])), key))
    assert [item.example for item in listed] == wanted
    assert [item.example for item in list_items(a, b, row, "regressions", 1000)] == wanted[: row.broken]
    assert len(list_items(a, b, row, "gains", 1000)) == row.fixed
    first = listed[0]
    assert (first.before, first.after) == (before[first.example], after[first.example])
    assert first.question.startswith("What is ")
    assert first.extracted_after == "17"


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 60), shown=st.sampled_from(["regressions", "gains", "all"]))
def test_pages_joined_are_the_whole_list_in_either_direction(size: int, shown: str, runs: Path) -> None:
    a, b = parse_side(f"{runs / 'one'}:base"), parse_side(str(runs / "one"))
    wanted = next(changes for name, changes in SHOWN.items() if name == shown)
    with open_pairs(a, b, row_of(compare(a, b), "sums", "dev")) as pairs:
        whole = pairs.page(wanted, None, 1000)
        forward: list[Pair] = []
        while page := pairs.page(wanted, forward[-1].place if forward else None, size):
            forward += page
        assert forward == whole
        backward: list[Pair] = []
        start = Place(CHANGES[-1], "\U0010ffff")
        while page := pairs.page_before(wanted, backward[0].place if backward else start, size):
            backward = page + backward
        assert backward == whole


def test_a_question_opens_with_both_answers_in_full(runs: Path) -> None:
    a, b = parse_side(f"{runs / 'one'}:base"), parse_side(str(runs / "one"))
    with open_pairs(a, b, row_of(compare(a, b), "sums", "test")) as pairs:
        pair = pairs.page(("broken",), None, 1)[0]
        answers = pairs.both(pair.place.example)
        assert answers is not None
        assert [answer.score.verdict for answer in answers] == [pair.before, pair.after]
        assert pairs.place_of(pair.place.example) == pair.place
        assert pairs.both("none such") is None
        assert pairs.place_of("none such") is None


# The command line --------------------------------------------------------------------------------------------------


def test_the_command_prints_tables_for_people(runs: Path) -> None:
    done = CliRunner().invoke(command, [f"{runs / 'one'}:base", str(runs / "one"), "--task", "sums", "--items", "2"])

    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    row = row_of(compare(parse_side(f"{runs / 'one'}:base"), parse_side(str(runs / "one"))), "sums", "test")
    assert f"Regressions of sums (test): 2 of {row.broken}" in said
    assert "p (Holm)" in said
    assert "Responses that could not be scored, or were cut off" in said
    assert "chat" not in said


def test_the_command_prints_one_object_for_programs(runs: Path) -> None:
    arguments = [f"{runs / 'one'}:base", str(runs / "one"), "--split", "dev", "--change", "gains", "--json"]
    done = CliRunner().invoke(command, arguments)

    made = json.loads(done.output)
    assert done.exit_code == 0
    assert [(row["task"], row["split"]) for row in made["tasks"]] == [("sums", "dev"), ("chat", "dev")]
    assert {item["change"] for item in made["items"]} == {"fixed"}
    assert made["a"]["name"] == "base"


def test_bad_input_is_the_users_to_fix(runs: Path) -> None:
    done = CliRunner().invoke(command, [str(runs / "nowhere"), str(runs / "one")])

    assert isinstance(done.exception, LedgerError)


def test_a_book_without_recorded_groups_is_searched_for_them(tmp_path: Path) -> None:
    rows = [f"What is {n} + {n + 1}?" for n in range(6)] + ["How many legs have two dogs?"] * 4
    for name, right in (("a", 2), ("b", 10)):
        log = tmp_path / f"{name}.jsonl"
        lines = (
            {"id": str(n), "question": question, "answer": "8", "response": "It is 8.", "is_correct": n < right}
            for n, question in enumerate(rows)
        )
        log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        made = CliRunner().invoke(cli, ["import", str(log), "--task", "gsm8k", "--out", str(tmp_path / name)])
        assert made.exit_code == 0, made.output

    (row,) = compare(parse_side(f"{tmp_path / 'a'}:base"), parse_side(f"{tmp_path / 'b'}:base")).tasks

    assert (row.n, row.groups, row.fixed) == (10, 7, 8)
    assert row.p_value == mcnemar(5, 0)  # four single ones and the group of four: all five up


def test_an_unknown_task_is_named_with_the_known_ones(tmp_path: Path) -> None:
    side = parse_side(str(write_run(tmp_path / "run")))
    with pytest.raises(DataError, match=r"has no task 'nope'; it has \w+"):
        compare(side, side, "nope")

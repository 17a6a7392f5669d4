"""What is said of an experiment, recomputed from its verdicts by hand, cell by cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from experiment_kit import RESULTS, SEEDS, TASKS, N

from errorbook.errors import DataError
from errorbook.experiment.page import write_page, write_table
from errorbook.experiment.results import is_results, read_results, write_results
from errorbook.experiment.summary import Summary, summarise
from errorbook.experiment.tables import make_notes, make_tables


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(RESULTS)


def right(arm: str, seed: int, *tasks: str) -> list[bool]:
    run = next(run for run in RESULTS.runs if (run.arm, run.seed) == (arm, seed))
    return [letter == "r" for task in tasks for letter in run.examined[run.outcome].verdicts[task]]


def mean_difference(one: str, other: str, *tasks: str) -> float:
    found = [
        (sum(right(one, seed, *tasks)) - sum(right(other, seed, *tasks))) / len(right(one, seed, *tasks))
        for seed in SEEDS
    ]
    return sum(found) / len(found)


def test_every_value_is_that_of_the_verdicts(summary: Summary) -> None:
    for arm in summary.arms:
        scopes = {("sums", "words"): arm.learnt} | {(task,): arm.tasks[task] for task in TASKS}
        for tasks, change in scopes.items():
            flat = [one for seed in SEEDS for one in right(arm.arm, seed, *tasks)]
            assert change.accuracy == pytest.approx(sum(flat) / len(flat))
            if arm.arm != "base":
                assert change.gain is not None
                assert change.gain.value == pytest.approx(mean_difference(arm.arm, "base", *tasks))
            if arm.arm in ("error", "gentle"):
                assert change.against is not None
                assert change.against.value == pytest.approx(mean_difference(arm.arm, "undirected", *tasks))
                assert change.against.low < change.against.value < change.against.high
            else:
                assert change.against is None


def test_what_the_gate_kept_is_half_of_it_here(summary: Summary) -> None:
    for arm in summary.arms[1:]:
        kept = [
            sum(right(arm.arm, seed, "sums", "words")) - sum(right("base", seed, "sums", "words")) if seed % 2 else 0
            for seed in SEEDS
        ]
        assert arm.kept == pytest.approx(sum(kept) / len(SEEDS) / (2 * N))
        assert (arm.accepted, arm.decided) == (2, 4)


def test_holm_is_over_the_arms_of_a_table(summary: Summary) -> None:
    by_name = {arm.arm: arm.learnt for arm in summary.arms}
    plain = {arm: change.against.p_value for arm, change in by_name.items() if change.against is not None}
    low, high = sorted(plain, key=lambda arm: plain[arm])

    assert by_name[low].p_holm == pytest.approx(min(1, 2 * plain[low]))
    assert by_name[high].p_holm == pytest.approx(max(plain[high], min(1, 2 * plain[low])))


def test_multiples_are_of_gains_for_costs(summary: Summary) -> None:
    arm = next(arm for arm in summary.arms if arm.arm == "error")

    def per(name: str, cost: str) -> float:
        found = []
        for seed in SEEDS:
            run = next(run for run in RESULTS.runs if (run.arm, run.seed) == (name, seed))
            spent = sum(run.cost.samples) if cost == "samples" else getattr(run.cost, cost)
            gained = sum(right(name, seed, "sums", "words")) - sum(right("base", seed, "sums", "words"))
            found.append(gained / spent)
        return sum(found)

    for multiple, cost in ((arm.per_sample, "samples"), (arm.per_dollar, "usd"), (arm.per_minute, "minutes")):
        assert multiple is not None
        assert multiple.value == pytest.approx(per("error", cost) / per("undirected", cost))


def test_questions_that_several_seeds_ask_are_one_and_groups_stay_whole(summary: Summary) -> None:
    assert summary.questions == dict.fromkeys(TASKS, N * len(SEEDS))
    assert summary.groups == {"sums": (N - 2) * len(SEEDS), "words": N * len(SEEDS), "facts": N}


def test_every_cell_of_the_tables_is_a_rounded_value(summary: Summary) -> None:
    gains = make_tables(summary)[0]
    for row, arm in zip(gains.rows, summary.arms, strict=True):
        cells = dict(zip(gains.columns, row, strict=True))
        assert cells["arm"] == arm.arm
        assert cells["accuracy"] == f"{100 * arm.learnt.accuracy:.1f}%"
        gain, change = arm.learnt.gain, arm.tasks["facts"].gain
        for shown, known in ((cells["gain (95%)"], gain), (cells["facts, change (95%)"], change)):
            numbers = [float(one) for one in re.findall(r"[+-]?\d+\.\d", shown)]
            expected = [] if known is None else [known.value, known.low, known.high]
            assert numbers == pytest.approx([100 * one for one in expected], abs=0.051)


def test_another_budget_than_the_controls_is_said() -> None:
    from msgspec.structs import replace

    arms = tuple(replace(arm, samples={"error": 200, "gentle": 1000}.get(arm.name, 100)) for arm in RESULTS.arms)
    notes = make_notes(summarise(replace(RESULTS, arms=arms)))

    assert "`error` had 102 of its 200 samples on average, so it is not at equal budget." in notes
    assert "`gentle` has a budget of its own: 1000 samples." in notes
    assert not any("budget" in note for note in make_notes(summarise(RESULTS)))


def test_a_page_holds_every_cell_and_leaves_out_what_says_nothing(summary: Summary) -> None:
    page = write_page([RESULTS])
    for table in make_tables(summary):
        assert write_table(table) in page
        assert not table.rows or all(row[0] in page for row in table.rows)
    assert "160 of `sums` in 152 groups" in page
    assert "- `error`: 100 samples; `train.replay = 0.5`" in page
    assert write_page([RESULTS]) == page


def test_a_result_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "made.json"
    write_results(file, RESULTS)

    assert read_results(file) == RESULTS
    assert is_results(file.read_bytes())
    assert not is_results(b'{"format": 1}')
    assert len(file.read_text().splitlines()) < 100


@pytest.mark.parametrize(("content", "said"), [("{}", "is no result file"), ("[", "is no result file")])
def test_another_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        read_results(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_results(tmp_path / "none.json")


def test_an_experiment_that_has_begun_says_what_is_missing() -> None:
    from msgspec.structs import replace

    begun = replace(RESULTS, runs=RESULTS.runs[:3])
    nothing = replace(RESULTS, runs=(), questions=())
    made = summarise(begun)

    assert [arm.arm for arm in made.arms] == ["base", "undirected", "error"]
    assert any("13 runs are not finished" in note for note in make_notes(made))
    assert any("one seed" in note for note in make_notes(made))
    assert write_page([begun])
    assert "No run of the base" in write_page([nothing])

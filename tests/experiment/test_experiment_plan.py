"""The plan of an experiment: what it counts, and what it takes from runs that are finished."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiment_kit import EXPERIMENT, RESULTS, RUN_FILE, write_files

from errorbook.experiment.file import load
from errorbook.experiment.plan import ASSUMED, make_plan, say_plan, tabulate
from errorbook.experiment.results import write_results
from errorbook.stats.seeds_needed import find_power


def test_a_plan_runs_nothing_and_says_what_is_needed(tmp_path: Path) -> None:
    run_file = RUN_FILE.replace("test = 26", "test = 130")
    plan = make_plan(load(write_files(tmp_path, EXPERIMENT, run_file)), tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert (plan.arms, plan.seeds, plan.runs, plan.comparisons, plan.questions) == (3, 2, 6, 1, 130)
    assert (plan.discordant, plan.between, plan.measured) == (ASSUMED.discordant, ASSUMED.between, False)
    assert plan.seeds_needed is not None
    noise = ASSUMED._replace(shared=plan.shared)
    assert find_power(0.05, plan.seeds_needed, plan.effective, noise) >= 0.8
    assert plan.by_seeds[20] < plan.by_seeds[3] < 1  # type: ignore[operator]
    assert len(tabulate(plan).rows) == len(plan.by_seeds)
    assert any("assumed" in sentence for sentence in say_plan(plan))


def test_finished_runs_tell_the_noise(tmp_path: Path) -> None:
    experiment = load(write_files(tmp_path))
    write_results(tmp_path / "results.json", RESULTS)
    plan = make_plan(experiment, tmp_path)

    assert plan.measured
    assert 0.2 < plan.discordant < 0.8
    assert any("measured" in sentence for sentence in say_plan(plan))


def test_several_comparisons_share_the_error_rate(tmp_path: Path) -> None:
    more = EXPERIMENT + "\n[arms.error]\n[arms.gold]\n[arms.self]\n"
    plan = make_plan(load(write_files(tmp_path, more)), tmp_path / "out")

    assert plan.comparisons == 4
    assert plan.alpha_each == pytest.approx(0.0125)

"""docs/results.md says what the committed result files say, and every experiment of ours can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.proof import EXPERIMENTS, PAGE, RESULTS, make_page
from errorbook.experiment.file import load
from errorbook.experiment.results import Results, read_results
from errorbook.experiment.summary import summarise

FILES = sorted(RESULTS.glob("*.json"))


def test_every_cell_of_the_page_is_computed_from_the_result_files() -> None:
    assert PAGE.read_text(encoding="utf-8") == make_page(), "run 'make results'"


def share_right(results: Results, arm: str, seed: int) -> float:
    """The share of the learnt tasks' questions that an arm got right in a seed, counted from the letters alone."""
    learnt = {item.task for item in results.questions if item.role == "learn"}
    run = next(run for run in results.runs if (run.arm, run.seed) == (arm, seed))
    text = "".join(run.examined[run.outcome].verdicts[task] for task in learnt)
    return text.count("r") / len(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_accuracies_and_gains_on_the_page_are_counts_of_letters(file: Path) -> None:
    results = read_results(file)
    section = PAGE.read_text(encoding="utf-8").partition(f"## {results.name}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\S+) \| \d+ \| ([\d.]+)% \| ([+-]?[\d.]+|–)", section, re.M)
    based = {run.seed for run in results.runs if run.arm == "base"}

    assert {arm for arm, _, _ in rows} == {run.arm for run in results.runs if run.seed in based}
    for arm, accuracy, gain in rows:
        seeds = [run.seed for run in results.runs if run.arm == arm and run.seed in based]
        shares = [share_right(results, arm, seed) for seed in seeds]
        gains = [share - share_right(results, "base", seed) for share, seed in zip(shares, seeds, strict=True)]
        assert float(accuracy) == pytest.approx(100 * sum(shares) / len(shares), abs=0.051)
        assert (0.0 if gain == "–" else float(gain)) == pytest.approx(100 * sum(gains) / len(gains), abs=0.051)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_result_file_is_small_and_holds_no_texts(file: Path) -> None:
    results = read_results(file)

    assert file.stat().st_size < 2_000_000
    assert {
        letter for run in results.runs for one in run.examined for text in one.verdicts.values() for letter in text
    } <= set("rwu")
    assert summarise(results).arms


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda file: file.stem)
def test_our_experiments_can_be_read(file: Path) -> None:
    assert load(file).arms

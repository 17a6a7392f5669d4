"""The overhead benchmark measures what it says: a whole run, whose engines were at work for a known time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.overhead import measure
from benchmarks.overhead_engine import problems
from errorbook.checks.equations import find_wrong_equation


def test_a_run_is_measured_against_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = measure(tmp_path, 40, 0.001)

    assert found.responses == 40 + 3 * 20 + 20  # train; dev twice, and for the noise floor; test of the base alone
    assert found.samples > 0
    assert found.responses * found.delay <= found.engine < found.wall
    assert found.overhead == found.wall / found.engine
    assert found.quiet == 1 + found.cpu / found.engine
    assert {"verify", "train", "evaluate problems dev"} <= set(found.stages)


def test_the_problems_are_drawn_by_their_seed_and_add_up() -> None:
    drawn = list(problems(20, "a"))
    assert drawn == list(problems(20, "a"))
    assert drawn != list(problems(20, "b"))
    assert not any(find_wrong_equation(problem.solution) for problem in drawn)
    assert all(problem.solution.endswith(f"= {problem.answer}.") for problem in drawn)

"""The torture of the code scorer, in short: honest, hostile and unparsable programs."""

from __future__ import annotations

import random

import pytest

from benchmarks.torture import programs
from benchmarks.torture.honest import list_cases
from errorbook.sandbox.cell import find_lack

pytestmark = pytest.mark.skipif(find_lack() is not None, reason=f"no sandbox here: {find_lack()}")


def test_honest_programs_of_every_kind_get_the_verdict_that_one_would_wish() -> None:
    cases = list_cases()

    assert len(cases) >= 100
    assert len({case.name for case in cases}) == len(cases)
    assert programs.try_honest(cases[::5]) == []


@pytest.mark.slow
def test_every_honest_program_gets_the_verdict_that_one_would_wish() -> None:
    assert programs.try_honest(list_cases()) == []


def test_hostile_programs_in_other_clothes_are_wrong() -> None:
    draw = random.Random(5)

    assert programs.try_hostile([programs.vary_hostile(draw) for _ in range(4)]) == []


@pytest.mark.parametrize(
    "name", ["imports and prose", "minus signs", "definitions of others", "open brackets", "powers"]
)
def test_texts_that_are_bad_to_parse_get_a_verdict_soon(name: str) -> None:
    text = programs.BOMBS[name](1501)

    took, fault = programs.try_bomb(name, "Write `f`.", text)

    assert fault == ""
    assert took < 15


@pytest.mark.slow
def test_the_part_itself_runs() -> None:
    assert programs.torment(1.0, seed=2).broken == ()

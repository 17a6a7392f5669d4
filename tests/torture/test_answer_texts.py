"""A short cut of the torture of scorers and checks, the corpus that is kept, and growth on the worst patterns known."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture.answers import GROWTH, make_targets, measure_growth, torment

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.txt"))
TARGETS = make_targets()


@pytest.mark.parametrize("seed", [1, 2])
def test_no_text_breaks_a_scorer_or_a_check(seed: int) -> None:
    outcome = torment(1.0, seed)
    assert outcome.broken == ()
    assert outcome.tried > 0


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_text_of_the_corpus_is_read(path: Path) -> None:
    for target in TARGETS.values():
        target(path.read_text(encoding="utf-8"))


@pytest.mark.timeout(120)  # a step for each pair of characters would take minutes
@pytest.mark.parametrize(
    "piece", ["| 1 | 2 ", "| 1 |\n", " \n ", "1 = ", "1+", "(", "#### a\n", "x = 1\n", "\\frac{1}{2} "]
)
@pytest.mark.parametrize(
    "name", ["leak", "heading", "doubt", "steps", "conclusion", "misfit", "numeric 12", "exact 24"]
)
def test_time_grows_with_the_text(name: str, piece: str) -> None:
    assert measure_growth(TARGETS[name], piece) <= GROWTH


def count_ends(text: str) -> int:
    """A step for each hundredth pair of characters: no time at all for a text of usual length."""
    return sum(text.count("z", 0, place) for place in range(0, len(text), 100))


def test_growth_is_told_where_the_usual_text_takes_no_time() -> None:
    assert measure_growth(count_ends, "ab ") > GROWTH
    assert 2 < measure_growth(lambda text: [letter.isalpha() for letter in text for _ in range(9)], "ab ") < GROWTH
    assert measure_growth(len, "ab ") == 0

"""Power of a comparison of two arms over seeds and questions, before anything is run.

A comparison that cannot find the difference that is asked for is no evidence of its absence, and what it does find is
exaggerated (Card et al., With Little Power Comes Great Responsibility, EMNLP 2020). It is the power of the test of
`mixed.mean_of`: Student's t over seeds, whose differences hold the questions' luck as well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MOST_SEEDS = 100
_MOST_QUESTIONS = 1_000_000


class Noise(NamedTuple):
    """What makes two arms differ by chance.

    `discordant` is the share of questions that one of two arms alone gets right; `between` the standard deviation,
    in accuracy, of their true difference from seed to seed; `shared` the share of questions that all seeds ask.
    """

    discordant: float
    between: float
    shared: float = 0.0


def find_power(difference: float, seeds: int, questions: float, noise: Noise, alpha: float = 0.05) -> float:
    """The chance that the two-sided test finds a true difference; 0 for less than two seeds, which show no spread.

    `questions` are those of one seed, as many as stand alone (see `effective_questions`).
    """
    from scipy.special import nctdtr, stdtrit

    if seeds < 2 or questions <= 0:
        return 0.0
    variance = _variance(difference, seeds, questions, noise)
    if variance <= 0:
        return 1.0
    degrees = seeds - 1
    needed = float(stdtrit(degrees, 1 - alpha / 2))
    centre = difference / math.sqrt(variance)
    below = float(nctdtr(degrees, centre, needed))
    return 1.0 - below if math.isfinite(below) else float(centre > needed)


def seeds_needed(
    difference: float, questions: float, noise: Noise, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """The fewest seeds that find the difference with this power; None if `MOST_SEEDS` do not."""
    enough = (n for n in range(2, MOST_SEEDS + 1) if find_power(difference, n, questions, noise, alpha) >= power)
    return next(enough, None)


def questions_needed(
    difference: float, seeds: int, noise: Noise, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """The fewest questions a seed that find it; None if no number does, since the seeds differ too much."""
    if find_power(difference, seeds, _MOST_QUESTIONS, noise, alpha) < power:
        return None
    low, high = 0, _MOST_QUESTIONS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if find_power(difference, seeds, middle, noise, alpha) >= power else (middle, high)
    return high


def detectable_difference(
    seeds: int, questions: float, noise: Noise, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest difference that is found with this power; None if none is."""
    low, high = 0.0, 1.0
    if find_power(high, seeds, questions, noise, alpha) < power:
        return None
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if find_power(middle, seeds, questions, noise, alpha) >= power else (middle, high)
    return high


def _variance(difference: float, seeds: int, questions: float, noise: Noise) -> float:
    """Of the mean difference: seeds and their own questions average out, the questions that all seeds ask do not."""
    each = max(noise.discordant, abs(difference)) - difference * difference
    own, common = (1 - noise.shared) / seeds, noise.shared
    return noise.between**2 / seeds + each / questions * (own + common)

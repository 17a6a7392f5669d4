"""Scores of many responses at once, all of which must have a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.checks.verdicts import require_verdicts
from errorbook.interfaces import BatchScorer
from errorbook.records import Example, Score


def score_all(scorer: BatchScorer, pairs: Sequence[tuple[Example, str]]) -> list[Score]:
    return require_verdicts(scorer.score_all(pairs), "responses")

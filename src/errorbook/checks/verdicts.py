"""What to do if what judges responses failed: no verdict is made up for that.

A sandbox that did not start and an endpoint that was away say nothing about a response. It covers no retries: a scorer
tries again by itself, as far as that is sensible.
"""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.errors import UnjudgedError
from errorbook.records import NoVerdict, Score


def require_verdicts(scores: Sequence[Score | NoVerdict], what: str) -> list[Score]:
    """The scores, if all of them are there; `what` names what was judged, in the plural.

    Raises:
        UnjudgedError: Some are missing: says how many, and the first reason.
    """
    missing = [score for score in scores if isinstance(score, NoVerdict)]
    if missing:
        raise UnjudgedError.of(len(missing), len(scores), what, missing[0].reason)
    return [score for score in scores if not isinstance(score, NoVerdict)]

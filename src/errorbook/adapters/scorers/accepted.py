"""Several accepted gold answers: a response is right if it is right by one of them.

It is wrong only if it is wrong by each: what cannot be told by one answer is not held against the model. An answer that
asks for several things at once ("A, C") is one answer; see `several`.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from errorbook.records import Example, Score


def score_accepted(score: Callable[[Example, str], Score], example: Example, text: str) -> Score:
    """The score by the first accepted answer that the response meets, else one that is no mistake, else the first."""
    first = score(example, text)
    if first.verdict == "right" or not example.accepted:
        return first
    others = []
    for answer in example.accepted:
        other = score(replace(example, answer=answer, accepted=()), text)
        if other.verdict == "right":
            return other
        others.append(other)
    return next((one for one in (first, *others) if one.verdict == "unscorable"), first)

"""The `exact` scorer: the answer as words, compared whole.

It looks for the answer after a marker (see `markers`), else takes the whole response, else its first line. It does
not accept synonyms, extra words or other orders: use `contains` where a sentence around the answer is fine, and
`numeric` for numbers ("42" is not "42.0" here).
"""

from __future__ import annotations

from errorbook.records import Example, Score
from errorbook.scorers.markers import boxed, marked, tidy
from errorbook.scorers.words import words


class Exact:
    """Right where the response's answer has the same words as the gold answer, in the same order."""

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "exact"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` where it holds no word (or, for a gold answer of signs only, nothing)."""
        candidates = _candidates(tidy(text))
        if not any(words(candidate) or not words(example.answer) for _, candidate in candidates):
            return Score(verdict="unscorable", method="none")
        for method, candidate in candidates:
            if _same(candidate, example.answer):
                return Score(verdict="right", extracted=candidate, method=method)
        method, candidate = candidates[-1]
        return Score(verdict="wrong", extracted=candidate, method=method)


def _candidates(text: str) -> list[tuple[str, str]]:
    """Places to compare: the last marked one alone where there is one, else the whole text and its first line."""
    for method, places in (("marker", marked(text)), ("boxed", boxed(text))):
        for place in places:
            if place:
                return [(method, place)]
    lines = [line for line in text.split("\n") if line]
    return [("whole", "\n".join(lines)), ("first line", lines[0])] if lines else []


def _same(left: str, right: str) -> bool:
    gold = words(right)
    return words(left) == gold if gold else left.strip() == right.strip()

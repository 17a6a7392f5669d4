"""The `contains` scorer: the gold answer occurs in the response as whole words.

Made for short facts that a model wraps in a sentence. Alternatives in the gold answer are separated by "|". It does
not see negation ("not Paris" contains Paris) and rewards a response that lists many answers: keep `max_new_tokens`
small, and use `exact` or `numeric` if the answer can be read alone.
"""

from __future__ import annotations

from errorbook.adapters.scorers.words import words
from errorbook.records import Example, Score

_SHOWN = 80


class Contains:
    """Right if any alternative of the gold answer occurs in the response, case and punctuation aside."""

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "contains"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` if it, or the gold answer, holds no word."""
        said = words(text)
        golds = [*example.answer.split("|"), *example.accepted]
        alternatives = [(choice.strip(), words(choice)) for choice in golds]
        if not said or not any(wanted for _, wanted in alternatives):
            return Score(verdict="unscorable", method="none")
        line = f" {' '.join(said)} "
        for choice, wanted in alternatives:
            if wanted and f" {' '.join(wanted)} " in line:
                return Score(verdict="right", extracted=choice, method="words")
        return Score(verdict="wrong", extracted=" ".join(text.split())[:_SHOWN], method="words")

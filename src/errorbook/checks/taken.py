"""The questions that a sample may not repeat, and those that it may not contain; and what a refusal is.

Only questions are compared. Which of them are taken or protected in a run is the business of whoever sets it up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from errorbook.checks.hashes import hash_text
from errorbook.checks.near_duplicates import Meaning, Nearness
from errorbook.checks.ngram_overlap import Overlaps
from errorbook.checks.tokens import numbers, words
from errorbook.records import Example, Message, context_of, whole_question


class Refusal(NamedTuple):
    """Why a draft is rejected: one of the reasons in `verify.CHECKS`, and the evidence."""

    reason: str
    detail: str


class Taken:
    """Questions that a new sample must not repeat: earlier samples and the train split. Grows as samples pass."""

    def __init__(self, threshold: float, questions: Iterable[str] = (), meaning: Meaning | None = None) -> None:
        """Start with `questions`; two texts are near from Jaccard similarity `threshold`, or by `meaning`."""
        self._exact: dict[int, int] = {}
        self._near = Nearness(threshold, meaning)
        for question in questions:
            self.add(question)

    def add(self, question: str, before: Sequence[Message] = ()) -> None:
        """Take one more question; after other messages of its own it is another question."""
        context = context_of(before)
        key = _key(question, context)
        if key not in self._exact:
            self._exact[key] = self._near.add(question, context)

    def clash(self, question: str, before: Sequence[Message] = ()) -> Refusal | None:
        """The question that this one repeats, if any. Other numbers make another question."""
        context = context_of(before)
        place = self._exact.get(_key(question, context))
        if place is not None:
            return Refusal("duplicate", self._near[place])
        other = self._near.find(question, context)
        return None if other is None else Refusal("near_duplicate", other)


class Protected:
    """What no sample may contain: the questions of every dev, test and guard split, as n-grams and calculations.

    An n-gram that also occurs in the train split, or in two unlike questions of the benchmarks themselves, is common
    phrasing and does not count.
    """

    def __init__(
        self, examples: Iterable[Example], train: Iterable[Example], n: int, sums: Collection[str] | None = None
    ) -> None:
        """Index the examples.

        Args:
            examples: Every example that must stay unseen.
            train: Examples whose phrasing is common.
            n: How many words in a row make an overlap.
            sums: Tasks whose questions are calculations, so that the same numbers and answer make the same question;
                None for all. Word problems with small numbers meet by chance and should not be among them.
        """
        self._places: list[str] = []
        self._questions: dict[int, int] = {}
        self._sums: dict[int, int] = {}
        sequences = []
        for place, example in enumerate(examples):
            self._places.append(f"{example.task}/{example.split}/{example.id}")
            sequence = _said(example)
            sequences.append(sequence)
            self._questions.setdefault(hash_text(sequence), place)
            if (sums is None or example.task in sums) and len(numbers(example.question)) > 1:
                self._sums.setdefault(_calculation(example.question, example.answer), place)
        self._overlaps = Overlaps(sequences, n, (_said(example) for example in train), particular=True)

    def clash(self, question: str, answer: str, before: Sequence[Message] = ()) -> Refusal | None:
        """The protected example that the question overlaps with, and the span that they share.

        What stands before it is the data's own; it counts only if a whole conversation is the same.
        """
        sequence = words(question)
        place = self._questions.get(hash_text(words(whole_question(before, question))))
        if place is not None:
            return Refusal("contaminated", f"{self._places[place]}: the whole question")
        match = self._overlaps.find(sequence)
        if match is not None:
            return Refusal("contaminated", f"{self._places[match.text]}: '{match.span}'")
        place = self._sums.get(_calculation(question, answer))
        if place is not None:
            return Refusal("contaminated", f"{self._places[place]}: the same numbers and answer")
        return None


def _key(question: str, context: str) -> int:
    return hash_text([*words(question), context] if context else words(question))


def _said(example: Example) -> Sequence[str]:
    """The words of a question and of its own earlier turns, which no sample may contain either."""
    return words(whole_question(example.before, example.question))


def _calculation(question: str, answer: str) -> int:
    return hash_text([*sorted(numbers(question)), answer.strip().lower()])

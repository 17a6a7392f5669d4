"""A person's edit of a sample, held against everything that no sample may repeat or contain.

The checks are those of `verify`, with the answer trusted: a person vouches for it. Only the few questions that could
clash are compared, so one edit is checked in a moment; to index a large run would take minutes. What a run alone
can check (the answer in its task's format, benchmarks that are no part of the ledger) is checked again at the training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from errorbook import plugins
from errorbook.checks.taken import Protected, Refusal, Taken
from errorbook.checks.tokens import ngrams, numbers, words
from errorbook.config import Config
from errorbook.errors import PluginError
from errorbook.interfaces import Solver
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import read_config
from errorbook.records import Correction, Draft, Example, Message, Sample, context_of, whole_question
from errorbook.verify import Evidence, Known, find_faults


def rewrite_draft(draft: Draft, edit: Correction) -> Draft:
    """The draft as a person rewrote it."""
    return replace(draft, question=edit.question, answer=edit.answer, solution=edit.solution)


def find_evidence(ledger: Ledger, edited: Draft) -> Evidence:
    """A person vouches for the answer; a train question's own wording, if the draft keeps it, may be repeated."""
    key = keys.example(edited.task, "train", edited.example)
    source = ledger.find(Example, key) if edited.writes == "solution" else None
    return Evidence(own={edited.hash: source} if source else {}, trust_answers=True)


def refuse_edit(
    ledger: Ledger,
    edited: Draft,
    original: str,
    *,
    upto: int | None = None,
    others: Iterable[Correction] = (),
    more: Sequence[Example] = (),
) -> Refusal | None:
    """Why an edit may not be trained on, as far as the ledger alone can tell.

    Args:
        ledger: The run's.
        edited: The draft as it was rewritten.
        original: Hash of the draft that was rewritten, whose own sample it may resemble.
        upto: The last cycle whose samples count; None for all.
        others: Edits that stand already.
        more: Held-out questions beside those of the ledger.
    """
    config = read_config(ledger)
    guards = {section.name for section in config.guards()}
    seen = _Seen(edited, config.verify.ngram)
    for example in more:
        seen.held_out(example)
    for example in ledger.all(Example):
        if example.split == "train":
            seen.used(example.question, example.before)
        if example.split != "train" or example.task in guards:
            seen.held_out(example)
        else:
            seen.learnt(example)
    for sample in _samples(ledger, upto):
        if sample.draft != original:
            seen.used(sample.question, sample.before)
    for other in others:
        if other.subject != original:
            seen.used(other.question)
    taken = Taken(config.verify.near_duplicate)
    for question in seen.alike:
        taken.add(question, edited.before)
    protected = Protected(seen.close, seen.common, config.verify.ngram, list_solved_tasks(config))
    known = Known(evidence=find_evidence(ledger, edited), taken=taken, protected=protected)
    return next(find_faults(edited, known), None)


class _Seen:
    """Of all questions the few that an edit could clash with; the others would change nothing."""

    def __init__(self, edited: Draft, n: int) -> None:
        self._n, self._words, self._numbers = n, words(edited.question), numbers(edited.question)
        self._context = context_of(edited.before)
        self._spans = ngrams(self._words, n)
        self._bag, self._fewest = set(self._words), min(len(set(span)) for span in self._spans)
        self.alike: list[str] = []
        self.close: list[Example] = []
        self.common: list[Example] = []

    def used(self, question: str, before: Sequence[Message] | None = None) -> None:
        """A question that must not be repeated after the same messages; near ones have the same numbers."""
        if before is not None and context_of(before) != self._context:
            return
        if numbers(question) == self._numbers or words(question) == self._words:
            self.alike.append(question)

    def held_out(self, example: Example) -> None:
        """A question that must not be contained: not a run of its words, nor its calculation."""
        if self._shares(example) or sorted(numbers(example.question)) == sorted(self._numbers):
            self.close.append(example)

    def learnt(self, example: Example) -> None:
        """A question whose phrasing is common."""
        if self._shares(example):
            self.common.append(example)

    def _shares(self, example: Example) -> bool:
        theirs = words(whole_question(example.before, example.question))
        if len(self._bag.intersection(theirs)) < self._fewest:  # so most are passed over in a moment
            return False
        return not self._spans.isdisjoint(ngrams(theirs, self._n))


def _samples(ledger: Ledger, upto: int | None) -> Iterator[Sample]:
    if upto is None:
        yield from ledger.all(Sample)
    else:
        for cycle in range(1, upto + 1):
            yield from ledger.all(Sample, cycle)


def list_solved_tasks(config: Config) -> Collection[str]:
    """The run's tasks whose questions are calculations, as far as their plugins are installed here."""
    solved = []
    for section in config.tasks:
        try:
            factory = plugins.load("tasks", section.plugin)
        except PluginError:
            continue
        if isinstance(factory, type) and issubclass(factory, Solver):
            solved.append(section.name)
    return solved

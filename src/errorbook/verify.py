"""Beyond the paper: Draft -> Sample | Rejection. Decides what may be trained on; keeps every reject with its reason.

The checks, in order, the first that fails is the reason:

`format`         the question, the solution or the answer is empty, or the completion does not score right by itself
`wrong_answer`   the answer, recomputed independently of the instructor, is another one
`unverifiable`   nothing but the instructor vouches for the answer
`wrong_step`     an equation in the worked solution does not hold
`duplicate`      the same question was drafted before, in this cycle or an earlier one, or stands in the train split
`near_duplicate` the same numbers and nearly the same words as such a question
`contaminated`   the question, a run of its words, or its calculation stands in a dev, test or guard split

Covers one draft at a time in a fixed order, so that a resumed run decides the same. It does not decide how many
drafts are asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from errorbook.equations import first_wrong
from errorbook.interfaces import Scorer, Solver, Task
from errorbook.records import Draft, Example, Rejection, Sample
from errorbook.texts import jaccard, ngrams, numbers, words

REASONS = ("format", "wrong_answer", "unverifiable", "wrong_step", "duplicate", "near_duplicate", "contaminated")
_SHINGLE = 3
_PERMUTATIONS = 64


class Refusal(NamedTuple):
    """Why a draft is rejected: one of `REASONS`, and the evidence."""

    reason: str
    detail: str


class Taken:
    """Questions that a new sample must not repeat: earlier samples and the train split. Grows as samples pass."""

    def __init__(self, threshold: float, questions: Iterable[str] = ()) -> None:
        self._threshold = threshold
        self._exact: dict[tuple[str, ...], str] = {}
        self._shingles: dict[str, tuple[tuple[str, ...], frozenset[tuple[str, ...]]]] = {}
        self._near = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
        for question in questions:
            self.add(question)

    def add(self, question: str) -> None:
        """Take one more question."""
        key = words(question)
        if key in self._exact:
            return
        self._exact[key] = question
        shingles = ngrams(key, _SHINGLE)
        self._shingles[question] = (numbers(question), shingles)
        self._near.insert(question, _sketch(shingles), check_duplication=False)

    def clash(self, question: str) -> Refusal | None:
        """The question that this one repeats, if any. Other numbers make another question."""
        key = words(question)
        if key in self._exact:
            return Refusal("duplicate", self._exact[key])
        shingles, figures = ngrams(key, _SHINGLE), numbers(question)
        for other in sorted(self._near.query(_sketch(shingles))):
            other_figures, other_shingles = self._shingles[other]
            if figures == other_figures and jaccard(shingles, other_shingles) >= self._threshold:
                return Refusal("near_duplicate", other)
        return None


class Protected:
    """What no sample may contain: the questions of every dev, test and guard split, as n-grams and calculations.

    An n-gram that also occurs in the train split is common phrasing and does not count.
    """

    def __init__(self, examples: Iterable[Example], train: Iterable[Example], n: int) -> None:
        self._n = n
        self._questions: dict[tuple[str, ...], str] = {}
        self._grams: dict[tuple[str, ...], str] = {}
        self._sums: dict[tuple[object, ...], str] = {}
        common = {gram for example in train for gram in ngrams(words(example.question), n)}
        for example in examples:
            place = f"{example.task}/{example.split}/{example.id}"
            sequence = words(example.question)
            self._questions.setdefault(sequence, place)
            for gram in ngrams(sequence, n) - common:
                self._grams.setdefault(gram, place)
            if len(numbers(example.question)) > 1:
                self._sums.setdefault(_calculation(example.question, example.answer), place)

    def clash(self, question: str, answer: str) -> Refusal | None:
        """The protected example that the question overlaps with, and the span that they share."""
        sequence = words(question)
        place = self._questions.get(sequence)
        if place is not None:
            return Refusal("contaminated", f"{place}: the whole question")
        for start in range(max(1, len(sequence) - self._n + 1)):
            gram = tuple(sequence[start : start + self._n])
            if gram in self._grams:
                return Refusal("contaminated", f"{self._grams[gram]}: '{' '.join(gram)}'")
        place = self._sums.get(_calculation(question, answer))
        if place is not None and len(numbers(question)) > 1:
            return Refusal("contaminated", f"{place}: the same numbers and answer")
        return None


def verify(
    drafts: Sequence[Draft],
    tasks: Mapping[str, tuple[Task, Scorer]],
    taken: Taken,
    protected: Protected,
    trust_answers: bool = False,
) -> Iterator[Sample | Rejection]:
    """Check drafts in their order; each gives exactly one Sample or one Rejection.

    Args:
        drafts: In an order that does not depend on timing, since the first of two duplicates is kept.
        tasks: Task and scorer by task name.
        taken: Questions that are used up; every sample is added to it.
        protected: The questions of dev, test and guard splits.
        trust_answers: Skip the recomputation (for ablations).
    """
    for draft in drafts:
        task, scorer = tasks[draft.task]
        refusal = (
            _check_format(draft, task, scorer)
            or (None if trust_answers else _check_answer(draft, task, scorer))
            or taken.clash(draft.question)
            or protected.clash(draft.question, draft.answer)
        )
        if refusal is not None:
            yield Rejection(draft=draft.hash, task=draft.task, reason=refusal.reason, detail=refusal.detail)
            continue
        taken.add(draft.question)
        yield Sample(
            draft=draft.hash,
            task=draft.task,
            question=draft.question,
            answer=draft.answer,
            solution=draft.solution,
            choices=draft.choices,
            skill=draft.skill,
            difficulty=draft.difficulty,
            checks=("format", "duplicates", "contamination") if trust_answers else _CHECKS,
        )


_CHECKS = ("format", "answer", "steps", "duplicates", "contamination")


def _check_format(draft: Draft, task: Task, scorer: Scorer) -> Refusal | None:
    for field in ("question", "solution", "answer"):
        if not getattr(draft, field).strip():
            return Refusal("format", f"the {field} is empty")
    completion = task.completion(draft.solution, draft.answer)
    score = scorer.score(_as_example(draft, draft.answer), completion)
    if score.verdict != "right":
        return Refusal("format", f"the completion states '{score.extracted}', the answer is '{draft.answer}'")
    return None


def _check_answer(draft: Draft, task: Task, scorer: Scorer) -> Refusal | None:
    if not isinstance(task, Solver):
        return Refusal("unverifiable", f"the task '{task.name}' cannot recompute answers")
    answer = task.solve(draft.question)
    if answer is None:
        return Refusal("unverifiable", "the question is not one that the task understands")
    if scorer.score(_as_example(draft, answer), task.completion("", draft.answer)).verdict != "right":
        return Refusal("wrong_answer", f"'{draft.answer}' is stated, '{answer}' recomputed")
    step = first_wrong(draft.solution)
    return Refusal("wrong_step", step) if step else None


def _as_example(draft: Draft, answer: str) -> Example:
    return Example(
        id=draft.hash,
        task=draft.task,
        split="train",
        question=draft.question,
        answer=answer,
        choices=draft.choices,
        tests=draft.tests,
    )


def _sketch(shingles: frozenset[tuple[str, ...]]) -> MinHash:
    sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update_batch([" ".join(shingle).encode() for shingle in sorted(shingles)])
    return sketch


def _calculation(question: str, answer: str) -> tuple[object, ...]:
    return tuple(sorted(numbers(question))), answer.strip().lower()

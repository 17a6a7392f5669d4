"""Beyond the paper: Draft -> Sample | Rejection. Decides what may be trained on; keeps every reject with its reason.

`REASONS` names the checks in their order; the first that fails is the reason. The order matters: a check may rely on
those before it (a sum is only recomputed if the draft is well formed), and cheap checks come before dear ones.

Covers one draft at a time in a fixed order, so that a resumed run decides the same. Asks no model: blind votes come in
as data (see `interfaces.Checker`). It does not decide how many drafts are asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from annotated_types import Interval

from errorbook.checks.equations import find_wrong_equation
from errorbook.checks.giveaways import find_leak
from errorbook.checks.hashes import hash_text
from errorbook.checks.hedging import find_doubt
from errorbook.checks.near_duplicates import Meaning, Nearness
from errorbook.checks.ngram_overlap import Overlaps
from errorbook.checks.tokens import numbers, words
from errorbook.interfaces import BatchScorer, Scorer, Solver, Task
from errorbook.records import Draft, Example, Rejection, Sample, Score

REASONS = {
    "format": "a part is missing, or no answer can be read from the solution",
    "leak": "the question holds an answer, a solution or a heading",
    "doubt": "the solution breaks off, changes its mind, or talks about the student",
    "weak_tests": "the tests pass for a program that does nothing, or for the wrong one",
    "wrong_answer": "the answer, found independently, is another one",
    "unverifiable": "nothing but the instructor vouches for the answer",
    "wrong_step": "an equation in the solution does not hold",
    "duplicate": "the question stands before, or in the train questions",
    "near_duplicate": "the same numbers in nearly the same words",
    "contaminated": "a held-out question, or a run of its words",
}
"""Every reason for a rejection, in the order of the checks, with what it means for people. The only list of them."""
_OWN = "the solution"
_FUNCTION = re.compile(r"^def (\w+)\(", re.MULTILINE)


class VerifySection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[verify]`: `answers = "trust"` skips the recomputation of answers (for ablations only).

    `ngram` is how many words in a row a sample may not share with a held-out question; 13 as in GPT-3's
    decontamination (Brown et al. 2020, appendix C). `votes` is how often the instructor solves a draft's question blind
    if the task cannot recompute its answer. `against` names tasks whose whole dev and test splits no sample may
    overlap with; if it is not given, these are all benchmarks below $ERRORBOOK_DATA.
    """

    answers: Literal["recompute", "trust"] = "recompute"
    near_duplicate: Annotated[float, Interval(gt=0, le=1)] = 0.8
    ngram: Annotated[int, Interval(ge=1, le=1000)] = 13
    votes: Annotated[int, Interval(ge=0, le=100)] = 3
    against: tuple[str, ...] | None = None


class Refusal(NamedTuple):
    """Why a draft is rejected: one of `REASONS`, and the evidence."""

    reason: str
    detail: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the drafts besides themselves, by draft hash.

    `votes` are blind answers (an empty one if a call failed); `wrong` is the response that the draft was written
    against; `trust_answers` skips every independent check of the answer (for ablations, and for recorded samples).
    """

    votes: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    wrong: Mapping[str, str] = msgspec.field(default_factory=dict)
    trust_answers: bool = False


class Taken:
    """Questions that a new sample must not repeat: earlier samples and the train split. Grows as samples pass."""

    def __init__(self, threshold: float, questions: Iterable[str] = (), meaning: Meaning | None = None) -> None:
        """Start with `questions`; two texts are near from Jaccard similarity `threshold`, or by `meaning`."""
        self._exact: dict[int, int] = {}
        self._near = Nearness(threshold, meaning)
        for question in questions:
            self.add(question)

    def add(self, question: str) -> None:
        """Take one more question."""
        key = hash_text(words(question))
        if key not in self._exact:
            self._exact[key] = self._near.add(question)

    def clash(self, question: str) -> Refusal | None:
        """The question that this one repeats, if any. Other numbers make another question."""
        place = self._exact.get(hash_text(words(question)))
        if place is not None:
            return Refusal("duplicate", self._near[place])
        other = self._near.find(question)
        return None if other is None else Refusal("near_duplicate", other)


class Protected:
    """What no sample may contain: the questions of every dev, test and guard split, as n-grams and calculations.

    An n-gram that also occurs in the train split is common phrasing and does not count.
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
            sequence = words(example.question)
            sequences.append(sequence)
            self._questions.setdefault(hash_text(sequence), place)
            if (sums is None or example.task in sums) and len(numbers(example.question)) > 1:
                self._sums.setdefault(_calculation(example.question, example.answer), place)
        self._overlaps = Overlaps(sequences, n, (words(example.question) for example in train))

    def clash(self, question: str, answer: str) -> Refusal | None:
        """The protected example that the question overlaps with, and the span that they share."""
        sequence = words(question)
        place = self._questions.get(hash_text(sequence))
        if place is not None:
            return Refusal("contaminated", f"{self._places[place]}: the whole question")
        match = self._overlaps.find(sequence)
        if match is not None:
            return Refusal("contaminated", f"{self._places[match.text]}: '{match.span}'")
        place = self._sums.get(_calculation(question, answer)) if self._sums else None
        if place is not None and len(numbers(question)) > 1:
            return Refusal("contaminated", f"{self._places[place]}: the same numbers and answer")
        return None


def verify(
    drafts: Sequence[Draft],
    tasks: Mapping[str, tuple[Task, Scorer]],
    taken: Taken,
    protected: Protected,
    evidence: Evidence | bool = False,
) -> Iterator[Sample | Rejection]:
    """Check drafts in their order; each gives exactly one Sample or one Rejection.

    Args:
        drafts: In an order that does not depend on timing, since the first of two duplicates is kept.
        tasks: Task and scorer by task name.
        taken: Questions that are used up; every sample is added to it.
        protected: The questions of dev, test and guard splits.
        evidence: Blind votes and wrong responses; True is short for evidence that only trusts the answers.
    """
    known = Evidence(trust_answers=evidence) if isinstance(evidence, bool) else evidence
    scores = _score_batches(drafts, tasks, known)
    for draft in drafts:
        refusal = (
            next(find_own_faults(draft, tasks, known, scores), None)
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
            checks=_TRUSTED if known.trust_answers else _CHECKS,
        )


def find_own_faults(
    draft: Draft,
    tasks: Mapping[str, tuple[Task, Scorer]],
    evidence: Evidence,
    scores: Mapping[tuple[str, str], Score] | None = None,
) -> Iterator[Refusal]:
    """Everything that is wrong with one draft by itself, in the order of `REASONS`."""
    task, scorer = tasks[draft.task]
    known = scores or {}
    malformed = _check_format(draft, task, scorer, known)
    checks = [malformed, _check_leak(draft)]
    if not draft.tests:
        checks.append(_check_doubt(draft))
        if not evidence.trust_answers:
            checks.append(_check_answer(draft, task, scorer, evidence.votes.get(draft.hash, ())))
        checks.append(_check_steps(draft))
    elif malformed is None:
        checks.append(_check_tests(draft, task, scorer, evidence, known))
    yield from filter(None, checks)


def hide_answer(draft: Draft) -> Example:
    """What a checker may see of a draft: the question and its options, not the answer and not the solution."""
    return Example(
        id=draft.hash, task=draft.task, split="train", question=draft.question, answer="", choices=draft.choices
    )


_CHECKS = ("format", "leak", "doubt", "answer", "steps", "duplicates", "contamination")
_TRUSTED = ("format", "leak", "doubt", "steps", "duplicates", "contamination")


def _check_format(draft: Draft, task: Task, scorer: Scorer, scores: Mapping[tuple[str, str], Score]) -> Refusal | None:
    for field in ("question", "solution", "tests" if draft.tests else "answer"):
        if not getattr(draft, field).strip():
            return Refusal("format", f"the {field} is empty")
    options = [" ".join(choice.split()).casefold() for choice in draft.choices]
    if len(set(options)) < len(options) or "" in options:
        return Refusal("format", "two options are the same, or one is empty")
    score = scores.get((draft.hash, _OWN)) or scorer.score(_as_example(draft, draft.answer), _completion(draft, task))
    if score.verdict == "right":
        return None
    if draft.tests:
        return Refusal("format", f"the solution does not pass its own tests: {score.evidence or score.verdict}")
    return Refusal("format", f"the completion states '{score.extracted}', the answer is '{draft.answer}'")


def _check_leak(draft: Draft) -> Refusal | None:
    found = find_leak(draft.question)
    return Refusal("leak", found) if found else None


def _check_doubt(draft: Draft) -> Refusal | None:
    found = find_doubt(draft.solution)
    return Refusal("doubt", found) if found else None


def _check_steps(draft: Draft) -> Refusal | None:
    step = find_wrong_equation(draft.solution)
    return Refusal("wrong_step", step) if step else None


def _check_tests(
    draft: Draft, task: Task, scorer: Scorer, evidence: Evidence, scores: Mapping[tuple[str, str], Score]
) -> Refusal | None:
    """Tests must tell programs apart: they fail for one that does nothing and for the response that was wrong."""
    for name, text in _opponents(draft, task, evidence).items():
        score = scores.get((draft.hash, name)) or scorer.score(_as_example(draft, draft.answer), text)
        if score.verdict == "right":
            return Refusal("weak_tests", f"{name} passes the tests")
    return None


def _opponents(draft: Draft, task: Task, evidence: Evidence) -> dict[str, str]:
    """Programs that the tests of a draft must fail, by what they are."""
    names = dict.fromkeys(_FUNCTION.findall(draft.answer))
    nothing = "\n\n".join(f"def {name}(*args, **kwargs):\n    return None" for name in names)
    found = {"a program that does nothing": task.completion("", nothing) if nothing else ""}
    found["the wrong response"] = evidence.wrong.get(draft.hash, "")
    return {name: text for name, text in found.items() if text}


def _check_answer(draft: Draft, task: Task, scorer: Scorer, votes: Sequence[str]) -> Refusal | None:
    if votes:
        return _check_votes(draft, task, scorer, votes)
    if not isinstance(task, Solver):
        return Refusal("unverifiable", f"the task '{task.name}' cannot recompute answers, and there are no blind votes")
    answer = task.solve(draft.question)
    if answer is None:
        return Refusal("unverifiable", "the question is not one that the task understands")
    if scorer.score(_as_example(draft, answer), task.completion("", draft.answer)).verdict != "right":
        return Refusal("wrong_answer", f"'{draft.answer}' is stated, '{answer}' recomputed")
    return None


def _check_votes(draft: Draft, task: Task, scorer: Scorer, votes: Sequence[str]) -> Refusal | None:
    """More than half of the votes must give the answer; if more than half give another, the answer is wrong."""
    example = _as_example(draft, draft.answer)
    verdicts = [scorer.score(example, task.completion("", vote)).verdict if vote.strip() else "" for vote in votes]
    right, wrong = verdicts.count("right"), verdicts.count("wrong")
    if 2 * right > len(votes):
        return None
    given = ", ".join(f"'{vote}'" for vote in votes)[:200]
    reason = "wrong_answer" if 2 * wrong > len(votes) else "unverifiable"
    return Refusal(reason, f"'{draft.answer}' is stated, {right} of {len(votes)} blind votes agree: {given}")


def _score_batches(
    drafts: Sequence[Draft], tasks: Mapping[str, tuple[Task, Scorer]], evidence: Evidence
) -> dict[tuple[str, str], Score]:
    """The scores, by draft and text, of what is scored faster in batches (programs run in parallel)."""
    scores: dict[tuple[str, str], Score] = {}
    for name, (task, scorer) in tasks.items():
        if isinstance(scorer, BatchScorer):
            asked: dict[tuple[str, str], tuple[Example, str]] = {}
            for draft in drafts:
                if draft.task == name and draft.solution.strip():
                    texts = {_OWN: _completion(draft, task)}
                    texts |= _opponents(draft, task, evidence) if draft.tests else {}
                    example = _as_example(draft, draft.answer)
                    asked.update({(draft.hash, kind): (example, text) for kind, text in texts.items()})
            scores.update(zip(asked, scorer.score_all(list(asked.values())), strict=True))
    return scores


def _completion(draft: Draft, task: Task) -> str:
    return task.completion(draft.solution, draft.answer)


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


def _calculation(question: str, answer: str) -> int:
    return hash_text([*sorted(numbers(question)), answer.strip().lower()])

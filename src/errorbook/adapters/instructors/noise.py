"""The shipped useless instructor: random diagnoses, wrong answers, irrelevant questions.

It exists to show that checks and gate hold: none of its drafts is fit to be trained on, and a run that trains on them
anyway must be rejected. It is no baseline for data of ordinary quality; the undirected tutor is that.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar

from errorbook.adapters.instructors.tutor_faults import MEANINGS
from errorbook.plugins import Seed
from errorbook.records import Assignment, Call, Diagnosis, Draft, Failure, Mistake, Writing, digest

_WORDS = ("lantern", "river", "cushion", "pepper", "harbour", "violin", "meadow", "ladder", "teapot", "comet")
_TRIVIA = (
    "Repeat the word {word}.",
    "Which colour goes well with a {word}?",
    "Tell me who invented the {word}.",
    "Spell {word} backwards.",
    "What rhymes with {word}?",
)


class Noise:
    """Implements `Instructor` uselessly but repeatably: equal inputs and seeds give equal records."""

    asks_nobody: ClassVar[bool] = True
    writings: ClassVar[Collection[Writing]] = ("variation", "solution")

    def __init__(self, seed: Seed = 0) -> None:
        self._seed = seed

    @property
    def name(self) -> str:
        """The plugin's name."""
        return "noise"

    def diagnose(self, mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
        """A random kind of fault for each mistake, whatever the response says."""
        for mistake in mistakes:
            rng = self._rng(mistake.example.id, mistake.response.text)
            kind = rng.choice(sorted(MEANINGS))
            call = Call(
                instructor=self.name,
                purpose="diagnose",
                subject=mistake.response.hash,
                prompt_hash=digest("noise", str(self._seed)),
            )
            diagnosis = Diagnosis(
                response=mistake.response.hash,
                example=mistake.example.id,
                task=mistake.example.task,
                strategy=mistake.strategy,
                error_kind=kind,
                misconception=MEANINGS[kind],
                skill=mistake.example.skill,
                border="It is right on other days." if mistake.contrasts else "",
                difficulty=rng.randint(1, 3),
                contrasts=tuple(contrast.response.hash for contrast in mistake.contrasts),
                call=call.hash,
            )
            yield mistake, diagnosis, call

    def write(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
        """`count` drafts for each assignment: in turn a wrong calculation and an irrelevant question."""
        for assignment in assignments:
            about = [] if assignment.writes == "question" else [assignment.exemplars[0].id]
            rng = self._rng(
                *(str(part) for part in (assignment.cycle, assignment.round, assignment.index)), assignment.task, *about
            )
            call = Call(
                instructor=self.name,
                purpose="write",
                subject=assignment.hash,
                prompt_hash=digest("noise", str(self._seed)),
            )
            first = assignment.index * assignment.count
            drafts = [
                _draft(assignment, index, call.hash, _irrelevant(rng) if (first + index) % 2 else _wrong(rng))
                for index in range(assignment.count)
            ]
            yield assignment, drafts, call

    def _rng(self, *subject: str) -> random.Random:
        # By what is asked, not by a record's hash: that changes when a field is added to a record.
        return random.Random(digest("noise", str(self._seed), *subject))  # noqa: S311


def _wrong(rng: random.Random) -> tuple[str, str, str]:
    """A question of the arithmetic task with a wrong answer and steps that lead to it."""
    from errorbook.adapters.tasks.arithmetic_problems import LEVELS, SKILLS, make

    problem = make(rng.choice(SKILLS), rng.choice(LEVELS), rng)
    # Raising only the first number changes every form of answer: 85, 3/4, 6 remainder 2.
    answer = re.sub(r"\d+", lambda first: str(int(first.group()) + rng.randint(1, 9)), problem.answer, count=1)
    last = problem.steps[-1].rsplit("=", 1)[0]
    return problem.question, answer, "\n".join((*problem.steps[:-1], f"{last}= {answer}"))


def _irrelevant(rng: random.Random) -> tuple[str, str, str]:
    word, other = rng.sample(_WORDS, 2)
    question = rng.choice(_TRIVIA).format(word=word)
    return question, str(rng.randint(2, 999)), f"The {other} is what comes to mind."


def _draft(assignment: Assignment, index: int, call: str, content: tuple[str, str, str]) -> Draft:
    question, answer, solution = content
    return Draft(
        assignment=assignment.hash,
        diagnosis=assignment.diagnosis.hash if assignment.diagnosis else "",
        index=index,
        task=assignment.task,
        question=question,
        answer=answer,
        solution=solution,
        skill=assignment.diagnosis.skill if assignment.diagnosis else "",
        difficulty=assignment.diagnosis.difficulty if assignment.diagnosis else 0,
        call=call,
    )

"""The built-in tutor: a rule-based instructor for the embedded arithmetic task. It needs no network and costs nothing.

It reads the text of a wrong response, names the first step that went wrong and the misconception behind it, and
writes problems against exactly that: the instructor's part of LLMs-as-Instructors (arXiv 2407.00497, Learning from
Error and Learning from Error by Contrast), with rules in place of a large model. It understands only examples that
carry one of the arithmetic task's skills; it is no instructor for free text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar

from errorbook.adapters.instructors.tutor_border import Border, find_border
from errorbook.adapters.instructors.tutor_faults import spot_mistake
from errorbook.adapters.instructors.tutor_writing import write_drafts
from errorbook.plugins import Seed
from errorbook.records import Assignment, Call, Diagnosis, Draft, Example, Failure, Mistake, Writing, digest


class Tutor:
    """Implements `Instructor`. `seed` varies the problems that are drawn; diagnoses do not depend on it."""

    asks_nobody: ClassVar[bool] = True
    writings: ClassVar[Collection[Writing]] = ("variation", "solution")

    def __init__(self, seed: Seed = 0) -> None:
        self._seed = seed

    @property
    def name(self) -> str:
        """The plugin's name."""
        return "tutor"

    def find_lack(self, example: Example) -> str:
        """Why it could not teach against a mistake on the example; empty if it could."""
        return _unknown(example.skill)

    def diagnose(self, mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
        """One diagnosis a mistake; a Failure if the example has no skill that the tutor knows."""
        for mistake in mistakes:
            call = self._call("diagnose", mistake.response.hash)
            reason = _unknown(mistake.example.skill)
            if reason:
                yield mistake, Failure(subject=mistake.response.hash, stage="diagnose", reason=reason), call
            else:
                yield mistake, _diagnosis(mistake, call.hash), call

    def write(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
        """`count` drafts for each assignment, deterministic in the assignment and the seed."""
        for assignment in assignments:
            call = self._call("write", assignment.hash)
            reason = _find_obstacle(assignment)
            if reason:
                yield assignment, Failure(subject=assignment.hash, stage="instruct", reason=reason), call
            else:
                yield assignment, write_drafts(assignment, self._seed, call.hash), call

    def _call(self, purpose: str, subject: str) -> Call:
        prompt = digest("tutor", purpose, str(self._seed))
        if purpose == "diagnose":
            return Call(instructor=self.name, purpose="diagnose", subject=subject, prompt_hash=prompt)
        return Call(instructor=self.name, purpose="write", subject=subject, prompt_hash=prompt)


def _find_obstacle(assignment: Assignment) -> str:
    """Why nothing can be written, or nothing if it can."""
    if assignment.diagnosis:
        return _unknown(assignment.diagnosis.skill)
    if assignment.writes == "question":
        return ""
    reason = _unknown(assignment.exemplars[0].skill)
    if not reason and assignment.writes == "solution" and not assignment.exemplars[0].solution:
        return "The tutor knows no worked solution of this question; use an instructor that runs a model."
    return reason


def _unknown(skill: str) -> str:
    """Why a skill cannot be taught, or nothing if it can."""
    from errorbook.adapters.tasks.arithmetic_problems import SKILLS

    if skill in SKILLS:
        return ""
    named = f"the skill '{skill}'" if skill else "examples without a skill"
    return f"The tutor does not know {named}; use an instructor that runs a model for this task."


def _diagnosis(mistake: Mistake, call: str) -> Diagnosis:
    example, response = mistake.example, mistake.response
    fault = spot_mistake(example, response)
    border = find_border(mistake) if mistake.contrasts else Border(sentence="", difficulty=max(1, example.difficulty))
    return Diagnosis(
        response=response.hash,
        example=example.id,
        task=example.task,
        strategy=mistake.strategy,
        error_kind=fault.kind,
        misconception=fault.meaning,
        skill=example.skill,
        first_wrong_step=fault.step,
        border=border.sentence,
        difficulty=border.difficulty,
        contrasts=tuple(contrast.response.hash for contrast in mistake.contrasts),
        call=call,
    )

"""Locates the border of what the target knows: what separates a mistake from the nearest questions it got right.

This is the analysis of Learning from Error by Contrast (LLMs-as-Instructors, arXiv 2407.00497, the step of instructor
analysis), here by comparing features that can be computed: skill, level, carries, wording, digits, steps.
It sees only the contrasts that it is given, not everything that the target answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from errorbook.adapters.instructors.tutor_faults import borrow_places, carry_places
from errorbook.adapters.instructors.tutor_reading import read_numbers, read_steps
from errorbook.records import Example, Mistake


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a question hard, as far as it can be computed."""

    skill: str
    level: int
    operators: frozenset[str]
    carries: bool
    borrows: bool
    worded: bool
    digits: int
    steps: int


class Border(msgspec.Struct, frozen=True, kw_only=True):
    """The sentence that describes the border, and the level (1 to 3) where practice should happen."""

    sentence: str
    difficulty: int


def find_border(mistake: Mistake) -> Border:
    """Compare a mistake with its contrasts; `mistake.contrasts` must not be empty."""
    wrong = measure_features(mistake.example)
    right = [measure_features(contrast.example) for contrast in mistake.contrasts]
    skill = wrong.skill.replace("_", " ")
    same = [other for other in right if other.skill == wrong.skill]
    if not same:
        known = ", ".join(sorted({other.skill.replace("_", " ") for other in right}))
        sentence = f"None of the nearest right answers is in {skill} (they are in {known}), so it starts at level 1"
        return Border(sentence=f"{sentence}{_clause(wrong, right)}.", difficulty=1)
    reached = max(other.level for other in same)
    if reached < wrong.level:
        sentence = f"In {skill} it is right at level {reached} but wrong at level {wrong.level}"
        return Border(sentence=f"{sentence}{_clause(wrong, same)}.", difficulty=min(reached + 1, wrong.level))
    peers = [other for other in same if other.level >= wrong.level]
    clause = _clause(wrong, peers) or "; nothing that can be computed separates them, so it looks like a slip"
    sentence = f"In {skill} it is right on other questions at level {peers[0].level}{clause}"
    return Border(sentence=f"{sentence}.", difficulty=max(1, wrong.level))


def measure_features(example: Example) -> Features:
    """The computable features of one question, from its text and its gold steps."""
    steps = read_steps(example.solution)
    pairs = [
        (step.operators[0], int(step.numbers[0]), int(step.numbers[1]))
        for step in steps
        if len(step.operators) == 1 and all(value.denominator == 1 for value in step.numbers)
    ]
    words = [word for word in example.question.split() if word.isalpha()]
    return Features(
        skill=example.skill,
        level=example.difficulty,
        operators=frozenset(operator for step in steps for operator in step.operators),
        carries=any(operator == "+" and bool(carry_places(a, b)) for operator, a, b in pairs),
        borrows=any(operator == "-" and bool(borrow_places(a, b)) for operator, a, b in pairs),
        worded=len(words) > 7,
        digits=max((len(str(abs(value.numerator))) for value in read_numbers(example.question)), default=0),
        steps=len(steps),
    )


def _clause(wrong: Features, right: Sequence[Features]) -> str:
    """The features that the mistake has and no right question has, as a subordinate clause; empty if none is."""
    found = []
    if wrong.carries and not any(other.carries for other in right):
        found.append("right without a carry, wrong with one")
    if wrong.borrows and not any(other.borrows for other in right):
        found.append("right without a borrow, wrong with one")
    if wrong.worded and not any(other.worded for other in right):
        shared = any(other.operators & wrong.operators for other in right)
        found.append(f"right {'on the same operation ' if shared else ''}as a bare calculation, wrong in words")
    digits, steps = max(other.digits for other in right), max(other.steps for other in right)
    if wrong.digits > digits:
        found.append(f"right up to {digits} digits, wrong with {wrong.digits}")
    if wrong.steps > steps:
        found.append(f"right up to {steps} steps, wrong with {wrong.steps}")
    return f"; {'; '.join(found)}" if found else ""

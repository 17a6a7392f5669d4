"""Decides what to practise against a diagnosis and draws the problems. `choose_aim` is the whole policy.

The problems come from the task's own generator, so every worked step is in one style; what a diagnosis changes is
which of them are drawn. Undirected assignments go evenly over all skills and levels: the control that a diagnosis has
to beat. Whether a draft may be trained on is the verifier's business, not this module's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from errorbook.adapters.instructors.tutor_faults import borrow_places, carry_places
from errorbook.adapters.instructors.tutor_reading import EquationStep, find_longest_expression, read_numbers, read_steps
from errorbook.records import Assignment, Diagnosis, Draft, Example, digest

if TYPE_CHECKING:
    from errorbook.adapters.tasks.arithmetic_problems import Problem

REHEARSE_EVERY = 4
"""Each so-many-th directed draft is from the whole distribution: what is not rehearsed is forgotten."""

_TRIES = 150
_CALCULATION = ("dropped_carry", "dropped_borrow", "miscalculated", "place_value")
_SIMPLER = {
    "add_carry": "add_no_carry",
    "subtract_borrow": "subtract",
    "multiply": "add_carry",
    "divide": "multiply",
    "divide_remainder": "divide",
    "order_of_operations": "multiply",
    "fractions": "multiply",
    "percentages": "multiply",
    "unit_conversion": "multiply",
    "word_two_step": "order_of_operations",
    "word_three_step": "word_two_step",
}


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What one draft is to practise. `exercises` is the fault it should (or, with `avoid`, should not) exercise.

    `step` is the step that the target got wrong, if it is an equation: a draft that repeats its fact is preferred.
    """

    skill: str
    level: int
    exercises: str = ""
    avoid: bool = False
    step: EquationStep | None = None


def choose_aim(diagnosis: Diagnosis, level: int, turn: int) -> Aim:
    """What the draft number `turn` against a diagnosis practises; `level` is that of the mistake.

    Half of the turns drill the misconception where it happened, at the mistake's own level. The others go below it:
    Learning from Error to the step below (the sub-skill of the wrong step, or the same skill one level down);
    Learning from Error by Contrast to the border of what the target gets right: up from there if the border is
    lower than the mistake, else its other side, the same without what went wrong.
    """
    step = next(iter(read_steps(diagnosis.first_wrong_step)), None)
    kind, skill = diagnosis.error_kind, diagnosis.skill
    border = min(max(diagnosis.difficulty, 1), 3)
    drill = Aim(skill=skill, level=level, exercises=kind, step=step)
    if turn % 2 == 0:
        return drill
    if diagnosis.contrasts and border < level:
        return Aim(skill=skill, level=border, exercises=kind, step=step)
    if diagnosis.contrasts and border > 1:
        return Aim(skill=skill, level=border, exercises=kind, avoid=True)
    return ease_aim(drill)


def ease_aim(drill: Aim) -> Aim:
    """The step below a drill: the operation of the wrong step by itself, an easier level, or a simpler skill."""
    if drill.step and drill.exercises in _CALCULATION:
        digits = max(len(str(abs(value.numerator))) for value in drill.step.numbers)
        part, level = _operation_skill(drill.step), min(max(digits - 1, 1), drill.level)
        if part != drill.skill or level < drill.level:
            return msgspec.structs.replace(drill, skill=part, level=level)
    if drill.level > 1:
        return msgspec.structs.replace(drill, level=drill.level - 1)
    return msgspec.structs.replace(drill, skill=_SIMPLER.get(drill.skill, drill.skill))


def write_drafts(assignment: Assignment, seed: int, call: str) -> list[Draft]:
    """`assignment.count` drafts, the same for equal assignments and seeds; `call` is the hash of the call."""
    if assignment.writes == "solution":
        return [_solve(assignment, index, call) for index in range(assignment.count)]
    rng = random.Random(_draw_key(assignment, seed))  # noqa: S311
    example = assignment.mistake.example if assignment.mistake else _varied(assignment)
    taken: set[str] = set()
    drafts = []
    for index, aim in enumerate(_aims(assignment, seed)):
        problem = draw_problem(aim, rng, taken, example)
        taken.add(problem.key)
        drafts.append(
            Draft(
                assignment=assignment.hash,
                diagnosis=assignment.diagnosis.hash if assignment.diagnosis else "",
                index=index,
                task=assignment.task,
                question=problem.question,
                answer=problem.answer,
                solution="\n".join(problem.steps),
                skill=problem.skill,
                difficulty=problem.level,
                call=call,
            )
        )
    return drafts


def _varied(assignment: Assignment) -> Example | None:
    """The train question that is varied, if one is."""
    return assignment.exemplars[0] if assignment.writes == "variation" else None


def _solve(assignment: Assignment, index: int, call: str) -> Draft:
    """The answer recomputed, with the task's steps: the tutor's rules are those that the task's solutions come from."""
    from errorbook.adapters.tasks.arithmetic_solver import solve

    example = assignment.exemplars[0]
    return Draft(
        assignment=assignment.hash,
        diagnosis="",
        index=index,
        task=assignment.task,
        question=example.question,
        answer=solve(example.question) or "",
        solution=example.solution,
        skill=example.skill,
        difficulty=example.difficulty,
        call=call,
    )


def _draw_key(assignment: Assignment, seed: int) -> str:
    """What the drawn problems depend on: the work itself, never the hash of a record.

    A record's hash changes whenever a field is added to one of its ancestors, and a run must not teach other problems
    because of that.
    """
    mistake, diagnosis = assignment.mistake, assignment.diagnosis
    asked = [assignment.task, str(assignment.cycle), str(assignment.round), str(assignment.index)]
    varied = _varied(assignment)
    about = [mistake.example.id, mistake.response.text] if mistake else [varied.id] if varied else []
    return digest(str(seed), *asked, *about, diagnosis.error_kind if diagnosis else "")


def draw_problem(aim: Aim, rng: random.Random, taken: set[str], mistake: Example | None = None) -> Problem:
    """The best of up to 150 problems for an aim.

    One that is of the train split (as the task divides problems), not yet `taken`, and with other numbers than the
    mistake's; if chance offers none, the first of them.
    """
    from errorbook.adapters.tasks.arithmetic_problems import make
    from errorbook.adapters.tasks.arithmetic_splits import split_of

    given = sorted(read_numbers(mistake.question)) if mistake else []
    best, best_score = make(aim.skill, aim.level, rng), -1
    candidate = best
    for _ in range(_TRIES):
        fresh = candidate.key not in taken and split_of(candidate.key) == "train"
        fresh = fresh and sorted(read_numbers(candidate.question)) != given
        score = score_relevance(candidate.steps, candidate.question, aim) if fresh else -1
        if score > best_score:
            best, best_score = candidate, score
        if best_score >= _top(aim):
            break
        candidate = make(aim.skill, aim.level, rng)
    return best


def score_relevance(steps: Sequence[str], question: str, aim: Aim) -> int:
    """How well a problem fits an aim, from 0 to 3: 1 for the kind of fault, 2 at the same column, 3 the same fact."""
    equations = [equation for line in steps for equation in _read_step(line)]
    exercised = _exercises(aim.exercises, equations, question)
    if aim.avoid:
        return 0 if exercised else 1
    if aim.step is None:
        return int(exercised)
    if _fact(aim.step) and any(_fact(equation) == _fact(aim.step) for equation in equations):
        return 3
    columns = _columns(aim.step)
    if exercised and columns and any(columns & _columns(equation) for equation in equations):
        return 2
    return int(exercised)


@lru_cache(maxsize=8192)
def _read_step(line: str) -> tuple[EquationStep, ...]:
    """The equations of one gold step; cached, because columns and table facts come up again and again."""
    return tuple(read_steps(line))


def _top(aim: Aim) -> int:
    """The best relevance that an aim can hope for; drawing stops there."""
    if aim.avoid:
        return 1
    if aim.step and aim.exercises in _CALCULATION:
        return 3 if _fact(aim.step) else 2 if _columns(aim.step) else 1
    return int(aim.exercises in (*_CALCULATION, "wrong_order") and aim.exercises != "miscalculated")


def _exercises(kind: str, equations: Sequence[EquationStep], question: str) -> bool:
    """Whether solving a problem meets the spot where a fault of this kind happens."""
    if kind == "dropped_carry":
        return any(e.carried or (e.operators == ("+",) and _columns(e)) for e in equations)
    if kind == "dropped_borrow":
        return any(e.operators == ("-",) and _columns(e) for e in equations)
    if kind == "wrong_order":
        operators = find_longest_expression(question)[1]
        return any(x in "+-" and y in "*/" for x, y in pairwise(operators))
    if kind == "place_value":
        return any(e.stated >= 100 or e.stated % 10 == 0 for e in equations)
    return False


def _fact(step: EquationStep) -> tuple[str, tuple[Fraction, ...]] | None:
    """The table fact in a step, zeros stripped (70 * 8 rehearses 7 * 8); None if it is no single fact."""
    if len(step.operators) != 1 or any(value.denominator != 1 for value in step.numbers):
        return None
    values = [Fraction(str(value).rstrip("0") or "0") if step.operators[0] in "*/" else value for value in step.numbers]
    if max(values) > 19 or min(values) < 0:
        return None
    return step.operators[0], tuple(sorted(values) if step.operators[0] in "+*" else values)


def _columns(step: EquationStep) -> frozenset[int]:
    """The columns of a whole-number addition or subtraction that carry or borrow."""
    if step.operators not in (("+",), ("-",)) or any(value.denominator != 1 or value < 0 for value in step.numbers):
        return frozenset()
    a, b = (int(value) for value in step.numbers)
    return frozenset(carry_places(a, b) if step.operators == ("+",) else borrow_places(a, b))


def _operation_skill(step: EquationStep) -> str:
    """The bare skill that a wrong step belongs to."""
    operator, harder = step.operators[0], bool(_columns(step)) or len(step.operators) > 1
    if operator == "+":
        return "add_carry" if harder else "add_no_carry"
    if operator == "-":
        return "subtract_borrow" if harder else "subtract"
    return "multiply" if operator == "*" else "divide"


def _aims(assignment: Assignment, seed: int) -> Iterator[Aim]:
    """One aim a draft. Positions run on over assignments, so that shares hold however few drafts each asks for."""
    if (varied := _varied(assignment)) is not None:
        yield from [Aim(skill=varied.skill, level=min(max(varied.difficulty, 1), 3))] * assignment.count
        return
    for index in range(assignment.count):
        position = assignment.index * assignment.count + index
        rehearsal, rest = divmod(position, REHEARSE_EVERY)
        if assignment.diagnosis is None or assignment.mistake is None:
            yield _even(f"{seed}:{assignment.cycle}:{assignment.round}", position)
        elif rest == REHEARSE_EVERY - 1:
            yield _even(f"{seed}:{assignment.cycle}:{assignment.round}", rehearsal)
        else:
            yield choose_aim(assignment.diagnosis, assignment.mistake.example.difficulty, rest)


def _even(salt: str, position: int) -> Aim:
    """The aim at a position of an endless sequence in which each block holds every skill at every level once."""
    from errorbook.adapters.tasks.arithmetic_problems import LEVELS, SKILLS

    cells = [(skill, level) for skill in SKILLS for level in LEVELS]
    block, offset = divmod(position, len(cells))
    random.Random(f"{salt}:{block}").shuffle(cells)  # noqa: S311
    skill, level = cells[offset]
    return Aim(skill=skill, level=level)

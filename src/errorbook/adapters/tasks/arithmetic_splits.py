"""Draws splits of procedural problems, and their prompt format: what the arithmetic tasks have in common.

A problem's split follows from the hash of its key, so that no calculation is in two splits, whatever the seed, the
number of examples, the wording or the skill. What the problems are is decided elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from errorbook.adapters.tasks.arithmetic_problems import Problem
from errorbook.errors import DataError
from errorbook.records import Example, Split, digest

Cell = tuple[str, int]
"""A skill and a level."""

MOST = 10_000
"""Examples of one split: beyond them new problems are rare, and finding one takes longer and longer."""
_PATIENCE = 3000


def split_of(key: str) -> Split:
    """The split of a problem key: of ten buckets two are test, two dev and six train."""
    bucket = int(digest(key), 16) % 10
    return "test" if bucket < 2 else "dev" if bucket < 4 else "train"


def prompt(question: str) -> str:
    """The question and how to answer it."""
    return f"{question}\nWrite short steps. Then write a last line: Answer: <number>"


def completion(solution: str, answer: str) -> str:
    """The worked solution and the answer line."""
    return f"{solution}\nAnswer: {answer}"


def draw(
    task: str,
    split: Split,
    n: int,
    seed: int,
    cells: Sequence[Cell],
    make: Callable[[str, int, random.Random], Problem],
) -> list[Example]:
    """The first `n` examples of a split, one from each cell in turn; more of them never changes the first ones.

    A cell that has no new problem left is passed over. Raises DataError if all are used up.
    """
    if n > MOST:
        raise DataError(f"The task '{task}' makes at most {MOST:,} {split} examples, not {n:,}; ask for fewer.")
    seen: set[str] = set()
    streams = [_fresh(cell, random.Random(f"{task}:{split}:{seed}:{cell}"), make, split, seen) for cell in cells]  # noqa: S311 (not for secrets)
    found: list[Example] = []
    while len(found) < n:
        before = len(found)
        for stream in streams:
            problem = next(stream, None) if len(found) < n else None
            if problem:
                found.append(_example(task, split, problem))
        if len(found) == before:
            raise DataError(
                f"The task '{task}' has only {before} distinct {split} examples; ask for at most that many."
            )
    return found


def _fresh(
    cell: Cell, rng: random.Random, make: Callable[[str, int, random.Random], Problem], split: Split, seen: set[str]
) -> Iterator[Problem]:
    """New problems of one cell that belong to the split, until none turns up for a long time."""
    misses = 0
    while misses < _PATIENCE:
        problem = make(*cell, rng)
        if problem.key in seen or split_of(problem.key) != split:
            misses += 1
            continue
        misses = 0
        seen.add(problem.key)
        yield problem


def _example(task: str, split: Split, problem: Problem) -> Example:
    return Example(
        id=f"{task}-{split}-{digest(problem.key, problem.question)[:12]}",
        task=task,
        split=split,
        question=problem.question,
        answer=problem.answer,
        solution="\n".join(problem.steps),
        skill=problem.skill,
        difficulty=problem.level,
    )

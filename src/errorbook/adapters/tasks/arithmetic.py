"""The embedded task: whole-number, fraction, percentage and unit problems that a very small model can learn.

It needs no download, makes as many examples as are asked for, and can recompute every answer from the question
alone. It is not a benchmark to compare models of different makers with. The paper trains on the training questions
of MMLU, GSM8K and MBPP; bring those as data.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from errorbook.adapters.tasks import arithmetic_solver, arithmetic_splits
from errorbook.adapters.tasks.arithmetic_problems import LEVELS, SKILLS, make
from errorbook.plugins import Count
from errorbook.records import Example, Split


@dataclass(frozen=True)
class Arithmetic:
    """Thirteen skills at three levels. The options are each split's size if no number is asked for.

    The defaults are 15, 4 and 4 examples for each of the 39 pairs of skill and level.
    """

    train: Count = 585
    dev: Count = 156
    test: Count = 156

    name: ClassVar[str] = "arithmetic"
    scorer: ClassVar[str] = "numeric"
    max_new_tokens: ClassVar[int] = 96

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's first `n` examples; any multiple of 13 has all skills equally often, of 39 all levels too.

        If a skill and level has no new problem left (easy divisions first, beyond the default sizes), the others
        go on alone. No calculation is in two splits, for any two seeds. Raises DataError if `n` exceeds what exists.
        """
        size = {"train": self.train, "dev": self.dev, "test": self.test}[split] if n is None else n
        return arithmetic_splits.draw(self.name, split, size, seed, _cells(split, seed), make)

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The question and one line of instruction; there are no choices."""
        return arithmetic_splits.prompt(question)

    def completion(self, solution: str, answer: str) -> str:
        """The steps, and a last line `Answer: ...`."""
        return arithmetic_splits.completion(solution, answer)

    def solve(self, question: str) -> str | None:
        """The answer recomputed from the text, or None if it is not understood."""
        return arithmetic_solver.solve(question)


def _cells(split: Split, seed: int) -> list[tuple[str, int]]:
    """All pairs of skill and level, shuffled so that each pass over the skills has the levels evenly mixed."""
    rng = random.Random(f"arithmetic:{split}:{seed}:order")  # noqa: S311 (not for secrets)
    skills = rng.sample(SKILLS, len(SKILLS))
    cells = []
    for turn in range(len(LEVELS)):
        turned = [(skill, LEVELS[(place + turn) % len(LEVELS)]) for place, skill in enumerate(skills)]
        cells.extend(rng.sample(turned, len(turned)))
    return cells

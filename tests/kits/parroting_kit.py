"""A target that repeats the question and counts how often it was asked, with a task of any number of examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from errorbook.interfaces import Target, Task
from errorbook.records import Checkpoint, Completion, Example, Generation, Split, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Parrot:
    """Its prompts are its questions."""

    name, scorer, max_new_tokens = "parrot", "moody", 16

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        return examples(n or 20)

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        return question

    def completion(self, solution: str, answer: str) -> str:
        return answer

    def gold(self, example: Example) -> str:
        return example.answer


def examples(n: int) -> list[Example]:
    return [
        Example(id=f"{place:03}", task="parrot", split="dev", question=f"Say {place}.", answer="") for place in range(n)
    ]


class Parroting:
    """The target."""

    base, fingerprint = "parrot", digest("parrot")

    def __init__(self) -> None:
        self.asked = 0
        self.task: Task = Parrot()

    def examples(self, n: int) -> list[Example]:
        return examples(n)

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """It answers alike as every checkpoint."""

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        self.asked += len(prompts)
        for index, prompt in enumerate(prompts):
            yield Completion(index=index, text=prompt, tokens=2, truncated=False, prompt_hash=digest(prompt))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is held."""


target: Target = Parroting()

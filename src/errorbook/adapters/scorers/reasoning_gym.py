"""The `reasoning_gym` scorer: a Reasoning Gym generator's own judgement of the answer between <answer> tags.

The example's `tests` hold the recipe from which the generator makes the whole entry again. An example without one (a
question that an instructor wrote) is right if its text is the gold answer's. Partial credit counts as wrong.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from errorbook.errors import DataError
from errorbook.records import Example, Score

_SHOWN = 200


class EntryRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to make one entry again: the generator with its options, and the entry's place."""

    dataset: str
    seed: int
    size: int
    config: dict[str, Any] = {}
    index: int = 0


class ReasoningGym:
    """Right if the generator gives the tagged answer full marks."""

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "reasoning_gym"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` if it has no tagged answer, or the generator cannot read it."""
        answer = find_tagged(text)
        if not answer:
            return Score(verdict="unscorable", method="none", evidence="No answer between <answer> tags.")
        shown = answer[:_SHOWN]
        if not example.tests:
            return Score(verdict="right" if answer == example.answer else "wrong", extracted=shown, method="text")
        try:
            marks = _marks(example.tests, answer)
        except DataError:
            raise
        except Exception as error:  # a generator may raise anything on odd text
            return Score(verdict="unscorable", extracted=shown, method="generator", evidence=repr(error)[:_SHOWN])
        return Score(
            verdict="right" if marks >= 1.0 else "wrong",
            extracted=shown,
            method="generator",
            evidence=f"{marks:g} of 1",
        )


def find_tagged(text: str) -> str:
    """What stands between the last pair of answer tags; empty if there is none."""
    head, end, _ = text.rpartition("</answer>")
    _, start, answer = head.rpartition("<answer>")
    return answer.strip() if start and end else ""


def _marks(recipe: str, answer: str) -> float:
    made = msgspec.json.decode(recipe, type=EntryRecipe)
    generator = _generator(msgspec.json.encode(msgspec.structs.replace(made, index=0)))
    return float(generator.score_answer(answer, generator[made.index]))


@functools.lru_cache(maxsize=32)
def _generator(recipe: bytes) -> Any:
    try:
        import reasoning_gym
    except ImportError as error:
        raise DataError("Reasoning Gym is not installed; run: pip install 'errorbook[reasoning-gym]'.") from error
    made = msgspec.json.decode(recipe, type=EntryRecipe)
    return reasoning_gym.create_dataset(made.dataset, seed=made.seed, size=made.size, **made.config)

"""The fake target for tests and plugin authors: answers rightly as often as it is told to, without any model.

What it says depends on the checkpoint and the prompt alone, so a whole loop with it is repeatable. Its answers are
numbers; it imitates no other task.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
from annotated_types import Interval

from errorbook.errors import ModelError
from errorbook.records import Checkpoint, Completion, Generation, digest, key_of, last_question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "weights.json"
"""What the scripted trainer writes into a checkpoint's folder and the scripted target reads."""

_WIDTH = 64


class ScriptedWeights(msgspec.Struct, frozen=True, kw_only=True):
    """A scripted checkpoint's "weights": how many trainings it has behind it, and their hash."""

    trainings: int
    lessons: str


class ScriptedTarget:
    """Implements `Target` and `Likelihood`.

    A prompt is answered rightly if its hash falls below `accuracy` plus `gain` for each training of the checkpoint
    and of its ancestors, so that more training breaks nothing that was right. The right answer is looked up in
    `answers` by whole prompt, then by the first line of the user's last message, and else recomputed as arithmetic from
    that line; a prompt without one is answered wrongly. `delay` is in seconds a prompt.
    """

    is_script: ClassVar[bool] = True

    def __init__(
        self,
        model: str = "scripted",
        accuracy: Annotated[float, Interval(ge=0, le=1)] = 0.3,
        gain: Annotated[float, Interval(ge=-1, le=1)] = 0.2,
        answers: Mapping[str, str] | None = None,
        delay: Annotated[float, Interval(ge=0, le=3600)] = 0.0,
    ) -> None:
        self._name = model
        self._accuracy = accuracy
        self._gain = gain
        self._answers = dict(answers or {})
        self._delay = delay
        self._trainings = 0.0

    @property
    def base(self) -> str:
        """The name as given."""
        return self._name

    @property
    def uncached(self) -> ScriptedTarget:
        """The target itself: it answers as quickly as a memory would."""
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of everything that its answers depend on."""
        options = msgspec.json.encode([self._name, self._accuracy, self._gain, sorted(self._answers.items())])
        return digest("scripted", options)

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Read the checkpoint's number of trainings; its scale counts. Raises ModelError if the file is missing."""
        self._trainings = 0.0
        if checkpoint.form != "base":
            self._trainings = checkpoint.scale * read_weights(root / checkpoint.folder).trainings

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """One line with an answer for each prompt, in order. A token is a word here."""
        for index, prompt in enumerate(prompts):
            time.sleep(self._delay)
            words = self._answer(prompt).split(" ")
            kept = words[: settings.max_new_tokens]
            yield Completion(
                index=index,
                text=" ".join(kept),
                tokens=len(kept),
                truncated=len(words) > len(kept),
                prompt_hash=digest(key_of(prompt)),
            )

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """Near certainty for the option that it would answer, else for the first; the others share the rest."""
        for index, (prompt, group) in enumerate(zip(prompts, options, strict=True)):
            said = self._answer(prompt).removeprefix("Answer: ")
            likely = group.index(said) if said in group else 0
            rest = math.log(0.1 / max(1, len(group) - 1))
            yield index, [math.log(0.9) if place == likely else rest for place in range(len(group))]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Words counted in 64 places chosen by hash, unit length: texts that share words are near."""
        import numpy as np

        vectors = np.zeros((len(texts), _WIDTH), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split() or [""]:
                vectors[row, int(digest(word)[:8], 16) % _WIDTH] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def close(self) -> None:
        """There is nothing to free."""

    def _answer(self, prompt: str) -> str:
        right = self._right(prompt)
        luck = int(digest(self._name, key_of(prompt))[:8], 16) / 0xFFFFFFFF
        if right is not None and luck < self._accuracy + self._gain * self._trainings:
            return f"Answer: {right}"
        return f"Answer: {_off_by_one(right or '0')}"

    def _right(self, prompt: str) -> str | None:
        from errorbook.adapters.tasks.arithmetic_solver import solve

        first = last_question(prompt).partition("\n")[0]
        known = self._answers.get(prompt, self._answers.get(first))
        return known if known is not None else solve(first)


def read_weights(folder: Path) -> ScriptedWeights:
    """The scripted weights in a checkpoint's folder. Raises ModelError if there are none."""
    try:
        return msgspec.json.decode((folder / WEIGHTS).read_bytes(), type=ScriptedWeights)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(
            f"The checkpoint in '{folder}' is not a scripted one; use the engine that trained it."
        ) from error


_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def _off_by_one(answer: str) -> str:
    """The answer with its first number raised by one, its opposite, or with a word added if it has neither."""
    if answer.lower() in _OPPOSITES:
        return _OPPOSITES[answer.lower()]
    wrong, found = re.subn(r"\d+", lambda number: str(int(number.group()) + 1), answer, count=1)
    return wrong if found else f"not {answer}"

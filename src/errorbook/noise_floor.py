"""The noise floor: the same model asked the same questions again, in other batches. What changes is no effect.

A batch's composition changes the rounding of its sums, and now and then a token, a text, a verdict. A difference
between two checkpoints is to be read beside the number of verdicts that changed although no weight did. The record is
`Noise`: the evaluation's hash, its task and split, how many questions were asked again (`n`), how many texts and how
many verdicts differ, and how many were right before and now. It measures dev only, and nothing decides by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from errorbook.errors import StageError
from errorbook.evaluate import Recorded, evaluate
from errorbook.interfaces import Remembers, Scorer, Target, Task
from errorbook.records import Evaluation, Example, Noise, Response, Score, digest

AT_MOST = 64
"""Questions asked again, a fixed draw."""
_BLOCKS = 3  # at least, so that few questions are not asked in their old batch again
_LARGEST = 48


def measure_noise_floor(
    target: Target,
    task: Task,
    scorer: Scorer,
    evaluation: Evaluation,
    examples: Sequence[Example],
    recorded: Mapping[str, Response],
) -> Noise:
    """Ask again, past any memory, and count what differs from the recorded responses, which are by example id.

    The target must be in use as the checkpoint of `evaluation`.

    Raises:
        StageError: The evaluation is not on dev, or was not finished.
    """
    if evaluation.split != "dev":
        raise StageError(f"The noise floor was to be measured on {evaluation.split}; it is measured on dev only.")
    if any(example.id not in recorded for example in examples):
        raise StageError(f"An evaluation of '{task.name}' is incomplete; give the same command again to finish it.")
    asked = target.uncached if isinstance(target, Remembers) else target
    known = Recorded(recall=lambda example, text: _same_text(recorded[example], text))
    again = [
        response
        for block in _blocks(examples)
        for responses in evaluate(asked, task, scorer, evaluation, block, known)
        for response in responses
    ]
    pairs = [(recorded[response.example], response) for response in again]
    return Noise(
        evaluation=evaluation.hash,
        task=task.name,
        split=evaluation.split,
        n=len(pairs),
        texts_differ=sum(old.text != new.text for old, new in pairs),
        verdicts_differ=sum(old.score.verdict != new.score.verdict for old, new in pairs),
        right_before=sum(old.score.verdict == "right" for old, _ in pairs),
        right_after=sum(new.score.verdict == "right" for _, new in pairs),
    )


def _same_text(response: Response, text: str) -> Score | None:
    """An equal text has an equal verdict: otherwise a busy machine would count as noise of the model."""
    return response.score if response.text == text else None


def _blocks(examples: Sequence[Example]) -> list[Sequence[Example]]:
    """The draw in smaller blocks of another order than an evaluation's, which goes by length."""
    drawn = sorted(examples, key=lambda example: digest("noise", example.hash))[:AT_MOST]
    size = max(1, min(_LARGEST, len(drawn) // _BLOCKS))
    return [drawn[start : start + size] for start in range(0, len(drawn), size)]

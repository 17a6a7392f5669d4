"""Turns lessons into token rows with label masks, and plans which of them make up each step.

The prompt is rendered exactly as the target reads it when it answers; only what the model itself would write carries
loss: the completion, with what the chat template writes around it, up to the token that ends the turn. Weights are
`transformers`' business.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets.conversation import Thinking, write_exchange
from errorbook.adapters.targets.loading import prompt_ids
from errorbook.errors import StageError
from errorbook.records import Lesson, Recipe

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""Label of a position without loss: PyTorch's own convention."""


@dataclass(frozen=True)
class TokenRow:
    """Token ids of one lesson; the first `prompt` of them carry no loss."""

    ids: tuple[int, ...]
    prompt: int


@dataclass(frozen=True)
class StepTensors:
    """One step's tensors, both of shape (rows, width) and padded on the right.

    `labels` holds at each place the token after it if that carries loss, else IGNORED.
    """

    inputs: torch.Tensor
    labels: torch.Tensor


def encode(
    tokenizer: Any, lessons: Sequence[Lesson], max_tokens: int, thinking: Thinking = "off"
) -> tuple[list[TokenRow], list[Lesson]]:
    """Rows and their lessons, without those longer than `max_tokens`: a cut-off answer is never trained on.

    Raises:
        StageError: No lesson is short enough.
    """
    rows: list[TokenRow] = []
    kept: list[Lesson] = []
    for lesson in lessons:
        row = encode_row(tokenizer, lesson.asked, lesson.completion, thinking)
        if len(row.ids) <= max_tokens:
            rows.append(row)
            kept.append(lesson)
    if not rows:
        raise StageError(
            f"No lesson is left: all {len(lessons)} exceed {max_tokens} tokens; raise max_tokens in [train]."
        )
    return rows, kept


def encode_row(tokenizer: Any, prompt: str, completion: str, thinking: Thinking = "off") -> TokenRow:
    """The prompt as the target reads it, and the lesson as the target would write it, the end of its turn included.

    The lesson has the tokens that it has behind the prompt; if they run into those of the prompt, it is tokenised
    apart, because that is how the target's own tokens come about.
    """
    asked, taught = write_exchange(tokenizer, prompt, completion, thinking)
    start = prompt_ids(tokenizer, asked)
    whole = prompt_ids(tokenizer, asked + taught)
    if whole[: len(start)] != start:
        whole = [*start, *tokenizer(taught, add_special_tokens=False)["input_ids"]]
    return TokenRow(tuple(whole), len(start))


def plan_steps(rows: Sequence[TokenRow], recipe: Recipe) -> list[list[int]]:
    """The row numbers of every step of the whole training; it depends on nothing but the arguments.

    Each epoch shuffles anew. An epoch's last batch may be smaller, and a fractional number of epochs ends within one.
    """
    steps = max(1, round(recipe.epochs * math.ceil(len(rows) / recipe.batch_size)))
    chosen: list[list[int]] = []
    epoch = 0
    while len(chosen) < steps:
        chosen += _epoch(rows, recipe.batch_size, random.Random(f"{recipe.seed}:{epoch}"))  # noqa: S311 (not secret)
        epoch += 1
    return chosen[:steps]


def collate(rows: Sequence[TokenRow], device: str) -> StepTensors:
    """Pad the rows to one width and mark where the loss is."""
    import torch

    width = max(len(row.ids) for row in rows)
    inputs = torch.zeros((len(rows), width), dtype=torch.long)  # no token ever attends to the padding
    labels = torch.full((len(rows), width), IGNORED)
    for place, row in enumerate(rows):
        ids = torch.tensor(row.ids)
        inputs[place, : len(ids)] = ids
        # A place predicts the token after it, so labels stand one to the left of their tokens.
        labels[place, row.prompt - 1 : len(ids) - 1] = ids[row.prompt :]
    return StepTensors(inputs=inputs.to(device), labels=labels.to(device))


def _epoch(rows: Sequence[TokenRow], size: int, generator: random.Random) -> list[list[int]]:
    """All rows once, in random company: batches of rows of one length, which are mostly of one kind, teach less well.

    See docs/lab-notebook.md. Packing makes the difference in length cost nothing.
    """
    order = list(range(len(rows)))
    generator.shuffle(order)
    return [order[start : start + size] for start in range(0, len(order), size)]

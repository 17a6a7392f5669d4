"""Direct preference optimisation: pairs of responses to one prompt, and the loss that prefers the one to the other.

The loss is that of Rafailov et al. 2023 (arXiv 2305.18290), equation 7. Lessons without a rejected response are
imitated in the same training, each weighing as much as a pair; so keeps the likelihood of good answers from falling
along with that of bad ones (compare RPO: Pang et al. 2024, arXiv 2404.19733). Which responses make a pair is decided
elsewhere, as is how gradients become weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets.conversation import Thinking
from errorbook.adapters.trainers.batches import TokenRow, encode, encode_row
from errorbook.adapters.trainers.group import gather
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.stepping import log_probabilities
from errorbook.errors import StageError
from errorbook.records import Lesson

if TYPE_CHECKING:
    import torch


def encode_pairs(
    tokenizer: Any, lessons: Sequence[Lesson], max_tokens: int, thinking: Thinking = "off"
) -> tuple[list[TokenRow], list[TokenRow | None], list[Lesson]]:
    """The rows to prefer, those they are preferred over (None for a lesson without), and the lessons of both.

    A lesson either side of which is longer than `max_tokens` is left out.

    Raises:
        StageError: No lesson is short enough, or none of those has a rejected response.
    """
    rows: list[TokenRow] = []
    others: list[TokenRow | None] = []
    kept: list[Lesson] = []
    for row, lesson in zip(*encode(tokenizer, lessons, max_tokens, thinking), strict=True):
        other = encode_row(tokenizer, lesson.asked, lesson.rejected, thinking) if lesson.rejected else None
        if other is None or len(other.ids) <= max_tokens:
            rows.append(row)
            others.append(other)
            kept.append(lesson)
    if not any(others):
        raise StageError(
            f"Nothing can be preferred: none of {len(lessons)} lessons has a wrong response of at most {max_tokens} "
            "tokens; set objective = 'sft' or raise max_tokens in [train]."
        )
    return rows, others, kept


def measure_reference(job: Job) -> dict[int, tuple[float, float]]:
    """For each pair the log-probabilities of its two sides under the weights as they are now, in nats.

    The batches do not depend on how many processes share them, so neither do the numbers.
    """
    import torch

    pairs = [number for number, other in enumerate(job.rejected) if other is not None]
    pairs.sort(key=lambda number: (len(job.rows[number].ids), number))
    size = max(1, job.at_once // 2)
    batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    mine = job.group.share(batches)
    if job.sharded and len(mine) < math.ceil(len(batches) / job.group.size):
        mine.append(batches[0])  # processes that share the weights must all compute equally often
    found: dict[int, tuple[float, float]] = {}
    job.model.eval()
    with torch.no_grad():
        for batch in mine:
            chosen, rejected = pair_log_probabilities(job, batch)
            found |= zip(batch, zip(chosen.tolist(), rejected.tolist(), strict=True), strict=True)
    return {number: both for part in gather(job.group, found) for number, both in part.items()}


def pair_log_probabilities(job: Job, pairs: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probabilities of the pairs' preferred and rejected responses, from one forward pass."""
    others = [other for number in pairs if (other := job.rejected[number]) is not None]
    both = log_probabilities(job.model, [*(job.rows[number] for number in pairs), *others], job.dtype)
    return both[: len(pairs)], both[len(pairs) :]


def preference_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, reference: Sequence[tuple[float, float]], beta: float
) -> torch.Tensor:
    """The pairs' losses, shape (pairs,): -log sigmoid of beta times how much more the preferred response gained."""
    import torch

    before = torch.tensor(reference, dtype=chosen.dtype, device=chosen.device)
    margin = (chosen - before[:, 0]) - (rejected - before[:, 1])
    return -torch.nn.functional.logsigmoid(beta * margin)

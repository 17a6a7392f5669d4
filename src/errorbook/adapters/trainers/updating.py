"""One update of the weights: a step's rows, in as many passes as memory asks for, on as many processes as there are.

However the rows are divided, the update is that of the whole step: passes and processes add up their gradients of
the same loss, the mean over all that the step teaches.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from errorbook.adapters.trainers.distilling import add_divergence, count_read, write_answers
from errorbook.adapters.trainers.group import add_up
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.preference import preference_loss
from errorbook.adapters.trainers.stepping import learning_rate, log_probabilities, loss_of
from errorbook.errors import OutageError, StageError

if TYPE_CHECKING:
    import torch


def update(job: Job, step: int) -> float:
    """Update the weights once; returns the step's loss.

    For supervised lessons this is the mean over their completion tokens, in nats; for pairs the mean over the pairs;
    if there are both, each lesson counts the same. For a model that learns from itself it is the mean divergence over
    the tokens that it wrote. If memory runs out, the step begins again with half as many
    rows a pass: nothing has been updated by then.

    Raises:
        StageError: Not even one row fits into memory.
        OutageError: The loss or its slope is no finite number, and would be in the weights next.
    """
    import torch

    if job.own is not None:
        write_answers(job, job.own, step)
    loss = _add_gradients(job, step)
    while loss is None:
        _need_less(job)
        loss = _add_gradients(job, step)
    norm = torch.nn.utils.clip_grad_norm_(job.weights().values(), 1.0)
    if not math.isfinite(loss) or not (job.sharded or bool(torch.isfinite(norm))):
        raise OutageError(
            f"The loss of step {step + 1} or its slope is no finite number; lower learning_rate in [train], use dtype ="
            " 'float32', or look for broken lessons."
        )
    for group in job.optimizer.param_groups:
        group["lr"] = learning_rate(job.recipe, step, len(job.steps))
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    if job.own is not None:
        count_read(job, job.own, step)
    return loss


def _add_gradients(job: Job, step: int) -> float | None:
    """Compute the step's gradients over all processes; None, and no gradient, if one ran out of memory."""
    import torch

    # A model with dropout draws the same numbers in a step whether or not the training was resumed before it.
    torch.manual_seed(job.recipe.seed * 1_000_003 + step + (job.group.rank << 40))
    job.model.train()
    own = _own_gradients(job, step)
    device = next(iter(job.weights().values())).device
    outcome = torch.zeros(2, device=device) if own is None else torch.stack([own, torch.zeros_like(own)])
    outcome[1] = own is None
    add_up(job.group, [outcome])
    loss, failed = outcome.tolist()
    if failed:
        job.optimizer.zero_grad(set_to_none=True)
        return None
    if not job.sharded:
        for weight in job.weights().values():
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        add_up(job.group, [weight.grad for weight in job.weights().values() if weight.grad is not None])
    return float(loss)


def _own_gradients(job: Job, step: int) -> torch.Tensor | None:
    """This process's part of the loss, its gradients added to the weights'; None if memory ran out."""
    import torch

    try:
        total = torch.zeros((), device=next(iter(job.weights().values())).device)
        for numbers, counts in list_passes(job, job.steps[step]):
            part = _loss(job, numbers, step) * float(counts)
            part.backward()  # type: ignore[no-untyped-call]
            total += part.detach()
    except RuntimeError as error:
        # Processes that share the weights wait for each other within a pass: there one alone cannot begin again.
        if job.sharded or not _is_out_of_memory(error):
            raise
        return None
    return total


def list_passes(job: Job, step: Sequence[int]) -> list[tuple[list[int], bool]]:
    """The row numbers of each of this process's passes, and whether they count.

    Processes that share the weights must compute equally often: one with too few rows does some for nothing.
    """
    mine = job.group.share(step)
    size = max(1, job.at_once // 2) if any(job.rejected) else job.at_once
    passes = [(mine[start : start + size], True) for start in range(0, len(mine), size)]
    if job.sharded:
        most = math.ceil(math.ceil(len(step) / job.group.size) / size)
        passes += [([step[0]], False)] * (most - len(passes))
    return passes


def _loss(job: Job, numbers: Sequence[int], place: int) -> torch.Tensor:
    """What these rows add to the loss of their step."""
    if job.own is not None:
        return add_divergence(job, job.own, place, numbers)
    step = job.steps[place]
    imitated = [number for number in step if job.rejected[number] is None]
    tokens = sum(len(job.rows[number].ids) - job.rows[number].prompt for number in imitated)
    if len(imitated) == len(step) and job.recipe.objective == "sft":
        return loss_of(job.model, [job.rows[number] for number in numbers], job.dtype)[0] / tokens
    alone = [number for number in numbers if job.rejected[number] is None]
    pairs = [number for number in numbers if job.rejected[number] is not None]
    others = [other for number in pairs if (other := job.rejected[number]) is not None]
    rows = [job.rows[number] for number in (*alone, *pairs)]
    likely = log_probabilities(job.model, [*rows, *others], job.dtype)
    chosen, rejected = likely[len(alone) : len(rows)], likely[len(rows) :]
    loss = likely[: len(alone)].sum() * (-len(imitated) / max(1, tokens))
    if pairs:
        reference = [job.reference[number] for number in pairs]
        loss = loss + preference_loss(chosen, rejected, reference, job.recipe.beta).sum()
    return loss / len(step)


def _need_less(job: Job) -> None:
    """Halve the rows of a pass, or recompute activations if a pass has but one row already."""
    import torch

    gc.collect()  # what the failed pass left behind
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    least = 2 if any(job.rejected) else 1
    if job.at_once > least:
        job.at_once = max(least, job.at_once // 2)
    elif not job.checkpointing:
        job.recompute()
    else:
        raise StageError(
            "Not even one lesson at a time fits into memory; lower max_tokens or rank in [train], use method = 'qlora' "
            "or a smaller model."
        )


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)

"""What a model makes of some rows: the loss of their completions, and how likely they are; and how large a step is.

Which rows make up a step, what else is done with their loss and how weights change is `updating`'s business.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.ways import canary, pads_right, spread_apart, tolerance_of
from errorbook.adapters.trainers.batches import IGNORED, TokenRow, collate
from errorbook.adapters.trainers.lean_lora import make_lean
from errorbook.adapters.trainers.packing import attend_packed, can_pack, is_packed, pack
from errorbook.records import Recipe

if TYPE_CHECKING:
    import torch


UNPROVEN = "ERRORBOOK_UNPROVEN"
"""An environment variable: any value lets the quick forward pass run on devices that it was not yet proven on."""


def quicken(model: Any, device: str) -> None:
    """Have the model compute what it computes with less work, as far as its kind allows.

    On a CPU only. Elsewhere PEFT's and transformers' own forward pass stays, until `benchmarks/gpu.sh` has shown there
    that the quick one is right and quicker.
    """
    if device != "cpu" and not os.environ.get(UNPROVEN):
        return
    bare = loading.unwrap(model)
    make_lean(model)
    if can_pack(bare) and _packs_alike(model):
        attend_packed(bare)
    elif device == "cpu":
        # There the fused attention's backward pass takes 1.2 times as long a step as plain matrix products.
        bare.set_attn_implementation("eager")


def _packs_alike(model: Any) -> bool:
    """Whether a few short rows laid end to end get the logits that each gets alone.

    A layer that carries a state from token to token would carry it from one row into the next.
    """
    import torch

    bare, training = loading.unwrap(model), model.training
    own, dtype = bare.config._attn_implementation, str(bare.dtype).removeprefix("torch.")
    ids = canary(bare.get_input_embeddings().weight.shape[0])
    rows = [TokenRow(tuple(row), len(row) // 2) for row in ids]
    model.eval()
    try:
        with torch.no_grad():
            apart = torch.cat([find_logits(model, [row], dtype)[0] for row in rows])
            attend_packed(bare)
            together = find_logits(model, rows, dtype)[0]
    except (TypeError, KeyError, IndexError, AttributeError, RuntimeError):
        return False  # its attention wants what a layout does not tell
    finally:
        bare.set_attn_implementation(own)
        model.train(training)
    return spread_apart(together, apart) <= tolerance_of(bare)


def loss_of(model: Any, rows: Sequence[TokenRow], dtype: str) -> tuple[torch.Tensor, int]:
    """The sum of the completion tokens' losses, in nats, ready for `backward`, and how many tokens these are."""
    losses, _ = _token_losses(model, rows, dtype)
    return losses.sum(), len(losses)


def log_probabilities(model: Any, rows: Sequence[TokenRow], dtype: str) -> torch.Tensor:
    """The log-probability of each row's completion, in nats, shape (rows,)."""
    import torch

    losses, owners = _token_losses(model, rows, dtype)
    return torch.zeros(len(rows), device=losses.device).index_add(0, owners, -losses)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then by the recipe's schedule: a straight line or half a cosine to just above zero, or level.

    The cosine is that of SGDR without a restart (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5).
    """
    wanted = round(recipe.warmup * steps) if recipe.warmup_steps is None else recipe.warmup_steps
    warmup = min(steps - 1, wanted)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    left = (steps - step) / (steps - warmup)
    return recipe.learning_rate * ((1 - math.cos(math.pi * left)) / 2 if recipe.schedule == "cosine" else left)


def _token_losses(model: Any, rows: Sequence[TokenRow], dtype: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of every token that carries one, row after row, and the number of its row; both of shape (tokens,)."""
    import torch

    logits, labels, owners = find_logits(model, rows, dtype)
    return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none"), owners


def find_logits(model: Any, rows: Sequence[TokenRow], dtype: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The logits before every token that carries loss, row after row, its id, and the number of its row.

    Shapes are (tokens, vocabulary) and twice (tokens,). Logits are most of the memory, and few places need them: the
    head sees only those. A model that would see padding behind a row reads each row alone.
    """
    import torch

    bare = loading.unwrap(model)
    if len(rows) > 1 and not is_packed(bare) and not pads_right(bare):
        apart = [find_logits(model, [row], dtype) for row in rows]
        numbers = torch.cat([torch.full_like(labels, number) for number, (_, labels, _) in enumerate(apart)])
        return torch.cat([logits for logits, _, _ in apart]), torch.cat([labels for _, labels, _ in apart]), numbers
    inputs, labels, owners, places = _lay_out(bare, rows)
    selected = bare.get_output_embeddings().register_forward_pre_hook(lambda _, given: (given[0][places][None],))
    with selected, torch.autocast(bare.device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
        logits = bare(**inputs, use_cache=False).logits[0]
    return logits, labels, owners


def _lay_out(bare: Any, rows: Sequence[TokenRow]) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor, Any]:
    """What the model is given, the ids of the tokens that carry loss, their rows' numbers, and the places before them.

    The rows are packed if the model was told so. Else padding is on the right, where no token of a lesson sees it, and
    there is no mask.
    """
    import torch

    if is_packed(bare):
        packed = pack(rows, bare.device)
        inputs = {"input_ids": packed.inputs, "position_ids": packed.positions, "layout": packed.layout}
        return inputs, packed.labels, packed.owners, (torch.zeros_like(packed.places), packed.places)
    batch = collate(rows, bare.device)
    owners, columns = (batch.labels != IGNORED).nonzero(as_tuple=True)
    return {"input_ids": batch.inputs}, batch.labels[owners, columns], owners, (owners, columns)

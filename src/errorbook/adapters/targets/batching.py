"""Rows of tokens on their way through a model: begun together, continued token by token, dropped as they finish.

How a model may be asked so that a row does not depend on its neighbours is a `Way`; which one holds for a model is
found by `ways`. What is chosen next, and when a row ends, is `decoding`'s business.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

_COMPACT = 0.25  # share of finished rows at which copying the cache costs less than computing on


_KEEPERS = ("past_key_values", "cache_params")
"""What a cache is called by models with attention, and by those without."""


class Way(NamedTuple):
    """What may be done with rows without changing any: the fewer, the slower.

    `many` rows in one pass; `padded` to one length; `shared`: what all begin with computed once, the padding behind
    it; `cached`: what was read is kept; `dropped`: finished rows are taken out of the cache.
    """

    many: bool = True
    padded: bool = True
    shared: bool = True
    cached: bool = True
    dropped: bool = True


@dataclass
class Batch:
    """The rows still being written: their numbers, next inputs, mask, positions, whether they are done, the cache.

    `given` are the names of what the model can be given.
    """

    rows: torch.Tensor
    inputs: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    done: torch.Tensor
    way: Way
    given: frozenset[str]
    cache: Any = None


def split(lengths: Sequence[int], way: Way) -> list[list[int]]:
    """The numbers of the rows that may go through the model together, as groups."""
    if not way.many:
        return [[row] for row in range(len(lengths))]
    if way.padded:
        return [list(range(len(lengths)))] if lengths else []
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    return [list(group) for _, group in groupby(order, key=lambda row: lengths[row])]


def begin(model: Any, prompts: Sequence[Sequence[int]], pad: int, way: Way) -> Batch:
    """Compute what all prompts begin with once, then pad on the left: every row's next token is in the last column."""
    import torch

    device, shared = model.device, count_shared(prompts) if way.shared else 0
    rests = [list(prompt[shared:]) for prompt in prompts]
    width = max(len(rest) for rest in rests)
    ids = torch.tensor([[pad] * (width - len(rest)) + rest for rest in rests])
    mask = torch.tensor([[1] * shared + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests])
    return Batch(
        rows=torch.arange(len(prompts), device=device),
        inputs=ids.to(device),
        mask=mask.to(device),
        positions=(mask.cumsum(1) - 1).clamp(min=0)[:, shared:].to(device),
        done=torch.zeros(len(prompts), dtype=torch.bool, device=device),
        way=way,
        given=inputs_of(model),
        cache=read_once(model, prompts[0][:shared], len(prompts)) if shared else None,
    )


def read_once(model: Any, beginning: Sequence[int], rows: int) -> Any:
    """The cache of a beginning that so many rows have in common."""
    import torch

    with torch.inference_mode(), last_place_only(model):
        read = model(input_ids=torch.tensor([list(beginning)], device=model.device), use_cache=True)
    read.past_key_values.batch_repeat_interleave(rows)
    return read.past_key_values


def go_on(model: Any, batch: Batch) -> torch.Tensor:
    """Compute each row's next token: logits of shape (rows, vocabulary)."""
    import torch

    keeper = next((name for name in _KEEPERS if name in batch.given), "")
    # A model without attention reads a mask of the new tokens alone, since it keeps no others.
    seen = batch.mask.shape[1] if keeper == _KEEPERS[0] else batch.inputs.shape[1]
    wanted = {
        "attention_mask": batch.mask[:, -seen:],
        "position_ids": batch.positions,
        "use_cache": batch.way.cached,
        **({keeper: batch.cache} if batch.way.cached else {}),
    }
    taken = {name: value for name, value in wanted.items() if name in batch.given}
    with torch.inference_mode(), last_place_only(model):
        output = model(input_ids=batch.inputs, **taken)
    batch.cache = getattr(output, keeper) if batch.way.cached else None
    logits: torch.Tensor = output.logits[:, -1]
    return logits


def advance(batch: Batch, chosen: torch.Tensor) -> None:
    """Make the chosen tokens the next inputs, and drop finished rows once they are many enough."""
    import torch

    following = batch.positions[:, -1:] + 1
    batch.mask = torch.cat([batch.mask, torch.ones_like(batch.mask[:, :1])], dim=1)
    if batch.way.cached:
        batch.inputs, batch.positions = chosen[:, None], following
    else:
        batch.inputs = torch.cat([batch.inputs, chosen[:, None]], dim=1)
        batch.positions = torch.cat([batch.positions, following], dim=1)
    if batch.way.dropped and float(batch.done.float().mean()) >= _COMPACT:
        keep = (~batch.done).nonzero()[:, 0]
        if batch.cache is not None:
            batch.cache.reorder_cache(keep)
        for name in ("rows", "inputs", "mask", "positions", "done"):
            setattr(batch, name, getattr(batch, name)[keep])


def count_shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, such as a system message; each keeps at least one of its own.

    Nothing is shared by a single prompt: computing its beginning apart would only round differently.
    """
    if len(prompts) == 1:
        return 0
    least = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    return next((at for at in range(least) if any(prompt[at] != first[at] for prompt in prompts)), least)


def last_place_only(model: Any) -> AbstractContextManager[Any]:
    """Let the head compute logits for each row's last place alone.

    The copy matters: on a slice, a CPU copies the head's whole weight once for each row of the batch.
    """
    handle: AbstractContextManager[Any] = model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0][:, -1:].contiguous(),)
    )
    return handle


def inputs_of(model: Any) -> frozenset[str]:
    """What the model can be given by name; what its head passes on as it is, the decoder inside must know."""
    known = inspect.signature(model.forward).parameters
    passes_on = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    inner = inspect.signature(model.base_model.forward).parameters if passes_on else {}
    return frozenset({*known, *inner})

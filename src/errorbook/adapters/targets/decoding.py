"""Greedy and seeded decoding of a batch of token rows, dropping each row as it finishes.

Unlike `generate` of transformers it reads no generation settings from the model's folder (no repetition penalty, no
top-p): what a response depends on is the checkpoint, the prompt and `Generation` alone. No beam search, no streaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_COMPACT = 0.25  # share of finished rows at which copying the cache costs less than computing on


@dataclass(frozen=True)
class RowLimits:
    """When and how a row ends: token ids that end it, the padding id, the cap, and the temperature (0 is greedy).

    `over` is asked after every token whether what a row has written ends it, if there is such a rule.
    """

    ends: frozenset[int]
    pad: int
    max_new_tokens: int
    temperature: float
    over: Callable[[Sequence[int]], bool] | None = None


@dataclass
class _Batch:
    """The rows still being written: their numbers, tokens so far, cache and next inputs."""

    rows: torch.Tensor
    inputs: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    done: torch.Tensor
    cache: Any = None


def decode(
    model: Any, prompts: Sequence[Sequence[int]], seeds: Sequence[int], limits: RowLimits
) -> Iterator[tuple[int, list[int]]]:
    """Continue every prompt; yields (row, new token ids, the end token included) as rows finish.

    `seeds` gives each row its own random numbers, so that a sampled row does not depend on its neighbours.
    """
    import torch

    written: list[list[int]] = [[] for _ in prompts]
    batch = _start(model, prompts, limits.pad)
    noise = _noise(seeds, limits).to(batch.inputs.device)
    ends = torch.tensor(sorted(limits.ends), device=batch.inputs.device)
    for step in range(limits.max_new_tokens):
        with torch.inference_mode(), _last_place_only(model):
            output = model(
                input_ids=batch.inputs,
                attention_mask=batch.mask,
                position_ids=batch.positions,
                past_key_values=batch.cache,
                use_cache=True,
            )
            chosen = _choose(output.logits[:, -1], noise[batch.rows, step : step + 1], limits.temperature)
        batch.cache = output.past_key_values
        finished = torch.isin(chosen, ends)
        for row, token, over in zip(batch.rows.tolist(), chosen.tolist(), batch.done.tolist(), strict=True):
            if not over:
                written[row].append(token)
        if limits.over is not None:
            finished |= torch.tensor([limits.over(written[row]) for row in batch.rows.tolist()], device=finished.device)
        for row in batch.rows[finished & ~batch.done].tolist():
            yield row, written[row]
        batch.done |= finished
        if bool(batch.done.all()):
            return
        _advance(batch, chosen)
    for row in batch.rows[~batch.done].tolist():
        yield row, written[row]


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """The text up to the end of the first of the strings that it holds."""
    ends = [text.index(item) + len(item) for item in stop if item in text]
    return text[: min(ends)] if ends else text


def score_options(
    model: Any, prompts: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]], pad: int
) -> list[list[float]]:
    """The summed log-probability, in nats, of each prompt's options (token ids) as its continuation.

    What the prompts share is computed once, then all rows (prompt and option) in one forward pass, padded on the
    right; the head sees the places before option tokens alone.
    """
    import torch

    device, shared = model.device, _shared(prompts)
    rows = [(list(prompt[shared:]), list(ids)) for prompt, group in zip(prompts, options, strict=True) for ids in group]
    width = max(len(rest) + len(ids) for rest, ids in rows)
    inputs = torch.tensor([rest + ids + [pad] * (width - len(rest) - len(ids)) for rest, ids in rows], device=device)
    places = [(row, len(rest) + at - 1) for row, (rest, ids) in enumerate(rows) for at in range(len(ids))]
    row, column = (torch.tensor(part, device=device) for part in zip(*places, strict=True))
    wanted = torch.tensor([token for _, ids in rows for token in ids], device=device)
    with torch.inference_mode():
        cache = None
        if shared:
            beginning = torch.tensor([list(prompts[0][:shared])], device=device)
            with _last_place_only(model):
                cache = model(input_ids=beginning, use_cache=True).past_key_values
            cache.batch_repeat_interleave(len(rows))
        # No mask: the padding stands behind every token that counts, where causal attention cannot see it.
        with _places_only(model, row, column):
            logits = model(input_ids=inputs, past_key_values=cache, use_cache=shared > 0).logits[0]
        likely = logits.float().log_softmax(dim=-1).gather(1, wanted[:, None])[:, 0]
        sums = torch.zeros(len(rows), device=device).index_add_(0, row, likely).tolist()
    remaining = iter(sums)
    return [[next(remaining) for _ in group] for group in options]


def _start(model: Any, prompts: Sequence[Sequence[int]], pad: int) -> _Batch:
    """Compute what all prompts begin with once, then pad on the left: every row's next token is in the last column."""
    import torch

    device, shared = model.device, _shared(prompts)
    rests = [list(prompt[shared:]) for prompt in prompts]
    width = max(len(rest) for rest in rests)
    ids = torch.tensor([[pad] * (width - len(rest)) + rest for rest in rests])
    mask = torch.tensor([[1] * shared + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests])
    cache = None
    if shared:
        with torch.inference_mode():
            beginning = torch.tensor([list(prompts[0][:shared])], device=device)
            cache = model(input_ids=beginning, use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(prompts))
    return _Batch(
        rows=torch.arange(len(prompts), device=device),
        inputs=ids.to(device),
        mask=mask.to(device),
        positions=(mask.cumsum(1) - 1).clamp(min=0)[:, shared:].to(device),
        done=torch.zeros(len(prompts), dtype=torch.bool, device=device),
        cache=cache,
    )


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, such as a system message; each keeps at least one of its own.

    Nothing is shared by a single prompt: computing its beginning apart would only round differently.
    """
    if len(prompts) == 1:
        return 0
    least = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    return next((at for at in range(least) if any(prompt[at] != first[at] for prompt in prompts)), least)


def _last_place_only(model: Any) -> AbstractContextManager[Any]:
    """Let the head compute logits for each row's last place alone.

    The copy matters: on a slice, a CPU copies the head's whole weight once for each row of the batch.
    """
    handle: AbstractContextManager[Any] = model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0][:, -1:].contiguous(),)
    )
    return handle


def _places_only(model: Any, row: torch.Tensor, column: torch.Tensor) -> AbstractContextManager[Any]:
    """Let the head compute logits for these places alone, as one row of them."""
    handle: AbstractContextManager[Any] = model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0][row, column][None],)
    )
    return handle


def _advance(batch: _Batch, chosen: torch.Tensor) -> None:
    """Make the chosen tokens the next inputs, and drop finished rows once they are many enough."""
    import torch

    batch.inputs = chosen[:, None]
    batch.mask = torch.cat([batch.mask, torch.ones_like(batch.mask[:, :1])], dim=1)
    batch.positions = batch.positions[:, -1:] + 1
    if float(batch.done.float().mean()) >= _COMPACT:
        keep = (~batch.done).nonzero()[:, 0]
        batch.cache.batch_select_indices(keep)
        for name in ("rows", "inputs", "mask", "positions", "done"):
            setattr(batch, name, getattr(batch, name)[keep])


def _noise(seeds: Sequence[int], limits: RowLimits) -> torch.Tensor:
    """Uniform numbers in [0, 1), shape (rows, max_new_tokens): one draw a token. Greedy decoding ignores them."""
    import torch

    if not limits.temperature:
        return torch.zeros(len(seeds), limits.max_new_tokens)
    draws = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        draws.append(torch.rand(limits.max_new_tokens, generator=generator))
    return torch.stack(draws)


def _choose(logits: torch.Tensor, uniform: torch.Tensor, temperature: float) -> torch.Tensor:
    """The most likely token of each row, or the one where the cumulative probability passes the uniform number."""
    import torch

    if not temperature:
        return logits.argmax(dim=-1)
    cumulative = (logits.float() / temperature).softmax(dim=-1).cumsum(dim=-1)
    # Scaled by the sum as it came out: rounding can leave it just below 1.
    threshold = uniform * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)

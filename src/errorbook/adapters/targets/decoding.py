"""Greedy and seeded decoding of a batch of token rows, dropping each row as it finishes.

Unlike `generate` of transformers it reads no generation settings from the model's folder (no repetition penalty, no
top-p): what a response depends on is the checkpoint, the prompt and `Generation` alone. No beam search, no streaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets.batching import (
    Batch,
    Way,
    advance,
    begin,
    count_shared,
    go_on,
    inputs_of,
    read_once,
    split,
)
from errorbook.adapters.targets.ways import find_way, pads_right
from errorbook.errors import ModelError

if TYPE_CHECKING:
    import torch


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


def decode(
    model: Any, prompts: Sequence[Sequence[int]], seeds: Sequence[int], limits: RowLimits
) -> Iterator[tuple[int, list[int]]]:
    """Continue every prompt; yields (row, new token ids, the end token included) as rows finish.

    `seeds` gives each row its own random numbers, so that a sampled row does not depend on its neighbours.

    Raises:
        ModelError: What the model computes are no numbers, or it computes nothing by any way.
    """
    way = find_way(model)
    for group in split([len(prompt) for prompt in prompts], way):
        batch = begin(model, [prompts[row] for row in group], limits.pad, way)
        for place, tokens in _write(model, batch, [seeds[row] for row in group], limits):
            yield group[place], tokens


def _write(model: Any, batch: Batch, seeds: Sequence[int], limits: RowLimits) -> Iterator[tuple[int, list[int]]]:
    """Continue every row of a batch that has begun; yields as `decode` does."""
    import torch

    written: list[list[int]] = [[] for _ in seeds]
    noise = _noise(seeds, limits).to(batch.inputs.device)
    ends = torch.tensor(sorted(limits.ends), device=batch.inputs.device)
    for step in range(limits.max_new_tokens):
        logits = go_on(model, batch)
        if not step:
            _require_numbers(model, logits)
        with torch.inference_mode():
            chosen = _choose(logits, noise[batch.rows, step : step + 1], limits.temperature)
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
        advance(batch, chosen)
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
    right; the head sees the places before option tokens alone. A model that is not asked so is asked in groups.
    """
    way = find_way(model)
    rows = [(number, ids) for number, group in enumerate(options) for ids in group]
    sums = [0.0] * len(rows)
    lengths = [len(prompts[number]) + len(ids) for number, ids in rows]
    for group in split(lengths, way._replace(padded=pads_right(model))):
        asked = dict.fromkeys(rows[row][0] for row in group)
        shared = count_shared([prompts[number] for number in asked]) if way.shared else 0
        found = _weigh(model, [(prompts[number], ids) for number, ids in (rows[row] for row in group)], shared, pad)
        for row, likely in zip(group, found, strict=True):
            sums[row] = likely
    remaining = iter(sums)
    return [[next(remaining) for _ in group] for group in options]


def _weigh(model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], shared: int, pad: int) -> list[float]:
    """The summed log-probability of each continuation behind its prompt; all begin with so many `shared` tokens."""
    import torch

    device = model.device
    rows = [(list(prompt[shared:]), list(ids)) for prompt, ids in pairs]
    width = max(len(rest) + len(ids) for rest, ids in rows)
    inputs = torch.tensor([rest + ids + [pad] * (width - len(rest) - len(ids)) for rest, ids in rows], device=device)
    places = [(row, len(rest) + at - 1) for row, (rest, ids) in enumerate(rows) for at in range(len(ids))]
    row, column = (torch.tensor(part, device=device) for part in zip(*places, strict=True))
    wanted = torch.tensor([token for _, ids in rows for token in ids], device=device)
    given = {"past_key_values": read_once(model, pairs[0][0][:shared], len(rows))} if shared else {}
    if "use_cache" in inputs_of(model):
        given["use_cache"] = shared > 0
    # No mask: the padding, if there is any, stands behind every token that counts.
    with torch.inference_mode(), _places_only(model, row, column):
        logits = model(input_ids=inputs, **given).logits[0]
    _require_numbers(model, logits)
    likely = logits.float().log_softmax(dim=-1).gather(1, wanted[:, None])[:, 0]
    found: list[float] = torch.zeros(len(rows), device=device).index_add_(0, row, likely).tolist()
    return found


def read_states(model: Any, rows: Sequence[Sequence[int]], pad: int) -> list[torch.Tensor]:
    """The last hidden states of every row's tokens, each of shape (tokens, width), in float32.

    They are what the head is given, whatever a model calls the part that computes them.
    """
    import torch

    states: dict[int, torch.Tensor] = {}
    given = {"use_cache": False} if "use_cache" in inputs_of(model) else {}
    for group in split([len(row) for row in rows], Way(padded=pads_right(model))):
        kept: list[torch.Tensor] = []
        width = max(len(rows[row]) for row in group)
        padded = [[*rows[row], *[pad] * (width - len(rows[row]))] for row in group]
        with torch.inference_mode(), _keep_states(model, kept):
            model(input_ids=torch.tensor(padded, device=model.device), **given)
        for row, state in zip(group, kept[0], strict=True):
            states[row] = state[: len(rows[row])].float()
    return [states[row] for row in range(len(rows))]


def _keep_states(model: Any, kept: list[torch.Tensor]) -> AbstractContextManager[Any]:
    """Keep what the head is given, and let it compute one place of it only."""

    def keep(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        kept.append(inputs[0])
        return (inputs[0][:, -1:].contiguous(),)

    handle: AbstractContextManager[Any] = model.get_output_embeddings().register_forward_pre_hook(keep)
    return handle


def _places_only(model: Any, row: torch.Tensor, column: torch.Tensor) -> AbstractContextManager[Any]:
    """Let the head compute logits for these places alone, as one row of them."""
    handle: AbstractContextManager[Any] = model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0][row, column][None],)
    )
    return handle


def _require_numbers(model: Any, logits: torch.Tensor) -> None:
    """Check each model by itself: the way to ask it is found once for its kind, and its weights may be numbers all.

    An infinite logit may be a token that is never written.
    """
    import torch

    if bool(torch.isnan(logits).any()):
        form = str(model.dtype).removeprefix("torch.")
        raise ModelError(
            f"What the model '{model.config.name_or_path}' computes in {form} are no finite numbers; set dtype = "
            "'float32' in [target], or download or train it again."
        )


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

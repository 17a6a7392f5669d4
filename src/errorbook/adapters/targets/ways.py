"""Finds how a model may be asked in batches so that no row's answer depends on its neighbours.

Facts rule out what only models whose every token sees all tokens before it can do. What is left is tried on a few
short rows, from the quickest to the slowest, against the same rows read alone and whole: whatever differs, or fails,
is not used. So no list of models is needed, and a model class that mends a fault gets the quicker way by itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from errorbook.adapters.targets.batching import Batch, Way, advance, begin, go_on, inputs_of, split
from errorbook.errors import ModelError

if TYPE_CHECKING:
    import torch

_LADDER = (
    Way(),
    Way(shared=False),
    Way(shared=False, dropped=False),
    Way(padded=False, shared=False),
    Way(padded=False, shared=False, dropped=False),
    Way(many=False, padded=False, shared=False),
    Way(padded=False, shared=False, cached=False),
    Way(many=False, padded=False, shared=False, cached=False),
)
_LENGTHS = (4, 9, 9, 17)  # of the canary's rows: two are equal, and padding is longer than a convolution
_SHARED = 3
_STEPS = 3
_TOLERANCE = {"float32": 1e-3, "float64": 1e-3}
_COARSE = 0.4
"""Of the spread of a row's logits: 16 bits round by up to 0.24 of it on such rows (the embedded model, on a CPU)."""
_found: WeakKeyDictionary[Any, Way] = WeakKeyDictionary()
_of_kind: dict[tuple[object, ...], Way] = {}
_padded: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_padded_of_kind: dict[tuple[object, ...], bool] = {}


def find_way(model: Any) -> Way:
    """The quickest way by which rows in a batch are answered as alone; tried once for each architecture.

    Raises:
        ModelError: The model computes nothing by any way.
    """
    way = _found.get(model)
    if way is None:
        kind = _kind_of(model)
        way = _of_kind[kind] = _of_kind.get(kind) or _try_ways(model)
        _found[model] = way
    return way


def pads_right(model: Any) -> bool:
    """Whether what stands behind a token changes nothing of it, so that rows may be filled up there without a mask.

    Raises:
        ModelError: The model computes nothing.
    """
    known = _padded.get(model)
    if known is None:
        kind = _kind_of(model)
        if kind not in _padded_of_kind:
            _padded_of_kind[kind] = _try_padding(model)
        known = _padded[model] = _padded_of_kind[kind]
    return known


def _try_padding(model: Any) -> bool:
    import torch

    rows, training = canary(model.get_input_embeddings().weight.shape[0]), model.training
    width = max(len(row) for row in rows)
    model.eval()
    try:
        alone = [row[-1] for row in _read_alone(model, rows)]
        filled = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=model.device)
        with torch.no_grad():
            together = model(input_ids=filled, **_uncached(model)).logits
    finally:
        model.train(training)
    bound = tolerance_of(model)
    return all(spread_apart(together[at, len(row) - 2], alone[at]) <= bound for at, row in enumerate(rows))


def sees_all(config: Any) -> bool:
    """Whether by its configuration every token of the model sees all tokens before it, and nothing else."""
    settings = config.get_text_config(decoder=True)
    kinds = set(getattr(settings, "layer_types", None) or ["full_attention"])
    return kinds == {"full_attention"} and not has_window(settings)


def has_window(config: Any) -> bool:
    """Whether the configuration bounds how far back a token can look, by whatever name."""
    if getattr(config, "use_sliding_window", None) is False:
        return False
    named = (value for name, value in vars(config).items() if "window" in name or name == "attention_chunk_size")
    return any(isinstance(value, int) and value for value in named)


def spread_apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """How far logits are from others of the same shape, in units of the spread of these; the farthest row counts."""
    import torch

    found, expected = found.float(), expected.float()
    spread = (expected - expected.mean(dim=-1, keepdim=True)).norm(dim=-1).clamp(min=1e-12)
    apart = ((found - expected).norm(dim=-1) / spread).max()
    return float(torch.nan_to_num(apart, nan=float("inf")))


def tolerance_of(model: Any) -> float:
    """How far logits may be apart by rounding alone, as `spread_apart` measures it."""
    return _TOLERANCE.get(str(model.dtype).removeprefix("torch."), _COARSE)


def canary(vocabulary: int) -> list[list[int]]:
    """Rows of token ids of several lengths with one beginning, each with the tokens that are to follow it."""
    numbers = random.Random(0)  # noqa: S311 - no secret
    beginning = [numbers.randrange(vocabulary) for _ in range(_SHARED)]
    return [beginning + [numbers.randrange(vocabulary) for _ in range(n - _SHARED + _STEPS)] for n in _LENGTHS]


def _try_ways(model: Any) -> Way:
    """The first way that holds, against rows read at once; if none does, against rows read anew for every token.

    In a few models a token can see what comes after it if that is read with it. What they write is read token by token.
    """
    rows, slowest = canary(model.get_input_embeddings().weight.shape[0]), _LADDER[-1]
    at_once = _read_alone(model, rows)
    ways = _LADDER if _is_plain(model) else [way for way in _LADDER if not way.shared]
    way = _first_holding(model, rows, ways, at_once)
    return way or _first_holding(model, rows, ways, _follow(model, rows, slowest, 0)) or slowest


def _first_holding(
    model: Any, rows: Sequence[Sequence[int]], ways: Sequence[Way], expected: Sequence[torch.Tensor]
) -> Way | None:
    for way in ways:
        try:
            if _holds(model, rows, way, expected):
                return way
        except MemoryError:
            raise
        except Exception as error:
            # Whatever a model's own code raises, this way is not for it.
            if _lacks_memory(error):
                raise
    return None


def _holds(model: Any, rows: Sequence[Sequence[int]], way: Way, expected: Sequence[torch.Tensor]) -> bool:
    """Whether this way computes what is expected, and what padding is made of makes no difference."""
    found = _follow(model, rows, way, 0)
    bound = tolerance_of(model)
    alike = all(spread_apart(row, alone[: len(row)]) <= bound for row, alone in zip(found, expected, strict=True))
    if not alike or not way.padded or way.shared:
        return alike
    other = _follow(model, rows, way, 1)
    # Rounding is the same in both, so that a leak shows which 16 bits could else hide.
    return all(spread_apart(row, again) <= bound / 3 for row, again in zip(found, other, strict=True))


def _read_alone(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The logits of every row's last steps by the plainest way: the row alone, all tokens at once, nothing kept.

    Raises:
        ModelError: The model cannot even do that.
    """
    import torch

    given = _uncached(model)
    try:
        with torch.no_grad():
            read = [model(input_ids=torch.tensor([list(row)], device=model.device), **given) for row in rows]
            logits = [one.logits[0, -_STEPS - 1 : -1] for one in read]
    except MemoryError:
        raise
    except Exception as error:
        if _lacks_memory(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise ModelError(_refuse(model, reason)) from error
    if not all(bool(torch.isfinite(row).all()) for row in logits):
        raise ModelError(_refuse(model, "what it computes are no finite numbers"))
    return logits


def _follow(model: Any, rows: Sequence[Sequence[int]], way: Way, pad: int) -> list[torch.Tensor]:
    """The logits of each row's steps by a way; of several in a group the first is done after one step, and dropped."""
    import torch

    logits: list[list[torch.Tensor]] = [[] for _ in rows]
    prompts = [row[:-_STEPS] for row in rows]
    for group in split([len(prompt) for prompt in prompts], way):
        batch: Batch = begin(model, [prompts[row] for row in group], pad, way)
        for step in range(_STEPS):
            computed, numbers = go_on(model, batch), [group[place] for place in batch.rows.tolist()]
            for row, one, done in zip(numbers, computed, batch.done.tolist(), strict=True):
                if not done:
                    logits[row].append(one)
            batch.done[0] |= len(group) > 1 and step == 0
            following = [rows[row][len(prompts[row]) + step] for row in numbers]
            advance(batch, torch.tensor(following, device=batch.inputs.device))
    return [torch.stack(row) for row in logits]


def _is_plain(model: Any) -> bool:
    """Whether the model keeps all keys and values of every layer, and nothing else."""
    import torch
    from transformers.cache_utils import DynamicLayer

    if not sees_all(model.config):
        return False
    with torch.inference_mode():
        read = model(input_ids=torch.zeros((1, 2), dtype=torch.long, device=model.device))
    layers = list(getattr(getattr(read, "past_key_values", None), "layers", ()))
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def _uncached(model: Any) -> dict[str, bool]:
    return {"use_cache": False} if "use_cache" in inputs_of(model) else {}


def _kind_of(model: Any) -> tuple[object, ...]:
    return (type(model), model.config.to_json_string(), str(model.dtype), model.device.type)


def _lacks_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _refuse(model: Any, reason: str) -> str:
    return (
        f"The engine 'transformers' cannot ask a model of the kind '{model.config.model_type}' here ({reason}); "
        "install another version of transformers, or set engine = 'vllm', or serve it and set engine = 'openai'."
    )

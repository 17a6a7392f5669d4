"""The rows of one forward pass laid end to end, what they all begin with once: no padding, no beginning twice.

Rows of one task share their system message and header, a third of the tokens of a short lesson. Laid out as a tree
(the shared beginning, then each row's rest, which sees the beginning and itself), every token is computed once and
the loss and gradients are those of the rows apart. Models whose attention is not plain causal attention are left to
padded batches; see `can_pack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errorbook.trainers.batches import Row

if TYPE_CHECKING:
    import torch

_NAME = "errorbook_packed"
_UNLIKE = ("sliding_window", "attn_logit_softcapping", "attention_chunk_size")
"""Settings of a model's configuration under which a token does not simply see all before it."""


@dataclass(frozen=True)
class Layout:
    """Where the rows are in the packed tokens. Rests shorter than `width` are filled up with their last token.

    `keys` (rows, shared + width) and `queries` (rows, width) are places in the packed tokens; `back` says for each
    packed token after the shared ones where it stands among the queries, read row by row.
    """

    shared: int
    width: int
    keys: torch.Tensor
    queries: torch.Tensor
    back: torch.Tensor


@dataclass(frozen=True)
class Packed:
    """One forward pass: token ids and their positions, both (1, tokens).

    Then, for every token that carries loss, the place that predicts it, its id and the number of its row.
    """

    inputs: torch.Tensor
    positions: torch.Tensor
    layout: Layout
    places: torch.Tensor
    labels: torch.Tensor
    owners: torch.Tensor


def can_pack(model: Any) -> bool:
    """Whether the model takes an attention of ours, and every token of it sees all tokens before it."""
    config = model.config
    takes = getattr(model, "_supports_attention_backend", False)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "use_sliding_window", True)
    unlike = [name for name in _UNLIKE if getattr(config, name, None) and (windowed or name != "sliding_window")]
    return bool(takes) and kinds == {"full_attention"} and not unlike


def attend_packed(model: Any) -> None:
    """Have the model compute attention by the layout that each forward pass gives it."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attention)
    model.set_attn_implementation(_NAME)


def is_packed(model: Any) -> bool:
    """Whether the model was told to attend so."""
    return bool(model.config._attn_implementation == _NAME)


def pack(rows: Sequence[Row], device: Any) -> Packed:
    """Lay the rows out. The last token of a row predicts nothing and is left out."""
    import torch

    shared = _shared(rows)
    inputs, positions = list(rows[0].ids[:shared]), list(range(shared))
    width = max(len(row.ids) for row in rows) - 1 - shared
    keys: list[list[int]] = []
    queries: list[list[int]] = []
    back: list[int] = []
    places: list[int] = []
    labels: list[int] = []
    owners: list[int] = []
    for number, row in enumerate(rows):
        start, length = len(inputs), len(row.ids) - 1 - shared
        inputs += row.ids[shared:-1]
        positions += range(shared, shared + length)
        filled = [*range(start, start + length), *[start + length - 1] * (width - length)]
        queries.append(filled)
        keys.append([*range(shared), *filled])
        back += range(number * width, number * width + length)
        places += range(start + row.prompt - 1 - shared, start + length)
        labels += row.ids[row.prompt :]
        owners += [number] * (len(row.ids) - row.prompt)

    def tensor(values: Sequence[Any]) -> torch.Tensor:
        return torch.tensor(values, device=device)

    layout = Layout(shared, width, tensor(keys), tensor(queries), tensor(back))
    return Packed(tensor([inputs]), tensor([positions]), layout, tensor(places), tensor(labels), tensor(owners))


def _shared(rows: Sequence[Row]) -> int:
    """How many tokens all rows begin with; each keeps at least the last one of its prompt for itself."""
    if len(rows) == 1:
        return 0
    most = min(row.prompt for row in rows) - 1
    first, *others = (row.ids for row in rows)
    return next((at for at in range(most) if any(ids[at] != first[at] for ids in others)), most)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a packed pass, as transformers asks for it: query (1, heads, tokens, width of a head).

    Returns (1, tokens, heads, width of a head); there is no mask, since the layout says who sees whom.
    """
    import torch

    layout: Layout = others["layout"]
    heads, groups, wide = query.shape[1], key.shape[1], query.shape[3]
    rows, shared, width = len(layout.queries), layout.shared, layout.width
    # Heads that share their keys are taken together, (groups * rows, heads of a group * places, width of a head).
    asked = query[0].index_select(1, layout.queries.flatten()).view(groups, heads // groups, rows, width, wide)
    asked = asked.transpose(1, 2).reshape(groups * rows, -1, wide)
    seen = [
        part[0].index_select(1, layout.keys.flatten()).view(groups * rows, shared + width, wide)
        for part in (key, value)
    ]
    found = _weighted(asked, seen[0], seen[1], scaling, width)
    found = found.view(groups, rows, heads // groups, width, wide).permute(1, 3, 0, 2, 4)
    found = found.reshape(rows * width, heads, wide).index_select(0, layout.back)
    if shared:
        first = query[0, :, :shared].reshape(groups, -1, wide)
        own = _weighted(first, key[0, :, :shared], value[0, :, :shared], scaling, shared)
        found = torch.cat([own.view(heads, shared, wide).transpose(0, 1), found])
    return found[None], None


def _weighted(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, width: int) -> torch.Tensor:
    """Softmax attention where each of the last `width` keys is seen from its own place on, the others from everywhere.

    `query` holds `width` places for each of several heads, one head after the other.
    """
    import torch

    seen = key.shape[1]
    hidden = torch.ones(width, seen, dtype=torch.bool, device=query.device).tril(seen - width).logical_not()
    if query.is_cuda:  # there the fused kernel needs no memory for the scores
        several = query.view(len(query), -1, width, query.shape[-1])
        fused = torch.nn.functional.scaled_dot_product_attention(
            several, key[:, None], value[:, None], attn_mask=~hidden, scale=scaling
        )
        return fused.flatten(1, 2)
    # On a CPU the fused kernel's backward pass takes 1.2 times as long as plain matrix products.
    scores = torch.bmm(query * scaling, key.transpose(1, 2)).view(len(query), -1, width, seen)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    return torch.bmm(weights.flatten(1, 2), value)

"""The rows of one forward pass laid end to end, what they all begin with once: no padding, no beginning twice.

Rows of one task share their system message and header, a third of the tokens of a short lesson. Laid out as a tree
(the shared beginning, then each row's rest, which sees the beginning and itself), every token is computed once and
the loss and gradients are those of the rows apart. Models whose attention is not plain causal attention are left to
padded batches; see `can_pack`. Used on a CPU only; see `stepping.quicken`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets.ways import sees_all
from errorbook.adapters.trainers.batches import TokenRow

if TYPE_CHECKING:
    import torch

_NAME = "errorbook_packed"
_UNLIKE = ("attn_logit_softcapping", "kv_lora_rank")
"""Settings of a configuration under which scores are changed, or queries are of another width than values."""


@dataclass(frozen=True)
class AttentionLayout:
    """Who sees whom among the packed tokens, as rows of one width; the shared beginning is the first row.

    `queries` (rows, width) and `keys` (rows, shared + width) are places in the packed tokens, where a shorter row is
    filled up with its last token; `hidden` (rows, 1, width, shared + width) says which keys a query does not see;
    `back` (tokens,) says where each packed token stands among the queries, read row by row.
    """

    shared: int
    queries: torch.Tensor
    keys: torch.Tensor
    hidden: torch.Tensor
    back: torch.Tensor


@dataclass(frozen=True)
class Packed:
    """One forward pass: token ids and their positions, both (1, tokens).

    Then, for every token that carries loss, the place that predicts it, its id and the number of its row.
    """

    inputs: torch.Tensor
    positions: torch.Tensor
    layout: AttentionLayout
    places: torch.Tensor
    labels: torch.Tensor
    owners: torch.Tensor


def can_pack(model: Any) -> bool:
    """Whether the model takes an attention of ours, and by its configuration has that for which it is made.

    Every token sees all tokens before it, in heads of one width. That a model computes the same so is proven before it
    is used; see `stepping.quicken`.
    """
    settings = model.config.get_text_config(decoder=True)
    takes = bool(getattr(model, "_supports_attention_backend", False))
    return takes and sees_all(settings) and not any(getattr(settings, name, None) for name in _UNLIKE)


def attend_packed(model: Any) -> None:
    """Have the model compute attention by the layout that each forward pass gives it."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attention)
    model.set_attn_implementation(_NAME)


def is_packed(model: Any) -> bool:
    """Whether the model was told to attend so."""
    return bool(model.config._attn_implementation == _NAME)


def pack(rows: Sequence[TokenRow], device: Any) -> Packed:
    """Lay the rows out. The last token of a row predicts nothing and is left out."""
    import torch

    shared = _count_shared(rows)
    inputs, positions = list(rows[0].ids[:shared]), list(range(shared))
    spans = [range(shared)] if shared else []
    places: list[int] = []
    labels: list[int] = []
    owners: list[int] = []
    for number, row in enumerate(rows):
        start, length = len(inputs), len(row.ids) - 1 - shared
        inputs += row.ids[shared:-1]
        positions += range(shared, shared + length)
        spans.append(range(start, start + length))
        places += range(start + row.prompt - 1 - shared, start + length)
        labels += row.ids[row.prompt :]
        owners += [number] * (len(row.ids) - row.prompt)
    tensor = partial(torch.tensor, device=device)
    return Packed(
        inputs=tensor([inputs]),
        positions=tensor([positions]),
        layout=_lay_out(shared, spans, device),
        places=tensor(places),
        labels=tensor(labels),
        owners=tensor(owners),
    )


def _lay_out(shared: int, spans: Sequence[range], device: Any) -> AttentionLayout:
    """The layout of rows that take up these places; the first one is the shared beginning, if there is any."""
    import torch

    width = max(len(span) for span in spans)
    filled = [[*span, *[span[-1]] * (width - len(span))] for span in spans]
    own = torch.ones(width, width, dtype=torch.bool, device=device).tril().logical_not()
    hidden = torch.cat([torch.zeros(width, shared, dtype=torch.bool, device=device), own], dim=1)
    hidden = hidden.repeat(len(spans), 1, 1, 1)
    if shared:
        hidden[0, :, :, :shared] = True  # the beginning sees itself once, as its own row
    tensor = partial(torch.tensor, device=device)
    back = [number * width + at for number, span in enumerate(spans) for at in range(len(span))]
    keys = [[*range(shared), *row] for row in filled]
    return AttentionLayout(shared, tensor(filled), tensor(keys), hidden, tensor(back))


def _count_shared(rows: Sequence[TokenRow]) -> int:
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
    layout: AttentionLayout = others["layout"]
    heads, wide = query.shape[1], query.shape[3]
    rows, width = layout.queries.shape
    asked = query[0].index_select(1, layout.queries.flatten()).view(heads, rows, width, wide)
    keys, values = (
        part[0].index_select(1, layout.keys.flatten()).view(len(part[0]), rows, -1, wide) for part in (key, value)
    )
    found = (_fused if query.is_cuda else _written_out)(asked, keys, values, layout.hidden, scaling)
    return found.index_select(0, layout.back)[None], None


def _fused(
    asked: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, hidden: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Attention by the kernels that need no memory for the scores; shapes are those of `_written_out`.

    They take four dimensions only, rows first, and as many heads of keys as of queries; with anything else PyTorch
    falls back to plain matrix products without a word.
    """
    import torch

    copies = len(asked) // len(keys)
    keys, values = (part.repeat_interleave(copies, dim=0).transpose(0, 1) for part in (keys, values))
    found = torch.nn.functional.scaled_dot_product_attention(
        asked.transpose(0, 1), keys, values, attn_mask=~hidden, scale=scaling
    )
    return found.transpose(1, 2).flatten(0, 1)


def _written_out(
    asked: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, hidden: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Attention by plain matrix products: on a CPU the fused kernel's backward pass takes 1.2 times as long.

    Takes (heads, rows, places, width of a head), fewer heads of keys and values; returns (places, heads, width of a
    head), row after row.
    """
    import torch

    heads, rows, width, wide = asked.shape
    groups = len(keys)
    # Heads that share their keys are taken together: (groups, rows, heads of a group, places, width of a head).
    grouped = asked.view(groups, heads // groups, rows, width, wide).transpose(1, 2)
    flat, keys, values = grouped.reshape(groups * rows, -1, wide), keys.flatten(0, 1), values.flatten(0, 1)
    scores = torch.bmm(flat * scaling, keys.transpose(1, 2)).view(groups, rows, -1, width, keys.shape[1])
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1, dtype=torch.float32)
    found = torch.bmm(weights.to(values.dtype).view(len(flat), -1, keys.shape[1]), values)
    return found.view(grouped.shape).permute(1, 3, 0, 2, 4).reshape(rows * width, heads, wide)

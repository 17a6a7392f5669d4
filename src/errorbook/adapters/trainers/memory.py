"""How much memory a training step takes, told before the first, and how many rows fit into one pass.

The estimate is an upper bound of what a decoder of today's kind (gated feed-forward, grouped attention heads) keeps
for the way back; see `Estimate`. It knows nothing of other programs that take memory later: for those there is
`updating`, which halves a pass that does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets import loading
from errorbook.adapters.trainers.batches import TokenRow

if TYPE_CHECKING:
    import torch

_SAFE = 0.75  # share of the free memory that is planned with: allocators lose up to a quarter between their blocks
_FLOAT = 4


@dataclass(frozen=True)
class Shape:
    """What of a model's configuration decides how much a token takes; widths are in numbers, not bytes."""

    layers: int
    hidden: int
    feedforward: int
    heads: int
    queries: int
    vocabulary: int


@dataclass(frozen=True)
class Estimate:
    """Bytes of a training: fixed ones, and those of one row in a pass.

    Fixed are the weights, 4 for each trainable number's gradient and 8 for the two moments that Adam keeps of it
    (as in Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1). A row's activations are counted as in Korthikanti
    et al. 2022 (arXiv 2205.05198), section 4.1, for the layers in use today. With s tokens, h hidden, q queries,
    f feed-forward and a heads, and b bytes a number, a layer keeps

        both norms' inputs in float32, and their outputs     s (8 h + 2 b h)
        queries, keys and values, one for each head          3 s b q
        attention weights if they are written out         a s s (4 + b, or 4 if b is 4)
        the attention's output                               s b q
        gate, its activation, up, and their product          4 s b f

    and the head, on the p places that carry loss, keeps the logits and computes their loss and gradient in float32:
    p v (b + 12), or 12 if b is 4. Recomputing keeps each layer's input, 4 s h, and one layer at a time.

    A model that learns from itself keeps its adapter twice, and for each place four numbers a word: its own logits, the
    teacher's, and the slope before and after it is scaled. Writing answers takes less than learning from them: a token
    keeps its keys and values alone.
    """

    weights: int
    gradients: int
    optimizer: int
    head: int
    layer: int
    layers: int
    layer_input: int

    def row(self, *, recomputed: bool) -> int:
        """Bytes that one more row in a pass takes."""
        kept = self.layers * self.layer_input + self.layer if recomputed else self.layers * self.layer
        return kept + self.head

    def total(self, rows: int, *, recomputed: bool = False) -> int:
        """Bytes of the whole training with so many rows in a pass."""
        return self.weights + self.gradients + self.optimizer + rows * self.row(recomputed=recomputed)


def shape_of(config: Any) -> Shape:
    """The shape of a model with this configuration; a width that it does not name is the usual one."""
    settings = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    hidden, heads = settings.hidden_size, _widest(settings, "num_attention_heads") or 1
    head = _widest(settings, "head_dim") or hidden // heads
    return Shape(
        layers=settings.num_hidden_layers,
        hidden=hidden,
        feedforward=_widest(settings, "intermediate_size") or 4 * hidden,
        heads=heads,
        queries=heads * head,
        vocabulary=settings.vocab_size,
    )


def _widest(config: Any, name: str) -> int:
    """A number of a configuration, the largest one if the layers have their own; 0 if it has none."""
    layers = getattr(config, "per_layer_config", None) or [config]
    found = [getattr(layer, name, None) or 0 for layer in layers]
    return max(max(one) if isinstance(one, list | tuple) else one for one in found)


def estimate_memory(
    model: Any, rows: Sequence[TokenRow], dtype: str, processes: int = 1, *, distilled: bool = False
) -> Estimate:
    """What training this model's trainable weights takes; every row is taken to be as long as the longest.

    `processes` is how many share the weights (1 if each has all); `distilled` says that it learns from itself.
    """
    bare = loading.unwrap(model)
    shape = shape_of(bare.config)
    # Only a GPU's kernels never write out a number for each pair of tokens.
    written = bare.device.type != "cuda" or bare.config._attn_implementation == "eager"
    number = 2 if dtype == "bfloat16" else _FLOAT
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    if distilled:
        weights += _FLOAT * trainable
    if number == 2:
        weights += 2 * trainable  # autocast keeps a copy in 16 bits during the pass
    tokens = max(len(row.ids) for row in rows)
    scored = max(len(row.ids) - row.prompt for row in rows)
    rounded = number if number < _FLOAT else 0
    attention = shape.heads * tokens * tokens * (_FLOAT + rounded) if written else 0
    wide = shape.hidden * (2 * _FLOAT + 2 * number) + 4 * number * (shape.queries + shape.feedforward)
    return Estimate(
        weights=weights // processes,
        gradients=_FLOAT * trainable // processes,
        optimizer=2 * _FLOAT * trainable // processes,
        head=scored * shape.vocabulary * (4 * number if distilled else 3 * _FLOAT + rounded),
        layer=tokens * wide + attention,
        layers=shape.layers,
        layer_input=_FLOAT * tokens * shape.hidden,
    )


def choose_rows(needs: Estimate, rows: int, free: int | None) -> tuple[int, bool]:
    """How many rows, `rows` at most, one pass may have in `free` bytes, and whether activations are recomputed.

    The weights are there already. Recomputing costs a third more time, so it is the last resort: only if not even
    one row fits without. If it is not known what is free, nothing is changed.
    """
    if free is None:
        return rows, False
    left = int(free * _SAFE) - needs.gradients - needs.optimizer
    for recomputed in (False, True):
        fitting = left // needs.row(recomputed=recomputed)
        if fitting >= 1:
            return min(rows, fitting), recomputed
    return 1, True


def free_bytes(device: torch.device, processes: int = 1) -> int | None:
    """The memory that a training on this device may take; `processes` share a CPU's. None if nobody tells."""
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    known = [number for number in (_machine_has(), _container_has()) if number is not None]
    return min(known) // processes if known and device.type == "cpu" else None


def _machine_has() -> int | None:
    """What Linux could still hand out; other systems do not say it in a file."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _container_has() -> int | None:
    """What is left of this container's limit, if it has one (cgroup version 2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="utf-8").strip()
        used = (folder / "memory.current").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() else None

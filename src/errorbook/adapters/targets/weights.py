"""The weights that a checkpoint stands for, on a model in memory: the base's, an adapter merged into them, or its own.

Loads afresh each time, so that nothing of another checkpoint is left. It answers nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from errorbook.adapters.targets import loading
from errorbook.records import Checkpoint


class Weights(NamedTuple):
    """Which weights are wanted: a checkpoint and the run's folder, or the base if there is none."""

    checkpoint: Checkpoint | None = None
    root: Path = Path()

    @property
    def name(self) -> str:
        """The checkpoint's hash, or "base"."""
        return "base" if self.checkpoint is None or self.checkpoint.form == "base" else self.checkpoint.hash


def load(folder: str, wanted: Weights, device: str, dtype: str) -> Any:
    """The model in evaluation mode with the wanted weights. Raises ModelError if they are missing or do not fit."""
    model = loading.load_model(folder, device, dtype)
    checkpoint, root = wanted
    if checkpoint is None or checkpoint.form == "base":
        return model
    own = loading.checkpoint_folder(checkpoint, root)
    if checkpoint.form == "adapter":
        # Merged, since an adapter left apart makes each step of decoding 2 to 3 times as slow on a CPU.
        return loading.apply_adapter(model, own, checkpoint.scale).merge_and_unload()
    trained = loading.load_model(str(own), device, dtype)
    if checkpoint.scale != 1.0:
        loading.blend(trained, model, checkpoint.scale)
    return trained

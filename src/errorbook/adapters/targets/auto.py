"""The engine that fits this machine and this model: OpenVINO for a model that it reads on a CPU, else transformers."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from errorbook.adapters.targets import gguf_file
from errorbook.adapters.targets.conversation import Thinking
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.openvino import OpenVinoTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.errors import ModelError
from errorbook.interfaces import Target
from errorbook.plugins import AtOnce


def auto(
    model: str,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: AtOnce = 128,
    thinking: Thinking = "off",
) -> Target:
    """The quickest target that is installed, by the measurements of `benchmarks/evaluate.py`; see docs/performance.md.

    The options are those of the transformers engine. A model that is not there yet is left to that engine, which says
    what is wrong.
    """
    if find_spec("openvino_genai") is not None and dtype != "float16" and _on_cpu(device) and _readable(model):
        return OpenVinoTarget(model, dtype, batch_size, thinking)
    return TransformersTarget(model, device, dtype, batch_size, thinking)


def _on_cpu(device: str) -> bool:
    import torch

    return device == "cpu" or (device == "auto" and not torch.cuda.is_available())


def _readable(model: str) -> bool:
    try:
        folder = Path(resolve(model))
    except ModelError:
        return False
    return gguf_file.can_write(json.loads((folder / "config.json").read_text(encoding="utf-8")))

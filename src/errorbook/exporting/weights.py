"""A checkpoint's weights as other tools open them: an adapter for peft, or merged for transformers, vLLM, OpenVINO.

The scale that the gate accepted is in the numbers themselves, so that no reader has to know of it. Only weights that
are still those that were examined are exported.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from errorbook import plugins
from errorbook.adapters.targets import embedded, loading
from errorbook.adapters.targets.scripted import WEIGHTS as SCRIPTED_WEIGHTS
from errorbook.adapters.targets.weights import Weights, load
from errorbook.config import Config
from errorbook.errors import ModelError
from errorbook.exporting.chosen import Chosen
from errorbook.interfaces import Weightless
from errorbook.records import Checkpoint

SHARD = "4GB"
"""The largest file of merged weights: what file systems and the hub take without trouble."""
_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "chat_template*")


class Source(NamedTuple):
    """Where weights come from: the run's configuration, its folder, and the checkpoint."""

    config: Config
    root: Path
    chosen: Chosen

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint alone."""
        return self.chosen.checkpoint


def write_adapter(source: Source, folder: Path, base: str) -> None:
    """Write the adapter as a folder for peft; `base` is the name by which others know its base model.

    Raises:
        ModelError: The checkpoint is no adapter, its weights are missing or changed.
    """
    from safetensors.torch import load_file, save_file

    own = _folder(source)
    if source.checkpoint.form != "adapter":
        raise ModelError(f"This checkpoint is '{source.checkpoint.method}' and no adapter; give --what merged.")
    for path in sorted(own.glob("adapter_model*.safetensors")):
        if source.checkpoint.scale == 1.0:
            shutil.copyfile(path, folder / path.name)
            continue
        tensors = load_file(path)
        scaled = {name: _scaled(name, tensor, source.checkpoint.scale) for name, tensor in tensors.items()}
        save_file(scaled, folder / path.name, metadata={"format": "pt"})
    settings = json.loads((own / "adapter_config.json").read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base
    settings["target_modules"] = _sorted(settings.get("target_modules"))  # a set: its order changes from run to run
    # Older programs stop at keys that they do not know; those without a value say nothing.
    _write_json(folder / "adapter_config.json", {key: value for key, value in settings.items() if value is not None})


def write_merged(source: Source, folder: Path, shard: str = SHARD) -> None:
    """Write the whole model with its tokenizer, in the number format of the base.

    Raises:
        ModelError: The weights are missing or changed, or there are none here.
    """
    import torch
    from transformers import AutoConfig

    base = base_folder(source)
    model = load_whole(source)
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    stored: Any = getattr(config, "dtype", None) or torch.float32
    with embedded.quiet_transformers():
        model.to(stored).save_pretrained(folder, max_shard_size=shard)
    for pattern in _TOKENIZER:  # byte for byte: saving a tokenizer anew may change how old tools read it
        for path in sorted(Path(base).glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
    _name_tokenizer(folder / "tokenizer_config.json")


def load_whole(source: Source) -> Any:
    """The model in memory in 32 bits: merging in fewer would round twice."""
    if source.checkpoint.form != "base":
        _folder(source)
    return load(base_folder(source), Weights(source.checkpoint, source.root), "cpu", "float32")


def base_folder(source: Source) -> str:
    """The folder of the base model. Raises ModelError if the base is not a model in files."""
    section = source.config.target
    if plugins.implements("targets", section.engine, Weightless):
        raise ModelError(
            f"The engine '{section.engine}' has no weights here, so there is nothing to export but --what samples and "
            "--what card."
        )
    return embedded.resolve(section.model)


def base_dtype(source: Source) -> str:
    """The number format of the base's files, as its config.json names it; empty if it does not."""
    settings = json.loads((Path(base_folder(source)) / "config.json").read_text(encoding="utf-8"))
    return str(settings.get("dtype") or settings.get("torch_dtype") or "")


def _folder(source: Source) -> Path:
    """The checkpoint's folder, whose weights are those that were examined."""
    checkpoint = source.checkpoint
    folder = source.root / checkpoint.folder
    if checkpoint.form == "base":
        raise ModelError("The base is no adapter; give --what merged, or take the base from where it is.")
    if checkpoint.form == "served":
        raise ModelError(
            "This checkpoint was trained elsewhere and is served under a name; export it there. --what samples and "
            "--what card work here."
        )
    if (folder / SCRIPTED_WEIGHTS).is_file():
        raise ModelError("This checkpoint is scripted: it has no weights. --what samples and --what card work.")
    loading.checkpoint_folder(checkpoint, source.root)
    if loading.weights_hash(folder) != checkpoint.weights_hash:
        raise ModelError(
            f"The weights in '{folder}' are not those that the gate examined; restore the run's folder, since the "
            "results are not theirs."
        )
    return folder


def _name_tokenizer(path: Path) -> None:
    """Call the tokenizer's class by the name that older releases know as well, vLLM's among them."""
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if settings.get("tokenizer_class") == "TokenizersBackend":
        _write_json(path, settings | {"tokenizer_class": "PreTrainedTokenizerFast"})


def _scaled(name: str, tensor: Any, scale: float) -> Any:
    return (tensor * scale).to(tensor.dtype).contiguous() if ".lora_B." in name else tensor


def _sorted(names: Any) -> Any:
    return sorted(names) if isinstance(names, list) else names


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

"""Checks an adapter, or a model, that another program wrote, before it is relied on: form, shapes and numbers.

What is not a LoRA adapter in PEFT's form, does not fit the base or changes nothing is refused in one sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from errorbook.adapters.targets.embedded import find_here, public_name, quiet_transformers
from errorbook.errors import ModelError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


def check_adapter(folder: Path, model: str) -> int:
    """The number of trained parameters of the adapter in `folder`, for the base `model`.

    Its sizes are compared with the base's if that is on this machine.

    Raises:
        ModelError: It is no LoRA adapter in PEFT's form, or its numbers or shapes are wrong.
    """
    config = _read_config(folder)
    weights = _read_weights(folder)
    ranks = {config.get("r"), *(config.get("rank_pattern") or {}).values()}
    for name, weight in weights.items():
        if not bool(weight.isfinite().all()):
            raise _refuse(folder, f"'{name}' holds numbers that are not finite; lower the learning rate")
    layers = {name.partition(".lora_A.")[0] for name in weights if ".lora_A." in name}
    if not layers:
        raise _refuse(
            folder, f"{WEIGHTS} names no LoRA matrices (lora_A, lora_B); save it with save_pretrained of PEFT"
        )
    sizes = _sizes_of(model)
    for layer in sorted(layers):
        _check_layer(folder, layer, weights, ranks, sizes)
    if not any(bool(weight.any()) for name, weight in weights.items() if ".lora_B." in name):
        raise _refuse(folder, "it changes nothing; raise the learning rate or the epochs")
    return sum(weight.numel() for weight in weights.values())


def check_weights(folder: Path, model: str) -> int:
    """The number of parameters of the whole model in `folder`.

    Raises:
        ModelError: Its files cannot be read, or a number in them is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    count = 0
    for file in sorted(folder.glob("*.safetensors")):
        try:
            weights = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"'{file}' cannot be read ({error}); write it anew.") from None
        for name, weight in weights.items():
            if not bool(weight.isfinite().all()):
                raise ModelError(f"'{name}' in '{file}' holds numbers that are not finite; lower the learning rate.")
            count += weight.numel()
    return count


def name_base(folder: Path, model: str) -> None:
    """Write the base's public name into an adapter that names a place where it was trained."""
    config = _read_config(folder) | {"base_model_name_or_path": public_name(model)}
    (folder / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2))


def _check_layer(
    folder: Path, layer: str, weights: dict[str, Any], ranks: set[Any], sizes: dict[str, tuple[int, int]]
) -> None:
    down = next((weight for name, weight in weights.items() if name.startswith(f"{layer}.lora_A.")), None)
    up = next((weight for name, weight in weights.items() if name.startswith(f"{layer}.lora_B.")), None)
    if down is None or up is None or down.ndim != 2 or up.ndim != 2 or up.shape[1] != down.shape[0]:
        raise _refuse(folder, f"the matrices of '{layer}' do not go together; save it with save_pretrained of PEFT")
    if down.shape[0] not in ranks:
        raise _refuse(folder, f"'{layer}' has rank {down.shape[0]}, which {CONFIG} does not name; write both anew")
    if not sizes:
        return
    size = sizes.get(layer.removeprefix(_PREFIX))
    if size is None:
        raise _refuse(
            folder, f"the base has no layer '{layer.removeprefix(_PREFIX)}'; train it on the model in [target]"
        )
    if size != (up.shape[0], down.shape[1]):
        found = f"{up.shape[0]} by {down.shape[1]}"
        raise _refuse(folder, f"'{layer}' is {found}, but the base's is {size[0]} by {size[1]}; train on that model")


def _sizes_of(model: str) -> dict[str, tuple[int, int]]:
    """Height and width of every matrix of the base, by its layer's name; empty if the base is not on this machine."""
    found = find_here(model)
    if found is None:
        return {}
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"), quiet_transformers():
            config = AutoConfig.from_pretrained(str(found), local_files_only=True, trust_remote_code=False)
            shape = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, KeyError, ImportError):  # one that only its trainer can read
        return {}
    weights = ((name, getattr(module, "weight", None)) for name, module in shape.named_modules())
    return {name: tuple(weight.shape) for name, weight in weights if weight is not None and weight.ndim == 2}


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = msgspec.json.decode((folder / CONFIG).read_bytes())
    except OSError:
        raise _refuse(
            folder, f"there is no {CONFIG}; write the adapter there as save_pretrained of PEFT does"
        ) from None
    except msgspec.DecodeError as error:
        raise _refuse(folder, f"{CONFIG} is no JSON ({error}); write it anew") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise _refuse(folder, f"{CONFIG} is not that of a LoRA adapter (peft_type); train one")
    return config


def _read_weights(folder: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / WEIGHTS)
    except FileNotFoundError:
        raise _refuse(
            folder, f"there is no {WEIGHTS}; write the adapter there as save_pretrained of PEFT does"
        ) from None
    except (OSError, SafetensorError) as error:
        raise _refuse(folder, f"{WEIGHTS} cannot be read ({error}); write it anew") from None


def _refuse(folder: Path, why: str) -> ModelError:
    return ModelError(f"The adapter in '{folder}' cannot be used: {why}.")

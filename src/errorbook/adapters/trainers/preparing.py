"""The model that a training starts from: a base with a new adapter or the parent's, or all weights.

What is trained, and how it changes, is not known here; files are found by `targets.embedded`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.embedded import quiet_transformers
from errorbook.errors import ConfigError
from errorbook.records import Checkpoint, Form, Recipe

Start = tuple[Checkpoint, Path] | None
"""The checkpoint to continue from with the folder that its own is relative to; None starts from the base."""


_METHODS = ("lora", "qlora", "full")


def form_of(recipe: Recipe) -> Form:
    """What these trainings leave."""
    return "weights" if recipe.method == "full" else "adapter"


def refuse_to_distil(recipe: Recipe, processes: int = 1) -> str:
    """Why a target cannot learn from itself so, as a sentence; empty if it can, or if it is not to.

    The teacher is the same model with the adapter as it was: it takes one that has an adapter, in one process.
    """
    if recipe.objective != "self_distill":
        return ""
    if recipe.method == "full":
        return "With objective = 'self_distill' the adapter alone learns; set method = 'lora' or 'qlora' in [train]."
    if processes > 1:
        return "A target that learns from itself is trained in one process; set processes = 1 in [compute]."
    return ""


def prepare_model(source: str, device: str, dtype: str, recipe: Recipe, start: Start) -> Any:
    """The model with the weights to start from, of which those that the recipe's method trains are trainable.

    Raises:
        ModelError: The model or the checkpoint cannot be loaded.
        ConfigError: The method is not one that trains here, lacks a package, or does not fit the checkpoint.
    """
    if recipe.method not in _METHODS:
        raise ConfigError(f"The method '{recipe.method}' does not train here; choose one of {', '.join(_METHODS)}.")
    if start is not None and start[0].method != recipe.method:
        raise ConfigError(
            f"The parent's weights are '{start[0].method}' but [train] method is '{recipe.method}'; "
            "keep the method or set start = 'restart'."
        )
    if recipe.method == "full":
        return _load_full(source, device, start)
    load = loading.load_in_4_bits if recipe.method == "qlora" else loading.load_model
    return _add_adapter(load(source, device, dtype), recipe, start)


def sketch_model(folder: str, dtype: str, recipe: Recipe) -> Any:
    """The model with what the recipe trains, without a single number in it: for its shapes alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"), quiet_transformers():
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kind = torch.float32 if recipe.method == "full" else getattr(torch, dtype)
        model = AutoModelForCausalLM.from_config(config, dtype=kind)  # type: ignore[no-untyped-call]
        return model if recipe.method == "full" else _add_adapter(model, recipe, None)


def copy_values(model: Any) -> dict[str, Any]:
    """A copy of the trainable weights as they are, by name."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def forget_adapter(model: Any) -> None:
    """Give the adapter the values of a new one, whose effect is none."""
    for layer in model.modules():
        if hasattr(layer, "reset_lora_parameters"):
            layer.reset_lora_parameters("default", True)


def _add_adapter(model: Any, recipe: Recipe, start: Start) -> Any:
    """The model with a new adapter, or with the parent's and its scale made part of the weights."""
    with quiet_transformers():
        from peft import LoraConfig, get_peft_model

    if start is None:
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            target_modules="all-linear",
            exclude_modules=_unfit_layers(model) or None,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )
        with quiet_transformers():
            return get_peft_model(model, config)
    checkpoint, root = start
    folder = loading.checkpoint_folder(checkpoint, root)
    adapted = loading.apply_adapter(model, folder, checkpoint.scale, trainable=True)
    config = adapted.peft_config["default"]
    if (config.r, config.lora_alpha) != (recipe.rank, recipe.alpha):
        raise ConfigError(
            f"The parent's adapter has rank {config.r} and alpha {config.lora_alpha}, but [train] says {recipe.rank} "
            f"and {recipe.alpha}; keep them or set start = 'restart'."
        )
    return adapted


def _unfit_layers(model: Any) -> list[str]:
    """The linear layers that an adapter would break, or that never learn from it.

    Of a state-space layer the fused kernels take the last weights as they are. A layer of a model's own that is linear
    but gives something else than one matrix product, such as a router, is no place for one. What is not part of the
    decoder, such as what sees images, reads no text.
    """
    import torch

    decoder = {id(module) for module in model.get_decoder().modules()}
    plain, unfit = torch.nn.Linear.forward, []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            own = type(module).forward is not plain and type(module).__module__.startswith("transformers.")
            outside = id(module) not in decoder and module is not model.get_output_embeddings()
            unfit += [name] if own or outside else []
        if all(hasattr(module, part) for part in ("A_log", "D", "out_proj")):
            unfit.append(f"{name}.out_proj")
    return unfit


def _load_full(source: str, device: str, start: Start) -> Any:
    """All weights in float32, whatever the target answers in: small updates would vanish in 16 bits."""
    if start is None:
        return loading.load_model(source, device, "float32")
    checkpoint, root = start
    model = loading.load_model(str(loading.checkpoint_folder(checkpoint, root)), device, "float32")
    if checkpoint.scale != 1.0:
        loading.blend(model, loading.load_model(source, device, "float32"), checkpoint.scale)
    return model

"""QLoRA: an adapter trained over a base in 4 bits, which then serves the base in 16."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recipe_kit import recipe_of

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.ways import find_way, pads_right
from errorbook.adapters.trainers.batches import encode
from errorbook.adapters.trainers.preparing import prepare_model
from errorbook.adapters.trainers.stepping import loss_of, quicken
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import ConfigError
from errorbook.records import Checkpoint, Lesson

BASE = Checkpoint(base="tiny", base_fingerprint="f")
RECIPE = recipe_of(method="qlora", rank=16, alpha=32, learning_rate=1e-2, epochs=10.0, batch_size=4)
LESSONS = [Lesson(prompt=f"Add {n} and 1.", completion=f"Answer: {n + 1}", source=f"s{n}") for n in range(8)]

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")


def silent(done: int, total: int) -> None:
    """Show nothing."""


@needs_bitsandbytes
def test_the_base_is_held_in_4_bits_and_only_the_adapter_changes(tiny_model: Path) -> None:
    import torch

    model = prepare_model(str(tiny_model), "cpu", "float32", RECIPE, None)

    packed = [weight for name, weight in model.named_parameters() if "proj.base_layer.weight" in name]
    whole = loading.load_model(str(tiny_model), "cpu", "float32")
    sizes = [weight.numel() for name, weight in whole.named_parameters() if "proj.weight" in name]
    assert {weight.dtype for weight in packed} == {torch.uint8}
    assert [weight.numel() for weight in packed] == [size // 2 for size in sizes]
    assert all(("lora_" in name) == weight.requires_grad for name, weight in model.named_parameters())


@needs_bitsandbytes
def test_the_adapter_serves_the_base_in_16_bits(tiny_model: Path, tmp_path: Path) -> None:
    import torch

    training = TransformersTrainer(str(tiny_model), "cpu", "bfloat16").train(BASE, LESSONS, RECIPE, tmp_path, silent)

    assert training.losses[-1] < 0.5 * training.losses[0]
    rows, _ = encode(loading.load_tokenizer(str(tiny_model)), LESSONS, 512)
    model = loading.load_model(str(tiny_model), "cpu", "bfloat16")
    with torch.no_grad():
        before, _ = loss_of(model, rows, "bfloat16")
        after, _ = loss_of(loading.apply_adapter(model, tmp_path / training.folder, 1.0), rows, "bfloat16")
    assert after < 0.8 * before


def read_between(model: Any, reading: str) -> None:
    """One of the ways in which a model is read outside of training before, or while, it is trained."""
    import torch

    if reading == "quicken":
        quicken(model, "cpu")
    model.eval()
    with torch.inference_mode():
        if reading == "way":
            find_way(loading.unwrap(model))
        elif reading == "padding":
            pads_right(loading.unwrap(model))
        elif reading == "teacher":
            model(input_ids=torch.tensor([[5, 9, 200, 31]]))


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("reading", ["quicken", "way", "padding", "teacher"])
def test_gradients_are_the_same_after_a_reading_outside_of_training(tiny_model: Path, dtype: str, reading: str) -> None:
    import torch

    model = prepare_model(str(tiny_model), "cpu", dtype, RECIPE, None)
    torch.manual_seed(3)
    updates = [(name, weight) for name, weight in model.named_parameters() if "lora_" in name]
    for name, weight in updates:
        if ".lora_B." in name:  # with none of an effect, no gradient would reach the other half
            torch.nn.init.normal_(weight, std=0.05)
    rows, _ = encode(loading.load_tokenizer(str(tiny_model)), LESSONS[:1], 512)

    def find_gradients() -> torch.Tensor:
        model.train().zero_grad()
        loss, tokens = loss_of(model, rows, dtype)
        torch.autograd.backward([loss / tokens])
        return torch.cat([weight.grad.flatten().float() for _, weight in updates])

    before = find_gradients()
    read_between(model, reading)
    after = find_gradients()

    assert before.norm() > 0
    assert (after - before).norm() < (1e-4 if dtype == "float32" else 0.05) * before.norm()


@needs_bitsandbytes
def test_an_adapter_of_the_other_kind_is_not_continued(tiny_model: Path, tmp_path: Path) -> None:
    parent = msgspec.structs.replace(BASE, method="lora", form="adapter", folder="checkpoints/x")

    with pytest.raises(ConfigError, match="method is 'qlora'"):
        TransformersTrainer(str(tiny_model), "cpu", "float32").train(parent, LESSONS, RECIPE, tmp_path, silent)


def test_without_bitsandbytes_the_sentence_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)

    with pytest.raises(ConfigError, match="pip install"):
        loading.load_in_4_bits(str(tiny_model), "cpu", "float32")

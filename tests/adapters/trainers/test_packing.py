"""Laying rows end to end and adapting in one step change how much is computed, never what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recipe_kit import recipe_of

from errorbook.adapters.targets import loading
from errorbook.adapters.trainers import packing
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.lean_lora import make_lean
from errorbook.adapters.trainers.packing import attend_packed, can_pack, is_packed, pack
from errorbook.adapters.trainers.preparing import prepare_model
from errorbook.adapters.trainers.stepping import UNPROVEN, log_probabilities, loss_of, quicken

SHARED = (1, 2, 3, 4)
ROWS = [
    TokenRow((*SHARED, 10, 11, 12, 13, 0), 6),
    TokenRow((*SHARED, 20, 21, 0), 5),
    TokenRow((*SHARED, 10, 31, 32, 33, 34, 35, 36, 0), 7),
]


def adapted(folder: Path, method: str = "lora") -> Any:
    torch.manual_seed(0)
    model = prepare_model(
        str(folder), "cpu", "float32", recipe_of(rank=4, method="full" if method == "full" else "lora"), None
    )
    with torch.no_grad():  # a fresh adapter does nothing, so nothing could go wrong in it
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02)
    return model.train()


def gradients(model: Any, rows: list[TokenRow]) -> tuple[float, dict[str, torch.Tensor]]:
    loss, _ = loss_of(model, rows, "float32")
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), {
        name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None
    }


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [ROWS[0], ROWS[0]]], ids=["three rows", "one row", "equal rows"])
def test_a_packed_pass_has_the_loss_and_the_gradients_of_a_padded_one(
    method: str, rows: list[TokenRow], tiny_model: Path
) -> None:
    padded, packed = adapted(tiny_model, method), adapted(tiny_model, method)
    loading.unwrap(padded).set_attn_implementation("eager")
    quicken(packed, "cpu")
    assert is_packed(loading.unwrap(packed))
    loss, expected = gradients(padded, rows)
    same, found = gradients(packed, rows)
    assert same == pytest.approx(loss, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm()) < 1e-3 * float(gradient.norm()) + 1e-6, name


def test_each_rows_likelihood_is_its_own(tiny_model: Path) -> None:
    model = adapted(tiny_model)
    quicken(model, "cpu")
    together = log_probabilities(model, ROWS, "float32").detach()
    apart = torch.cat([log_probabilities(model, [row], "float32") for row in ROWS]).detach()
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(5, 9), max_size=4), st.lists(st.integers(5, 9), min_size=1, max_size=4)),
        min_size=1,
        max_size=5,
    )
)
def test_no_token_is_lost_nor_computed_twice(parts: list[tuple[list[int], list[int]]]) -> None:
    rows = [TokenRow((*SHARED, *prompt, *completion), len(SHARED) + len(prompt)) for prompt, completion in parts]
    packed = pack(rows, "cpu")
    shared = packed.layout.shared
    assert packed.inputs.shape[1] == shared + sum(len(row.ids) - 1 - shared for row in rows)
    assert packed.labels.tolist() == [token for row in rows for token in row.ids[row.prompt :]]
    tokens = packed.inputs[0]
    for number, row in enumerate(rows):
        seen = tokens[packed.layout.keys[number + bool(shared)]].tolist()
        assert seen[: len(row.ids) - 1] == list(row.ids[:-1])
    predicted = zip(packed.places.tolist(), packed.owners.tolist(), strict=True)
    positions = [(owner, int(packed.positions[0, place])) for place, owner in predicted]
    assert positions == [(n, at - 1) for n, row in enumerate(rows) for at in range(row.prompt, len(row.ids))]


def test_a_model_with_a_window_keeps_its_own_attention(tiny_model: Path) -> None:
    model = loading.load_model(str(tiny_model), "cpu", "float32")
    assert can_pack(model)
    model.config.sliding_window = 8
    assert not can_pack(model)
    quicken(model, "cpu")
    assert not is_packed(model)


def test_every_adapter_layer_is_made_lean_but_one_with_dropout(tiny_model: Path) -> None:
    model = adapted(tiny_model)
    layers = [layer for layer in model.modules() if hasattr(layer, "lora_A")]
    layers[0].lora_dropout["default"] = torch.nn.Dropout(0.1)
    assert make_lean(model) == len(layers) - 1


def test_packing_is_told_by_the_model_alone(tiny_model: Path) -> None:
    model = loading.load_model(str(tiny_model), "cpu", "float32")
    assert not is_packed(model)
    attend_packed(model)
    assert is_packed(model)


def test_a_gpu_keeps_the_libraries_own_forward_pass_until_told_otherwise(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted(tiny_model)
    bare = loading.unwrap(model)
    own = bare.config._attn_implementation
    layer = next(layer for layer in model.modules() if hasattr(layer, "lora_A"))
    for device in ("cuda", "cuda:1", "mps"):
        quicken(model, device)
        assert bare.config._attn_implementation == own
        assert "forward" not in vars(layer)
    monkeypatch.setenv(UNPROVEN, "1")
    quicken(model, "cuda")
    assert is_packed(bare)
    assert "forward" in vars(layer)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_what_a_gpu_would_attend_with_is_what_a_cpu_attends_with(groups: int) -> None:
    torch.manual_seed(groups)
    layout = pack(ROWS, "cpu").layout
    rows, width = layout.queries.shape
    asked = torch.randn(4, rows, width, 8, requires_grad=True)
    keys, values = (torch.randn(groups, rows, layout.keys.shape[1], 8, requires_grad=True) for _ in range(2))
    found = [attend(asked, keys, values, layout.hidden, 0.3) for attend in (packing._written_out, packing._fused)]
    torch.testing.assert_close(found[0], found[1])
    upstream = torch.randn_like(found[0])
    expected, same = (torch.autograd.grad(one, (asked, keys, values), upstream) for one in found)
    torch.testing.assert_close(expected, same)

"""Models of every architecture that can be built small: alike alone and in a batch, trained, merged and read again.

Each has random weights in float32, and windows shorter than the prompts. A kind that the installed transformers does
not know is skipped.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from architecture_kit import ARCHITECTURES, build
from recipe_kit import child_of, recipe_of

from errorbook.adapters.targets import loading, ways
from errorbook.adapters.targets.batching import Way
from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.decoding import RowLimits, decode
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.targets.ways import find_way, has_window, pads_right
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.packing import is_packed
from errorbook.adapters.trainers.preparing import prepare_model
from errorbook.adapters.trainers.stepping import log_probabilities, quicken
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import ModelError
from errorbook.records import Checkpoint, Generation, Lesson

PROMPTS = ["Calculate 47 + 38.", "Hi", "Name a colour. " * 6, "1 + 1", "2 + 2"]
GREEDY = Generation(max_new_tokens=16)
BASE = Checkpoint(base="tiny", base_fingerprint="f")


def target_of(folder: Path) -> TransformersTarget:
    return TransformersTarget(str(folder), device="cpu", dtype="float32", batch_size=16)


def texts(target: TransformersTarget, prompts: Sequence[str] = PROMPTS, settings: Generation = GREEDY) -> list[str]:
    return [found.text for found in sorted(target.generate(prompts, settings), key=lambda found: found.index)]


def read_greedily(target: TransformersTarget, prompt: str, tokens: int) -> str:
    """What the plainest loop writes: all tokens read anew for each, nothing kept."""
    model, tokenizer = target._ready(), target.tokenizer
    ids = loading.prompt_ids(tokenizer, render(tokenizer, prompt))
    start = len(ids)
    with torch.no_grad():
        for _ in range(tokens):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
    return str(tokenizer.decode(ids[start:], skip_special_tokens=True, clean_up_tokenization_spaces=False))


def check_answers(target: TransformersTarget) -> list[str]:
    """Texts, likelihoods and vectors are alike alone and in a batch; returns the texts."""
    together = texts(target)
    assert len(set(together)) > 1, "the model says the same to everything, so this test shows nothing"
    assert [texts(target, [prompt])[0] for prompt in PROMPTS] == together
    short = texts(target, settings=Generation(max_new_tokens=6))
    assert [read_greedily(target, prompt, 6) for prompt in PROMPTS[:3]] == short[:3]
    alone = np.concatenate([target.embed([prompt]) for prompt in PROMPTS])
    np.testing.assert_allclose(target.embed(PROMPTS), alone, atol=1e-5)
    options = [["A", "B", "Cat "]] * len(PROMPTS)
    weighed = dict(target.log_likelihoods(PROMPTS, options))
    for index, prompt in enumerate(PROMPTS):
        assert dict(target.log_likelihoods([prompt], options[:1]))[0] == pytest.approx(weighed[index], abs=1e-3)
    return together


def check_losses(folder: Path) -> None:
    """Each row's loss is its own, whatever else is in the pass, and however the pass is laid out."""
    numbers = random.Random(1)
    shared = [numbers.randrange(3, 259) for _ in range(5)]
    rows = [TokenRow((*shared, *(numbers.randrange(3, 259) for _ in range(n))), 9) for n in (12, 45, 7, 30)]
    model = prepare_model(str(folder), "cpu", "float32", recipe_of(rank=4), None)
    adapters = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    with torch.no_grad():
        for name, weight in adapters.items():
            if "lora_B" in name:
                weight.normal_(std=0.02)
    model.eval()
    plain = torch.cat([log_probabilities(model, [row], "float32") for row in rows]).detach()
    quicken(model, "cpu")
    together = log_probabilities(model, rows, "float32")
    torch.testing.assert_close(together.detach(), plain, rtol=1e-4, atol=1e-3)
    together.sum().backward()  # type: ignore[no-untyped-call]
    reached = sum(bool(weight.grad is not None and weight.grad.any()) for weight in adapters.values())
    assert reached > len(adapters) // 3, "most layers with an adapter do not learn"


def train(folder: Path, root: Path) -> Checkpoint:
    lessons = [Lesson(prompt=prompt, completion="zzzz", source="s") for prompt in PROMPTS]
    recipe = recipe_of(method="lora", epochs=2.0, rank=4, learning_rate=1e-2)
    training = TransformersTrainer(str(folder), "cpu", "float32").train(
        BASE, lessons, recipe, root, lambda done, total: None
    )
    assert training.losses[-1] < training.losses[0]
    return child_of(BASE, training)


ROWS = [[5, 6, 7, 20], [5, 6, 7, 20, 30, 40, 50], [5, 6, 9, 8, 7, 6, 5, 4, 3, 9, 8], [5, 6, 7, 21]]


@pytest.fixture
def model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for remembered in ("_of_kind", "_padded_of_kind"):
        monkeypatch.setattr(ways, remembered, {})
    return loading.load_model(str(tiny_model), "cpu", "float32")


def written(model: Any, rows: Sequence[Sequence[int]]) -> list[list[int]]:
    found = dict(decode(model, rows, [0] * len(rows), RowLimits(frozenset({2}), 2, 12, 0.0)))
    return [found[row] for row in range(len(rows))]


def change(monkeypatch: pytest.MonkeyPatch, model: Any, **fixed: Any) -> None:
    """Have the model's class take other arguments than it is given, or none."""
    whole = type(model).forward

    def forward(self: Any, **given: Any) -> Any:
        return whole(self, **{**given, **{name: value for name, value in fixed.items() if name in given}})

    monkeypatch.setattr(type(model), "forward", forward)


def test_a_model_that_sees_all_computes_a_common_beginning_once(model: Any) -> None:
    assert find_way(model) == Way()
    assert pads_right(model)
    assert written(model, ROWS) == [written(model, [row])[0] for row in ROWS]


def test_a_model_that_sees_padding_is_asked_in_rows_of_one_length(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, model, attention_mask=None)
    way = find_way(model)
    assert (way.many, way.padded, way.cached) == (True, False, True)
    assert written(model, ROWS) == [written(model, [row])[0] for row in ROWS]


def test_a_model_whose_cache_is_not_its_own_reads_all_anew(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = written(model, ROWS)
    ways._of_kind.clear()
    ways._found.clear()
    change(monkeypatch, model, past_key_values=None)
    assert not find_way(model).cached
    assert written(model, ROWS) == expected


def test_a_model_that_mixes_rows_is_asked_one_by_one(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = type(model).forward

    def mixing(self: Any, **given: Any) -> Any:
        output = whole(self, **given)
        output.logits = output.logits + 0.5 * (output.logits.roll(1, dims=0) - output.logits)
        return output

    monkeypatch.setattr(type(model), "forward", mixing)
    assert not find_way(model).many
    assert not pads_right(model)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_model_that_computes_no_numbers_is_refused(model: Any, weight: float) -> None:
    with torch.no_grad():
        model.model.norm.weight[0] = weight
    with pytest.raises(ModelError, match=r"cannot ask a model of the kind 'llama'.*no finite numbers.*engine = 'vllm'"):
        find_way(model)


def test_a_model_class_that_breaks_is_refused_in_one_sentence(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, **given: Any) -> Any:
        raise AttributeError("'Layer' object has no attribute 'keys'")

    monkeypatch.setattr(type(model), "forward", broken)
    with pytest.raises(ModelError, match=r"AttributeError: 'Layer' object has no attribute 'keys'"):
        find_way(model)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"sliding_window": 4096}, True),
        ({"sliding_window": 4096, "use_sliding_window": False}, False),
        ({"sliding_window": None}, False),
        ({"attention_chunk_size": 8192}, True),
        ({"window_size": 256}, True),
    ],
)
def test_a_window_is_known_by_whatever_name_it_has(settings: dict[str, Any], expected: bool) -> None:
    from types import SimpleNamespace

    assert has_window(SimpleNamespace(**settings)) == expected


def test_rows_with_a_window_are_never_padded_behind_their_beginning(model: Any) -> None:
    model.config.sliding_window = 4096  # longer than any canary
    assert not find_way(model).shared


def test_packing_that_leaks_from_row_to_row_is_not_used(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = type(model.model).forward

    def carrying(self: Any, **given: Any) -> Any:
        output = whole(self, **given)
        output.last_hidden_state = output.last_hidden_state + output.last_hidden_state.cumsum(dim=1)
        return output

    monkeypatch.setattr(type(model.model), "forward", carrying)
    quicken(model, "cpu")
    assert not is_packed(model)
    assert model.config._attn_implementation == "eager"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the model classes themselves: kernels that are not there
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_answers_trains_and_merges_alike(name: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = build(name, tiny_model, tmp_path / "model")
    if folder is None:
        pytest.skip(f"this version of transformers does not know {name}")
    target = target_of(folder)
    before = check_answers(target)
    check_losses(folder)

    target.use(train(folder, tmp_path), tmp_path)
    taught = texts(target)
    assert taught != before
    merged = tmp_path / "merged"
    target._ready().save_pretrained(merged)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(folder / file, merged / file)
    assert texts(target_of(merged)) == taught

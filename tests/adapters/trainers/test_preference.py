"""Preference training: pairs come from train alone, the loss is the paper's, and the model learns what is right."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_kit import Interruption, recipe_of

from errorbook.adapters.targets import loading
from errorbook.adapters.trainers.batches import encode, encode_row
from errorbook.adapters.trainers.preference import encode_pairs, preference_loss
from errorbook.adapters.trainers.stepping import log_probabilities
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import StageError
from errorbook.records import Checkpoint, Lesson, Training

BASE = Checkpoint(base="tiny", base_fingerprint="f")
RECIPE = recipe_of(rank=4, alpha=8, learning_rate=1e-2, epochs=4.0, batch_size=4, objective="dpo", beta=0.2)
PAIRS = [
    Lesson(prompt=f"Add {number} and 2.", completion=f"Answer: {number + 2}", source=f"s{number}", rejected="No idea.")
    for number in range(8)
]
PLAIN = [Lesson(prompt=f"Add {n} and 3.", completion=f"Answer: {n + 3}", source=f"p{n}") for n in range(4)]
logs = st.floats(-80, 0)


def silent(done: int, total: int) -> None:
    """Show nothing."""


@settings(deadline=None)
@given(st.lists(st.tuples(logs, logs, logs, logs), min_size=1, max_size=5), st.floats(0.01, 1))
def test_the_loss_is_that_of_the_paper(pairs: list[tuple[float, float, float, float]], beta: float) -> None:
    import torch

    chosen, rejected, before_chosen, before_rejected = (list(side) for side in zip(*pairs, strict=True))

    losses = preference_loss(
        torch.tensor(chosen, dtype=torch.float64),
        torch.tensor(rejected, dtype=torch.float64),
        list(zip(before_chosen, before_rejected, strict=True)),
        beta,
    )

    for loss, (now, other, then, other_then) in zip(losses.tolist(), pairs, strict=True):
        margin = beta * ((now - then) - (other - other_then))
        assert loss == pytest.approx(max(-margin, 0) + math.log1p(math.exp(-abs(margin))), rel=1e-9, abs=1e-12)


def test_a_responses_log_probability_is_the_sum_over_its_tokens(tiny_model: Path) -> None:
    import torch

    model, tokenizer = loading.load_model(str(tiny_model), "cpu", "float32"), loading.load_tokenizer(str(tiny_model))
    rows, _ = encode(tokenizer, [*PAIRS[:3], *PLAIN[:1]], 512)

    with torch.no_grad():
        together = log_probabilities(model, rows, "float32").tolist()
        for row, found in zip(rows, together, strict=True):
            likely = model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
            alone = sum(float(likely[place - 1, row.ids[place]]) for place in range(row.prompt, len(row.ids)))
            assert found == pytest.approx(alone, rel=1e-4)


def test_both_sides_end_and_what_is_too_long_is_left_out(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    long = msgspec.structs.replace(PAIRS[0], rejected="x" * 600)

    rows, others, kept = encode_pairs(tokenizer, [PAIRS[1], long, PLAIN[0]], 512)

    assert kept == [PAIRS[1], PLAIN[0]]
    assert others == [encode_row(tokenizer, PAIRS[1].prompt, PAIRS[1].rejected), None]
    assert rows[0].ids[-1] == tokenizer.eos_token_id == others[0].ids[-1] if others[0] else False
    with pytest.raises(StageError, match="Nothing can be preferred"):
        encode_pairs(tokenizer, [long, PLAIN[0]], 512)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Path]:
    root = tmp_path_factory.mktemp("preference")
    return TransformersTrainer(str(tiny_model), "cpu", "float32").train(BASE, PAIRS, RECIPE, root, silent), root


def test_training_begins_indifferent_and_learns_to_prefer(trained: tuple[Training, Path], tiny_model: Path) -> None:
    import torch

    training, root = trained
    tokenizer, model = loading.load_tokenizer(str(tiny_model)), loading.load_model(str(tiny_model), "cpu", "float32")
    rows, others, _ = encode_pairs(tokenizer, PAIRS, 512)

    def lead() -> float:
        with torch.no_grad():
            sides = [log_probabilities(model, side, "float32") for side in (rows, [row for row in others if row])]
        return float((sides[0] - sides[1]).mean())

    before = lead()
    model = loading.apply_adapter(model, root / training.folder, 1.0)

    assert training.losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert training.losses[-1] < 0.2
    assert lead() > before + 10
    assert training.tokens == sum(len(row.ids) for row in (*rows, *others) if row) * RECIPE.epochs


def test_lessons_without_a_rejected_response_weigh_as_much_as_pairs(tiny_model: Path, tmp_path: Path) -> None:
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    everything = msgspec.structs.replace(RECIPE, batch_size=12, epochs=1.0)
    supervised = msgspec.structs.replace(everything, objective="sft")

    mixed = trainer.train(BASE, [*PAIRS, *PLAIN], everything, tmp_path, silent)
    plain = trainer.train(BASE, PLAIN, supervised, tmp_path, silent)

    expected = (len(PAIRS) * math.log(2) + len(PLAIN) * plain.losses[0]) / (len(PAIRS) + len(PLAIN))
    assert mixed.losses[0] == pytest.approx(expected, rel=1e-5)


def test_supervised_training_does_not_look_at_rejected_responses(tiny_model: Path, tmp_path: Path) -> None:
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    recipe = msgspec.structs.replace(RECIPE, objective="sft", epochs=1.0)
    bare = [msgspec.structs.replace(lesson, rejected="") for lesson in PAIRS]

    assert trainer.train(BASE, PAIRS, recipe, tmp_path, silent).losses == (
        trainer.train(BASE, bare, recipe, tmp_path, silent).losses
    )


def test_an_interrupted_training_goes_on_with_the_same_reference(tiny_model: Path, tmp_path: Path) -> None:
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    recipe = msgspec.structs.replace(RECIPE, epochs=8.0)
    lessons = [*PAIRS, *PLAIN]
    steps: list[int] = []

    def interrupt(done: int, total: int) -> None:
        if done == 22:
            raise Interruption

    with pytest.raises(Interruption):
        trainer.train(BASE, lessons, recipe, tmp_path / "interrupted", interrupt)
    resumed = trainer.train(BASE, lessons, recipe, tmp_path / "interrupted", lambda done, total: steps.append(done))

    assert steps == [21, 22, 23, 24]
    assert resumed == trainer.train(BASE, lessons, recipe, tmp_path / "whole", silent)

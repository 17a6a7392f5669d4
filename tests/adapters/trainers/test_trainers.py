"""Trainers: the loss falls on completions only, kills cost nothing, and every broken contract stops with a sentence."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_kit import recipe_of

from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.loading import load_tokenizer
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.trainers.batches import IGNORED, TokenRow, collate, encode, plan_steps
from errorbook.adapters.trainers.scripted import ScriptedTrainer
from errorbook.adapters.trainers.stepping import learning_rate
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import ConfigError, StageError
from errorbook.records import Checkpoint, Generation, Lesson, Recipe, Training
from errorbook.train import training_set_hash

BASE = Checkpoint(base="tiny", base_fingerprint="f")
LESSONS = [
    Lesson(prompt=f"Calculate {number} + {number}.", completion=f"Answer: {2 * number}", source=f"s{number}")
    for number in range(24)
]
RECIPE = recipe_of(rank=4, alpha=8, learning_rate=1e-2, epochs=2.0, batch_size=8)


def silent(done: int, total: int) -> None:
    """Show nothing."""


@pytest.fixture
def train(tiny_model: Path, tmp_path: Path) -> Callable[..., Training]:
    trainer = TransformersTrainer(str(tiny_model), device="cpu", dtype="float32")

    def run(recipe: Recipe = RECIPE, parent: Checkpoint = BASE, lessons: list[Lesson] = LESSONS) -> Training:
        return trainer.train(parent, lessons, recipe, tmp_path, silent)

    return run


def child(training: Training, recipe: Recipe = RECIPE, scale: float = 1.0) -> Checkpoint:
    return Checkpoint(
        base="tiny",
        base_fingerprint="f",
        parent=BASE.hash,
        method=recipe.method,
        form=TransformersTrainer.produces(recipe),
        folder=training.folder,
        weights_hash=training.weights_hash,
        scale=scale,
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(min_size=1, max_size=20)), min_size=1, max_size=5))
def test_only_the_completion_and_the_end_token_carry_loss(tiny_model: Path, pairs: list[tuple[str, str]]) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    lessons = [Lesson(prompt=prompt, completion=completion, source="s") for prompt, completion in pairs]
    rows, kept = encode(tokenizer, lessons, 512)
    assert kept == lessons

    batch = collate(rows, "cpu")

    for lesson, row, inputs, labels in zip(lessons, rows, batch.inputs, batch.labels, strict=True):
        assert tokenizer.decode(labels[labels != IGNORED]) == f"{lesson.completion}<|im_end|>"
        assert tokenizer.decode(row.ids[: row.prompt]) == render(tokenizer, lesson.prompt)
        first = int((labels != IGNORED).nonzero()[0, 0])
        assert tokenizer.decode(inputs[: first + 1]) == render(tokenizer, lesson.prompt)
        # Every label is the token one to the right of its place.
        for place in (labels != IGNORED).nonzero()[:, 0].tolist():
            assert int(labels[place]) == row.ids[place + 1]


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=120),
    size=st.integers(1, 16),
    epochs=st.sampled_from([0.1, 0.5, 1.0, 2.0, 2.7]),
    seed=st.integers(0, 9),
)
def test_the_plan_shows_every_lesson_once_an_epoch(lengths: list[int], size: int, epochs: float, seed: int) -> None:
    rows = [TokenRow(tuple(range(length)), 1) for length in lengths]
    recipe = recipe_of(batch_size=size, epochs=epochs, seed=seed)

    steps = plan_steps(rows, recipe)

    an_epoch = -(-len(rows) // size)
    assert len(steps) == max(1, round(epochs * an_epoch))
    assert all(0 < len(step) <= size for step in steps)
    for start in range(0, len(steps) - an_epoch + 1, an_epoch):
        shown = [number for step in steps[start : start + an_epoch] for number in step]
        assert sorted(shown) == list(range(len(rows)))
    assert steps == plan_steps(rows, recipe)


def test_the_learning_rate_rises_then_falls_and_is_never_zero() -> None:
    rates = [learning_rate(recipe_of(warmup=0.2), step, 50) for step in range(50)]

    peak = rates.index(max(rates))
    assert peak == 10
    assert max(rates) == recipe_of().learning_rate
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0
    assert learning_rate(recipe_of(warmup=1.0), 0, 1) > 0


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 3, 100])
def test_every_schedule_is_the_one_of_transformers_that_has_its_name(schedule: str, warmup: int) -> None:
    import torch
    from transformers import get_scheduler

    steps, recipe = 20, recipe_of(schedule=schedule, warmup_steps=warmup, warmup=0.9)
    rates = [learning_rate(recipe, step, steps) for step in range(steps)]

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=recipe.learning_rate)
    name = "constant_with_warmup" if schedule == "constant" else schedule
    risen = min(warmup, steps - 1)  # ours is at its height once at least, and its first step is not for nothing
    theirs = get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=steps - risen)
    falling = []
    for _ in range(steps - risen):
        falling.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates[risen:] == pytest.approx(falling)
    assert min(rates) > 0
    assert rates[:risen] == pytest.approx([recipe.learning_rate * (n + 1) / (risen + 1) for n in range(risen)])


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_teaches_counts_and_records(
    method: str, train: Callable[..., Training], tiny_model: Path, tmp_path: Path
) -> None:
    recipe = msgspec.structs.replace(RECIPE, method=method, rank=16, alpha=64, epochs=60.0)
    lessons = [*LESSONS[:3], msgspec.structs.replace(LESSONS[3], replay=True)]

    training = train(recipe, lessons=lessons)

    assert (training.lessons, training.replayed, training.truncated) == (4, 1, 0)
    assert training.steps == len(training.losses) == 60
    assert training.losses[-1] < 0.2 < training.losses[0]
    assert training.training_set == training_set_hash(lessons)
    assert training.trainable_parameters > 0
    target = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    target.use(child(training, recipe), tmp_path)
    answers = list(target.generate([lesson.prompt for lesson in lessons], Generation(max_new_tokens=20)))
    assert {answer.index: answer.text for answer in answers} == {
        number: lesson.completion for number, lesson in enumerate(lessons)
    }
    assert not any(answer.truncated for answer in answers)


def test_equal_calls_give_equal_bits_and_the_second_costs_nothing(
    train: Callable[..., Training], tiny_model: Path, tmp_path: Path
) -> None:
    calls = []
    first = train()
    trainer = TransformersTrainer(str(tiny_model), device="cpu", dtype="float32")

    again = trainer.train(BASE, LESSONS, RECIPE, tmp_path, lambda done, total: calls.append(done))
    elsewhere = trainer.train(BASE, LESSONS, RECIPE, tmp_path / "other", lambda done, total: calls.append(done))

    assert again == first == elsewhere
    assert calls == list(range(1, first.steps + 1))
    assert train(msgspec.structs.replace(RECIPE, seed=1)).weights_hash != first.weights_hash
    assert not list((tmp_path / "checkpoints").glob("*.tmp"))
    assert not list((tmp_path / "checkpoints").glob("*.resume"))


def test_changed_weights_are_noticed(train: Callable[..., Training], tmp_path: Path) -> None:
    training = train()
    path = tmp_path / training.folder / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(StageError, match="were changed after training"):
        train()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_parent_is_continued_or_left_behind(method: str, train: Callable[..., Training]) -> None:
    recipe = msgspec.structs.replace(RECIPE, method=method)
    parent = child(train(recipe), recipe)

    continued = train(msgspec.structs.replace(recipe, seed=1), parent)
    half = train(msgspec.structs.replace(recipe, seed=1), msgspec.structs.replace(parent, scale=0.5))
    restarted = train(msgspec.structs.replace(recipe, seed=1, start="restart"), parent)
    fresh = train(msgspec.structs.replace(recipe, seed=1))

    assert continued.losses[0] < half.losses[0] < restarted.losses[0]
    assert restarted.losses == fresh.losses
    assert restarted.weights_hash == fresh.weights_hash
    assert len({continued.folder, half.folder, restarted.folder, fresh.folder}) == 4


def test_broken_contracts_stop_with_a_sentence(train: Callable[..., Training]) -> None:
    with pytest.raises(StageError, match="exceed 5 tokens"):
        train(msgspec.structs.replace(RECIPE, max_tokens=5))
    with pytest.raises(StageError, match="left the weights unchanged"):
        train(msgspec.structs.replace(RECIPE, learning_rate=0.0))
    parent = child(train())
    with pytest.raises(ConfigError, match="method is 'full'"):
        train(msgspec.structs.replace(RECIPE, method="full"), parent)
    with pytest.raises(ConfigError, match="has rank 4"):
        train(msgspec.structs.replace(RECIPE, rank=2), parent)


def test_a_lesson_that_is_too_long_is_left_out_and_counted(train: Callable[..., Training]) -> None:
    long = Lesson(prompt="x", completion="y" * 600, source="s")

    training = train(lessons=[*LESSONS, long])

    assert (training.lessons, training.truncated) == (len(LESSONS), 1)
    assert training.losses == train().losses


KILLED = """
import os, signal, sys
from pathlib import Path
from test_trainers import BASE, LESSONS, RECIPE
import msgspec
from errorbook.adapters.trainers.transformers import TransformersTrainer
model, root, method = sys.argv[1:]
recipe = msgspec.structs.replace(RECIPE, method=method, epochs=10.0)
kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 25 else None
TransformersTrainer(model, device="cpu", dtype="float32").train(BASE, LESSONS, recipe, Path(root), kill)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_training_goes_on_and_ends_with_the_same_bits(method: str, tiny_model: Path, tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    command = [sys.executable, "-c", KILLED, str(tiny_model), str(killed), method]
    dead = subprocess.run(command, cwd=Path(__file__).parent, check=False, capture_output=True, timeout=300)
    assert dead.returncode == -signal.SIGKILL, dead.stderr.decode()
    assert len(list((killed / "checkpoints").glob("*.resume"))) == 1
    recipe = msgspec.structs.replace(RECIPE, method=method, epochs=10.0)
    trainer = TransformersTrainer(str(tiny_model), device="cpu", dtype="float32")
    calls: list[int] = []

    resumed = trainer.train(BASE, LESSONS, recipe, killed, lambda done, total: calls.append(done))
    whole = trainer.train(BASE, LESSONS, recipe, undisturbed, silent)

    assert calls == list(range(21, 31))
    assert resumed == whole
    assert not list((killed / "checkpoints").glob("*.resume"))


def test_the_scripted_trainer_counts_its_trainings_and_repeats_itself(tmp_path: Path) -> None:
    trainer = ScriptedTrainer()
    first = trainer.train(BASE, LESSONS, RECIPE, tmp_path, silent)
    parent = child(first)
    second = trainer.train(parent, LESSONS, RECIPE, tmp_path, silent)
    restarted = trainer.train(parent, LESSONS, msgspec.structs.replace(RECIPE, start="restart"), tmp_path, silent)

    assert trainer.train(BASE, LESSONS, RECIPE, tmp_path, silent) == first
    assert second.weights_hash != first.weights_hash == restarted.weights_hash
    assert list(first.losses) == sorted(first.losses, reverse=True)
    with pytest.raises(StageError, match="no lesson"):
        trainer.train(BASE, [], RECIPE, tmp_path, silent)

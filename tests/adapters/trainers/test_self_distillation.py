"""Self-distillation: the divergences are those of the papers, the teacher stays as it was, and a kill costs nothing."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_kit import RUN_FILE
from msgspec.structs import replace
from places import ROOT
from recipe_kit import Interruption, child_of, recipe_of

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.transformers import end_tokens
from errorbook.adapters.trainers.distilling import STEPS_AHEAD, encode_own
from errorbook.adapters.trainers.divergence import measure, sum_divergence
from errorbook.adapters.trainers.preparing import prepare_model
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.config import parse
from errorbook.errors import ConfigError, StageError
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Checkpoint, Decision, Divergence, Lesson, Training
from errorbook.setup.assemble import create_trainer

BASE = Checkpoint(base="tiny", base_fingerprint="f")
RECIPE = recipe_of(
    rank=4, alpha=8, learning_rate=1e-2, epochs=2.0, batch_size=4, objective="self_distill", divergence="forward"
)
LESSONS = [
    Lesson(
        prompt=f"Add {number} and 2.",
        completion=f"Answer: {number + 2}",
        source=f"s{number}",
        context=f"Solution: {number + 2}\n\nAdd {number} and 2.",
        max_new_tokens=6 + number,
    )
    for number in range(8)
]
ANCHOR = Lesson(prompt="Say yes.", completion="Yes.", source="r", replay=True, max_new_tokens=9)
KINDS: tuple[Divergence, ...] = ("forward", "reverse", "jensen_shannon")
numbers = st.lists(st.floats(-8, 8), min_size=3, max_size=3)


def silent(done: int, total: int) -> None:
    """Show nothing."""


def by_hand(student: list[float], teacher: list[float], kind: Divergence) -> float:
    def shares(logits: list[float]) -> list[float]:
        top = [math.exp(value) for value in logits]
        return [value / sum(top) for value in top]

    def apart(one: list[float], other: list[float]) -> float:
        return sum(a * math.log(a / b) for a, b in zip(one, other, strict=True))

    q, p = shares(student), shares(teacher)
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return {
        "forward": apart(p, q),
        "reverse": apart(q, p),
        "jensen_shannon": (apart(p, middle) + apart(q, middle)) / 2,
    }[kind]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), st.sampled_from(KINDS))
def test_the_divergences_are_those_of_the_papers(
    pairs: list[tuple[list[float], list[float]]], kind: Divergence
) -> None:
    import torch

    student, teacher = (torch.tensor(side) for side in zip(*pairs, strict=True))
    expected = [by_hand(*pair, kind) for pair in pairs]

    assert measure(student, teacher, kind)[0].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert float(sum_divergence(student, teacher, kind)) == pytest.approx(sum(expected), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_is_that_of_the_divergence(kind: Divergence) -> None:
    import torch

    torch.manual_seed(1)
    student, teacher = torch.randn(300, 11), torch.randn(300, 11)

    def loss(logits: Any) -> Any:
        q, p = logits.log_softmax(-1), teacher.log_softmax(-1)
        middle = torch.logaddexp(p, q) - math.log(2)
        kl = [(p.exp() * (p - q)), (q.exp() * (q - p)), (p.exp() * (p - middle) + q.exp() * (q - middle)) / 2]
        return kl[KINDS.index(kind)].sum()

    ours, theirs = (student.clone().requires_grad_() for _ in range(2))
    (sum_divergence(ours, teacher, kind) * 3).backward()  # type: ignore[no-untyped-call]
    (loss(theirs) * 3).backward()

    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)


def test_what_leaves_no_room_is_left_out_and_answers_are_capped(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    ends = end_tokens(str(tiny_model), tokenizer)
    long, endless = replace(LESSONS[0], context="x" * 240), replace(ANCHOR, max_new_tokens=500)
    wordy = replace(LESSONS[0], context="x" * 200, max_new_tokens=500)

    own, kept = encode_own(tokenizer, [long, LESSONS[1], endless, wordy], 120, ends)

    assert kept == [LESSONS[1], endless, wordy]
    assert own.caps == [7, 120 - len(own.asked[1]), 240 - len(own.shown[2])]
    assert 0 < own.caps[2] < 120 - len(own.asked[2])
    assert own.shown[1] == own.asked[1]
    assert len(own.shown[0]) > len(own.asked[0])
    assert tokenizer.decode(own.shown[0]) == render(tokenizer, LESSONS[1].context)
    with pytest.raises(StageError, match="leaves no room for an answer within 120 tokens, or 240"):
        encode_own(tokenizer, [long], 120, ends)


@pytest.mark.parametrize("kind", KINDS)
def test_the_student_comes_nearer_to_its_teacher(kind: Divergence, tiny_model: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, divergence=kind, epochs=40.0)
    first_tokens = [replace(lesson, max_new_tokens=1) for lesson in LESSONS[:2]]

    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    training = trainer.train(BASE, first_tokens, recipe, tmp_path, silent)

    assert training.steps == 40
    assert 0 < training.losses[-1] < 0.2 * training.losses[0]
    assert training.lessons == 2


def test_a_lesson_without_context_teaches_nothing_at_the_start(tiny_model: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1.0)
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")

    with pytest.raises(StageError, match="left the weights unchanged"):
        trainer.train(BASE, [ANCHOR], replace(recipe, weight_decay=0.0), tmp_path, silent)
    mixed = trainer.train(BASE, [*LESSONS, ANCHOR], recipe, tmp_path, silent)

    assert mixed.replayed == 1


def test_the_teacher_is_the_parent_whatever_the_student_starts_from(tiny_model: Path, tmp_path: Path) -> None:
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    first = trainer.train(BASE, LESSONS, RECIPE, tmp_path, silent)
    parent = child_of(BASE, first)
    anchors = [replace(lesson, context="") for lesson in LESSONS]

    again = trainer.train(parent, anchors, replace(RECIPE, start="restart", epochs=1.0), tmp_path, silent)

    assert again.losses[0] > 1e-4  # the base is not the parent
    with pytest.raises(StageError, match="left the weights unchanged"):  # the parent is the parent
        trainer.train(parent, anchors, replace(RECIPE, epochs=1.0), tmp_path, silent)
    model = prepare_model(str(tiny_model), "cpu", "float32", RECIPE, (parent, tmp_path))
    assert any(bool(weight.any()) for name, weight in model.named_parameters() if ".lora_B." in name)


def test_an_interrupted_training_goes_on_with_the_same_texts(tiny_model: Path, tmp_path: Path) -> None:
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    recipe, lessons = replace(RECIPE, epochs=8.0), [*LESSONS, ANCHOR]
    steps: list[int] = []
    assert 20 % STEPS_AHEAD == 0
    recipe = replace(recipe, batch_size=3)

    def interrupt(done: int, total: int) -> None:
        if done == 22:
            raise Interruption

    with pytest.raises(Interruption):
        trainer.train(BASE, lessons, recipe, tmp_path / "interrupted", interrupt)
    resumed = trainer.train(BASE, lessons, recipe, tmp_path / "interrupted", lambda done, total: steps.append(done))

    assert steps == [21, 22, 23, 24]
    assert resumed == trainer.train(BASE, lessons, recipe, tmp_path / "whole", silent)
    assert resumed.tokens > 0


def test_another_seed_writes_other_texts(tiny_model: Path, tmp_path: Path) -> None:
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    one, two = (trainer.train(BASE, LESSONS, replace(RECIPE, seed=seed), tmp_path, silent) for seed in (1, 2))

    assert one.losses != two.losses


@pytest.mark.parametrize(
    ("settings_of_train", "compute", "sentence"),
    [
        ('method = "full"', "", "the adapter alone learns; set method = 'lora'"),
        ('method = "lora"', "processes = 2", "is trained in one process; set processes = 1"),
        ('method = "external"', "", "The method 'external' cannot have the target learn from itself"),
    ],
)
def test_who_cannot_says_so_before_anything_is_asked(settings_of_train: str, compute: str, sentence: str) -> None:
    text = RUN_FILE.replace('method = "scripted"', f'objective = "self_distill"\n{settings_of_train}')
    text = text.replace('engine = "scripted"\naccuracy = 0.3\ngain = 0.25', 'model = "smollm2-135m-instruct"')

    with pytest.raises(ConfigError, match=sentence):
        create_trainer(parse(f"{text}\n[compute]\n{compute}\n"))


def test_the_trainer_itself_refuses_full_weights(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the adapter alone learns"):
        TransformersTrainer(str(tiny_model), "cpu", "float32").train(
            BASE, LESSONS, replace(RECIPE, method="full"), tmp_path, silent
        )


KILLED = """
import os, signal, sys
from pathlib import Path
from test_self_distillation import ANCHOR, BASE, KILLABLE, LESSONS, TransformersTrainer
kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 23 else None
trainer = TransformersTrainer(sys.argv[1], device="cpu", dtype="float32")
trainer.train(BASE, [*LESSONS, ANCHOR], KILLABLE, Path(sys.argv[2]), kill)
"""
KILLABLE = replace(RECIPE, epochs=8.0, batch_size=3)


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(tiny_model: Path, tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    command = [sys.executable, "-c", KILLED, str(tiny_model), str(killed)]
    paths = os.pathsep.join([str(ROOT / "tests" / "kits"), *filter(None, [os.environ.get("PYTHONPATH")])])
    where, known = Path(__file__).parent, os.environ | {"PYTHONPATH": paths}
    dead = subprocess.run(command, cwd=where, env=known, check=False, capture_output=True, timeout=300)
    assert dead.returncode == -signal.SIGKILL, dead.stderr.decode()
    assert len(list((killed / "checkpoints").glob("*.resume"))) == 1
    trainer = TransformersTrainer(str(tiny_model), "cpu", "float32")
    steps: list[int] = []

    resumed = trainer.train(BASE, [*LESSONS, ANCHOR], KILLABLE, killed, lambda done, total: steps.append(done))

    assert steps == [21, 22, 23, 24]
    assert resumed == trainer.train(BASE, [*LESSONS, ANCHOR], KILLABLE, undisturbed, silent)


EMBEDDED = """
[run]
name = "own"
cycles = 1
seed = 3

[instructor]
kind = "tutor"

[[tasks]]
name = "arithmetic"
train = 3
dev = 2
test = 1

[strategy]
name = "error"
samples_per_error = 1

[train]
objective = "self_distill"
learning_rate = 1e-3
epochs = 1.0
"""


@pytest.mark.slow
def test_the_embedded_model_learns_from_itself_in_a_whole_run(tmp_path: Path) -> None:
    run(parse(EMBEDDED), tmp_path)

    with open_ledger(tmp_path) as ledger:
        [training] = ledger.all(Training)
        lessons = list(ledger.all(Lesson))
        assert ledger.count(Decision) == 1
    assert training.lessons == len(lessons) - training.truncated
    assert training.truncated == 0
    assert all(0 < loss < 5 for loss in training.losses)
    assert training.tokens > sum(len(lesson.prompt) for lesson in lessons) // 10

"""Where a training's result lies and how a finished one is known: equal trainings share one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from errorbook.adapters.targets import loading
from errorbook.adapters.trainers import exports
from errorbook.errors import StageError
from errorbook.records import Checkpoint, Lesson, Recipe, Training, digest
from errorbook.train import training_set_hash

RECORD = "training.json"


def training_hash(parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe) -> str:
    """The identity of one training: everything that decides what comes out of it."""
    return digest(parent.hash, training_set_hash(lessons), recipe.hash)


def training_folder(parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe) -> Path:
    """The folder of a training's result, relative to the run's folder."""
    return Path("checkpoints") / training_hash(parent, lessons, recipe)


def read_record(folder: Path) -> Training | None:
    """The record of a finished training; None if it is not finished.

    Raises:
        StageError: The weights are not those that the training wrote.
    """
    if not (folder / RECORD).is_file():
        return None
    training = msgspec.json.decode((folder / RECORD).read_bytes(), type=Training)
    if loading.weights_hash(folder) != training.weights_hash:
        raise StageError(f"The weights in '{folder}' were changed after training; delete that folder and resume.")
    return training


def record_elsewhere(parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, weights_hash: str = "") -> Training:
    """The record of a training that another program did: steps, tokens and losses are its own to tell.

    Raises:
        StageError: There is nothing to train on.
    """
    kept = exports.select_usable(lessons, recipe)
    return Training(
        training_set=training_set_hash(lessons),
        parent=parent.hash,
        lessons=len(kept),
        replayed=sum(lesson.replay for lesson in kept),
        trainable_parameters=0,
        steps=0,
        tokens=0,
        truncated=0,
        losses=(),
        folder=training_folder(parent, lessons, recipe).as_posix(),
        weights_hash=weights_hash,
        elsewhere=True,
    )

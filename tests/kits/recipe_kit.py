"""What a training begins with and what it leaves: a recipe, the checkpoint that it made, and what interrupts it."""

from __future__ import annotations

from typing import Any

from errorbook.records import Checkpoint, Recipe, Training
from errorbook.train import TrainSection


class Interruption(Exception):  # noqa: N818 (no error: a test wants it)
    """What stops a training in a test, as a kill would: nothing is written after the last saved step."""


def recipe_of(*, seed: int = 0, **values: Any) -> Recipe:
    """A recipe of the run file's defaults with a few values of a test's own."""
    return TrainSection(**values).recipe(seed)


def child_of(parent: Checkpoint, training: Training) -> Checkpoint:
    """The checkpoint of an adapter that was trained on `parent`."""
    return Checkpoint(
        base=parent.base,
        base_fingerprint=parent.base_fingerprint,
        parent=parent.hash,
        method="lora",
        form="adapter",
        folder=training.folder,
        weights_hash=training.weights_hash,
    )

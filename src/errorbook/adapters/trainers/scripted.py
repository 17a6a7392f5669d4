"""The fake trainer for tests and plugin authors: writes a small file that the scripted target reads as weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from errorbook.adapters.targets.scripted import WEIGHTS, ScriptedWeights, read_weights
from errorbook.adapters.trainers.result import training_folder
from errorbook.errors import StageError
from errorbook.files import write_file
from errorbook.interfaces import Progress
from errorbook.records import Checkpoint, Form, Lesson, Recipe, Training, digest
from errorbook.train import training_set_hash


class ScriptedTrainer:
    """Implements `Trainer`: one step a batch, losses that halve, and weights that count trainings."""

    def produces(self, recipe: Recipe) -> Form:
        """An adapter, as far as a file without weights can be one."""
        return "adapter"

    def refuse(self, recipe: Recipe) -> str:
        """A script follows every recipe."""
        return ""

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """Count one training more than the parent has; equal calls write equal files.

        Raises:
            StageError: There is no lesson.
            ModelError: The parent's weights are missing.
        """
        if not lessons:
            raise StageError("There is no lesson to train on; see the rejections in the report.")
        goes_on = recipe.start == "continue" and parent.form != "base"
        before = read_weights(root / parent.folder).trainings if goes_on else 0
        taught = training_set_hash(lessons)
        steps = max(1, round(recipe.epochs * len(lessons) / recipe.batch_size))
        for step in range(1, steps + 1):
            progress(step, steps)
        folder = training_folder(parent, lessons, recipe)
        weights = msgspec.json.encode(ScriptedWeights(trainings=before + 1, lessons=taught))
        write_file(root / folder / WEIGHTS, weights)
        return Training(
            training_set=taught,
            parent=parent.hash,
            lessons=len(lessons),
            replayed=sum(lesson.replay for lesson in lessons),
            trainable_parameters=1,
            steps=steps,
            tokens=sum(len(f"{lesson.asked} {lesson.completion}".split()) for lesson in lessons),
            truncated=0,
            losses=tuple(2.0**-step for step in range(steps)),
            folder=folder.as_posix(),
            weights_hash=digest(weights),
        )

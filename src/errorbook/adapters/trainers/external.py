"""Training elsewhere: writes the lessons down for another trainer, and takes up what is served afterwards.

    [train]
    method = "external"

The first call ends with one sentence on what to do by hand; the same command after that goes on. Nothing is trained
here, and no weights are seen: the target that belongs to it is `targets.openai`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from errorbook.adapters.targets.embedded import public_name
from errorbook.adapters.targets.served import SERVED, served_model
from errorbook.adapters.trainers import exports
from errorbook.adapters.trainers.result import record_elsewhere, training_folder
from errorbook.errors import ConfigError, ModelError
from errorbook.interfaces import Progress
from errorbook.records import Checkpoint, Form, Lesson, Recipe, Training, digest


class ExternalTrainer:
    """Implements `Trainer` for the method "external". `model` is the base's name, for the other trainer's settings."""

    def __init__(self, model: str) -> None:
        self._name = model

    def produces(self, recipe: Recipe) -> Form:
        """A model that is served under a name of its own."""
        return "served"

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """The record of a training that was done elsewhere; if it was not yet, the files for it and how to go on.

        It counts lessons only: steps, tokens and losses are the other trainer's to tell.

        Raises:
            ModelError: The model is not trained and served yet, or `served.json` names the one to be trained.
            ConfigError: The parent was trained here.
            StageError: There is nothing to train on.
        """
        folder = training_folder(parent, lessons, recipe)
        files = root / "exports" / folder.name
        starts_from = self._start(parent, recipe, root)
        if not (root / folder / SERVED).is_file():
            self._export(files, lessons, recipe, (starts_from, root / folder / SERVED))
            (root / folder).mkdir(parents=True, exist_ok=True)
            raise ModelError(
                f"The lessons of this cycle wait in '{files}': train there, serve the result, "
                f'write {{"model": "NAME"}} with its served name to \'{root / folder / SERVED}\', and give the same '
                "command again."
            )
        name = served_model(root / folder)
        if name == starts_from:
            raise ModelError(
                f"'{root / folder / SERVED}' names the model '{name}' that was to be trained; write the name under "
                "which the trained one is served."
            )
        progress(1, 1)
        return record_elsewhere(parent, lessons, recipe, digest("served", name))

    def _start(self, parent: Checkpoint, recipe: Recipe, root: Path) -> str:
        """The name of the model whose weights the training starts from."""
        if recipe.start == "restart" or parent.form == "base":
            return self._name
        if parent.form != "served":
            raise ConfigError(
                f"The parent's weights are '{parent.method}' and were trained here; keep that method in [train] or set "
                "start = 'restart'."
            )
        return served_model(root / parent.folder)

    def _export(self, folder: Path, lessons: Sequence[Lesson], recipe: Recipe, between: tuple[str, Path]) -> None:
        start, served = between
        model = public_name(start)
        exports.write_lessons(folder, lessons, recipe, model)
        exports.write_files(folder, {"README.md": write_readme(model, served)})


def write_readme(model: str, served: Path) -> str:
    """Three lines for whoever trains."""
    return (
        f"1. Train '{model}' (correct that name in train.yaml if your trainer knows the weights by another): "
        "`cd llama-factory && llamafactory-cli train train.yaml`, or `cd axolotl && axolotl train train.yaml`.\n"
        f"2. Serve the weights in `{exports.TRAINED}` at the run's base_url under a name of their own, say NAME, with "
        f"'{model}' still served beside them.\n"
        f'3. Write {{"model": "NAME"}} to `{served}` and give the same errorbook command again.\n'
    )

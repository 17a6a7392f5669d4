"""Training by a command line: a cluster's queue, a rented machine, another trainer. The run waits for it and checks.

    [train]
    method = "command"
    command = "sbatch --wait train.sh {data} {recipe} {out}"

It writes the lessons and the recipe, runs the command, and takes the adapter that it finds in {out}. Nothing is trained
here. What is trained and served by people is `external`.
"""

from __future__ import annotations

import shlex
import shutil
import string
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from annotated_types import Interval

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.embedded import public_name
from errorbook.adapters.trainers import exports
from errorbook.adapters.trainers.adapter_check import CONFIG, WEIGHTS, check_adapter, check_weights, name_base
from errorbook.adapters.trainers.left_running import finish_command, read_tail
from errorbook.adapters.trainers.result import RECORD, read_record, record_elsewhere, training_folder
from errorbook.errors import ConfigError, OutageError
from errorbook.files import create_folder, write_file
from errorbook.interfaces import Progress
from errorbook.records import Checkpoint, Form, Lesson, Recipe, Training

PLACES = ("data", "recipe", "out", "model", "parent")
_LISTED = ", ".join(f"{{{name}}}" for name in PLACES)
_POLL = 2.0


class CommandTrainer:
    """Implements `Trainer` for the method "command".

    `command` is split as a shell would split it, and run without one. In it `{data}` is the folder with the lessons,
    `{recipe}` a JSON file with the recipe, `{out}` the folder that the result is to be written to, `{model}` the base
    and `{parent}` the folder of the adapter or weights to train on from, or nothing. `form` says what the command
    leaves, `wait` how many seconds after its end the result may take: for one that only puts it into a queue.
    """

    def __init__(
        self,
        model: str,
        *,
        command: str,
        form: Literal["adapter", "weights"] = "adapter",
        wait: Annotated[float, Interval(ge=0, le=31_536_000)] = 0.0,
    ) -> None:
        self._name = model
        self._form: Literal["adapter", "weights"] = form
        self._wait = wait
        self._command = _split(command)

    def produces(self, recipe: Recipe) -> Form:
        """What the run file says that the command leaves."""
        return self._form

    def refuse(self, recipe: Recipe) -> str:
        """What no other trainer is told, and a later cycle that would not go on from its parent."""
        if recipe.objective == "self_distill":
            return (
                "The method 'command' cannot have the target learn from itself; set objective = 'sft' in [train], or"
                " method = 'lora'."
            )
        if recipe.start == "continue" and not any("{parent}" in part for part in self._command):
            return (
                "A later cycle trains on from its parent, which the command is not told; write {parent} in it, or set"
                " start = 'restart' in [train]."
            )
        return ""

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """The record of what the command has trained; it is started if it was not yet, or had failed.

        It counts lessons only: steps, tokens and losses are the other trainer's to tell.

        Raises:
            OutageError: The command failed, or left nothing in time.
            ModelError: What it left is no adapter of the base, or no model.
            StageError: There is nothing to train on.
        """
        folder = training_folder(parent, lessons, recipe)
        done = read_record(root / folder)
        if done is not None:
            return done
        files = (root / "exports" / folder.name).resolve()
        goes_on = parent.form != "base" and recipe.start == "continue"
        start = str((root / parent.folder).resolve()) if goes_on else ""
        self._prepare(files, lessons, recipe)
        out = files / exports.TRAINED
        told = {
            "data": str(files),
            "recipe": str(files / "recipe.json"),
            "out": str(out),
            "model": public_name(self._name),
            "parent": start,
        }
        finish_command([part.format(**told) for part in self._command], files)
        self._wait_for(out, files)
        taken = self._take(out, record_elsewhere(parent, lessons, recipe), root)
        progress(1, 1)
        return taken

    def _prepare(self, files: Path, lessons: Sequence[Lesson], recipe: Recipe) -> None:
        """Write what the command reads: the lessons in three forms, and the recipe."""
        exports.write_lessons(files, lessons, recipe, public_name(self._name))
        write_file(files / "recipe.json", msgspec.json.format(msgspec.json.encode(recipe), indent=1))

    def _wait_for(self, out: Path, files: Path) -> None:
        """Wait until the result is there and grows no more. Raises OutageError if it takes too long."""
        until, before = time.monotonic() + self._wait, self._sizes(out)
        if before and not self._wait:
            return
        while True:
            now = self._sizes(out)
            if now and now == before:
                return
            if time.monotonic() > until:
                raise OutageError(
                    f"The command has ended, and there is no {self._wanted()} in '{out}'; have it written there, and"
                    f" set wait in [train] to the seconds that it may take if the command only queues it. The end of"
                    f" its output: {read_tail(files)}"
                )
            before = now
            time.sleep(min(_POLL, max(0.05, self._wait)))

    def _wanted(self) -> str:
        return f"{CONFIG} with {WEIGHTS}" if self._form == "adapter" else "config.json with .safetensors weights"

    def _sizes(self, out: Path) -> list[tuple[str, int]]:
        """Names and sizes of what is there; nothing until it is all there."""
        found = {file.name: file.stat().st_size for file in sorted(out.glob("*")) if file.is_file()}
        whole = {CONFIG, WEIGHTS} if self._form == "adapter" else {"config.json"}
        weighty = any(name.endswith(".safetensors") for name in found)
        return sorted(found.items()) if whole <= found.keys() and weighty else []

    def _take(self, out: Path, training: Training, root: Path) -> Training:
        """Check what the command left and copy it to its place, with its record."""
        check = check_adapter if self._form == "adapter" else check_weights
        parameters = check(out, self._name)
        with create_folder(root / training.folder) as making:
            for file in out.iterdir():
                if file.is_file() and file.suffix in {".json", ".safetensors", ".jinja", ".model", ".txt"}:
                    shutil.copyfile(file, making / file.name)
            if self._form == "adapter":
                name_base(making, self._name)
            training = msgspec.structs.replace(
                training, trainable_parameters=parameters, weights_hash=loading.weights_hash(making)
            )
            (making / RECORD).write_bytes(msgspec.json.encode(training))
        return training


def _split(command: str) -> list[str]:
    """The words of the command line. Raises ConfigError if it is none, or has a placeholder that is not known."""
    try:
        parts = shlex.split(command)
        named = {name for part in parts for _, name, _, _ in string.Formatter().parse(part) if name is not None}
    except ValueError as error:
        raise ConfigError(f"command in [train] cannot be read ({error}); write a literal brace twice.") from None
    unknown = sorted(named - set(PLACES))
    if unknown:
        raise ConfigError(
            f"command in [train] has {{{unknown[0]}}}, which stands for nothing; write {_LISTED}, and a literal brace"
            " twice."
        )
    if "out" not in named:
        raise ConfigError("command in [train] has no {out}, so nobody tells it where the result is to be; write it.")
    return parts

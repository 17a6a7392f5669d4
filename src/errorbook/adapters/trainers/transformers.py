"""Trains a Hugging Face model on completions or on pairs of them: an adapter or all weights (paper section 2.4).

A plain loop, on one process or on every one that `torch.distributed` was initialised with. Which lessons there are,
and whether the result is any better, is decided elsewhere. On a CPU a training that was killed and resumed ends with
the same bits as an undisturbed one; a GPU's kernels may round differently from one run to the next.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import Thinking
from errorbook.adapters.targets.embedded import find_here, public_name, quiet_transformers, resolve
from errorbook.adapters.targets.transformers import end_tokens
from errorbook.adapters.trainers import memory, state
from errorbook.adapters.trainers.batches import TokenRow, encode, plan_steps
from errorbook.adapters.trainers.distilling import OwnText, encode_own
from errorbook.adapters.trainers.group import broadcast, gather, join_group
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.launch import LaunchedTrainer
from errorbook.adapters.trainers.preference import encode_pairs, measure_reference
from errorbook.adapters.trainers.preparing import (
    copy_values,
    forget_adapter,
    form_of,
    prepare_model,
    refuse_to_distil,
    sketch_model,
)
from errorbook.adapters.trainers.result import RECORD, read_record, training_folder
from errorbook.adapters.trainers.sharding import shard, whole_state
from errorbook.adapters.trainers.stepping import quicken
from errorbook.adapters.trainers.updating import update
from errorbook.errors import ConfigError, StageError
from errorbook.files import create_folder
from errorbook.interfaces import Progress
from errorbook.records import Checkpoint, Lesson, Recipe, Training
from errorbook.train import training_set_hash

_SAVE_STEPS = 20
_SAVE_SECONDS = 20.0


class TransformersTrainer:
    """Implements `Trainer` for the methods "lora" and "qlora" (every linear layer) and "full".

    `device` and `dtype` mean the same as for the target. Adapter weights and the optimiser are always float32; so
    are full weights while they are trained. If several processes train together, all call `train` alike and get
    the same record, the first alone reports and writes; `strategy` "fsdp" divides full weights among them. Lessons
    are written for a model that answers with `thinking` as the target does.
    """

    produces = staticmethod(form_of)

    def __init__(
        self,
        model: str,
        device: str = "auto",
        dtype: str = "auto",
        strategy: Literal["ddp", "fsdp"] = "ddp",
        thinking: Thinking = "off",
    ) -> None:
        self._name = model
        self._device = device
        self._dtype = dtype
        self._strategy: Literal["ddp", "fsdp"] = strategy
        self._thinking: Thinking = thinking

    def refuse(self, recipe: Recipe) -> str:
        """Self-distillation needs an adapter: without one there would be no teacher beside the student."""
        return refuse_to_distil(recipe)

    def forecast_memory(self, recipe: Recipe) -> int | None:
        """Bytes of a training with one lesson of `recipe.max_tokens` a pass, half of them its answer.

        The model's configuration is read, its weights are not. None if it is not on this machine, and for "qlora",
        whose 4 bits have no size before they are made.
        """
        folder = find_here(self._name)
        if folder is None or recipe.method == "qlora":
            return None
        dtype = loading.choose_dtype(self._dtype, loading.choose_device(self._device))
        model = sketch_model(str(folder), dtype, recipe)
        row = TokenRow((0,) * recipe.max_tokens, recipe.max_tokens // 2)
        return memory.estimate_memory(model, [row], dtype, distilled=recipe.objective == "self_distill").total(1)

    def on_processes(self, count: int) -> LaunchedTrainer:
        """The same trainer on `count` processes of this machine."""
        return LaunchedTrainer(self._name, self._device, self._dtype, count, self._strategy, self._thinking)

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """Train `parent` on the lessons and write the result below `root`/checkpoints.

        The folder is named by the hash of parent, lessons and recipe. If it is complete its record is returned;
        if a training was interrupted it goes on from its last saved step. A lesson longer than
        `recipe.max_tokens` is left out and counted as truncated.

        Raises:
            ModelError: The model or the parent's weights cannot be loaded.
            ConfigError: The parent's weights are of another method or rank than the recipe's, or a package is missing.
            StageError: No lesson is left, nothing is trainable, not one row fits into memory, or the weights did not
                change.
        """
        import torch

        group = join_group()
        folder = training_folder(parent, lessons, recipe)
        done = broadcast(group, read_record(root / folder) if group.leads else None)
        if done is not None:
            return done
        source = resolve(self._name)
        tokenizer = loading.load_tokenizer(source)
        lesson_rows = _encode(tokenizer, lessons, recipe, source, self._thinking)
        gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(recipe.seed)
            job = self._job(source, parent, recipe, root, lesson_rows)
            loading.require_rows(loading.unwrap(job.model), tokenizer, lesson_rows.ids())
            job.state = (root / folder).with_suffix(".resume")
            before = state.hash_values(job)
            _run(job, progress if group.leads else _say_nothing)
            if not any(gather(group, state.hash_values(job) != before)):
                raise StageError("Training left the weights unchanged; raise learning_rate or epochs in [train].")
        training = _make_record(job, parent, lessons, lesson_rows.kept, folder)
        return self._save(job, training, tokenizer, root)

    def _job(
        self,
        source: str,
        parent: Checkpoint,
        recipe: Recipe,
        root: Path,
        lesson_rows: _LessonRows,
    ) -> Job:
        """The model with the weights to start from. Raises StageError if none of them is trainable."""
        group = join_group()
        device = loading.choose_device(self._device)
        dtype = loading.choose_dtype(self._dtype, device)
        sharded = self._strategy == "fsdp" and group.size > 1
        _check(recipe, dtype, sharded, group.size)
        start = (parent, root) if parent.form != "base" else None
        own, goes_on = lesson_rows.own, recipe.start == "continue"
        wanted = start if goes_on or own else None
        model = prepare_model(source, "cpu" if sharded else device, dtype, recipe, wanted)
        if own is not None:
            own.teacher = copy_values(model)
            if start and not goes_on:
                forget_adapter(model)
        quicken(model, device)
        if sharded:
            shard(model, device, group.size)
        job = Job(
            model=model,
            rows=lesson_rows.rows,
            rejected=lesson_rows.rejected,
            own=own,
            steps=plan_steps(lesson_rows.rows, recipe),
            recipe=recipe,
            dtype=dtype,
            state=Path(),
            group=group,
            sharded=sharded,
        )
        if not job.weights():
            raise StageError(
                f"No weight of '{self._name}' is trainable by the method '{recipe.method}'; try the other."
            )
        return job

    def _save(self, job: Job, training: Training, tokenizer: Any, root: Path) -> Training:
        """Write weights and record as one whole folder: there is never half a result."""
        whole = whole_state(job)[0] if job.sharded else None
        if job.group.leads:
            folder = root / training.folder
            with create_folder(folder) as making:
                with quiet_transformers():
                    self._write(job, making, tokenizer, whole)
                training = msgspec.structs.replace(training, weights_hash=loading.weights_hash(making))
                (making / RECORD).write_bytes(msgspec.json.encode(training))
                shutil.rmtree(folder, ignore_errors=True)
            job.state.unlink(missing_ok=True)
        return broadcast(job.group, training)

    def _write(self, job: Job, folder: Path, tokenizer: Any, whole: dict[str, Any] | None) -> None:
        """Write the adapter, or the model in the number format that it answers in; `whole` is a divided one's state."""
        import torch

        if job.recipe.method != "full":
            job.model.peft_config["default"].base_model_name_or_path = public_name(self._name)
            job.model.save_pretrained(folder, save_embedding_layers=False)
            return
        dtype = getattr(torch, job.dtype)
        if whole is None:
            job.model.to(dtype).save_pretrained(folder)
        else:
            job.model.config.dtype = dtype
            job.model.save_pretrained(folder, state_dict={name: value.to(dtype) for name, value in whole.items()})
        tokenizer.save_pretrained(folder)


class _LessonRows(NamedTuple):
    """The lessons that are kept, as rows of tokens: what each is preferred over, or who writes them."""

    rows: list[TokenRow]
    rejected: list[TokenRow | None]
    kept: list[Lesson]
    own: OwnText | None = None

    def ids(self) -> list[tuple[int, ...]]:
        """The token ids of all that is read."""
        read = [*self.own.asked, *self.own.shown] if self.own else []
        return [row.ids for row in (*self.rows, *self.rejected) if row is not None] + read


def _encode(tokenizer: Any, lessons: Sequence[Lesson], recipe: Recipe, source: str, thinking: Thinking) -> _LessonRows:
    """The rows of the objective; supervised training looks at no rejected response."""
    if recipe.objective == "dpo":
        return _LessonRows(*encode_pairs(tokenizer, lessons, recipe.max_tokens, thinking))
    if recipe.objective == "self_distill":
        own, kept = encode_own(tokenizer, lessons, recipe.max_tokens, end_tokens(source, tokenizer), thinking)
        return _LessonRows(own.longest(), [None] * len(kept), kept, own)
    rows, kept = encode(tokenizer, lessons, recipe.max_tokens, thinking)
    return _LessonRows(rows, [None] * len(rows), kept)


def _check(recipe: Recipe, dtype: str, sharded: bool, processes: int) -> None:
    refused = refuse_to_distil(recipe, processes)
    if refused:
        raise ConfigError(refused)
    if dtype == "float16":
        raise ConfigError("Training in float16 loses small gradients; set dtype to 'bfloat16' or 'float32'.")
    if sharded and recipe.method != "full":
        raise ConfigError(
            f"strategy = 'fsdp' divides full weights, but [train] method is '{recipe.method}'; "
            "set strategy = 'ddp' in [compute] or method = 'full'."
        )


def _make_record(
    job: Job, parent: Checkpoint, lessons: Sequence[Lesson], kept: Sequence[Lesson], folder: Path
) -> Training:
    """The record of a training that has run all its steps; its weights are not written yet, so their hash is empty."""
    numbers = [number for step in job.steps for number in step]
    rows = [row for number in numbers for row in (job.rows[number], job.rejected[number]) if row is not None]
    return Training(
        training_set=training_set_hash(lessons),
        parent=parent.hash,
        lessons=len(kept),
        replayed=sum(lesson.replay for lesson in kept),
        trainable_parameters=sum(weight.numel() for weight in job.weights().values()),
        steps=len(job.steps),
        tokens=job.own.read if job.own else sum(len(row.ids) for row in rows),
        truncated=len(lessons) - len(kept),
        losses=tuple(job.losses),
        folder=folder.as_posix(),
        weights_hash="",
    )


def _run(job: Job, progress: Progress) -> None:
    """All steps that are not done yet, saving the state now and then."""
    import torch

    job.optimizer = torch.optim.AdamW(
        job.weights().values(),
        lr=job.recipe.learning_rate,
        weight_decay=job.recipe.weight_decay,
        fused=job.model.device.type in {"cpu", "cuda"},
    )
    if not state.restore_state(job):
        _fit_to_memory(job)
        job.reference = measure_reference(job) if any(job.rejected) else {}
    saved = time.monotonic()
    while len(job.losses) < len(job.steps):
        step = len(job.losses)
        job.losses.append(update(job, step))
        progress(step + 1, len(job.steps))
        late = job.group.leads and time.monotonic() - saved > _SAVE_SECONDS
        due = (step + 1) % _SAVE_STEPS == 0 or (broadcast(job.group, late) if job.sharded else late)
        if due and step + 1 < len(job.steps):
            state.save_state(job)
            saved = time.monotonic()
    job.model.eval()


def _fit_to_memory(job: Job) -> None:
    """Choose how many rows a pass has, the same in every process, and whether activations are recomputed."""
    size = job.group.size
    device = loading.unwrap(job.model).device
    rows = [*job.rows, *(row for row in job.rejected if row is not None)]
    shared = size if job.sharded else 1
    needs = memory.estimate_memory(job.model, rows, job.dtype, shared, distilled=job.own is not None)
    wanted = job.recipe.batch_size * (2 if any(job.rejected) else 1)
    fits = gather(job.group, memory.choose_rows(needs, wanted, memory.free_bytes(device, size)))
    job.at_once = min(rows for rows, _ in fits)
    if any(recompute for _, recompute in fits):
        job.recompute()


def _say_nothing(done: int, total: int) -> None:
    """The progress of a process that does not report."""

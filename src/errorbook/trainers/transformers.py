"""Supervised fine-tuning of a Hugging Face model on completions, as LoRA or of all weights (paper section 2.4).

One process, one device, a plain loop. Which lessons there are, and whether the result is any better, is decided
elsewhere. On a CPU a training that was killed and resumed ends with the same bits as an undisturbed one; a GPU's
kernels may round differently from one run to the next.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from errorbook.errors import ConfigError, StageError
from errorbook.interfaces import Progress
from errorbook.records import Checkpoint, Lesson, Recipe, Training, digest
from errorbook.targets import loading
from errorbook.targets.embedded import public_name, quiet_transformers, resolve
from errorbook.train import training_set_hash
from errorbook.trainers.batches import IGNORED, Row, collate, encode, plan

if TYPE_CHECKING:
    import torch

_RECORD = "training.json"
_SAVE_STEPS = 20
_SAVE_SECONDS = 20.0


@dataclass
class _Job:
    """One training under way: the model, what changes in it, and how far it is."""

    model: Any
    rows: list[Row]
    steps: list[list[int]]
    recipe: Recipe
    dtype: str
    state: Path
    optimizer: Any = None
    losses: list[float] = field(default_factory=list)

    def weights(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that this training changes, by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


class TransformersTrainer:
    """Implements `Trainer` for the methods "lora" (every linear layer) and "full".

    `device` and `dtype` mean the same as for the target. Adapter weights and the optimiser are always float32; so
    are full weights while they are trained.
    """

    def __init__(self, model: str, device: str = "auto", dtype: str = "auto") -> None:
        self._name = model
        self._device = device
        self._dtype = dtype

    def train(
        self,
        parent: Checkpoint,
        lessons: Sequence[Lesson],
        recipe: Recipe,
        root: Path,
        progress: Progress,
    ) -> Training:
        """Train `parent` on the lessons and write the result below `root`/checkpoints.

        The folder is named by the hash of parent, lessons and recipe. Where it is complete its record is returned;
        where a training was interrupted it goes on from its last saved step. A lesson longer than
        `recipe.max_tokens` is left out and counted as truncated.

        Raises:
            ModelError: The model or the parent's weights cannot be loaded.
            ConfigError: The parent's weights are of another method or rank than the recipe's.
            StageError: No lesson is left, nothing is trainable, or the weights did not change.
        """
        import torch

        folder = Path("checkpoints") / digest(parent.hash, training_set_hash(lessons), recipe.hash)
        if (root / folder / _RECORD).is_file():
            return _recorded(root / folder)
        source = resolve(self._name)
        tokenizer = loading.load_tokenizer(source)
        rows, kept = encode(tokenizer, lessons, recipe.max_tokens)
        gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(recipe.seed)
            job = self._job(source, parent, recipe, root, rows)
            job.state = (root / folder).with_suffix(".resume")
            before = _values_hash(job)
            _run(job, progress)
            if _values_hash(job) == before:
                raise StageError("Training left the weights unchanged; raise learning_rate or epochs in [train].")
        training = _count(job, parent, lessons, kept, folder)
        return self._save(job, training, tokenizer, root)

    def _job(self, source: str, parent: Checkpoint, recipe: Recipe, root: Path, rows: list[Row]) -> _Job:
        """The model with the weights to start from. Raises StageError where none of them is trainable."""
        device = loading.choose_device(self._device)
        dtype = loading.choose_dtype(self._dtype, device)
        if dtype == "float16":
            raise ConfigError("Training in float16 loses small gradients; set dtype to 'bfloat16' or 'float32'.")
        start = parent if recipe.start == "continue" and parent.method != "base" else None
        if start is not None and start.method != recipe.method:
            raise ConfigError(
                f"The parent's weights are '{start.method}' but [train] method is '{recipe.method}'; "
                "keep the method or set start = 'restart'."
            )
        prepare = _prepare_lora if recipe.method == "lora" else _prepare_full
        model = prepare(source, device, dtype, recipe, (start, root) if start else None)
        job = _Job(
            model=model,
            rows=rows,
            steps=plan(rows, recipe),
            recipe=recipe,
            dtype=dtype,
            state=Path(),
        )
        if device == "cpu":
            # There the fused attention's backward pass takes 1.2 times as long a step as plain matrix products.
            loading.plain(model).set_attn_implementation("eager")
        if not job.weights():
            raise StageError(
                f"No weight of '{self._name}' is trainable by the method '{recipe.method}'; try the other."
            )
        return job

    def _save(self, job: _Job, training: Training, tokenizer: Any, root: Path) -> Training:
        """Write weights and record into a folder beside the final one and rename it: there is never half a result."""
        import torch

        folder = root / training.folder
        making = folder.with_suffix(f".{os.getpid()}.tmp")
        shutil.rmtree(making, ignore_errors=True)
        if job.recipe.method == "lora":
            job.model.peft_config["default"].base_model_name_or_path = public_name(self._name)
            job.model.save_pretrained(making, save_embedding_layers=False)
        else:
            job.model.to(getattr(torch, job.dtype)).save_pretrained(making)
            tokenizer.save_pretrained(making)
        training = msgspec.structs.replace(training, weights_hash=loading.weights_hash(making))
        (making / _RECORD).write_bytes(msgspec.json.encode(training))
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
        job.state.unlink(missing_ok=True)
        return training


def _count(job: _Job, parent: Checkpoint, lessons: Sequence[Lesson], kept: Sequence[Lesson], folder: Path) -> Training:
    """The record of a training that has run all its steps; its weights are not written yet, so their hash is empty."""
    return Training(
        training_set=training_set_hash(lessons),
        parent=parent.hash,
        lessons=len(kept),
        replayed=sum(lesson.replay for lesson in kept),
        trainable_parameters=sum(weight.numel() for weight in job.weights().values()),
        steps=len(job.steps),
        tokens=sum(len(job.rows[number].ids) for step in job.steps for number in step),
        truncated=len(lessons) - len(kept),
        losses=tuple(job.losses),
        folder=folder.as_posix(),
        weights_hash="",
    )


def _prepare_lora(source: str, device: str, dtype: str, recipe: Recipe, start: tuple[Checkpoint, Path] | None) -> Any:
    """The base with a new adapter, or with the parent's and its scale made part of the weights."""
    from peft import LoraConfig, get_peft_model

    model = loading.load_model(source, device, dtype)
    if start is None:
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            target_modules="all-linear",
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )
        with quiet_transformers():
            return get_peft_model(model, config)
    checkpoint, root = start
    folder = loading.checkpoint_folder(checkpoint, root)
    adapted = loading.apply_adapter(model, folder, checkpoint.scale, trainable=True)
    config = adapted.peft_config["default"]
    if (config.r, config.lora_alpha) != (recipe.rank, recipe.alpha):
        raise ConfigError(
            f"The parent's adapter has rank {config.r} and alpha {config.lora_alpha}, but [train] says {recipe.rank} "
            f"and {recipe.alpha}; keep them or set start = 'restart'."
        )
    return adapted


def _prepare_full(source: str, device: str, dtype: str, recipe: Recipe, start: tuple[Checkpoint, Path] | None) -> Any:
    """All weights in float32, whatever the target answers in: small updates would vanish in 16 bits."""
    if start is None:
        return loading.load_model(source, device, "float32")
    checkpoint, root = start
    model = loading.load_model(str(loading.checkpoint_folder(checkpoint, root)), device, "float32")
    if checkpoint.scale != 1.0:
        loading.blend(model, loading.load_model(source, device, "float32"), checkpoint.scale)
    return model


def _run(job: _Job, progress: Progress) -> None:
    """All steps that are not done yet, saving the state now and then."""
    import torch

    job.optimizer = torch.optim.AdamW(
        job.weights().values(),
        lr=job.recipe.learning_rate,
        weight_decay=job.recipe.weight_decay,
        fused=job.model.device.type in {"cpu", "cuda"},
    )
    job.model.train()
    _restore(job)
    saved = time.monotonic()
    while len(job.losses) < len(job.steps):
        step = len(job.losses)
        # A model with dropout draws the same numbers in a step whether or not the training was resumed before it.
        torch.manual_seed(job.recipe.seed * 1_000_003 + step)
        job.losses.append(_step(job, step))
        progress(step + 1, len(job.steps))
        due = (step + 1) % _SAVE_STEPS == 0 or time.monotonic() - saved > _SAVE_SECONDS
        if due and step + 1 < len(job.steps):
            _keep(job)
            saved = time.monotonic()
    job.model.eval()


def _step(job: _Job, step: int) -> float:
    """One update of the weights; returns the mean loss over the batch's completion tokens, in nats."""
    import torch

    model = loading.plain(job.model)
    batch = collate([job.rows[number] for number in job.steps[step]], model.device)
    scored = batch.labels != IGNORED
    # Logits are most of the memory, and few places need them: the head sees only those, as shape (places, width).
    selected = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0][scored],))
    with selected, torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=job.dtype == "bfloat16"):
        # No mask: padding is on the right, where causal attention lets no token of a lesson see it.
        logits = model(input_ids=batch.inputs, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.float(), batch.labels[scored])
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(job.weights().values(), 1.0)
    for group in job.optimizer.param_groups:
        group["lr"] = learning_rate(job.recipe, step, len(job.steps))
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up over the share `recipe.warmup` of the steps, then linear decay to just above zero."""
    warmup = min(steps - 1, round(recipe.warmup * steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    return recipe.learning_rate * (steps - step) / (steps - warmup)


def _keep(job: _Job) -> None:
    """Save what a resumed training needs, all or nothing."""
    import torch

    job.state.parent.mkdir(parents=True, exist_ok=True)
    writing = job.state.with_suffix(f".{os.getpid()}.tmp")
    weights = {name: weight.detach() for name, weight in job.weights().items()}
    with writing.open("wb") as file:
        torch.save({"weights": weights, "optimizer": job.optimizer.state_dict(), "losses": job.losses}, file)
        file.flush()
        os.fsync(file.fileno())
    writing.replace(job.state)


def _restore(job: _Job) -> None:
    """Go on from the saved state, where there is one."""
    import torch

    if not job.state.is_file():
        return
    state = torch.load(job.state, map_location=job.model.device, weights_only=True)
    weights = job.weights()
    with torch.no_grad():
        for name, value in state["weights"].items():
            weights[name].copy_(value)
    job.optimizer.load_state_dict(state["optimizer"])
    job.losses = list(state["losses"])


def _values_hash(job: _Job) -> str:
    """Hash of the trainable weights as they are in memory."""
    import torch

    parts = []
    for name, weight in job.weights().items():
        parts.append(digest(name, weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()))
    return digest(*parts)


def _recorded(folder: Path) -> Training:
    """The record of a finished training. Raises StageError where its weights are not those that it wrote."""
    training = msgspec.json.decode((folder / _RECORD).read_bytes(), type=Training)
    if loading.weights_hash(folder) != training.weights_hash:
        raise StageError(f"The weights in '{folder}' were changed after training; delete that folder and resume.")
    return training

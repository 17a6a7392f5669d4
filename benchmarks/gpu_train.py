"""Training on this device: how fast, against a plain PEFT loop; does a killed one end alike; does QLoRA work.

Tokens are those of prompts and completions, however often a trainer computes them. The share of the card's peak (MFU)
counts what LoRA has to compute for them: 4 operations for each fixed weight and token (forward, and back to the
inputs), 6 for each of the adapter's, the head at the places that carry loss, and attention; recomputing, padding and
logits that nobody needs count nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_forward import adapted
from benchmarks.gpu_machine import ceilings, free, peak_gb, wait
from benchmarks.gpu_models import LONG, SHORT, TINY, Lengths, Row, Rows, Setting, model_of, random_rows
from errorbook import plugins
from errorbook.adapters.targets import loading
from errorbook.adapters.trainers.batches import IGNORED, TokenRow, encode
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.preparing import prepare_model
from errorbook.adapters.trainers.stepping import UNPROVEN, loss_of, quicken
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.adapters.trainers.updating import update
from errorbook.records import Checkpoint, Lesson, Recipe, Training
from errorbook.train import TrainSection

if TYPE_CHECKING:
    from collections.abc import Iterator

PLANS: tuple[tuple[str, int, Lengths], ...] = (
    ("135M", 8, SHORT),
    ("135M", 64, SHORT),
    ("1.5B", 8, SHORT),
    ("1.5B", 32, SHORT),
    ("1.5B", 8, LONG),
)
WARM, STEPS = 3, 12


class _Killed(Exception):  # noqa: N818 - it is no error of anybody's
    """Ends a training in the middle."""


def training_speed(setting: Setting) -> Rows:
    """Tokens a second and MFU of three trainers on the same steps, and the loss that each ends with."""
    tflops = ceilings(setting)[0]
    for shape, batch, lengths in PLANS[::3] if setting.small else PLANS:
        losses: dict[str, list[float]] = {}
        for name, run in (("PEFT loop", _peft_loop), ("errorbook", _errorbook), ("errorbook, quick", _quick)):
            model = adapted(shape, setting, "bfloat16")
            warm, steps = (1, 2) if setting.small else (WARM, STEPS)
            size = min(batch, 4) if setting.small else batch
            sizes = TINY if setting.small else lengths
            rows = random_rows(model.config.vocab_size, (warm + steps) * size, sizes)
            free(setting)
            seconds, losses[name] = _time(run(model, rows, size), warm, steps, setting)
            counted = rows[warm * size :]
            tokens = sum(len(row.ids) for row in counted)
            reached = _operations(model, counted) / seconds / 1e12
            yield {
                "name": f"{shape}, batch {batch}, {tokens // len(counted)} tokens, {name}",
                "tokens_s": round(tokens / seconds, 1),
                "ms_a_step": round(1e3 * seconds / steps, 2),
                "tflops": round(reached, 2),
                "of_product": round(reached / tflops, 4),
                "peak_gb": peak_gb(setting),
                "last_loss": round(losses[name][-1], 4),
                "ok": abs(losses[name][-1] / losses["PEFT loop"][-1] - 1) < 0.02,
            }
            del model
            free(setting)


def _time(step: Callable[[int], float], warm: int, steps: int, setting: Setting) -> tuple[float, list[float]]:
    losses = [step(number) for number in range(warm)]
    wait(setting)
    begun = time.perf_counter()
    losses += [step(number) for number in range(warm, warm + steps)]
    wait(setting)
    return time.perf_counter() - begun, losses


def _peft_loop(model: Any, rows: Sequence[TokenRow], size: int) -> Callable[[int], float]:
    """What one would write without a library: padded batches, the model's own loss over all logits, AdamW."""
    import torch

    device = model.get_base_model().device
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0, fused=True)

    def step(number: int) -> float:
        batch = rows[number * size : (number + 1) * size]
        width = max(len(row.ids) for row in batch)
        inputs, labels, mask = (torch.full((len(batch), width), fill) for fill in (0, IGNORED, 0))
        for place, row in enumerate(batch):
            inputs[place, : len(row.ids)] = torch.tensor(row.ids)
            labels[place, row.prompt : len(row.ids)] = torch.tensor(row.ids[row.prompt :])
            mask[place, : len(row.ids)] = 1
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = model(
                input_ids=inputs.to(device), attention_mask=mask.to(device), labels=labels.to(device), use_cache=False
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def _errorbook(model: Any, rows: Sequence[TokenRow], size: int) -> Callable[[int], float]:
    """Errorbook's own steps as they are on this device today."""
    import torch

    recipe = TrainSection(rank=32, alpha=64, learning_rate=1e-4, batch_size=size, warmup=0.0, weight_decay=0.0).recipe(
        1
    )
    quicken(model, model.get_base_model().device.type)
    steps = [list(range(start, start + size)) for start in range(0, len(rows), size)]
    job = Job(
        model=model,
        rows=list(rows),
        rejected=[None] * len(rows),
        steps=steps,
        recipe=recipe,
        dtype="bfloat16",
        state=Path(),
        at_once=size,
    )
    job.optimizer = torch.optim.AdamW(job.weights().values(), lr=1e-4, weight_decay=0.0, fused=True)
    return lambda number: update(job, number)


def _quick(model: Any, rows: Sequence[TokenRow], size: int) -> Callable[[int], float]:
    """The same with the quick forward pass, whatever the device."""
    with unproven("1"):
        return _errorbook(model, rows, size)


@contextmanager
def unproven(value: str) -> Iterator[None]:
    """Let the quick forward pass run on any device ("1"), or as the product says ("")."""
    before = os.environ.get(UNPROVEN, "")
    os.environ[UNPROVEN] = value
    try:
        yield
    finally:
        os.environ[UNPROVEN] = before


def _operations(model: Any, rows: Sequence[TokenRow]) -> float:
    """Floating-point operations that these rows ask for; see the module's head."""
    bare = model.get_base_model()
    config = bare.config
    head = config.vocab_size * config.hidden_size
    weights = sum(weight.numel() for weight in model.parameters())
    adapter = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    total = 0.0
    for row in rows:
        tokens = len(row.ids)
        scored = tokens - row.prompt
        total += (4 * (weights - adapter - head) + 6 * adapter) * tokens + 4 * head * scored
        total += 6 * config.num_hidden_layers * tokens * tokens * config.hidden_size
    return total


def resume(setting: Setting) -> Rows:
    """A training twice, and once killed and resumed: are the bits equal? Promised on a CPU only."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it no product of matrices is deterministic
    import torch

    model = model_of(setting)
    lessons = lessons_of(setting)
    recipe = recipe_of(setting, steps=24)
    promised = setting.device == "cpu"
    for name, value, exact in (("as it is", "", False), ("quick", "1", False), ("deterministic kernels", "", True)):
        torch.use_deterministic_algorithms(exact, warn_only=True)
        with unproven(value):
            found = [trained(model, lessons, recipe, setting.folder / f"{name}-{number}") for number in range(2)]
            killed = setting.folder / f"{name}-killed"
            try:
                trained(model, lessons, recipe, killed, kill_after=22)
            except _Killed:
                found.append(trained(model, lessons, recipe, killed))
        row: Row = {
            "name": name,
            "steps": found[0].steps,
            "two_equal": found[0].weights_hash == found[1].weights_hash,
            "resumed_equal": found[0].weights_hash == found[2].weights_hash,
            "first_loss": found[0].losses[0],
            "last_losses": [training.losses[-1] for training in found],
        }
        near = abs(found[2].losses[-1] / found[0].losses[-1] - 1) < 0.05
        whole = len(found[2].losses) == found[0].steps
        row["ok"] = whole and near and (row["resumed_equal"] or not promised)
        yield row
    torch.use_deterministic_algorithms(False)


def trained(
    model: str, lessons: Sequence[Lesson], recipe: Recipe, root: Path, kill_after: int | None = None
) -> Training:
    """One training by the product's own trainer, ended in the middle if told so."""

    def progress(done: int, _: int) -> None:
        if done == kill_after:
            raise _Killed

    trainer = TransformersTrainer(model)
    return trainer.train(Checkpoint(base=model, base_fingerprint=""), lessons, recipe, root, progress)


def lessons_of(setting: Setting) -> list[Lesson]:
    """Worked arithmetic problems; short sentences at small size."""
    if setting.small:
        return [
            Lesson(prompt=f"What is {n}?", completion="It is " + "one " * (n % 5), source=f"s{n}") for n in range(48)
        ]
    task = plugins.create("tasks", "arithmetic")
    return [
        Lesson(
            prompt=task.prompt(example.question),
            completion=task.completion(example.solution, example.answer),
            source=example.hash,
        )
        for example in task.examples("train", 240, 1)
    ]


def recipe_of(setting: Setting, steps: int, method: str = "lora") -> Recipe:
    """A recipe of about so many steps on those lessons."""
    size = 2 if setting.small else 8
    epochs = steps * size / len(lessons_of(setting))
    rate = 2e-2 if setting.small else 1e-3  # in a few steps a tiny model of random weights learns nothing by less
    section = TrainSection(rank=8, alpha=16, learning_rate=rate, epochs=epochs, batch_size=size, method=method)
    return section.recipe(1)


def qlora(setting: Setting) -> Rows:
    """QLoRA: its loss against that of 16 bits before training, its speed and memory, and whether it learns."""
    if find_spec("bitsandbytes") is None:
        yield {"name": "qlora", "said": "not tried: bitsandbytes is not installed"}
        return
    model = model_of(setting)
    lessons = lessons_of(setting)
    recipe = recipe_of(setting, steps=12, method="qlora")
    target_folder = _folder_of(model)
    rows, _ = encode(loading.load_tokenizer(target_folder), lessons[:16], 512)
    yield _quantised_loss(target_folder, rows, recipe)
    free(setting)
    begun = time.perf_counter()
    training = trained(model, lessons, recipe, setting.folder / "qlora")
    yield {
        "name": "training",
        "seconds_with_loading": round(time.perf_counter() - begun, 2),
        "tokens": training.tokens,
        "first_loss": training.losses[0],
        "last_loss": training.losses[-1],
        "peak_gb": peak_gb(setting),
        "ok": training.losses[-1] < training.losses[0],
    }
    yield _applied(target_folder, setting.folder / "qlora" / training.folder, rows)


def _quantised_loss(folder: str, rows: Sequence[TokenRow], recipe: Recipe) -> Row:
    import torch

    device = loading.choose_device("auto")
    dtype = loading.choose_dtype("auto", device)
    losses = []
    for one in (recipe, TrainSection(rank=8, alpha=16).recipe(1)):
        prepared = prepare_model(folder, device, dtype, one, None)
        with torch.no_grad():
            total, tokens = loss_of(prepared, rows, dtype)
        losses.append(float(total) / tokens)
    near = abs(losses[0] / losses[1] - 1) < 0.1
    return {"name": "loss in 4 bits against 16", "four": losses[0], "sixteen": losses[1], "ok": near}


def _applied(folder: str, adapter: Path, rows: Sequence[TokenRow]) -> Row:
    """The adapter loads in PEFT on the base in 16 bits, as it will be used, and lowers the loss of its lessons."""
    import torch

    device = loading.choose_device("auto")
    dtype = loading.choose_dtype("auto", device)
    base = loading.load_model(folder, device, dtype)
    with torch.no_grad():
        before, _ = loss_of(base, rows, dtype)
        after, _ = loss_of(loading.apply_adapter(base, adapter, 1.0), rows, dtype)
    return {"name": "adapter on 16 bits", "before": float(before), "after": float(after), "ok": bool(after < before)}


def _folder_of(model: str) -> str:
    from errorbook.adapters.targets.embedded import resolve

    return resolve(model)

"""How fast a LoRA trains here and with TRL's SFTTrainer on the same lessons, and whether both end equally good.

    python -m benchmarks.train [--lessons 240] [--seeds 1] [--json]

Both train the embedded model on the same worked arithmetic problems with the same rank, learning rate, schedule, batch
size, number of epochs and number format (bfloat16 products, float32 adapter), each in a process of its own. Tokens are
those of prompts and completions, however often a trainer computes them. The loss that is compared is that of the
finished adapters on the same held-out problems, computed by the same code. TRL is measured if it is installed
(pip install trl).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from errorbook import plugins
from errorbook.adapters.targets import conversation, loading
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.trainers.batches import encode
from errorbook.adapters.trainers.stepping import loss_of, quicken
from errorbook.records import Checkpoint, Lesson, Recipe
from errorbook.train import TrainSection

MODEL = "smollm2-135m-instruct"
HELD_OUT = 96
BASE = Checkpoint(base=MODEL, base_fingerprint="")


class Row(msgspec.Struct, kw_only=True):
    """One trainer's figures for one seed."""

    name: str
    seed: int
    seconds: float
    tokens: int
    loss: float

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def main() -> None:
    """Measure each trainer in its own process, then print the table."""
    options = _options()
    if options.worker:
        print(msgspec.json.encode(measure(options.worker, options.lessons, options.seed)).decode())
        return
    rows = [row for seed in range(1, options.seeds + 1) for name in TRAINERS if (row := _spawn(name, options, seed))]
    if options.json:
        print(msgspec.json.encode(rows).decode())
        return
    print(f"{options.lessons} lessons; {platform.machine()}, {os.cpu_count()} cores")
    first = {row.seed: row for row in rows if row.name == "trl"}
    for row in rows:
        against = first.get(row.seed, row)
        print(
            f"{row.name:12} seed {row.seed}  {row.rate:6.0f} tokens/s  {row.rate / against.rate:5.2f} x  "
            f"{row.seconds:6.1f} s  held-out loss {row.loss:.4f} ({row.loss / against.loss - 1:+.1%})"
        )


def measure(name: str, count: int, seed: int) -> Row:
    """Train with one of the trainers and examine the adapter."""
    taught, held_out = lessons_of(count)
    recipe = TrainSection(rank=32, alpha=64, learning_rate=5e-4, epochs=1.0, batch_size=8).recipe(seed)
    folder = resolve(MODEL)
    tokenizer = loading.load_tokenizer(folder)
    rows, _ = encode(tokenizer, taught, recipe.max_tokens)
    with tempfile.TemporaryDirectory() as space:
        seconds, adapter = TRAINERS[name](taught, recipe, Path(space))
        loss = held_out_loss(folder, adapter, held_out)
    tokens = sum(len(row.ids) for row in rows)
    return Row(name=name, seed=seed, seconds=round(seconds, 2), tokens=tokens, loss=loss)


def lessons_of(count: int) -> tuple[list[Lesson], list[Lesson]]:
    """Worked problems to learn from, and others to examine with."""
    task = plugins.create("tasks", "arithmetic")
    examples = task.examples("train", count + HELD_OUT, 1)
    lessons = [
        Lesson(
            prompt=task.prompt(example.question),
            completion=task.completion(example.solution, example.answer),
            source=example.hash,
        )
        for example in examples
    ]
    return lessons[:count], lessons[count:]


def held_out_loss(folder: str, adapter: Path, lessons: Sequence[Lesson]) -> float:
    """Mean loss over the completion tokens, in nats."""
    import torch

    model = loading.apply_adapter(loading.load_model(folder, "cpu", "bfloat16"), adapter, 1.0)
    quicken(model, "cpu")
    rows, _ = encode(loading.load_tokenizer(folder), lessons, 512)
    with torch.inference_mode():
        parts = [loss_of(model, rows[start : start + 16], "bfloat16") for start in range(0, len(rows), 16)]
    return float(sum(loss for loss, _ in parts)) / sum(tokens for _, tokens in parts)


def _errorbook(lessons: Sequence[Lesson], recipe: Recipe, root: Path) -> tuple[float, Path]:
    trainer = plugins.create("trainers", "lora", {"model": MODEL})
    # The clock starts at the first step, as TRL's does: after the model is loaded.
    started: list[float] = []
    training = trainer.train(BASE, lessons, recipe, root, lambda done, total: started.append(time.perf_counter()))
    steps = len(started)
    return (started[-1] - started[0]) * steps / (steps - 1), root / training.folder


def _trl(lessons: Sequence[Lesson], recipe: Recipe, root: Path) -> tuple[float, Path]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    folder = resolve(MODEL)
    tokenizer = loading.load_tokenizer(folder)
    data = Dataset.from_list(
        [
            {
                "prompt": conversation.render(tokenizer, lesson.prompt),
                "completion": lesson.completion + tokenizer.eos_token,
            }
            for lesson in lessons
        ]
    )
    config = SFTConfig(
        output_dir=str(root),
        per_device_train_batch_size=recipe.batch_size,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(recipe.warmup * len(lessons) / recipe.batch_size),
        max_grad_norm=1.0,
        weight_decay=recipe.weight_decay,
        bf16=True,
        use_cpu=True,
        optim="adamw_torch_fused",
        gradient_checkpointing=False,
        completion_only_loss=True,
        max_length=recipe.max_tokens,
        seed=recipe.seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
    )
    adapter = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    moments: list[float] = []

    class Clock(TrainerCallback):
        """Notes when each step ends."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            moments.append(time.perf_counter())

    model = loading.load_model(folder, "cpu", "bfloat16")
    torch.manual_seed(recipe.seed)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=adapter,
        callbacks=[Clock()],
    )
    trainer.train()
    trainer.save_model(str(root / "adapter"))
    return (moments[-1] - moments[0]) * len(moments) / (len(moments) - 1), root / "adapter"


TRAINERS: dict[str, Callable[[Sequence[Lesson], Recipe, Path], tuple[float, Path]]] = {
    "trl": _trl,
    "errorbook": _errorbook,
}


def _spawn(name: str, options: argparse.Namespace, seed: int) -> Row | None:
    """One training in a process of its own; None, with a word on stderr, if it cannot be measured."""
    if name == "trl" and find_spec("trl") is None:
        print("TRL is not installed and left out.", file=sys.stderr)
        return None
    command = [sys.executable, "-m", "benchmarks.train", "--worker", name, "--lessons", str(options.lessons)]
    done = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {(done.stderr.strip().splitlines() or ['it failed'])[-1][:160]}", file=sys.stderr)
        return None
    return msgspec.convert(json.loads(done.stdout.strip().splitlines()[-1]), Row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__.splitlines()[0])
    parser.add_argument("--lessons", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--worker", choices=sorted(TRAINERS), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

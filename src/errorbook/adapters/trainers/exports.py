"""Lessons and recipe as other trainers read them: data and YAML for LLaMA-Factory and for Axolotl.

Each tool's files are a mapping from name to text, so that looking at them writes nothing. Both tools render prompts by
the model's own chat template and put loss on the completion alone, as our own trainer does. What they do not have is
left out: LLaMA-Factory cuts a lesson at `max_tokens`; our trainer leaves it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from errorbook.errors import StageError
from errorbook.files import write_file
from errorbook.records import Lesson, Message, Recipe, messages_of

NAME = "errorbook"
"""What the data set is called in both tools."""
TRAINED = "trained"
"""The folder, below the one with the YAML, that both tools write the weights to."""

Value = str | int | float | bool | list[dict[str, object]]


def llama_factory(lessons: Sequence[Lesson], recipe: Recipe, model: str) -> dict[str, str]:
    """Files for LLaMA-Factory: alpaca data, dataset_info.json, and train.yaml. Raises StageError as `select_usable`."""
    taught = select_usable(lessons, recipe)
    preference = recipe.objective == "dpo"
    if preference:
        columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
        rows = [
            {"instruction": item.prompt, "input": "", "chosen": item.completion, "rejected": item.rejected}
            | as_alpaca(item.before)
            for item in taught
        ]
    else:
        columns = {"prompt": "instruction", "query": "input", "response": "output"}
        rows = [
            {"instruction": item.prompt, "input": "", "output": item.completion} | as_alpaca(item.before)
            for item in taught
        ]
    columns |= {name: name for name in ("system", "history") if any(name in row for row in rows)}
    told = {"file_name": "lessons.json", **({"ranking": True} if preference else {}), "columns": columns}
    return {
        "lessons.json": _json(rows, indent=1),
        "dataset_info.json": _json({NAME: told}, indent=1),
        # Without `template` it reads the chat template from the tokenizer.
        "train.yaml": to_yaml(
            {
                "model_name_or_path": model,
                **({"stage": "dpo", "pref_loss": "sigmoid", "pref_beta": recipe.beta} if preference else _SUPERVISED),
                "do_train": True,
                **_llama_factory_method(recipe),
                "dataset": NAME,
                "dataset_dir": ".",
                "cutoff_len": recipe.max_tokens,
                "output_dir": TRAINED,
                "num_train_epochs": recipe.epochs,
                "per_device_train_batch_size": recipe.batch_size,
                "gradient_accumulation_steps": 1,
                "learning_rate": recipe.learning_rate,
                **_schedule("lr_scheduler_type", recipe),
                "weight_decay": recipe.weight_decay,
                "max_grad_norm": 1.0,
                "bf16": True,
                "seed": recipe.seed,
                "logging_steps": 10,
                "report_to": "none",
            }
        ),
    }


def write_lessons(folder: Path, lessons: Sequence[Lesson], recipe: Recipe, model: str) -> None:
    """Write the lessons below a folder: as chats (lessons.jsonl), and for each tool in a folder of its own.

    Raises:
        StageError: As `select_usable`.
    """
    for tool, files in (
        ("llama-factory", llama_factory(lessons, recipe, model)),
        ("axolotl", axolotl(lessons, recipe, model)),
    ):
        write_files(folder / tool, files)
    preference = recipe.objective == "dpo"
    chats = (_json(_conversation(one, preference=preference)) + "\n" for one in select_usable(lessons, recipe))
    write_files(folder, {"lessons.jsonl": "".join(chats)})


def as_alpaca(before: Sequence[Message]) -> dict[str, Any]:
    """What stands before an instruction, in the columns that its form has for that: nothing if nothing does."""
    system = "\n\n".join(one.content for one in before if one.role == "system")
    turns = [one.content for one in before if one.role != "system"]
    if len(turns) % 2:  # the assistant began, with a greeting
        turns.insert(0, "")
    history = [list(pair) for pair in zip(turns[::2], turns[1::2], strict=True)]
    return {**({"system": system} if system else {}), **({"history": history} if history else {})}


def axolotl(lessons: Sequence[Lesson], recipe: Recipe, model: str) -> dict[str, str]:
    """Files for Axolotl: chat data as JSON lines, and train.yaml. Raises StageError as `select_usable` does."""
    taught = select_usable(lessons, recipe)
    preference = recipe.objective == "dpo"
    data: dict[str, object] = {"path": "lessons.jsonl", "ds_type": "json", "split": "train"}
    data |= {"field_messages": "messages"}
    if preference:
        data |= {"type": "chat_template.default", "field_chosen": "chosen", "field_rejected": "rejected"}
    else:
        data |= {"type": "chat_template", "roles_to_train": ["assistant"], "train_on_eos": "turn"}
    return {
        "lessons.jsonl": "".join(_json(_conversation(lesson, preference=preference)) + "\n" for lesson in taught),
        "train.yaml": to_yaml(
            {
                "base_model": model,
                **({"rl": "dpo", "rl_beta": recipe.beta} if preference else {"train_on_inputs": False}),
                **_axolotl_method(recipe),
                "datasets": [data],
                "val_set_size": 0,
                "sequence_len": recipe.max_tokens,
                "sample_packing": False,
                "output_dir": TRAINED,
                "num_epochs": recipe.epochs,
                "micro_batch_size": recipe.batch_size,
                "gradient_accumulation_steps": 1,
                "learning_rate": recipe.learning_rate,
                "optimizer": "adamw_torch_fused",
                **_schedule("lr_scheduler", recipe),
                "weight_decay": recipe.weight_decay,
                "max_grad_norm": 1.0,
                "bf16": "auto",
                "seed": recipe.seed,
                "logging_steps": 10,
            }
        ),
    }


def select_usable(lessons: Sequence[Lesson], recipe: Recipe) -> list[Lesson]:
    """The lessons that the recipe's objective can learn from: for preference those with a rejected response.

    Raises:
        StageError: There is none.
    """
    kept = [lesson for lesson in lessons if lesson.rejected or recipe.objective == "sft"]
    if not kept:
        wanted = "lesson" if recipe.objective == "sft" else "lesson with a rejected response"
        raise StageError(f"There is no {wanted} to export; see the rejections in the report.")
    return kept


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder, each all or nothing; equal calls write equal files."""
    for name, text in files.items():
        write_file(folder / name, text)


def to_yaml(values: Mapping[str, Value]) -> str:
    """One YAML document of settings, in their order."""
    return msgspec.yaml.encode(values).decode()


_SUPERVISED = {"stage": "sft"}


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _conversation(lesson: Lesson, *, preference: bool) -> dict[str, object]:
    asked = [{"role": one.role, "content": one.content} for one in messages_of(lesson.asked)]
    answered = {"role": "assistant", "content": lesson.completion}
    if not preference:
        return {"messages": [*asked, answered]}
    return {
        "messages": asked,
        "chosen": answered,
        "rejected": {"role": "assistant", "content": lesson.rejected},
    }


def _schedule(key: str, recipe: Recipe) -> dict[str, Value]:
    """Both tools hand the name of a schedule on to transformers, whose "constant" knows no warm-up."""
    name = "constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule
    if recipe.warmup_steps is None:
        return {key: name, "warmup_ratio": recipe.warmup}
    return {key: name, "warmup_steps": recipe.warmup_steps}


def _llama_factory_method(recipe: Recipe) -> dict[str, Value]:
    if recipe.method == "full":
        return {"finetuning_type": "full"}
    adapter: dict[str, Value] = {
        "finetuning_type": "lora",
        "lora_rank": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "lora_target": "all",
    }
    four_bit: dict[str, Value] = {"quantization_bit": 4} if recipe.method == "qlora" else {}
    return adapter | four_bit


def _axolotl_method(recipe: Recipe) -> dict[str, Value]:
    if recipe.method == "full":
        return {}
    adapter: dict[str, Value] = {
        "adapter": "qlora" if recipe.method == "qlora" else "lora",
        "lora_r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "lora_target_linear": True,
    }
    four_bit: dict[str, Value] = {"load_in_4bit": True} if recipe.method == "qlora" else {}
    return adapter | four_bit

"""Lessons for other trainers: what LLaMA-Factory and Axolotl get to read, and how a training elsewhere is taken up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipe_kit import recipe_of

from errorbook.adapters.trainers import exports
from errorbook.adapters.trainers.external import ExternalTrainer
from errorbook.errors import ConfigError, ModelError, StageError
from errorbook.interfaces import Trainer
from errorbook.records import Checkpoint, Lesson, Recipe, Training, digest
from errorbook.train import training_set_hash

yaml: Any = pytest.importorskip("yaml")

BASE = Checkpoint(base="owner/model", base_fingerprint="f")
LESSONS = [
    Lesson(prompt="What is 2 + 2?\nAnswer:", completion='It is "4": 2 + 2 = 4.', source="s1", rejected="It is 5."),
    Lesson(prompt="Größe? 😀", completion="# not a comment\n- yes", source="s2", replay=True),
]
RECIPE = recipe_of(
    method="external", rank=12, alpha=24, learning_rate=5e-5, epochs=1.5, batch_size=4, seed=9, warmup=0.1
)
PREFERENCE = msgspec.structs.replace(RECIPE, objective="dpo", beta=0.05)


def settings(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files["train.yaml"])
    return found


# The files -----------------------------------------------------------------------------------------------------------


def test_llama_factory_reads_lessons_as_instructions() -> None:
    files = exports.llama_factory(LESSONS, RECIPE, "owner/model")

    described = json.loads(files["dataset_info.json"])["errorbook"]
    rows = json.loads(files[described["file_name"]])
    columns = described["columns"]
    assert "ranking" not in described
    assert [(row[columns["prompt"]], row[columns["query"]], row[columns["response"]]) for row in rows] == [
        (lesson.prompt, "", lesson.completion) for lesson in LESSONS
    ]


def test_llama_factory_gets_the_recipe() -> None:
    expected = {
        "model_name_or_path": "owner/model",
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 12,
        "lora_alpha": 24,
        "lora_dropout": 0.0,
        "lora_target": "all",
        "dataset": "errorbook",
        "dataset_dir": ".",
        "cutoff_len": 512,
        "output_dir": "trained",
        "num_train_epochs": 1.5,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "learning_rate": 5e-5,
        "lr_scheduler_type": "linear",
        "warmup_ratio": 0.1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": True,
        "seed": 9,
        "logging_steps": 10,
        "report_to": "none",
    }

    assert settings(exports.llama_factory(LESSONS, RECIPE, "owner/model")) == expected


def test_axolotl_reads_lessons_as_conversations() -> None:
    files = exports.axolotl(LESSONS, RECIPE, "owner/model")

    [data] = settings(files)["datasets"]
    rows = [json.loads(line) for line in files[data["path"]].splitlines()]
    assert (data["ds_type"], data["type"], data["roles_to_train"]) == ("json", "chat_template", ["assistant"])
    assert [[turn["content"] for turn in row[data["field_messages"]]] for row in rows] == [
        [lesson.prompt, lesson.completion] for lesson in LESSONS
    ]
    assert {turn["role"] for row in rows for turn in row["messages"]} == {"user", "assistant"}


def test_axolotl_gets_the_recipe() -> None:
    found = settings(exports.axolotl(LESSONS, RECIPE, "owner/model"))
    found.pop("datasets")

    assert found == {
        "base_model": "owner/model",
        "train_on_inputs": False,
        "adapter": "lora",
        "lora_r": 12,
        "lora_alpha": 24,
        "lora_dropout": 0.0,
        "lora_target_linear": True,
        "val_set_size": 0,
        "sequence_len": 512,
        "sample_packing": False,
        "output_dir": "trained",
        "num_epochs": 1.5,
        "micro_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "learning_rate": 5e-5,
        "optimizer": "adamw_torch_fused",
        "lr_scheduler": "linear",
        "warmup_ratio": 0.1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": "auto",
        "seed": 9,
        "logging_steps": 10,
    }


@pytest.mark.parametrize(
    ("export", "key"), [(exports.llama_factory, "lr_scheduler_type"), (exports.axolotl, "lr_scheduler")]
)
def test_each_tool_gets_the_schedule_and_a_warm_up_in_steps(export: Any, key: str) -> None:
    level = msgspec.structs.replace(RECIPE, schedule="constant", warmup_steps=100)
    found = settings(export(LESSONS, level, "owner/model"))

    assert (found[key], found["warmup_steps"]) == ("constant_with_warmup", 100)
    assert "warmup_ratio" not in found
    assert settings(export(LESSONS, msgspec.structs.replace(RECIPE, schedule="cosine"), "m"))[key] == "cosine"


def test_preference_takes_the_lessons_with_a_rejected_response() -> None:
    files = exports.llama_factory(LESSONS, PREFERENCE, "m")
    described = json.loads(files["dataset_info.json"])["errorbook"]
    [row] = json.loads(files["lessons.json"])

    assert described["ranking"] is True
    assert (row[described["columns"]["chosen"]], row[described["columns"]["rejected"]]) == (
        LESSONS[0].completion,
        "It is 5.",
    )
    told = settings(files)
    assert (told["stage"], told["pref_loss"], told["pref_beta"]) == ("dpo", "sigmoid", 0.05)

    files = exports.axolotl(LESSONS, PREFERENCE, "m")
    told = settings(files)
    [data] = told["datasets"]
    [row] = [json.loads(line) for line in files["lessons.jsonl"].splitlines()]
    assert (told["rl"], told["rl_beta"], data["type"]) == ("dpo", 0.05, "chat_template.default")
    assert "train_on_inputs" not in told
    assert [turn["role"] for turn in row["messages"]] == ["user"]
    assert row[data["field_chosen"]] == {"role": "assistant", "content": LESSONS[0].completion}
    assert row[data["field_rejected"]] == {"role": "assistant", "content": "It is 5."}


def test_the_method_is_each_tools_own_word() -> None:
    four_bit = msgspec.structs.replace(RECIPE, method="qlora")
    full = msgspec.structs.replace(RECIPE, method="full")

    assert settings(exports.llama_factory(LESSONS, four_bit, "m"))["quantization_bit"] == 4
    assert settings(exports.axolotl(LESSONS, four_bit, "m"))["load_in_4bit"] is True
    assert settings(exports.axolotl(LESSONS, four_bit, "m"))["adapter"] == "qlora"
    assert settings(exports.llama_factory(LESSONS, full, "m"))["finetuning_type"] == "full"
    assert not [key for key in settings(exports.llama_factory(LESSONS, full, "m")) if key.startswith("lora")]
    assert not [key for key in settings(exports.axolotl(LESSONS, full, "m")) if key.startswith(("lora", "adapter"))]


@pytest.mark.parametrize("export", [exports.llama_factory, exports.axolotl])
def test_nothing_to_learn_from_is_an_error(export: Any) -> None:
    with pytest.raises(StageError, match="no lesson to export"):
        export([], RECIPE, "m")
    with pytest.raises(StageError, match="no lesson with a rejected response to export"):
        export(LESSONS[1:], PREFERENCE, "m")


@given(
    number=st.floats(min_value=1e-12, max_value=1e12),
    whole=st.integers(0, 2**31),
    name=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1),
)
def test_every_value_is_read_back_by_a_yaml_parser_as_it_is(number: float, whole: int, name: str) -> None:
    values: dict[str, exports.Value] = {"number": number, "whole": whole, "name": name, "flag": True}

    assert yaml.safe_load(exports.to_yaml(values)) == values


@given(st.text(), st.text(min_size=1))
def test_any_text_survives_in_the_data(prompt: str, completion: str) -> None:
    lessons = [Lesson(prompt=prompt, completion=completion, source="s")]

    [row] = json.loads(exports.llama_factory(lessons, RECIPE, "m")["lessons.json"])
    [line] = exports.axolotl(lessons, RECIPE, "m")["lessons.jsonl"].split("\n")[:-1]

    assert (row["instruction"], row["output"]) == (prompt, completion)
    assert [turn["content"] for turn in json.loads(line)["messages"]] == [prompt, completion]


# The trainer ---------------------------------------------------------------------------------------------------------


def attempt(root: Path, parent: Checkpoint = BASE, recipe: Recipe = RECIPE) -> Training:
    trainer: Trainer = ExternalTrainer("owner/model")
    return trainer.train(parent, LESSONS, recipe, root, lambda done, total: None)


def waiting(root: Path, parent: Checkpoint = BASE, recipe: Recipe = RECIPE) -> Path:
    """Where the trainer wants served.json."""
    with pytest.raises(ModelError) as caught:
        attempt(root, parent, recipe)
    named = re.search(r"to '([^']*served\.json)'", str(caught.value))
    assert named is not None
    return Path(named[1])


def test_the_first_call_writes_everything_down_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        attempt(tmp_path)

    identity = digest(BASE.hash, training_set_hash(LESSONS), RECIPE.hash)
    export = tmp_path / "exports" / identity
    assert str(caught.value) == (
        f'The lessons of this cycle wait in \'{export}\': train there, serve the result, write {{"model": "NAME"}} '
        f"with its served name to '{tmp_path / 'checkpoints' / identity / 'served.json'}', and give the same command "
        "again."
    )
    assert sorted(path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()) == [
        "README.md",
        "axolotl/lessons.jsonl",
        "axolotl/train.yaml",
        "lessons.jsonl",
        "llama-factory/dataset_info.json",
        "llama-factory/lessons.json",
        "llama-factory/train.yaml",
    ]
    assert len((export / "README.md").read_text().splitlines()) == 3
    assert (tmp_path / "checkpoints" / identity).is_dir()


def test_the_same_call_goes_on_once_the_model_is_served(tmp_path: Path) -> None:
    served = waiting(tmp_path)
    assert waiting(tmp_path) == served  # asked again, nothing has changed
    served.write_text('{"model": "model-1"}')

    training = attempt(tmp_path)

    assert training.folder == served.parent.relative_to(tmp_path).as_posix()
    assert (training.lessons, training.replayed, training.losses) == (2, 1, ())
    assert training.weights_hash
    assert attempt(tmp_path) == training
    served.write_text('{"model": "model-2"}')
    assert attempt(tmp_path).weights_hash != training.weights_hash


def test_a_later_cycle_starts_from_the_model_that_is_served_or_from_the_base(tmp_path: Path) -> None:
    served = waiting(tmp_path)
    served.write_text('{"model": "model-1"}')
    parent = Checkpoint(
        base="owner/model", base_fingerprint="f", method="external", form="served", folder=attempt(tmp_path).folder
    )
    restarted = msgspec.structs.replace(RECIPE, start="restart")

    for recipe, start in ((RECIPE, "model-1"), (restarted, "owner/model")):
        folder = tmp_path / "exports" / waiting(tmp_path, parent, recipe).parent.name
        assert yaml.safe_load((folder / "axolotl" / "train.yaml").read_text())["base_model"] == start
        assert f"Train '{start}'" in (folder / "README.md").read_text()


def test_the_model_that_was_to_be_trained_is_not_the_trained_one(tmp_path: Path) -> None:
    waiting(tmp_path).write_text('{"model": "owner/model"}')

    with pytest.raises(ModelError, match="names the model 'owner/model' that was to be trained; write the name"):
        attempt(tmp_path)


def test_weights_that_were_trained_here_are_not_continued_elsewhere(tmp_path: Path) -> None:
    parent = Checkpoint(base="owner/model", base_fingerprint="f", method="lora", form="adapter", folder="checkpoints/x")

    with pytest.raises(ConfigError, match=r"are 'lora' and were trained here; keep that method .* start = 'restart'"):
        attempt(tmp_path, parent)


def test_an_unreadable_answer_is_explained(tmp_path: Path) -> None:
    waiting(tmp_path).write_text("model-1")

    with pytest.raises(ModelError, match=r"cannot be read .*; write \{\"model\": \"NAME\"\} into it"):
        attempt(tmp_path)

"""The table of docs/reliability.md: each detector exists, and fires at its fault with the sentence it has there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from places import ROOT
from recipe_kit import recipe_of

from errorbook.adapters.targets import canary, loading
from errorbook.adapters.targets.embedded import quiet_transformers
from errorbook.checks.answers import Given, find_cut_off, find_empty, find_parrot, find_sameness, find_template_marks
from errorbook.checks.answers import find_unreadable as find_unscorable
from errorbook.errors import DataError, ErrorbookError, ModelError, OutageError
from errorbook.records import Checkpoint, Example, Lesson, Training
from errorbook.select import refuse_shared, select
from errorbook.setup.outages import require_training

ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\|.*\| `errorbook\.", line)
]
WANTED = (
    "empty stage",
    "nothing verified",
    "all unscorable",
    "most cut off",
    "changed nothing",
    "adapter that is not applied",
    "wrong chat template",
    "dev inside train",
    "NaN",
    "dead tokenizer setting",
    "every question alike",
)


def test_every_fault_is_in_the_table() -> None:
    faults = " ".join(row[0] for row in ROWS)
    assert [fault for fault in WANTED if fault not in faults] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_detector_exists(row: list[str]) -> None:
    module, name = row[1].strip("`").split(":")
    assert callable(getattr(importlib.import_module(module), name))


def given(texts: Sequence[str], *, scored: bool = True, truncated: bool = False) -> list[Given]:
    return [Given(text, str(number), scored, truncated) for number, text in enumerate(texts)]


HEALTHY = given([f"Answer: {number}" for number in range(40)])


@pytest.mark.parametrize(
    ("detect", "sick", "said"),
    [
        (find_empty, given([" \n"] * 40), "40 of 40 answers are empty"),
        (find_unscorable, given(["hm"] * 40, scored=False), "40 of 40 answers could not be scored (the first: 'hm')"),
        (find_cut_off, given(["so"] * 40, scored=False, truncated=True), "40 of 40 answers were cut off"),
        (find_template_marks, given(["[INST] so [/INST]"] * 40), "such as '[INST]'"),
        (find_template_marks, given(["<|start_header_id|>x"] * 40), "such as '<|start_header_id|>'"),
        (find_sameness, given(["Answer: 7"] * 40), "all 40 questions got the same answer ('Answer: 7')"),
    ],
)
def test_detectors_of_answers_fire_at_their_fault_alone(
    detect: Callable[[Sequence[Given]], str], sick: list[Given], said: str
) -> None:
    mixed = [*sick[:30], *HEALTHY[30:]]

    assert said in detect(sick)
    assert detect(HEALTHY) == detect(mixed) == ""
    assert any(detect.__name__ in row[1] for row in ROWS)


def test_one_answer_to_every_multiple_choice_question_is_a_weak_model_and_no_outage() -> None:
    letters = [Given("A", "ABCD"[number % 4], scored=True, truncated=False) for number in range(40)]

    assert find_sameness(letters) == ""
    assert find_sameness(given(["Answer: 7"] * 5)) == ""


def test_a_parrot_is_told() -> None:
    texts = [f"Answer: {number}" for number in range(40)]

    assert "all 40 answers are those of the model before, letter for letter" in find_parrot(texts, list(texts))
    assert find_parrot(texts, [*texts[:-1], "Answer: 41"]) == ""


def training(**changes: Any) -> Training:
    whole = Training(
        training_set="",
        parent="",
        lessons=1,
        replayed=0,
        trainable_parameters=1,
        steps=2,
        tokens=1,
        truncated=0,
        losses=(1.0, 0.5),
        folder="checkpoints/x",
        weights_hash="new",
    )
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("sick", "said"),
    [
        ({"steps": 0}, "it made no step"),
        ({"losses": (1.0, float("nan"))}, "the loss of step 2 is no number"),
        ({"losses": (float("inf"),)}, "the loss of step 1 is no number"),
        ({"weights_hash": "old"}, "its weights are those that it began with"),
    ],
)
def test_a_training_that_did_nothing_is_no_result(sick: dict[str, Any], said: str) -> None:
    parent = Checkpoint(base="b", base_fingerprint="f", weights_hash="old")
    require_training(parent, training())

    with pytest.raises(OutageError, match=said):
        require_training(parent, training(**sick))


def example(number: int, split: Any) -> Example:
    return Example(id=f"{split}{number}", task="sums", split=split, question=f"What is {number} + 1?", answer="2")


def test_dev_inside_train_is_refused() -> None:
    train = [example(number, "train") for number in range(60)]
    apart = [example(number, "dev") for number in range(55, 115)]
    refuse_shared("sums", {"train": train, "dev": apart})

    with pytest.raises(DataError, match="60 of 60 dev questions of 'sums' are train questions as well"):
        refuse_shared("sums", {"train": train, "dev": [example(number, "dev") for number in range(60)]})


def test_an_empty_split_is_refused() -> None:
    task: Any = SimpleNamespace(name="sums", examples=lambda *_: ())
    with pytest.raises(DataError, match="The dev split of 'sums' is empty"):
        select(task, "dev", 5, 0)


def test_a_server_that_leaves_its_adapter_out_is_told() -> None:
    base = (canary.Take("blue", (-0.1,)),)
    with pytest.raises(ModelError, match="is not applied"):
        canary.prove("mine", base, [base])


def fail(act: Callable[[], object]) -> str:
    with pytest.raises(ErrorbookError) as raised:
        act()
    return str(raised.value)


def test_a_lame_tokenizer_is_told(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    tokenizer.chat_template = "{{ bos_token }}assistant:"

    assert "leaves out the question" in fail(lambda: loading.check_tokenizer(tokenizer, "here"))
    deaf: Any = lambda text, **_: {"input_ids": [0]}  # noqa: E731
    deaf.chat_template, deaf.eos_token_id = "", 2
    assert "the same tokens of different questions" in fail(lambda: loading.check_tokenizer(deaf, "here"))


def test_weights_that_are_no_numbers_are_told(tiny_model: Path) -> None:
    model = loading.load_model(str(tiny_model), "cpu", "float32")
    next(iter(model.parameters())).data.view(-1)[3] = float("nan")

    assert "are no finite numbers" in fail(lambda: loading.require_numbers(model, "here"))


def test_an_adapter_with_the_names_of_other_layers_is_told(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = loading.load_model(str(tiny_model), "cpu", "float32")
    with quiet_transformers():
        from peft import LoraConfig, get_peft_model

        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    for name, weight in adapted.named_parameters():
        if ".lora_B." in name:
            weight.data.fill_(0.1)
    adapted.save_pretrained(str(tmp_path))
    again = loading.load_model(str(tiny_model), "cpu", "float32")
    loading.apply_adapter(again, tmp_path, 1.0)
    file = tmp_path / "adapter_model.safetensors"
    save_file({name.replace("layers", "blocks"): weight for name, weight in load_file(file).items()}, file)

    other = loading.load_model(str(tiny_model), "cpu", "float32")
    with pytest.warns(UserWarning, match="missing adapter keys"):
        assert "is not applied" in fail(lambda: loading.apply_adapter(other, tmp_path, 1.0))


def test_a_training_that_runs_into_nan_stops_with_nothing_written(tiny_model: Path, tmp_path: Path) -> None:
    from errorbook.adapters.trainers.transformers import TransformersTrainer

    lessons = [Lesson(prompt=f"What is {n} + 1?", completion=f"Answer: {n + 1}", source=str(n)) for n in range(12)]
    recipe = replace(recipe_of(rank=4, epochs=4.0, batch_size=2, warmup=0.0), learning_rate=1e38)
    trainer = TransformersTrainer(str(tiny_model), device="cpu", dtype="float32")
    base = Checkpoint(base=str(tiny_model), base_fingerprint="f")

    with pytest.raises(OutageError, match="or its slope is no finite number; lower learning_rate"):
        trainer.train(base, lessons, recipe, tmp_path, lambda *_: None)
    assert list(tmp_path.rglob("*.safetensors")) == []

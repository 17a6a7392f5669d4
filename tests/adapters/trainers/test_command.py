"""Training by a command line: what it is told, what is taken of what it leaves, and that it is not started twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loop_kit import RUN_FILE
from msgspec.structs import replace
from recipe_kit import child_of, recipe_of

from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.trainers.command import CommandTrainer
from errorbook.adapters.trainers.external import ExternalTrainer
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.config import parse
from errorbook.errors import ConfigError, ErrorbookError, ModelError, OutageError
from errorbook.records import Checkpoint, Generation, Lesson, Recipe, Training
from errorbook.setup.claim import identify
from errorbook.setup.outages import require_training

BASE = Checkpoint(base="tiny", base_fingerprint="f")
LESSONS = [Lesson(prompt=f"Say {number}.", completion=f"Answer: {number}", source=f"s{number}") for number in range(4)]
RECIPE = recipe_of(method="command", rank=4, alpha=8, epochs=1, start="restart")

JOB = """
import json, shutil, sys, pathlib
data, recipe, out, source = map(pathlib.Path, sys.argv[1:5])
lines = (data / "lessons.jsonl").read_text().splitlines()
assert json.loads(lines[0])["messages"][-1] == {"role": "assistant", "content": "Answer: 0"}
assert json.loads(recipe.read_text())["rank"] == 4
(data / "starts").open("a").write("x")
shutil.copytree(source, out, dirs_exist_ok=True)
print("trained")
"""


def silent(done: int, total: int) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    trainer = TransformersTrainer(str(tiny_model), device="cpu", dtype="float32")
    recipe = recipe_of(rank=4, alpha=8, learning_rate=1e-2, epochs=1)
    return root / trainer.train(BASE, LESSONS, recipe, root, silent).folder


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Callable[..., Training]:
    def run(command: str, recipe: Recipe = RECIPE, **options: Any) -> Training:
        return CommandTrainer(str(tiny_model), command=command, **options).train(
            BASE, LESSONS, recipe, tmp_path, silent
        )

    return run


@pytest.fixture
def job(tmp_path: Path, adapter: Path) -> str:
    (tmp_path / "job.py").write_text(JOB)
    return f"{sys.executable} {tmp_path / 'job.py'} {{data}} {{recipe}} {{out}} {adapter}"


def test_what_a_command_leaves_is_checked_and_taken(
    run: Callable[..., Training], job: str, tmp_path: Path, tiny_model: Path
) -> None:
    training = run(job)
    assert (training.lessons, training.steps, training.elsewhere, training.trainable_parameters) == (4, 0, True, 4096)
    require_training(BASE, training)
    assert run(job) == training
    assert len((next((tmp_path / "exports").iterdir()) / "starts").read_text()) == 1
    target = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    target.use(replace(child_of(BASE, training), method="command"), tmp_path)
    assert list(target.generate(["Say 1."], Generation(max_new_tokens=2)))


def spoil(adapter: Path, copy: Path, how: str) -> None:
    """A copy of the adapter with one thing wrong."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, copy)
    weights = load_file(copy / "adapter_model.safetensors")
    first = next(name for name in weights if "q_proj.lora_B" in name)
    config = json.loads((copy / "adapter_config.json").read_text())
    if how == "nan":
        weights[first][0, 0] = float("nan")
    elif how == "zero":
        weights = {name: one * (".lora_B." not in name) for name, one in weights.items()}
    elif how == "size":
        weights[first] = weights[first][:-1].clone()
    elif how == "layer":
        weights = {name.replace("q_proj", "qq_proj"): one for name, one in weights.items()}
    elif how == "rank":
        config["r"] = 8
    elif how == "kind":
        config["peft_type"] = "IA3"
    elif how == "half":
        del weights[first]
    save_file(weights, copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_text(json.dumps(config))
    if how == "torn":
        whole = (copy / "adapter_model.safetensors").read_bytes()
        (copy / "adapter_model.safetensors").write_bytes(whole[:-100])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nan", "not finite"),
        ("zero", "changes nothing"),
        ("size", "but the base's is"),
        ("layer", "the base has no layer"),
        ("rank", "has rank 4"),
        ("kind", "peft_type"),
        ("half", "do not go together"),
        ("torn", "cannot be read"),
    ],
)
def test_what_is_no_adapter_of_the_base_is_refused_in_a_sentence(
    how: str, words: str, run: Callable[..., Training], job: str, adapter: Path, tmp_path: Path
) -> None:
    spoil(adapter, tmp_path / "spoilt", how)
    with pytest.raises(ModelError, match=words):
        run(job.replace(str(adapter), str(tmp_path / "spoilt")))
    # The person mends what is there; the command is not started again for that.
    out = next((tmp_path / "exports").iterdir()) / "trained"
    shutil.copytree(adapter, out, dirs_exist_ok=True)
    assert run(job.replace(str(adapter), str(tmp_path / "spoilt"))).trainable_parameters == 4096


def test_a_command_that_fails_is_a_sentence_with_its_last_lines_and_is_started_again(
    run: Callable[..., Training], job: str, tmp_path: Path
) -> None:
    broken = f"{sys.executable} -c 'print(1); print(\"no GPU is free\"); exit(3)' {{out}}"
    with pytest.raises(OutageError, match=r"ended with status 3; .*: 1 \| no GPU is free$") as raised:
        run(broken)
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(OutageError, match=r"no adapter_config.json with .* is written|there is no adapter_config.json"):
        run("true {out}")
    with pytest.raises(ConfigError, match="'no-such-program' of command"):
        CommandTrainer("m", command="no-such-program {out}").train(BASE, LESSONS, RECIPE, tmp_path / "other", silent)


@pytest.mark.slow
def test_a_result_that_a_queue_brings_later_is_waited_for(
    run: Callable[..., Training], job: str, tmp_path: Path
) -> None:
    queue = f"sh -c '(sleep 0.5; {job}) >/dev/null 2>&1 &' {{out}}"
    assert run(queue, wait=30.0).trainable_parameters == 4096


KILLED = """
import sys, msgspec, pathlib
sys.path[:0] = {path!r}
from errorbook.adapters.trainers.command import CommandTrainer
from errorbook.records import Checkpoint, Lesson, Recipe
recipe, lessons = msgspec.json.decode({recipe!r}, type=Recipe), msgspec.json.decode({lessons!r}, type=list[Lesson])
base = Checkpoint(base="tiny", base_fingerprint="f")
CommandTrainer({model!r}, command={command!r}).train(base, lessons, recipe, pathlib.Path({root!r}), lambda a, b: None)
"""


@pytest.mark.parametrize("pause", [0.0, 3.0])
@pytest.mark.slow
def test_a_killed_run_does_not_start_a_command_twice(
    pause: float, run: Callable[..., Training], job: str, tmp_path: Path, tiny_model: Path
) -> None:
    slow = f"sh -c '{job}; sleep 1.5' {{out}}"
    told = {
        "path": sys.path,
        "recipe": msgspec.json.encode(RECIPE).decode(),
        "lessons": msgspec.json.encode(LESSONS).decode(),
        "model": str(tiny_model),
        "command": slow,
        "root": str(tmp_path),
    }
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(**told)])
    starts = tmp_path / "exports"
    until = time.monotonic() + 60
    while not list(starts.glob("*/starts")) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(pause)  # the command goes on, or has ended, when the run is started again
    assert run(slow).trainable_parameters == 4096
    assert (next(starts.iterdir()) / "starts").read_text() == "x"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train {data}", r"has no \{out\}"),
        ("train {out} {lessons}", r"\{lessons\}, which stands for nothing; write \{data\}, \{recipe\}"),
        ("train '{out}", "cannot be read"),
        ("train {out} {", "cannot be read"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused_at_once(command: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CommandTrainer("m", command=command)


def test_a_recipe_that_the_command_cannot_follow_is_refused() -> None:
    trainer = CommandTrainer("m", command="train {out}")
    assert "write {parent} in it" in trainer.refuse(recipe_of(method="command"))
    assert trainer.refuse(RECIPE) == ""
    assert "learn from itself" in trainer.refuse(recipe_of(method="command", objective="self_distill"))
    assert CommandTrainer("m", command="train {out} {parent}").refuse(recipe_of(method="command")) == ""
    assert trainer.produces(RECIPE) == "adapter"
    assert CommandTrainer("m", command="train {out}", form="weights").produces(RECIPE) == "weights"


def test_whole_weights_are_taken_too(run: Callable[..., Training], tmp_path: Path, tiny_model: Path) -> None:
    training = run(f"cp -r {tiny_model} {{out}}", form="weights")
    assert training.trainable_parameters > 20_000
    assert (tmp_path / training.folder / "tokenizer.json").is_file()


def test_a_training_that_people_did_is_a_result(tmp_path: Path) -> None:
    trainer, recipe = ExternalTrainer("owner/model"), recipe_of(method="external")
    with pytest.raises(ErrorbookError, match="wait in"):
        trainer.train(BASE, LESSONS, recipe, tmp_path, silent)
    place = next((tmp_path / "checkpoints").iterdir()) / "served.json"
    place.write_text('{"model": "mine"}')
    require_training(BASE, trainer.train(BASE, LESSONS, recipe, tmp_path, silent))


def test_a_command_line_that_failed_may_be_mended_between_two_starts() -> None:
    train = f"{RUN_FILE[: RUN_FILE.index('[train]')]}[train]\nmethod = 'command'\nstart = 'restart'\ncommand = "
    first, second = (parse(f"{train}'{line} {{out}}'\nwait = {wait}\n") for line, wait in (("one", 1), ("two", 2)))
    assert identify(first) == identify(second) != identify(parse(RUN_FILE))
    told = 'engine = "tinker"\nmodel = "Qwen/Qwen3-8B"\npatience = '
    text = RUN_FILE.replace('engine = "scripted"\naccuracy = 0.3\ngain = 0.25', told + "{}")
    text = text.replace('method = "scripted"', 'method = "tinker"')
    assert identify(parse(text.format(9))) == identify(parse(text.format(99)))

"""Several processes train as one would: same lessons, same weights, and whoever is killed costs no more than time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recipe_kit import recipe_of

from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.group import ProcessGroup
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.launch import LaunchedTrainer, ProcessJob, ProcessMessage, accelerate_config
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.adapters.trainers.updating import list_passes
from errorbook.errors import ConfigError, StageError
from errorbook.records import Checkpoint, Lesson, Training

BASE = Checkpoint(base="tiny", base_fingerprint="f")
RECIPE = recipe_of(rank=4, alpha=8, learning_rate=1e-2, epochs=2.0, batch_size=5)
LESSONS = [
    Lesson(
        prompt=f"Calculate {number} + {number}.",
        completion=f"Answer: {2 * number}",
        source=f"s{number}",
        rejected="No idea." if number % 3 else "",
    )
    for number in range(22)
]


def silent(done: int, total: int) -> None:
    """Show nothing."""


def largest_difference(one: Path, other: Path) -> float:
    """Of all weights in two folders."""
    from safetensors.torch import load_file

    files = [sorted(folder.glob("*.safetensors")) for folder in (one, other)]
    sides = [{name: value for file in side for name, value in load_file(file).items()} for side in files]
    assert sides[0].keys() == sides[1].keys()
    return max(float((value.float() - sides[1][name].float()).abs().max()) for name, value in sides[0].items())


def job_for(group: ProcessGroup, *, sharded: bool) -> Job:
    rows = [TokenRow((1, 2, 3), 1) for _ in range(5)]
    return Job(
        model=None,
        rows=rows,
        rejected=[None] * 5,
        steps=[[4, 0, 3, 1, 2]],
        recipe=RECIPE,
        dtype="float32",
        state=Path(),
        group=group,
        sharded=sharded,
        at_once=2,
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_every_row_of_a_step_is_computed_once_and_sharing_processes_compute_equally_often(size: int) -> None:
    shares = [list_passes(job_for(ProcessGroup(rank, size), sharded=False), [4, 0, 3, 1, 2]) for rank in range(size)]
    sharded = [list_passes(job_for(ProcessGroup(rank, size), sharded=True), [4, 0, 3, 1, 2]) for rank in range(size)]

    for divided in (shares, sharded):
        counted = [number for share in divided for numbers, counts in share if counts for number in numbers]
        assert sorted(counted) == [0, 1, 2, 3, 4]
        assert all(0 < len(numbers) <= 2 for share in divided for numbers, _ in share)
    assert len({len(share) for share in sharded}) == 1


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_configuration_is_one_that_accelerate_reads(strategy: str, tmp_path: Path) -> None:
    arguments: Any = import_module("accelerate.commands.config.config_args")
    file = tmp_path / "accelerate.yaml"
    file.write_text(accelerate_config(4, "fsdp" if strategy == "fsdp" else "ddp"), encoding="utf-8")

    read = arguments.load_config_from_file(str(file))

    assert read.num_processes == 4
    assert read.distributed_type.value == ("FSDP" if strategy == "fsdp" else "MULTI_GPU")
    assert getattr(read, "fsdp_config", {}).get("fsdp_version") == (2 if strategy == "fsdp" else None)


def test_what_the_processes_are_told_and_tell_survives_the_road() -> None:
    order = ProcessJob(
        model="m",
        device="cpu",
        dtype="auto",
        strategy="ddp",
        thinking="off",
        parent=BASE,
        lessons=tuple(LESSONS),
        recipe=RECIPE,
        root="r",
    )
    message = ProcessMessage(error="ConfigError", sentence="Say\nit.")

    assert msgspec.json.decode(msgspec.json.encode(order), type=ProcessJob) == order
    assert b"\n" not in msgspec.json.encode(message)
    assert msgspec.json.decode(msgspec.json.encode(message), type=ProcessMessage) == message


def require_alike(together: Training, alone: Training, root: Path) -> None:
    """What two processes made below `root`/whole is what one made below `root`/alone, but for the last bits."""
    assert together.losses == pytest.approx(alone.losses, rel=1e-4)
    assert largest_difference(root / "alone" / alone.folder, root / "whole" / together.folder) < 1e-4
    same = {"losses": (), "weights_hash": ""}
    assert msgspec.structs.replace(together, **same) == msgspec.structs.replace(alone, **same)
    assert [path.name for path in (root / "whole" / "checkpoints").iterdir()] == [Path(together.folder).name]


@pytest.mark.slow
def test_two_processes_train_what_one_does(tiny_model: Path, tmp_path: Path) -> None:
    """With a copy of all weights in each; the other ways are among the killed ones below."""
    recipe = msgspec.structs.replace(RECIPE, method="full", objective="sft", learning_rate=1e-3)
    steps: list[tuple[int, int]] = []
    launched = LaunchedTrainer(str(tiny_model), "cpu", "float32", 2, "ddp")

    alone = TransformersTrainer(str(tiny_model), "cpu", "float32").train(
        BASE, LESSONS, recipe, tmp_path / "alone", silent
    )
    whole = launched.train(BASE, LESSONS, recipe, tmp_path / "whole", lambda *now: steps.append(now))

    assert steps == [(done, alone.steps) for done in range(1, alone.steps + 1)]
    require_alike(whole, alone, tmp_path)
    assert launched.train(BASE, LESSONS, recipe, tmp_path / "whole", silent) == whole


@pytest.mark.slow
def test_an_error_in_a_process_comes_back_as_its_sentence(tiny_model: Path, tmp_path: Path) -> None:
    trainer = LaunchedTrainer(str(tiny_model), "cpu", "float32", 2, "fsdp")

    with pytest.raises(ConfigError, match="'fsdp' divides full weights"):
        trainer.train(BASE, LESSONS, RECIPE, tmp_path, silent)


@pytest.mark.slow
def test_a_process_that_breaks_while_it_ends_has_done_its_part(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library may abort in its clean-up; the record and the weights are whole by then."""
    ending = "import atexit, os\nif os.environ.get('RANK') == '1':\n    atexit.register(os.abort)\n"
    (tmp_path / "sitecustomize.py").write_text(ending, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trainer = LaunchedTrainer(str(tiny_model), "cpu", "float32", 2, "ddp")

    training = trainer.train(BASE, LESSONS, RECIPE, tmp_path / "two", silent)

    assert trainer.train(BASE, LESSONS, RECIPE, tmp_path / "two", silent) == training
    assert [path.name for path in (tmp_path / "two" / "checkpoints").iterdir()] == [Path(training.folder).name]


def workers(root: Path) -> list[int]:
    """The ids of the training processes whose job lies below `root`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if any(str(root).encode() in part for part in command) and b"--config_file" not in command:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize(("method", "strategy"), [("lora", "ddp"), ("full", "fsdp")])
def test_a_killed_process_is_reported_and_the_same_call_ends_with_the_same_bits(
    method: str, strategy: str, tiny_model: Path, tmp_path: Path
) -> None:
    recipe = msgspec.structs.replace(RECIPE, method=method, objective="dpo", learning_rate=1e-3, epochs=5.0)
    trainer = LaunchedTrainer(str(tiny_model), "cpu", "float32", 2, "fsdp" if strategy == "fsdp" else "ddp")
    steps: list[int] = []

    def kill_one(done: int, total: int) -> None:
        steps.append(done)
        if done == 21 and steps[0] == 1:
            os.kill(max(workers(tmp_path / "killed")), signal.SIGKILL)

    def train(root: Path) -> Training:
        return trainer.train(BASE, LESSONS, recipe, root, kill_one)

    with pytest.raises(StageError, match="goes on from the last saved step"):
        train(tmp_path / "killed")
    steps.clear()
    resumed = train(tmp_path / "killed")

    assert steps[0] == 21
    whole = train(tmp_path / "whole")
    assert resumed == whole
    alone = TransformersTrainer(str(tiny_model), "cpu", "float32")
    require_alike(whole, alone.train(BASE, LESSONS, recipe, tmp_path / "alone", silent), tmp_path)


DRIVER = """
import sys
from pathlib import Path
from test_parallel_training import BASE, LESSONS, RECIPE
import msgspec
from errorbook.adapters.trainers.launch import LaunchedTrainer
trainer = LaunchedTrainer(sys.argv[1], "cpu", "float32", 2)
recipe = msgspec.structs.replace(RECIPE, epochs=10_000.0)
trainer.train(BASE, LESSONS, recipe, Path(sys.argv[2]), lambda done, total: print(done, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_no_process_outlives_a_killed_parent(tiny_model: Path, tmp_path: Path) -> None:
    root = tmp_path / "orphans"
    command = [sys.executable, "-c", DRIVER, str(tiny_model), str(root)]
    driver = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE)
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"1\n"
    running = workers(root)
    assert len(running) >= 2

    driver.kill()
    driver.wait()
    driver.stdout.close()

    end = time.monotonic() + 20
    while workers(root) and time.monotonic() < end:
        time.sleep(0.1)
    assert workers(root) == []

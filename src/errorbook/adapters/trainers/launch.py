"""Trains on several processes of this machine: writes down the job, starts them with accelerate, reads the result.

Run as a module it is what each of the processes does. Several machines are not covered here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, NoReturn

import msgspec

from errorbook import errors, plugins
from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import Thinking
from errorbook.adapters.trainers.preparing import form_of, refuse_to_distil
from errorbook.adapters.trainers.result import read_record, training_folder
from errorbook.errors import ConfigError, ErrorbookError, StageError
from errorbook.interfaces import Progress, Trainer
from errorbook.records import Checkpoint, Lesson, Recipe, Training

_MARK = "@errorbook "
"""What the processes' messages to their parent begin with; every other line is for the log."""
_TAIL = 15
_PATIENCE = 10.0
_CONFIG = """\
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
mixed_precision: 'no'
num_machines: 1
machine_rank: 0
num_processes: {processes}
main_process_port: 0
use_cpu: false
"""
_SHARDED = """\
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: FULL_STATE_DICT
"""


class ProcessJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a process needs to know to take part in one training."""

    model: str
    device: str
    dtype: str
    strategy: Literal["ddp", "fsdp"]
    thinking: Thinking
    parent: Checkpoint
    lessons: tuple[Lesson, ...]
    recipe: Recipe
    root: str


class ProcessMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line from a process: how far it is, or the error that ended it, by the name of its class."""

    done: int = 0
    total: int = 0
    error: str = ""
    sentence: str = ""


class LaunchedTrainer:
    """Implements `Trainer` as `TransformersTrainer` does, on `processes` processes of this machine.

    With strategy "ddp" they share each batch, with "fsdp" full weights as well. The processes end with this one,
    however it ends.
    """

    produces = staticmethod(form_of)

    def __init__(
        self,
        model: str,
        device: str = "auto",
        dtype: str = "auto",
        processes: int = 2,
        strategy: Literal["ddp", "fsdp"] = "ddp",
        thinking: Thinking = "off",
    ) -> None:
        self._model = model
        self._device = device
        self._dtype = dtype
        self._processes = processes
        self._strategy: Literal["ddp", "fsdp"] = strategy
        self._thinking: Thinking = thinking

    def refuse(self, recipe: Recipe) -> str:
        """Self-distillation: the answers of a step are written by one process."""
        return refuse_to_distil(recipe, self._processes)

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """Train and return what the processes recorded; see `TransformersTrainer.train`.

        Raises:
            ConfigError: There are fewer GPUs than processes.
            ErrorbookError: What a process raised, or StageError with the end of the log if one broke.
        """
        folder = root / training_folder(parent, lessons, recipe)
        done = read_record(folder)
        if done is not None:
            return done
        _check_gpus(loading.choose_device(self._device), self._processes)
        order = ProcessJob(
            model=self._model,
            device=self._device,
            dtype=self._dtype,
            strategy=self._strategy,
            thinking=self._thinking,
            parent=parent,
            lessons=tuple(lessons),
            recipe=recipe,
            root=str(root.resolve()),
        )
        files = folder.with_suffix(".launch")
        files.mkdir(parents=True, exist_ok=True)
        (files / "job.json").write_bytes(msgspec.json.encode(order))
        (files / "accelerate.yaml").write_text(accelerate_config(self._processes, self._strategy), encoding="utf-8")
        failure = _launch(files, progress)
        # The record is the last thing written, and all processes meet after it. So a process that breaks while it
        # ends (an abort in a library's clean-up) has done its part before.
        training = read_record(folder)
        if training is None:
            raise failure or StageError(f"The training processes ended without a result; see '{files / 'log.txt'}'.")
        for file in files.iterdir():
            file.unlink()
        files.rmdir()
        return training


def accelerate_config(processes: int, strategy: Literal["ddp", "fsdp"]) -> str:
    """The YAML that `accelerate launch` starts the processes by; port 0 is any free one."""
    head = _CONFIG.format(kind="FSDP" if strategy == "fsdp" else "MULTI_GPU", processes=processes)
    return head + (_SHARDED if strategy == "fsdp" else "")


def main(path: str) -> None:
    """Take part in the training that the job file describes, as the process that the launcher made this one."""
    _end_with_parent()
    order = msgspec.json.decode(Path(path).read_bytes(), type=ProcessJob)
    try:
        with _join_group(order.device):
            options = {name: getattr(order, name) for name in ("model", "device", "dtype", "strategy", "thinking")}
            trainer: Trainer = plugins.create("trainers", order.recipe.method, options)
            trainer.train(order.parent, order.lessons, order.recipe, Path(order.root), _report)
    except ErrorbookError as error:
        _tell(ProcessMessage(error=type(error).__name__, sentence=str(error)))
        raise SystemExit(1) from error


def _launch(files: Path, progress: Progress) -> ErrorbookError | None:
    """Start the processes, pass on what they say, and see that none outlives this call; returns what went wrong."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(files / "accelerate.yaml")]
    command += ["-m", "errorbook.adapters.trainers.launch", str(files / "job.json")]
    with (files / "log.txt").open("w+", encoding="utf-8") as log:
        # The processes hold the other end of this pipe to their input: it closes when this process ends.
        process = subprocess.Popen(  # noqa: S603 (this interpreter and files of ours)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
        )
        try:
            failure = _follow(process, log, progress)
        finally:
            _end(process)
    if failure is not None or not process.returncode:
        return failure
    tail = deque((files / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines(), maxlen=_TAIL)
    return StageError(
        f"A training process broke (exit code {process.returncode}); the whole log is '{files / 'log.txt'}', and "
        "the same command goes on from the last saved step. It ends:\n" + "\n".join(tail)
    )


def _follow(process: subprocess.Popen[str], log: IO[str], progress: Progress) -> ErrorbookError | None:
    """Read the processes' messages to the end; returns the first error that one of them explained."""
    failure: ErrorbookError | None = None
    for line in process.stdout or ():
        if not line.startswith(_MARK):
            log.write(line)
            log.flush()
            continue
        message = msgspec.json.decode(line.removeprefix(_MARK), type=ProcessMessage)
        if not message.error:
            progress(message.done, message.total)
        elif failure is None:
            failure = getattr(errors, message.error, StageError)(message.sentence)
    process.wait()
    return failure


def _end(process: subprocess.Popen[str]) -> None:
    """Ask the processes to end if they have not, then wait a little, then end them."""
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def _check_gpus(device: str, processes: int) -> None:
    import torch

    if device.startswith("cuda") and torch.cuda.device_count() < processes:
        raise ConfigError(
            f"[compute] processes is {processes}, but this machine has {torch.cuda.device_count()} GPU(s); "
            "lower it, or set device = 'cpu' in [target]."
        )


@contextmanager
def _join_group(device: str) -> Iterator[None]:
    """The group that the launcher's environment variables describe, on one GPU each if there are any."""
    import torch
    from torch import distributed

    on_gpu = loading.choose_device(device).startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _end_with_parent() -> None:
    """End this process at once when the one that ordered the training is gone, even by kill -9."""

    def watch() -> NoReturn:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _report(done: int, total: int) -> None:
    _tell(ProcessMessage(done=done, total=total))


def _tell(message: ProcessMessage) -> None:
    # One write, so that the lines of several processes do not mix.
    os.write(1, _MARK.encode() + msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])

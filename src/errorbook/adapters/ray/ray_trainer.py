"""A trainer whose work is done on a Ray cluster, under Ray Train: the same `train` on every rank.

Ray Train starts the ranks with their process group and starts them again when one is lost; the trainer itself goes on
from its last saved step. Workers that see the run's folder (shared storage) write there; one that does not
is sent the parent's weights, and the first rank sends back the result. How a batch is divided over ranks is the
trainer's business.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from errorbook import plugins
from errorbook.adapters.ray.parcels import unpack
from errorbook.adapters.ray.ray_cluster import Compute, connect, count_workers, describe, fetch, require
from errorbook.adapters.ray.train_worker import Delivery, Errand, Mailbox, work
from errorbook.errors import ConfigError, ErrorbookError, StageError
from errorbook.interfaces import Progress, Trainer
from errorbook.records import Checkpoint, Lesson, Recipe, Training

_LOSSES = 5
"""So often a training is started again after a rank or its node was lost."""
_WAITS = 5
"""So often Ray Train waits for room for a number of workers that was asked for, for two minutes each time."""
_POLL_SECONDS = 0.25
_STOP_SECONDS = 15.0


def ray_trainer(name: str, options: Mapping[str, Any], compute: Compute) -> Trainer:
    """The trainer plugin `name` on a cluster.

    Raises:
        UserError: The plugin or one of its options is wrong, or Ray's training is not installed.
    """
    return RayTrainer(plugins.create("trainers", name, options), name, options, compute)


class RayTrainer:
    """Implements `Trainer`."""

    def __init__(self, trainer: Trainer, name: str, options: Mapping[str, Any], compute: Compute) -> None:
        self.produces = trainer.produces
        self._name = name
        self._options = dict(options)
        self._compute = compute

    def refuse(self, recipe: Recipe) -> str:
        """Self-distillation: the answers of a step are written by one process."""
        if recipe.objective != "self_distill":
            return ""
        return "A target that learns from itself is trained on this machine; set engine = 'local' in [compute]."

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """Train on the cluster's workers; the result is below `root`/checkpoints of this machine.

        Raises:
            UserError: Something that the user must fix, here or on a worker.
            StageError: The training broke its contract, or was lost too often.
        """
        ray = connect(self._compute)
        root = root.resolve()
        mailbox = _mailbox(ray)
        with _mark_folder(root) as marker:
            errand = Errand(
                trainer=self._name,
                options=self._options,
                parent=parent,
                lessons=tuple(lessons),
                recipe=recipe,
                root=str(root),
                marker=marker,
            )
            try:
                trained = self._fit(ray, errand, mailbox, progress)
            finally:
                ray.kill(mailbox)
        if trained.parcel is not None:
            unpack(trained.parcel, root / trained.training.folder)
        return trained.training

    def _fit(self, ray: Any, errand: Errand, mailbox: Any, progress: Progress) -> Delivery:
        """Train on as many ranks as there is room for; on fewer, if nodes went and a number was not asked for."""
        while True:
            ranks = count_workers(ray, self._compute)
            if not ranks:
                raise ConfigError(
                    f"The cluster has {describe(ray)}: no room for a worker; lower cpus_per_worker or gpus_per_worker "
                    "in [compute], or add nodes."
                )
            error = _attend(ray, self._compute, ranks, (errand, mailbox), progress)
            delivered = fetch(ray, mailbox.read_delivery.remote())
            if delivered is None and count_workers(ray, self._compute) < ranks:
                continue
            return _require_delivery(delivered, error)


def _attend(ray: Any, compute: Compute, ranks: int, given: tuple[Errand, Any], progress: Progress) -> Exception | None:
    """Run Ray Train in a thread of its own and pass on, from this one, what the first rank tells; returns its error."""
    mailbox = given[1]
    with tempfile.TemporaryDirectory(prefix="errorbook-") as scratch, warnings.catch_warnings():
        # Ray's own settings warn of each other when they are first read.
        warnings.simplefilter("ignore", DeprecationWarning)
        fitting = _Fitting(_torch_trainer(compute, ranks, given, scratch))
        fitting.start()
        try:
            shown = (0, 0)
            while fitting.is_alive():
                fitting.join(_POLL_SECONDS)
                now = fetch(ray, mailbox.read_progress.remote())
                if now != shown:
                    progress(*now)
                    shown = now
        except BaseException:  # Ctrl-C: the ranks hear of it at their next step
            mailbox.stop.remote()
            fitting.join(_STOP_SECONDS)
            raise
        return fitting.error


class _Fitting(threading.Thread):
    """Ray Train's `fit`, which blocks, and in a main thread would take Ctrl-C for itself for good."""

    def __init__(self, trainer: Any) -> None:
        super().__init__(name="errorbook-ray-train", daemon=True)
        self._trainer = trainer
        self.error: Exception | None = None

    def run(self) -> None:
        """Train, and keep the error for whoever waits."""
        try:
            self._trainer.fit()
        except Exception as error:  # raised again by the thread that asked
            self.error = error


def _require_delivery(delivered: Delivery | ErrorbookError | None, error: Exception | None) -> Delivery:
    """What the first rank delivered. Raises what a rank raised, or says that the training was lost."""
    if isinstance(delivered, ErrorbookError):
        raise delivered
    if delivered is None:
        reason = " ".join(str(error).split())[-300:] if error else "no rank delivered a result"
        raise StageError(
            f"The training was lost on the cluster ({reason}); Ray's logs say more, by default in /tmp/ray. "
            "The same command goes on from the last saved step."
        ) from error
    return delivered


def _torch_trainer(compute: Compute, ranks: int, given: tuple[Errand, Any], scratch: str) -> Any:
    train = require("ray.train")
    resources: dict[str, float] = {"CPU": compute.cpus_per_worker}
    if compute.gpus_per_worker:
        resources["GPU"] = compute.gpus_per_worker
    return require("ray.train.torch").TorchTrainer(
        work,
        train_loop_config={"errand": given[0], "mailbox": given[1]},
        scaling_config=train.ScalingConfig(
            num_workers=ranks,
            use_gpu=compute.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=train.RunConfig(
            name="train",
            storage_path=scratch,  # of Ray's own checkpoints, of which there are none
            failure_config=train.FailureConfig(
                max_failures=_LOSSES,
                # A number of workers that was asked for is waited for; else the training starts with what is left.
                controller_failure_limit=_WAITS if compute.workers else 0,
            ),
        ),
    )


def _mailbox(ray: Any) -> Any:
    """An actor on this machine, which stays when a worker's node goes."""
    strategies = require("ray.util.scheduling_strategies")
    here = strategies.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()


@contextlib.contextmanager
def _mark_folder(root: Path) -> Iterator[str]:
    """The name of a file in `root` that a worker sees only if it sees this very folder."""
    marker = root / f".seen-{uuid.uuid4().hex}"
    root.mkdir(parents=True, exist_ok=True)
    marker.touch()
    try:
        yield marker.name
    finally:
        marker.unlink(missing_ok=True)

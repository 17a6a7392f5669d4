"""What one rank of a training on a cluster does, and the mailbox between the ranks and the driver.

The rank runs the ordinary trainer plugin. It knows where to write: in the run's folder if it sees that, else in a
folder of its own machine, from which the result is sent. It opens no ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from errorbook import plugins
from errorbook.adapters.ray.parcels import FolderParcel, pack, unpack
from errorbook.adapters.ray.ray_cluster import require, require_same_version
from errorbook.adapters.trainers.result import training_hash
from errorbook.errors import ErrorbookError
from errorbook.interfaces import Trainer
from errorbook.records import Checkpoint, Lesson, Recipe, Training
from errorbook.version import __version__

_TELL_SECONDS = 0.5


class Errand(NamedTuple):
    """One training as the ranks are told of it; `marker` is a file in `root` that proves that both are the driver's."""

    trainer: str
    options: Mapping[str, Any]
    parent: Checkpoint
    lessons: tuple[Lesson, ...]
    recipe: Recipe
    root: str
    marker: str
    version: str = __version__


class Delivery(NamedTuple):
    """The record of a finished training, and its folder's files if the driver cannot see them otherwise."""

    training: Training
    parcel: FolderParcel | None


class StoppedError(Exception):
    """The driver no longer waits for this training."""


class Mailbox:
    """Lives on the driver's machine, as a Ray actor: progress and the result come in, the parent's weights go out."""

    def __init__(self) -> None:
        self._progress = (0, 0)
        self._stopped = False
        self._delivered: Delivery | ErrorbookError | None = None

    def tell(self, done: int, total: int) -> bool:
        """Take down how far the training is; the reply is whether it shall go on."""
        self._progress = (done, total)
        return not self._stopped

    def read_progress(self) -> tuple[int, int]:
        """The last (done, total)."""
        return self._progress

    def stop(self) -> None:
        """Have the ranks stop at their next step."""
        self._stopped = True

    def is_over(self) -> bool:
        """Whether there is nothing left to do: stopped, failed or delivered."""
        return self._stopped or self._delivered is not None

    def deliver(self, result: Delivery | ErrorbookError) -> None:
        """Take the result, or the error that no repetition would mend. The first one counts."""
        if self._delivered is None:
            self._delivered = _copy(result)

    def read_delivery(self) -> Delivery | ErrorbookError | None:
        """What was delivered, if anything was."""
        return self._delivered

    def pack(self, folder: str) -> FolderParcel:
        """A folder of the driver's machine."""
        return pack(Path(folder))


def _copy(result: Delivery | ErrorbookError) -> Delivery | ErrorbookError:
    """The same, independent of the rank's memory, which ends with the rank."""
    if isinstance(result, ErrorbookError) or result.parcel is None:
        return result
    return result._replace(parcel=FolderParcel(tuple((name, content.copy()) for name, content in result.parcel.files)))


def work(given: dict[str, Any]) -> None:
    """The loop of one rank, as Ray Train calls it. An error of ours is delivered: no repetition would mend it."""
    ray, context = require(), require("ray.train").get_context()
    errand, mailbox = given["errand"], given["mailbox"]
    if ray.get(mailbox.is_over.remote()):
        return
    rank, ranks = context.get_world_rank(), context.get_world_size()
    sees = (Path(errand.root) / errand.marker).is_file()
    try:
        training, root = train(
            errand, sees, lambda folder: ray.get(mailbox.pack.remote(folder)), _Ticker(ray, mailbox, rank)
        )
        parcel = pack(root / training.folder) if rank == 0 and not sees else None
    except ErrorbookError as error:
        ray.get(mailbox.deliver.remote(error))
        if ranks > 1:  # the others may wait for this rank for ever: Ray ends them all, and the next start is the end
            raise
        return
    if rank == 0:
        ray.get(mailbox.deliver.remote(Delivery(training, parcel)))


def train(
    errand: Errand, sees: bool, ask: Callable[[str], FolderParcel], progress: Callable[[int, int], None]
) -> tuple[Training, Path]:
    """Train here; returns the record and the folder that its own is relative to.

    `sees` says that the run's folder is the driver's; else `ask` fetches the parent's weights from there.

    Raises:
        UserError: Something that the user must fix.
        StageError: The training broke its contract.
    """
    require_same_version(errand.version)
    trainer: Trainer = plugins.create("trainers", errand.trainer, errand.options)
    root = Path(errand.root) if sees else _own_place(errand)
    parent = errand.parent
    if not sees and parent.form != "base" and not (root / parent.folder).is_dir():
        unpack(ask(str(Path(errand.root) / parent.folder)), root / parent.folder)
    return trainer.train(parent, errand.lessons, errand.recipe, root, progress), root


def _own_place(errand: Errand) -> Path:
    """A folder of this machine for this very training: a repetition finds there what it saved."""
    from errorbook.files import cache_root

    return cache_root() / "trainings" / training_hash(errand.parent, errand.lessons, errand.recipe)


class _Ticker:
    """Progress as the trainer tells it, passed on by the first rank, twice a second at most, and at the end."""

    def __init__(self, ray: Any, mailbox: Any, rank: int) -> None:
        self._ray = ray
        self._mailbox = mailbox
        self._first = rank == 0
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._first or (now - self._last < _TELL_SECONDS and done < total):
            return
        self._last = now
        if not self._ray.get(self._mailbox.tell.remote(done, total)):
            raise StoppedError

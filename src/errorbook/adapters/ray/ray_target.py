"""A target whose work is done on a Ray cluster: one copy of the inner target for each worker.

A block of prompts goes whole to one worker, so its texts do not depend on how many there are. The checkpoint under
test is sent to the workers that lack it. Only responses come back: no worker opens the ledger. It does not divide one
model over several workers; that is the inner engine's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from errorbook import plugins
from errorbook.adapters.ray.parcels import FolderParcel, pack, unpack
from errorbook.adapters.ray.ray_cluster import Compute, connect, count_workers, require, require_same_version
from errorbook.adapters.ray.ray_pool import Job, Pool
from errorbook.errors import ConfigError, ModelError
from errorbook.evaluate import BLOCK
from errorbook.interfaces import Likelihood, Paced, Target
from errorbook.records import Checkpoint, Completion, Generation
from errorbook.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WEIGHED = 32
"""Prompts whose options one worker weighs together: fixed, so that the batches do not depend on the workers."""

_KEPT = 2
"""Checkpoints whose files stay in the object store: two are compared in turns."""


def ray_target(name: str, options: Mapping[str, Any], compute: Compute) -> RayTarget:
    """The target plugin `name` on a cluster; it tells likelihoods if the plugin does.

    A `workspace` among the options is left out: responses come back block by block, and workers keep none.

    Raises:
        UserError: The plugin or one of its options is wrong.
    """
    options = {key: value for key, value in options.items() if key != "workspace"}
    inner: Target = plugins.create("targets", name, options)
    kind = RayWeighingTarget if isinstance(inner, Likelihood) else RayTarget
    return kind(name, options, compute, inner)


class RayTarget:
    """Implements `Target`, `BlockTarget` and `Paced`. The cluster is connected to, and workers start, on first use.

    `inner` is the plugin as it would be without a cluster: it says what it is, and is never asked anything else.
    """

    def __init__(self, name: str, options: Mapping[str, Any], compute: Compute, inner: Target) -> None:
        self._name = name
        self._options = dict(options)
        self._compute = compute
        self._base = inner.base
        self._block_size = inner.block_size if isinstance(inner, Paced) else BLOCK
        self._pool: Pool | None = None
        self._fingerprint = ""
        self._subject = TargetSubject()
        self._parcels: dict[str, Any] = {}

    @property
    def base(self) -> str:
        """The base model's name or path, as the run file gives it."""
        return self._base

    @property
    def block_size(self) -> int:
        """The inner target's: a block's composition must not depend on where it is answered."""
        return self._block_size

    @property
    def fingerprint(self) -> str:
        """The inner target's, as a worker computes it: the same as that of the engine without a cluster."""
        if not self._fingerprint:
            self._ask(lambda worker: worker.ready.remote())
        return self._fingerprint

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on. Raises ModelError if its folder is missing."""
        parcel = () if checkpoint.form == "base" else (self._send(checkpoint, root),)
        self._subject = TargetSubject(checkpoint, parcel)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions of one block, all together when its worker has finished."""
        for _, completions in self.generate_blocks([prompts], settings):
            yield from completions

    def generate_blocks(
        self, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """(block number, its completions) as blocks finish, each block once, whatever becomes of single workers.

        Raises:
            UserError: The model or the cluster cannot do it.
            StageError: Workers were lost again and again without anything being finished.
        """
        yield from self._open_pool().run([_generate_job(self._subject, block, settings) for block in blocks])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector a text, from one worker: how texts are batched together can change their last bits."""
        subject = self._subject
        vectors: NDArray[np.float32] = self._ask(lambda worker: worker.embed.remote(subject, texts))
        return vectors

    def close(self) -> None:
        """End the workers, so that a training can have their processors and GPUs; the next use starts them again."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _send(self, checkpoint: Checkpoint, root: Path) -> Any:
        """The reference to a checkpoint's files; it stays with the cluster while it is one of the last few."""
        folder = root / checkpoint.folder
        key = f"{checkpoint.weights_hash}:{folder}"
        parcel = self._parcels.pop(key, None) if folder.is_dir() else None
        if parcel is None:
            parcel = connect(self._compute).put(pack(folder))
        self._parcels = dict([*self._parcels.items(), (key, parcel)][-_KEPT:])
        return parcel

    def _ask(self, job: Job) -> Any:
        """The reply of one worker to one request."""
        (reply,) = [reply for _, reply in self._open_pool().run([job])]
        return reply

    def _open_pool(self) -> Pool:
        if self._pool is None:
            ray = connect(self._compute)
            actor = ray.remote(
                num_cpus=self._compute.cpus_per_worker,
                num_gpus=self._compute.gpus_per_worker,
                scheduling_strategy="SPREAD",
            )(_Worker)
            self._pool = Pool(
                ray,
                start=lambda: actor.remote(self._name, self._options),
                size=lambda: count_workers(ray, self._compute),
                greet=self._admit,
            )
        return self._pool

    def _admit(self, reply: tuple[str, str, str]) -> None:
        """Refuse a worker whose answers could not be compared with those of the others."""
        version, fingerprint, host = reply
        require_same_version(version)
        if self._fingerprint and fingerprint != self._fingerprint:
            raise ConfigError(
                f"The worker on '{host}' would answer from other weights, number formats or versions than the others; "
                "name the dtype in [target], and install the same packages and model on every node."
            )
        self._fingerprint = fingerprint


class RayWeighingTarget(RayTarget):
    """A `RayTarget` that also implements `Likelihood`, because its inner target does."""

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """For each prompt (by index) the summed log-probability, in nats, of each of its options as the answer."""
        starts = range(0, len(prompts), _WEIGHED)
        groups = [(prompts[start : start + _WEIGHED], options[start : start + _WEIGHED]) for start in starts]
        for number, weighed in self._open_pool().run([_weigh_job(self._subject, *group) for group in groups]):
            for index, values in weighed:
                yield number * _WEIGHED + index, values


class TargetSubject(NamedTuple):
    """As which checkpoint to answer; `parcel` holds the reference to its files, which only a worker without them gets.

    (Ray would fetch a reference that is an argument by itself; one inside another value is left to the worker.)
    """

    checkpoint: Checkpoint | None = None
    parcel: tuple[Any, ...] = ()


def _generate_job(subject: TargetSubject, block: Sequence[str], settings: Generation) -> Job:
    return lambda worker: worker.generate.remote(subject, list(block), settings)


def _weigh_job(subject: TargetSubject, prompts: Sequence[str], options: Sequence[Sequence[str]]) -> Job:
    return lambda worker: worker.weigh.remote(subject, list(prompts), [list(group) for group in options])


class _Worker:
    """The worker's side: the inner target, told before each request which checkpoint is meant."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self._name = name
        self._options = options
        self._inner: Any = None
        self._used: Checkpoint | None = None

    def ready(self) -> tuple[str, str, str]:
        """Version of this project, fingerprint of the target, and the name of the machine."""
        import platform

        return __version__, self._target().fingerprint, platform.node()

    def generate(self, subject: TargetSubject, prompts: list[str], settings: Generation) -> list[Completion]:
        """All completions of one block."""
        return list(self._prepare(subject).generate(prompts, settings))

    def weigh(
        self, subject: TargetSubject, prompts: list[str], options: list[list[str]]
    ) -> list[tuple[int, Sequence[float]]]:
        """All log-likelihoods of some prompts' options."""
        return list(self._prepare(subject).log_likelihoods(prompts, options))

    def embed(self, subject: TargetSubject, texts: list[str]) -> Any:
        """One vector a text."""
        return self._prepare(subject).embed(texts)

    def close(self) -> None:
        """Free what the inner target holds, as a server that it started."""
        if self._inner is not None:
            self._inner.close()

    def _target(self) -> Any:
        if self._inner is None:
            self._inner = plugins.create("targets", self._name, self._options)
        return self._inner

    def _prepare(self, subject: TargetSubject) -> Any:
        target = self._target()
        if subject.checkpoint is not None and subject.checkpoint != self._used:
            self._used = None
            target.use(subject.checkpoint, unpack_checkpoint(subject.checkpoint, subject.parcel))
            self._used = subject.checkpoint
        return target


def unpack_checkpoint(checkpoint: Checkpoint, parcel: tuple[Any, ...]) -> Path:
    """The folder that the checkpoint's own is relative to on this machine, its files unpacked if they were missing.

    Raises:
        ModelError: They cannot be written.
    """
    from errorbook.files import cache_root

    if checkpoint.form == "base":
        return Path()
    root = cache_root() / "shipped" / (checkpoint.weights_hash or checkpoint.hash)
    folder = root / checkpoint.folder
    try:
        if not folder.is_dir():
            content: FolderParcel = require().get(parcel[0])
            unpack(content, folder)
    except OSError as error:
        raise ModelError(
            f"The checkpoint could not be unpacked into '{folder}' ({error.strerror or error}); free space there or "
            "point ERRORBOOK_CACHE to another folder on that node."
        ) from error
    return root

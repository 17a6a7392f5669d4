"""The connection to a Ray cluster, and how many workers it has room for.

Connects to a cluster that is there or starts a small one on this machine; shuts down only what it started. It knows
nothing of models, scorers or trainings.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import threading
from typing import Any

import msgspec

from errorbook.adapters.ray.reaper import start_reaper
from errorbook.errors import ConfigError, ErrorbookError, StageError
from errorbook.version import __version__

INSTALL = "pip install 'errorbook[ray]'"
_KNOCK_SECONDS = 10.0
_OURS = threading.Event()
"""Set while the connection is one that `connect` made."""
_REAPERS: list[subprocess.Popen[bytes] | None] = []
"""What ends Ray's helpers if this process is killed before `disconnect`."""


class Compute(msgspec.Struct, frozen=True, kw_only=True):
    """What the run file's `[compute]` says of the cluster.

    `address` is Ray's; if it is empty, Ray takes $RAY_ADDRESS, a cluster that runs on this machine, or starts one.
    `workers` is how many there are to be, 0 meaning one for each node, or one for each share of `gpus_per_worker`.
    """

    address: str = ""
    workers: int = 0
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0


def require(module: str = "ray") -> Any:
    """A module of Ray. Raises ConfigError if Ray, or what its training needs, is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"[compute] engine = 'ray' needs Ray, and '{error.name or module}' is missing: run \"{INSTALL}\"."
        ) from None


def connect(compute: Compute) -> Any:
    """The `ray` module, connected: to the cluster that this process already uses, or else as `compute` says.

    Raises:
        ConfigError: Ray is not installed, or nothing answers at the address.
    """
    ray = require()
    if ray.is_initialized():
        return ray
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray Train's one minute is short for nodes that load PyTorch from a shared disk.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "120")
    _silence()
    _REAPERS.append(start_reaper())  # before the first of Ray's processes, since we may be killed at any moment
    try:
        _knock(compute.address)
        ray.init(address=compute.address or None, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (OSError, RuntimeError, ValueError) as error:
        _dismiss_reapers()
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"No Ray cluster answers at '{compute.address or 'this machine'}' ({reason}); start one with "
            "'ray start --head', or correct address in [compute]."
        ) from None
    _OURS.set()
    return ray


def disconnect() -> None:
    """Undo `connect`: leave the cluster, and end it if it was started for us; nobody else's is touched."""
    if _OURS.is_set():
        _OURS.clear()
        require().shutdown()
        _dismiss_reapers()


def _dismiss_reapers() -> None:
    while _REAPERS:
        reaper = _REAPERS.pop()
        if reaper is not None:
            reaper.terminate()
            reaper.wait()


def count_workers(ray: Any, compute: Compute) -> int:
    """How many workers there should be now: as many as asked for, else what the living nodes have room for."""
    if compute.workers > 0:
        return compute.workers
    nodes = [node["Resources"] for node in list_nodes(ray)]
    if compute.gpus_per_worker > 0:
        return sum(int(found.get("GPU", 0) / compute.gpus_per_worker) for found in nodes)
    return sum(found.get("CPU", 0) >= max(1, compute.cpus_per_worker) for found in nodes)


def list_nodes(ray: Any) -> list[dict[str, Any]]:
    """The living nodes that have processors to work with, in a fixed order; a head that only directs is not one."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    return sorted(nodes, key=lambda node: str(node["NodeID"]))


def describe(ray: Any) -> str:
    """What the cluster has, for messages."""
    total = ray.cluster_resources()
    return f"{len(list_nodes(ray))} nodes with {total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs"


def loss_errors(ray: Any) -> tuple[type[Exception], ...]:
    """The errors that say that a process or its node is gone, and nothing of the work itself."""
    known = ray.exceptions
    return (
        known.RayActorError,
        known.WorkerCrashedError,
        known.ObjectLostError,
        known.NodeDiedError,
        known.OutOfMemoryError,
    )


def fetch(ray: Any, reference: Any) -> Any:
    """The value of a reference; an error of ours that a worker raised is raised here as it was there.

    Raises:
        StageError: The work failed in a way that doing it again would not change.
    """
    try:
        return ray.get(reference)
    except loss_errors(ray):
        raise
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ErrorbookError):
            raise error.cause from None
        reason = f"{type(error.cause).__name__}: {' '.join(str(error.cause).split())[:200]}"
        raise StageError(
            f"A worker of the cluster failed ({reason}); its log is in Ray's session folder, by default /tmp/ray."
        ) from error


def require_same_version(version: str) -> None:
    """Raise ConfigError if a worker runs another version of this project than the driver."""
    if version != __version__:
        raise ConfigError(
            f"A worker of the cluster has Errorbook {version}, this machine {__version__}; "
            "install the same version on every node."
        )


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at an address of the form host:port: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _silence() -> None:
    """Keep Ray's notices about dead nodes off stdout, which is for data; no setting of Ray's does."""
    worker = require("ray._private.worker")
    if hasattr(worker, "_worker_logs_enabled"):
        worker._worker_logs_enabled = False

"""What a training needs to go on exactly where it was: written now and then, read once.

The first process alone has the file; what it holds reaches the others through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from errorbook.adapters.trainers.group import broadcast, copy_from_first
from errorbook.adapters.trainers.job import Job
from errorbook.adapters.trainers.sharding import take_state, whole_state
from errorbook.files import replace_file
from errorbook.records import digest

if TYPE_CHECKING:
    import torch


def save_state(job: Job) -> None:
    """Save what a resumed training needs, all or nothing."""
    import torch

    weights: dict[str, Any]
    if job.sharded:
        weights, optimizer = whole_state(job)
    else:
        weights = {name: weight.detach() for name, weight in job.weights().items()}
        optimizer = job.optimizer.state_dict()
    if not job.group.leads:
        return
    with replace_file(job.state) as file:
        torch.save({"weights": weights, "optimizer": optimizer, **_progress(job)}, file)


def restore_state(job: Job) -> bool:
    """Go on from the saved state; False if there is none, and all processes start from the same weights."""
    import torch

    saved = None
    if job.group.leads and job.state.is_file():
        found = torch.load(job.state, map_location="cpu", weights_only=True)
        # Divided weights are named differently from whole ones: after a change of strategy the training begins anew.
        saved = found if found.get("sharded", job.sharded) == job.sharded else None
    small = None if saved is None else {name: saved.get(name) for name in _progress(job)}
    small = broadcast(job.group, small)
    if job.sharded:
        if small is not None:
            take_state(job, saved["weights"] if saved else {}, saved["optimizer"] if saved else {})
    else:
        _take(job, saved)
        copy_from_first(job.group, _tensors(job, with_optimizer=small is not None))
    if small is None:
        return False
    job.losses = list(small["losses"])
    job.reference = dict(small["reference"])
    job.at_once = small["at_once"]
    if job.own is not None:
        job.own.written, job.own.read = small["written"], small["read"]
    if small["checkpointing"]:
        job.recompute()
    return True


def hash_values(job: Job) -> str:
    """Hash of the trainable weights as they are in this process's memory."""
    import torch

    parts = []
    for name, weight in job.weights().items():
        values: Any = weight
        if job.sharded:
            values = values.to_local()
        parts.append(digest(name, values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()))
    return digest(*parts)


def _progress(job: Job) -> dict[str, Any]:
    """The small part of the state. How rows are divided into passes is in it because it decides how sums round."""
    return {
        "losses": job.losses,
        "reference": job.reference,
        "at_once": job.at_once,
        "checkpointing": job.checkpointing,
        "sharded": job.sharded,
        "written": job.own.written if job.own else {},
        "read": job.own.read if job.own else 0,
    }


def _take(job: Job, saved: dict[str, Any] | None) -> None:
    """Put a saved state's tensors in place, in the process that read it."""
    import torch

    if saved is None:
        return
    weights = job.weights()
    with torch.no_grad():
        for name, value in saved["weights"].items():
            weights[name].copy_(value)
    job.optimizer.load_state_dict(saved["optimizer"])


def _tensors(job: Job, *, with_optimizer: bool) -> list[torch.Tensor]:
    """The weights and, if it has begun, the optimiser's state, in an order that is the same in every process."""
    import torch

    weights = list(job.weights().values())
    tensors = [weight.data for weight in weights]
    for weight in weights if with_optimizer else ():
        state = job.optimizer.state[weight]
        if not state:  # in a process that read no file
            state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        tensors += [state["step"], state["exp_avg"], state["exp_avg_sq"]]
    return tensors

"""Full weights divided among processes (FSDP2), for models that do not fit into one GPU; saved as whole ones.

Every process reads the whole model into its host's memory before it keeps its part: that, not the GPU's memory, is
what bounds the model's size. Adapters are never divided.
"""

from __future__ import annotations

from typing import Any

from errorbook.adapters.trainers.job import Job


def shard(model: Any, device: str, size: int) -> None:
    """Divide the weights of each decoder layer, and of what is left, among `size` processes, in place."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.partition(":")[0], (size,))
    layers = set(model._no_split_modules or ())
    for module in [part for part in model.modules() if type(part).__name__ in layers]:
        fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Each process computes its part of one loss: their gradients are added up, not averaged.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def whole_state(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """All weights and the whole state of the optimiser in the first process's memory; empty in the others."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_state_dict(job.model, job.optimizer, options=options)


def take_state(job: Job, weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    """Put back what `whole_state` gave; only the first process needs to have it."""
    from torch.distributed.checkpoint import state_dict

    options = state_dict.StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    # One by one: together, processes with nothing to give would take it that nothing is asked of them.
    state_dict.set_model_state_dict(job.model, weights, options=options)
    state_dict.set_optimizer_state_dict(job.model, job.optimizer, optimizer, options=options)

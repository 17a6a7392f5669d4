"""The processes that train together: who has which rows, and what they tell each other.

One process is a group of one, for which everything here is free. Starting the processes is `launch`'s business, or
that of whoever initialised `torch.distributed` (torchrun, accelerate, Ray Train).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_BUCKET = 2**24  # numbers that are summed over the processes at once: large enough to be quick, small beside a model


@dataclass(frozen=True)
class ProcessGroup:
    """This process's place among `size` processes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """Every size-th item: rows that are sorted by length are shared evenly so."""
        return list(items[self.rank :: self.size])


def join_group() -> ProcessGroup:
    """The group that this process was started in; alone if `torch.distributed` was not initialised."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return ProcessGroup()
    return ProcessGroup(distributed.get_rank(), distributed.get_world_size())


def broadcast(group: ProcessGroup, value: T) -> T:
    """The first process's value, in every process."""
    if group.size == 1:
        return value
    from torch import distributed

    box: list[Any] = [value]
    distributed.broadcast_object_list(box, src=0)
    answer: T = box[0]
    return answer


def gather(group: ProcessGroup, value: T) -> list[T]:
    """The values of all processes by rank, in every process."""
    if group.size == 1:
        return [value]
    from torch import distributed

    box: list[Any] = [None] * group.size
    distributed.all_gather_object(box, value)
    return box


def add_up(group: ProcessGroup, tensors: Sequence[torch.Tensor]) -> None:
    """Replace each tensor by its sum over the processes, in place; the sums are the same bits in every process."""
    if group.size == 1:
        return
    import torch
    from torch import distributed

    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in bucket])
        for tensor, summed in zip(bucket, parts, strict=True):
            tensor.copy_(summed.view_as(tensor))


def copy_from_first(group: ProcessGroup, tensors: Sequence[torch.Tensor]) -> None:
    """Overwrite each tensor with the first process's values, in place."""
    if group.size == 1:
        return
    from torch import distributed

    for tensor in tensors:
        distributed.broadcast(tensor, src=0)


def _buckets(tensors: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """The tensors in their order, in runs of a bounded size."""
    buckets: list[list[torch.Tensor]] = []
    filled = _BUCKET
    for tensor in tensors:
        if filled + tensor.numel() > _BUCKET:
            buckets.append([])
            filled = 0
        buckets[-1].append(tensor)
        filled += tensor.numel()
    return buckets

"""One training under way, as the trainer's parts hand it to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets.loading import unwrap
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.distilling import OwnText
from errorbook.adapters.trainers.group import ProcessGroup
from errorbook.records import Recipe

if TYPE_CHECKING:
    import torch


@dataclass
class Job:
    """The model, what changes in it, and how far it is.

    `rejected` holds for each row the one it is preferred over, or None if it is imitated. `reference` holds for
    each pair the log-probabilities of both under the starting weights. `at_once` caps the rows of one forward pass.
    `sharded` says that every process holds a part of the weights only. `own` is there if the model learns from itself;
    `rows` are then as long as they can get.
    """

    model: Any
    rows: list[TokenRow]
    rejected: list[TokenRow | None]
    steps: list[list[int]]
    recipe: Recipe
    dtype: str
    state: Path
    group: ProcessGroup = field(default_factory=ProcessGroup)
    sharded: bool = False
    own: OwnText | None = None
    at_once: int = 1
    checkpointing: bool = False
    optimizer: Any = None
    losses: list[float] = field(default_factory=list)
    reference: dict[int, tuple[float, float]] = field(default_factory=dict)

    def weights(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that this training changes, by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def recompute(self) -> None:
        """From now on keep only each layer's input and compute the rest again on the way back: less memory, slower."""
        model = unwrap(self.model)
        if hasattr(model, "activation_checkpointing_enable"):  # its name since transformers 5
            model.activation_checkpointing_enable({"use_reentrant": False})
        else:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.checkpointing = True

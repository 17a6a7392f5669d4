"""Records of lessons, of trainings and of what they leave."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from errorbook.records.base import Record
from errorbook.records.conversing import Message, converse

Start = Literal["continue", "restart"]
Objective = Literal["sft", "dpo", "self_distill"]
Divergence = Literal["forward", "reverse", "jensen_shannon"]
Schedule = Literal["linear", "cosine", "constant"]
Form = Literal["adapter", "weights", "served"]
"""What a training leaves: an adapter of the base, whole weights, or a model that is served elsewhere under a name."""


class Lesson(Record, frozen=True, kw_only=True):
    """One training pair: a user prompt before the chat template, and the completion that carries the loss.

    `source` is the hash of the sample or, for replay and preference, of the target's own response. `rejected` is the
    target's wrong response to the same prompt, if the training learns to prefer the completion over it. If the target
    learns from itself, `context` is what it reads as its own teacher in the place of the prompt, and `max_new_tokens`
    caps the text that it writes; the completion is then what the teacher was shown and nothing that is imitated.
    `before` stands before the prompt, and before the context, whenever the target reads it.
    """

    prompt: str
    completion: str
    source: str
    replay: bool = False
    rejected: str = ""
    context: str = ""
    max_new_tokens: int = 0
    before: tuple[Message, ...] = ()

    @property
    def asked(self) -> str:
        """The whole prompt: the user's and what stands before it."""
        return converse(self.before, self.prompt)


class Recipe(Record, frozen=True, kw_only=True):
    """How weights change. `method` is the trainer's name, `options` are its own.

    Defaults stand in the run file's section (see `train`). `replay` is the share of lessons that rehearse the target's
    own right responses.

    `start` is "continue" (train the parent's weights on this cycle's samples) or "restart" (train the base on the
    samples of all accepted cycles and this one). `objective` is supervised fine-tuning, direct preference
    optimisation (Rafailov et al. 2023), which `beta` holds near the starting weights, or self-distillation, which
    brings the target nearer to its own teacher by the `divergence`.

    `schedule` says how the rate falls after its warm-up, which takes the share `warmup` of the steps or, if
    `warmup_steps` is given, so many.
    """

    method: str
    rank: int
    alpha: int
    learning_rate: float
    epochs: float
    batch_size: int
    warmup: float
    weight_decay: float
    max_tokens: int
    replay: float
    start: Start
    seed: int
    objective: Objective
    beta: float
    divergence: Divergence = "forward"
    schedule: Schedule = "linear"
    warmup_steps: int | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Checkpoint(Record, frozen=True, kw_only=True):
    """A base model plus what the trainer `method` left.

    `folder` is relative to the run's folder and empty for the base.
    """

    base: str
    base_fingerprint: str
    parent: str = ""
    method: str = ""
    form: Literal["base"] | Form = "base"
    folder: str = ""
    weights_hash: str = ""
    training_set: str = ""
    recipe: str = ""
    scale: float = 1.0


class Training(Record, frozen=True, kw_only=True):
    """What one training did: counts, not times. `losses` is the mean completion-token loss of each step, in nats.

    If it was done `elsewhere`, by a program that does not tell them, steps, tokens and losses are not known.
    """

    training_set: str
    parent: str
    lessons: int
    replayed: int
    trainable_parameters: int
    steps: int
    tokens: int
    truncated: int
    losses: tuple[float, ...]
    folder: str
    weights_hash: str
    elsewhere: bool = False

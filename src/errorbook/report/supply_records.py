"""The parts of a report on step 3: what was written, what became of it, and what it cost. Numbers only."""

from __future__ import annotations

import msgspec


class StrategyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's drafts and what became of the mistakes that it worked on.

    `trained` counts its samples that any cycle trained on, `kept` those of accepted cycles. `mistakes` are the train
    questions that its drafts go back to and that were wrong when their cycle began; `fixed` of them are right at the
    end. They are 0 for drafts that go back to no single question.
    """

    strategy: str
    about: str
    drafts: int
    samples: int
    trained: int
    kept: int
    mistakes: int
    fixed: int | None


class CycleFunnel(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one cycle's drafts: drafts = samples + rejected + waiting, samples = trained + untrained.

    `mistakes` is None until the train questions are all answered; `too_long` of the trained samples' lessons were
    over the trainer's token cap and skipped.
    """

    cycle: int
    mistakes: int | None
    drafts: int
    samples: int
    rejected: dict[str, int]
    waiting: int
    trained: int
    untrained: int
    too_long: int


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run's drafts, and the diagnoses before them; `failed` counts an instructor's failures by stage."""

    diagnosed: int
    failed: dict[str, int]
    drafts: int
    samples: int
    rejected: dict[str, int]
    waiting: int
    trained: int
    untrained: int
    kept: int
    cycles: tuple[CycleFunnel, ...]


class KindCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples against one kind of error cost; `each` is None if none was accepted.

    An empty task and kind: what belongs to no diagnosis.
    """

    task: str
    kind: str
    usd: float
    samples: int
    each: float | None


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """The instructor's calls: how many, tokens in and out, and dollars, also for each accepted sample.

    The dollars of `by_kind` add up to `usd`; it is empty if nothing was spent. `budget_usd` is the cap, if any.
    `assumed_usd` is the part of `usd` that is the worst case, because the server counted no tokens. `host_usd` is what
    answers and trainings cost that are paid by the token; it is not in `usd`.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    usd: float
    usd_per_sample: float | None = None
    by_kind: tuple[KindCost, ...] = ()
    budget_usd: float | None = None
    assumed_usd: float = 0.0
    host_usd: float = 0.0

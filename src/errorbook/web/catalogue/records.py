"""What the catalogue is asked and answers: filters, rows, pages and counts, as frozen records. It reads nothing."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from errorbook.records import Split, Verdict
from errorbook.report.fates import Fate
from errorbook.report.records import DraftOutcome


class ItemFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which items; an empty text and 0 mean any.

    `verdict` is of the newest checkpoint that answered, or, with a `cycle`, of the one that this cycle began with;
    then only what that checkpoint answered counts. `text` is what people type: every word must occur.
    """

    task: str = ""
    split: str = ""
    skill: str = ""
    kind: str = ""
    fate: str = ""
    verdict: str = ""
    cycle: int = 0
    text: str = ""


class DraftFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which drafts; an empty text and 0 mean any."""

    task: str = ""
    outcome: str = ""
    reason: str = ""
    kind: str = ""
    strategy: str = ""
    cycle: int = 0
    text: str = ""


class ItemId(NamedTuple):
    """The name of one item."""

    task: str
    split: Split
    example: str


class QuestionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One question and what became of it. `path` is its verdicts by the kept checkpoints that answered it, in order.

    `kind` and `misconception` are of its newest diagnosis; `drafts` and `samples` count what was written for it;
    `corrected` says that a person changed a score or a draft of it. Texts are excerpts.
    """

    task: str
    split: Split
    example: str
    skill: str
    kind: str
    misconception: str
    fate: Fate
    path: tuple[Verdict, ...]
    question: str
    response_excerpt: str
    drafts: int
    samples: int
    corrected: bool

    @property
    def id(self) -> ItemId:
        """Its name."""
        return ItemId(self.task, self.split, self.example)


class DraftRow(msgspec.Struct, frozen=True, kw_only=True):
    """One draft, by its hash. `example` is the train question that it was written against or goes by, if any.

    `trained` says that the training of its cycle was done with it.
    """

    draft: str
    task: str
    question: str
    outcome: DraftOutcome
    reason: str
    kind: str
    strategy: str
    cycle: int
    example: str
    trained: bool


class ItemPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of `total` items; `before` and `after` are cursors of the pages around it, empty if there is none."""

    items: tuple[QuestionRow, ...]
    total: int
    before: str = ""
    after: str = ""


class DraftPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of `total` drafts; `before` and `after` are cursors as in `ItemPage`."""

    drafts: tuple[DraftRow, ...]
    total: int
    before: str = ""
    after: str = ""


class Count(NamedTuple):
    """How many rows have this value."""

    value: str
    n: int


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of each value under the other filters: what choosing it would leave. Values that occur, in their order."""

    task: tuple[Count, ...] = ()
    split: tuple[Count, ...] = ()
    skill: tuple[Count, ...] = ()
    kind: tuple[Count, ...] = ()
    fate: tuple[Count, ...] = ()
    verdict: tuple[Count, ...] = ()
    cycle: tuple[Count, ...] = ()


class DraftFacets(msgspec.Struct, frozen=True, kw_only=True):
    """The same for drafts."""

    task: tuple[Count, ...] = ()
    outcome: tuple[Count, ...] = ()
    reason: tuple[Count, ...] = ()
    kind: tuple[Count, ...] = ()
    strategy: tuple[Count, ...] = ()
    cycle: tuple[Count, ...] = ()

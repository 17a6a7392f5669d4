"""What each strategy of a run wrote, and what became of the mistakes that it worked on.

An association, as with kinds of mistakes: other samples were trained on as well, and mistakes get better by chance. It
reads train questions only.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from errorbook.config import Config
from errorbook.corrections.inbox import list_left_out
from errorbook.ledger import keys
from errorbook.ledger.counts import read_draft_sources
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Sample, Training, Verdict
from errorbook.report.supply_records import StrategyResult


def count_strategies(ledger: Ledger, config: Config, points: Checkpoints) -> tuple[StrategyResult, ...]:
    """One result for each strategy that has written anything, in the order in which they did."""
    about: dict[str, str] = {one.name: one.about for one in config.strategy.used(config.run.cycles)}
    verified = ledger.keys(Sample)
    trained = {cycle for cycle in range(1, len(points.decisions) + 2) if ledger.find(Training, keys.training(cycle))}
    left_out = {draft for cycle in trained for draft in list_left_out(ledger, cycle)}
    accepted = {decision.cycle for decision in points.decisions if decision.outcome == "accept"}
    counts: dict[str, Counter[str]] = {}
    worked_on: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    starts = _Starts(ledger, points)
    for draft in read_draft_sources(ledger):
        own = counts.setdefault(draft.strategy, Counter())
        passed = draft.hash in verified
        own.update(drafts=1, samples=passed)
        used = passed and draft.cycle in trained and draft.hash not in left_out
        own.update(trained=used, kept=used and draft.cycle in accepted)
        if draft.example and starts.verdict(draft.cycle, draft.task, draft.example) == "wrong":
            worked_on[draft.strategy].add((draft.task, draft.example))
    return tuple(
        StrategyResult(
            strategy=strategy,
            about=about.get(strategy, ""),
            drafts=own["drafts"],
            samples=own["samples"],
            trained=own["trained"],
            kept=own["kept"],
            mistakes=len(worked_on[strategy]),
            fixed=_count_fixed(points, worked_on[strategy]),
        )
        for strategy, own in counts.items()
    )


class _Starts:
    """What the checkpoint that each cycle began with answered to the train questions."""

    def __init__(self, ledger: Ledger, points: Checkpoints) -> None:
        self._ledger, self._points = ledger, points
        self._known: dict[tuple[int, str], dict[str, Verdict]] = {}

    def verdict(self, cycle: int, task: str, example: str) -> Verdict | None:
        if (cycle, task) not in self._known:
            found = self._points.complete(self._points.starting(cycle), task, "train")
            self._known[cycle, task] = self._ledger.verdicts(found) if found else {}
        return self._known[cycle, task].get(example)


def _count_fixed(points: Checkpoints, mistakes: set[tuple[str, str]]) -> int | None:
    """How many of them the final model answers rightly; None until it was asked again."""
    verdicts = {task: points.final_train_verdicts(task) for task, _ in mistakes}
    if not all(verdicts.values()):
        return None
    return sum(verdicts[task].get(example) == "right" for task, example in mistakes)

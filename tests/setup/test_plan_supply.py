"""The plan's count of blind answers is a bound for every division of the mistakes among the tasks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from loop_kit import config
from msgspec.structs import replace

from errorbook.config import Config
from errorbook.instruct import assign_undirected, share_evenly
from errorbook.records import Example
from errorbook.setup.plan_supply import count_supply
from errorbook.strategies.questions import Item, Key, assign_by_question, draw_order
from errorbook.strategies.section import Shares
from errorbook.strategies.shares import divide

SIZES = {"sums": 31, "rivers": 12, "laws": 7}
VOTES = {"sums": 0, "rivers": 3, "laws": 3}
"""Sums are recomputed."""


def questions(task: str, n: int) -> list[Example]:
    return [
        Example(id=f"{task}-{i}", task=task, split="train", question=f"{i}?", answer="1", solution="One.")
        for i in range(n)
    ]


TRAIN = {task: questions(task, n) for task, n in SIZES.items()}


def planned(name: object, cycles: int = 1, **changes: object) -> Config:
    made = config(cycles=str(cycles))
    return replace(made, strategy=replace(made.strategy, name=name, rounds=1, **changes))


def count_votes(made: Config, wrong: dict[str, Sequence[Example]], drawn: random.Random) -> int:
    """The blind answers of a run whose every cycle has these mistakes, by the run's own functions.

    How often a question is asked for again within a cycle is drawn; it decides where the next cycle goes on.
    """
    found, order, taken = 0, draw_order(TRAIN, 5), Counter[Key]()
    for cycle in range(1, made.run.cycles + 1):
        for tasks, quota in made.strategy.pools({task: len(own) for task, own in wrong.items()}):
            for part in divide(made.strategy.mix(cycle), quota, {task: wrong[task] for task in tasks}, lambda e: e.id):
                if part.strategy.diagnoses:
                    asked = [one.task for own in part.mistakes.values() for one in own]
                    drafts = list(zip(asked, share_evenly(part.quota, len(asked)), strict=True))
                elif part.strategy.basis == "tasks":
                    drafts = [(one.task, one.count) for one in assign_undirected(tasks, part.quota, cycle)]
                else:
                    asked_for = assign_by_question(part.strategy, order, part.quota, cycle, taken)
                    drafts = [(one.task, one.count) for one in asked_for]
                    taken.update({Item(one.exemplars[0]).key: drawn.randint(1, 3) for one in asked_for})
                found += sum(VOTES[task] * count for task, count in drafts)
    return found


@pytest.mark.parametrize("most", [3, 20, 45, 500])
@pytest.mark.parametrize(
    "name",
    ["error", "contrast", "undirected", "augment", {"error": 0.7, "augment": 0.3}, {"error": 0.9, "contrast": 0.1}],
)
def test_no_division_of_the_mistakes_asks_for_more_blind_answers_than_planned(name: str | Shares, most: int) -> None:
    made, drawn = planned(name, cycles=3, max_samples=most), random.Random(most)
    bound = sum(one.votes for one in count_supply(TRAIN, made, VOTES))

    for _ in range(60):
        wrong: dict[str, Sequence[Example]] = {
            task: drawn.sample(own, drawn.randint(0, len(own))) for task, own in TRAIN.items()
        }
        assert count_votes(made, wrong, drawn) <= bound
    only = {"sums": (), "rivers": TRAIN["rivers"], "laws": TRAIN["laws"]}
    assert count_votes(made, only, drawn) <= bound


def test_few_questions_that_are_voted_on_bring_few_blind_answers() -> None:
    """Two samples for each of 19 mistakes, however many sums there are."""
    [found] = {sum(one.votes for one in count_supply(TRAIN, planned(name), VOTES)) for name in ("error", "contrast")}

    assert found == 3 * 2 * 19
    assert sum(one.votes for one in count_supply(TRAIN, planned("error", max_samples=25), VOTES)) == 3 * 25
    assert not any(one.votes for one in count_supply(TRAIN, planned("imitate"), VOTES))

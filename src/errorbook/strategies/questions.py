"""Which train questions a strategy without diagnoses goes by, in which order, and what it asks for or takes from them.

Questions are taken in turn, and again from the first if there are fewer than samples: equal budgets stay equal. A
question whose sample was rejected is passed over from then on. It asks nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

from msgspec.structs import replace

from errorbook.records import Assignment, Draft, Example, Response, digest
from errorbook.strategies.shares import apportion
from errorbook.strategies.table import Strategy

VARIATIONS = 5
"""Variations of one train question that are written in one go."""

Key = tuple[str, str, str]


class Item(NamedTuple):
    """A train question, with the target's own right response if that is what is taught."""

    example: Example
    response: Response | None = None

    @property
    def key(self) -> Key:
        """What tells items apart."""
        return self.example.task, self.example.id, self.response.hash if self.response else ""


class Stock(NamedTuple):
    """What a strategy takes its samples from: items in their order, the next one's place, and those passed over."""

    strategy: Strategy
    items: tuple[Item, ...]
    place: int = 0
    refused: frozenset[Key] = frozenset()

    def without(self, failed: Iterable[Assignment]) -> Stock:
        """The stock that passes over the items of these assignments."""
        gone = (Item(one.exemplars[0], one.answers[0] if one.answers else None).key for one in failed)
        return self._replace(refused=self.refused.union(gone))


def take(stock: Stock, count: int, cycle: int, round: int = 0) -> tuple[list[Assignment], Stock]:
    """The next `count` samples as assignments that nobody is asked about, and the stock after them.

    There are no assignments if every item was refused.
    """
    if all(item.key in stock.refused for item in stock.items):
        return [], stock
    found: list[Assignment] = []
    place = stock.place
    while len(found) < count:
        item = stock.items[place % len(stock.items)]
        if item.key not in stock.refused:
            found.append(replace(_assign(stock.strategy, item, place, cycle), round=round))
        place += 1
    return found, stock._replace(place=place)


def restate(assignment: Assignment) -> Draft:
    """The draft of an assignment from a stock: its train question with the target's own or the data's solution."""
    [example], own = assignment.exemplars, next(iter(assignment.answers), None)
    draft = Draft(
        assignment=assignment.hash,
        diagnosis="",
        index=0,
        task=example.task,
        question=example.question,
        answer=example.answer,
        solution=own.text.strip() if own else example.solution,
        whole=own is not None,
    )
    return complete(assignment, draft)


def spread(order: Sequence[Example], quota: int, start: int, batch: int) -> list[tuple[Example, int, int]]:
    """`quota` samples over train questions in turn, at most `batch` of one question at once.

    Returns:
        For each time that a question is taken: the question, which of its times it is, and how many samples.
    """
    if not order:
        return []
    every, rest = divmod(quota, len(order))
    found = []
    for step in range(min(quota, len(order))):
        count = every + (step < rest)
        example = order[(start + step) % len(order)]
        found += [(example, turn, min(batch, count - done)) for turn, done in enumerate(range(0, count, batch))]
    return found


def assign_by_question(strategy: Strategy, order: Sequence[Example], quota: int, cycle: int) -> list[Assignment]:
    """Ask the instructor for variations or solutions of train questions, as many as `quota`, without any response.

    A solution is asked for by itself each time, so that several of one question are independent.
    """
    return [
        replace(_assign(strategy, Item(example), turn, cycle), count=count)
        for example, turn, count in spread(order, quota, (cycle - 1) * quota, batch_of(strategy))
    ]


def batch_of(strategy: Strategy) -> int:
    """How many samples by one train question the instructor is asked for at once."""
    return VARIATIONS if strategy.writes == "variation" else 1


def draw_order(tasks: Mapping[str, Sequence[Example]], seed: int) -> list[Example]:
    """The train questions of all tasks in a drawn order, the tasks in turn."""
    drawn = [
        sorted(own, key=lambda example: digest(str(seed), example.task, example.id)) for own in tasks.values() if own
    ]
    return [example for turn in zip_longest(*drawn) for example in turn if example is not None]


def stock_gold(strategy: Strategy, order: Sequence[Example], quota: int, cycle: int) -> Stock:
    """The questions that come with a worked solution; a later cycle goes on with the next ones."""
    return Stock(strategy, tuple(Item(example) for example in order if has_solution(example)), (cycle - 1) * quota)


def stock_answers(
    strategy: Strategy, order: Sequence[Example], draws: Mapping[tuple[str, str], Sequence[Response]]
) -> Stock:
    """Right responses, those to questions that have the fewest of them first, and one of each question at a time.

    `draws` has the right ones among the drawn responses, by task and example.
    """
    rarest = sorted(order, key=lambda example: len(draws.get((example.task, example.id), ())))
    each = [_different(example, draws.get((example.task, example.id), ())) for example in rarest]
    return Stock(strategy, tuple(item for turn in zip_longest(*each) for item in turn if item is not None))


def stock_by_skill(strategy: Strategy, order: Sequence[Example], wrong: Iterable[Example], quota: int) -> Stock:
    """Questions with worked solutions, each skill as often as its share of the wrong responses says (STAT, 2510.10023).

    The skills are those that the data name. Among the questions of one skill it does not matter what was answered.
    """
    missing = Counter((example.task, example.skill) for example in wrong if example.skill)
    pools = {skill: [one for one in order if (one.task, one.skill) == skill and has_solution(one)] for skill in missing}
    taught = sorted((skill for skill in missing if pools[skill]), key=lambda skill: (-missing[skill], skill))
    if not taught:
        return Stock(strategy, ())
    counts = apportion(quota, [missing[skill] for skill in taught])
    picked = (spread(pools[skill], count, 0, count or 1) for skill, count in zip(taught, counts, strict=True))
    return Stock(strategy, tuple(Item(one) for one, _, count in chain.from_iterable(picked) for _ in range(count)))


def has_solution(example: Example) -> bool:
    """Whether a question comes with something to learn: a worked solution, or an option or program that is right."""
    return bool(example.solution.strip() or (example.answer.strip() and (example.choices or example.tests)))


def find_parent(assignment: Assignment) -> str:
    """What a draft comes from: its diagnosis, or the train question that it goes by; an undirected one from neither."""
    if assignment.diagnosis is not None:
        return assignment.diagnosis.hash
    return "" if assignment.writes == "question" else assignment.exemplars[0].hash


def complete(assignment: Assignment, draft: Draft) -> Draft:
    """A written draft with its strategy, what its question comes after, and the train question that it goes by."""
    by_default = assignment.mistake.strategy if assignment.mistake else "undirected"
    strategy = assignment.strategy or by_default
    draft = replace(draft, strategy=strategy, writes=assignment.writes, before=assignment.before)
    if assignment.writes == "question":
        return draft
    example = assignment.exemplars[0]
    if assignment.writes == "solution":
        draft = replace(draft, question=example.question, choices=example.choices, tests=example.tests)
    return replace(
        draft,
        example=example.id,
        skill=draft.skill or example.skill,
        difficulty=draft.difficulty or example.difficulty,
    )


def _different(example: Example, responses: Sequence[Response]) -> list[Item]:
    """One item for each text."""
    return [Item(example, one) for one in {response.text.strip(): response for response in responses}.values()]


def _assign(strategy: Strategy, item: Item, index: int, cycle: int) -> Assignment:
    """One sample by one train question."""
    return Assignment(
        task=item.example.task,
        index=index,
        count=1,
        cycle=cycle,
        exemplars=(item.example,),
        strategy=strategy.name,
        writes=strategy.writes,
        answers=(item.response,) if item.response else (),
    )

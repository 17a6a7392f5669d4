"""Which train questions a strategy without diagnoses goes by, in which order, and what it asks for or takes from them.

Questions are taken in turn, and again from the first if there are fewer than samples: equal budgets stay equal. A cycle
goes on after what earlier ones took. A question whose sample was rejected is passed over from then on. It asks nobody.
"""

from __future__ import annotations

from collections import Counter, deque
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
"""A train question by its task and id, and the text of the target's own response if that is what is taught."""


class Item(NamedTuple):
    """A train question, with the target's own right response if that is what is taught."""

    example: Example
    response: Response | None = None

    @property
    def key(self) -> Key:
        """What tells items apart."""
        return self.example.task, self.example.id, self.response.text.strip() if self.response else ""


class Stock(NamedTuple):
    """What a strategy takes its samples from: items in their order, and how many samples were taken from it so far."""

    strategy: Strategy
    items: tuple[Item, ...]
    taken: int = 0

    def without(self, failed: Iterable[Assignment]) -> Stock:
        """The stock without the items of these assignments."""
        gone = {Item(one.exemplars[0], one.answers[0] if one.answers else None).key for one in failed}
        return self._replace(items=tuple(item for item in self.items if item.key not in gone))


def take(stock: Stock, count: int, cycle: int, round: int = 0) -> tuple[list[Assignment], Stock]:
    """The next `count` samples as assignments that nobody is asked about, and the stock after them.

    There are no assignments if no item is left.
    """
    return _take(stock, [None] * count, cycle, round)


def replace_failed(
    stock: Stock, failed: Sequence[Assignment], cycle: int, round: int
) -> tuple[list[Assignment], Stock]:
    """As many other samples, and the stock after them; if it goes by skills, of the same ones while any is left."""
    by_skill = stock.strategy.basis == "skills"
    wanted = [_skill(one.exemplars[0]) if by_skill else None for one in failed]
    return _take(stock.without(failed), wanted, cycle, round)


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


def count_taken(drafts: Iterable[Draft]) -> Counter[Key]:
    """How often each question, or own response to it, was taken for these drafts."""
    return Counter((draft.task, draft.example, draft.solution if draft.whole else "") for draft in drafts)


def spread(order: Sequence[Example], quota: int, batch: int) -> list[tuple[Example, int, int]]:
    """`quota` samples over train questions in turn, at most `batch` of one question at once.

    Returns:
        For each time that a question is taken: the question, which of its times it is, and how many samples.
    """
    if not order:
        return []
    every, rest = divmod(quota, len(order))
    found = []
    for step, example in enumerate(order[:quota]):
        count = every + (step < rest)
        found += [(example, turn, min(batch, count - done)) for turn, done in enumerate(range(0, count, batch))]
    return found


def assign_by_question(
    strategy: Strategy, order: Sequence[Example], quota: int, cycle: int, taken: Counter[Key]
) -> list[Assignment]:
    """Ask the instructor for variations or solutions of train questions, as many as `quota`, without any response.

    A solution is asked for by itself each time, so that several of one question are independent. `taken` is what
    earlier cycles took.
    """
    rarest = [item.example for item in _sort(map(Item, order), taken)]
    return [
        replace(_assign(strategy, Item(example), turn, cycle), count=count)
        for example, turn, count in spread(rarest, quota, batch_of(strategy))
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


def stock_gold(strategy: Strategy, order: Sequence[Example], taken: Counter[Key]) -> Stock:
    """The questions that come with a worked solution; `taken` is what earlier cycles took."""
    return Stock(strategy, _sort((Item(example) for example in order if has_solution(example)), taken))


def stock_answers(
    strategy: Strategy,
    order: Sequence[Example],
    draws: Mapping[tuple[str, str], Sequence[Response]],
    taken: Counter[Key],
) -> Stock:
    """Right responses, those to questions that have the fewest of them first, and one of each question at a time.

    `draws` has the right ones among the drawn responses, by task and example; `taken` is what earlier cycles took.
    """
    rarest = sorted(order, key=lambda example: len(draws.get((example.task, example.id), ())))
    each = [_different(example, draws.get((example.task, example.id), ())) for example in rarest]
    return Stock(strategy, _sort((item for turn in zip_longest(*each) for item in turn if item is not None), taken))


def stock_by_skill(
    strategy: Strategy, order: Sequence[Example], wrong: Iterable[Example], quota: int, taken: Counter[Key]
) -> Stock:
    """Questions with worked solutions, each skill as often as its share of the wrong responses says (STAT, 2510.10023).

    The skills are those that the data name. Among the questions of one skill it does not matter what was answered.
    After `quota` items come the other questions of these skills, to stand in for those that are rejected. `taken` is
    what earlier cycles took.
    """
    missing = Counter(_skill(example) for example in wrong if example.skill)
    solved = _sort((Item(one) for one in order if has_solution(one)), taken)
    pools = {skill: [item.example for item in solved if _skill(item.example) == skill] for skill in missing}
    taught = sorted((skill for skill in missing if pools[skill]), key=lambda skill: (-missing[skill], skill))
    if not taught:
        return Stock(strategy, ())
    counts = apportion(quota, [missing[skill] for skill in taught])
    shares = list(zip(taught, counts, strict=True))
    picked = chain.from_iterable(spread(pools[skill], count, count or 1) for skill, count in shares)
    first = [Item(one) for one, _, times in picked for _ in range(times)]
    return Stock(strategy, (*first, *(Item(one) for skill, count in shares for one in pools[skill][count:])))


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


def _sort(items: Iterable[Item], taken: Counter[Key]) -> tuple[Item, ...]:
    """The items in their order, but those first that were taken the fewest times: so a later cycle goes on."""
    return tuple(sorted(items, key=lambda item: taken[item.key]))


def _skill(example: Example) -> tuple[str, str]:
    return example.task, example.skill


def _take(
    stock: Stock, wanted: Sequence[tuple[str, str] | None], cycle: int, round: int
) -> tuple[list[Assignment], Stock]:
    """One sample for each wanted skill, of any skill if it is None or none of it is left; what is taken comes last."""
    queue = deque(stock.items)
    found: list[Assignment] = []
    for index, skill in enumerate(wanted if queue else (), stock.taken):
        item = next((one for one in queue if skill in (None, _skill(one.example))), queue[0])
        queue.remove(item)
        queue.append(item)
        found.append(replace(_assign(stock.strategy, item, index, cycle), round=round))
    return found, stock._replace(items=tuple(queue), taken=stock.taken + len(found))


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

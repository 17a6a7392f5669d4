"""From what a row says to an example: its split, its id, and each question once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from errorbook.adapters.tasks.splits import choose_split, drop_repeats
from errorbook.records import Example, Split, digest


class Item(NamedTuple):
    """What one row says. `part` overrules the row's source; `accepted` are answers that are as right as `answer`.

    `group` is what variants of one question share: it keeps them in one split, and the gate counts it once.
    """

    question: str
    answer: str
    choices: tuple[str, ...] = ()
    tests: str = ""
    solution: str = ""
    skill: str = ""
    id: str = ""
    group: str = ""
    part: Split | None = None
    accepted: tuple[str, ...] = ()


def make_examples(task: str, items: Sequence[tuple[Item, Split]]) -> list[Example]:
    """The items with the parts of their source as examples, divided if the source lacks a part; see `splits`."""
    parts = {item.part or part for item, part in items}
    return drop_repeats(_example(task, item, item.part or part, parts) for item, part in items)


def _example(task: str, item: Item, part: Split, parts: set[Split]) -> Example:
    return Example(
        id=item.id or digest(item.question, item.answer, *item.choices)[:16],
        task=task,
        split=choose_split(item.group or item.question, part, parts),
        question=item.question,
        answer=item.answer,
        choices=item.choices,
        tests=item.tests,
        solution=item.solution,
        skill=item.skill,
        group=digest(item.group)[:16] if item.group else "",
        accepted=item.accepted,
    )

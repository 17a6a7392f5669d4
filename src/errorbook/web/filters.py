"""Which part of a list an address asks for: its filter, order and place, read from the query and never trusted."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from errorbook.web.catalogue.lists import DRAFT_SORTS, ITEM_SORTS
from errorbook.web.catalogue.records import Count, DraftFilter, ItemFilter

ITEM_QUERY = ("task", "split", "skill", "kind", "fate", "verdict", "cycle", "q", "sort")
"""What makes a list of questions: a question's page keeps it, so that next and previous stay in the list."""
DRAFT_QUERY = ("task", "outcome", "reason", "kind", "cycle", "q", "sort")
_LONGEST = 200


class Choices(NamedTuple):
    """The values of one facet: its title, its name in the address, those shown at once, the rest, and what is chosen.

    `unlisted` counts the values that are left out: they are found by searching.
    """

    title: str
    name: str
    first: list[tuple[str, str, int]]
    rest: list[tuple[str, str, int]]
    now: str
    unlisted: int


def item_filter(request: Request) -> ItemFilter:
    """The questions that the address asks for."""
    given = _given(request, ITEM_QUERY)
    return ItemFilter(
        task=given["task"],
        split=given["split"],
        skill=given["skill"],
        kind=given["kind"],
        fate=given["fate"],
        verdict=given["verdict"],
        cycle=_number(given["cycle"]),
        text=given["q"],
    )


def draft_filter(request: Request) -> DraftFilter:
    """The drafts that the address asks for."""
    given = _given(request, DRAFT_QUERY)
    return DraftFilter(
        task=given["task"],
        outcome=given["outcome"],
        reason=given["reason"],
        kind=given["kind"],
        cycle=_number(given["cycle"]),
        text=given["q"],
    )


def item_sort(request: Request) -> str:
    """How the questions are to be sorted."""
    return _sort(request, ITEM_SORTS)


def draft_sort(request: Request) -> str:
    """How the drafts are to be sorted."""
    return _sort(request, DRAFT_SORTS)


def choices(title: str, name: str, counts: tuple[Count, ...], now: str, *, shown: int = 8, most: int = 80) -> Choices:
    """A facet's values for showing: the chosen one is always among the first."""
    rows = [(value, value.replace("_", " ") or "none", n) for value, n in counts if value]
    first = rows[:shown]
    rest = rows[shown:most]
    chosen = [row for row in rest if row[0] == now]
    return Choices(title, name, first + chosen, [row for row in rest if row[0] != now], now, max(0, len(rows) - most))


def _given(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    return {name: request.query_params.get(name, "")[:_LONGEST] for name in names}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _sort(request: Request, known: tuple[str, ...]) -> str:
    wanted = request.query_params.get("sort", "")
    return wanted if wanted.removeprefix("-") in known else known[0]

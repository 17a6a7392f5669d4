"""Which part of a list an address asks for: its filter, order and place, read from the query and never trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from starlette.requests import Request

from errorbook.web.catalogue.lists import DRAFT_SORTS, ITEM_SORTS
from errorbook.web.catalogue.records import Count, DraftFacets, DraftFilter, Facets, ItemFilter

ITEM_QUERY = ("task", "split", "skill", "kind", "fate", "verdict", "cycle", "q", "sort")
"""What makes a list of questions: a question's page keeps it, so that next and previous stay in the list."""
DRAFT_QUERY = ("task", "outcome", "reason", "kind", "strategy", "cycle", "q", "sort")
_LONGEST = 200
_SHOWN = {"reason": 10}  # values that are shown at once; 8 of any other facet
_MOST = 80

T = TypeVar("T", ItemFilter, DraftFilter)


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
    return _filter(request, ItemFilter)


def draft_filter(request: Request) -> DraftFilter:
    """The drafts that the address asks for."""
    return _filter(request, DraftFilter)


def _filter(request: Request, kind: type[T]) -> T:
    names = {name: "q" if name == "text" else name for name in kind.__struct_fields__}
    given: dict[str, Any] = {name: request.query_params.get(asked, "")[:_LONGEST] for name, asked in names.items()}
    return kind(**given | {"cycle": _number(given["cycle"])})


def item_sort(request: Request) -> str:
    """How the questions are to be sorted."""
    return _sort(request, ITEM_SORTS)


def draft_sort(request: Request) -> str:
    """How the drafts are to be sorted."""
    return _sort(request, DRAFT_SORTS)


def facet_choices(
    facets: Facets | DraftFacets, wanted: ItemFilter | DraftFilter, titles: Mapping[str, str]
) -> list[Choices]:
    """The facets with these titles that have values, for showing; a value that is chosen is always among the first."""
    found = [_choices(titles[name], name, getattr(facets, name), str(getattr(wanted, name) or "")) for name in titles]
    return [choice for choice in found if choice.first]


def _choices(title: str, name: str, counts: tuple[Count, ...], now: str) -> Choices:
    rows = [(value, value.replace("_", " ") or "none", n) for value, n in counts if value]
    shown = _SHOWN.get(name, 8)
    first, rest = rows[:shown], rows[shown:_MOST]
    chosen = [row for row in rest if row[0] == now]
    return Choices(title, name, first + chosen, [row for row in rest if row[0] != now], now, max(0, len(rows) - _MOST))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _sort(request: Request, known: tuple[str, ...]) -> str:
    wanted = request.query_params.get("sort", "")
    return wanted if wanted.removeprefix("-") in known else known[0]

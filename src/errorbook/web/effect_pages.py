"""Effect by kind of mistake: what there was, what was spent on it, what became of it, and what a control made of it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errorbook.errors import UserError
from errorbook.report.records import ErrorKind, Report
from errorbook.web.answering import book_of, list_crumbs, shelf_of, show
from errorbook.web.run_pages import show_soon
from errorbook.web.shelf import Book

MOST = 300
"""Kinds in the table; a free-spoken instructor may name thousands."""

_SORTS: dict[str, Callable[[ErrorKind], tuple[float | str, ...]]] = {
    "mistakes": lambda item: (-item.n, item.task, item.kind),
    "kind": lambda item: (item.kind, item.task),
    "left": lambda item: (-(item.n - (item.fixed or 0)), item.task, item.kind),
    "fixed": lambda item: (-_share(item), -item.n, item.task, item.kind),
    "samples": lambda item: (-item.trained, item.task, item.kind),
    "broken": lambda item: (-(item.broken or 0), item.task, item.kind),
    "cost": lambda item: (-item.usd, item.task, item.kind),
    "control": lambda item: (-(item.control.difference.value if item.control else -2.0), item.task, item.kind),
}


def effects_page(request: Request) -> Response:
    """The kinds of mistakes in the order that the address asks for, against the control that it names."""
    book = book_of(request)
    others = [other for other in shelf_of(request).books() if other.slug != book.slug]
    wanted = request.query_params.get("control", "")
    control = next((other for other in others if other.slug == wanted), None)
    report, problem = _report(book, control)
    if report is None:
        return show_soon(request, book, "effects")
    if wanted and control is None:
        problem = f"There is no other run '{wanted[:200]}' here to compare with; choose one from the list."
    sort = request.query_params.get("sort", "")
    sort = sort if sort in _SORTS else "mistakes"
    kinds = sorted(report.error_kinds, key=_SORTS[sort])
    return show(
        request,
        "web/effects.html.j2",
        book=book,
        section="effects",
        crumbs=list_crumbs(book, ("Effects", "")),
        report=report,
        kinds=kinds[:MOST],
        total=len(kinds),
        controls=[(other.slug, other.slug) for other in others],
        control=control.slug if control else "",
        problem=problem,
        behind=book.behind(control if not problem else None),
        sort=sort,
    )


def _report(book: Book, control: Book | None) -> tuple[Report | None, str]:
    """The numbers, against the control if that fits; else without, and the sentence that says why it does not."""
    problem = ""
    if control is not None:
        try:
            return book.report(control), ""
        except UserError as error:
            problem = str(error)
    return book.report(), problem


def _share(item: ErrorKind) -> float:
    return (item.fixed or 0) / item.n if item.n else 0.0


ROUTES: list[BaseRoute] = [Route("/runs/{run}/effects", effects_page)]

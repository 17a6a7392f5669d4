"""The page that compares two checkpoints, of one run or of two: numbers, then questions, regressions first.

The address is the whole state: both sides, task, split, what is listed, where in the list, and which question is open.
It computes nothing: see `compare_runs`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errorbook.errors import LedgerError, UserError
from errorbook.ledger import keys
from errorbook.ledger.file import open_ledger
from errorbook.ledger.pairs import Pair, Pairs, Place
from errorbook.records import Example
from errorbook.records import Response as Answer
from errorbook.render.compare_words import choice_text
from errorbook.report import compare_runs as comparing
from errorbook.report.compare_runs import SHOWN, CheckpointChoice, Compared, Paired, Shown, Side
from errorbook.web.answering import find_book, not_found, path, query, shelf_of, show, url
from errorbook.web.shelf import Book

SIZE = 50
MOST = 60
"""Runs offered to choose from, the newest ones; others are compared by their address."""
KEPT = ("a", "b", "task", "split", "change")
WORDS = {"regressions": "regressions", "gains": "gains", "all": "all, regressions first"}


class Page(NamedTuple):
    """A page of the list; the cursors say from which place on to read, and in which direction."""

    pairs: list[Pair]
    total: int
    before: str
    after: str


class Opened(NamedTuple):
    """The open question: its example if A's run recorded it, both answers, and where one goes from here."""

    pair: Pair
    example: Example | None
    answers: tuple[Answer, Answer]
    previous: str
    next: str
    regression: str


class Ends(NamedTuple):
    """Both sides with the books that they are of."""

    a: Side
    b: Side
    books: tuple[Book, Book]


def compare_page(request: Request) -> Response:
    """Both sides, the numbers, and the list or the open question."""
    values: dict[str, Any] = {"compared": None, "row": None, "page": None, "opened": None, "sentence": "", "ends": None}
    try:
        ends = _ends(request)
        if ends is not None:
            values |= {"ends": ends, **_shown(request, ends)}
    except UserError as error:
        values["sentence"] = str(error)
    ends = values["ends"]
    book = ends.books[0] if ends else None
    runs = _offered(request)
    return show(
        request,
        "web/compare.html.j2",
        book=book,
        section="compare",
        crumbs=_trail(request, book, values["opened"]),
        runs=runs,
        known={value for _, options in runs for value, _ in options},
        wanted={name: request.query_params.get(name, "") for name in KEPT},
        changes_listed=WORDS,
        change=_change(request),
        **values,
    )


def _trail(request: Request, book: Book | None, opened: Opened | None) -> list[tuple[str, str]]:
    """The way from the runs to this page; up from a question leads to the list."""
    way = [("Runs", "/"), *([(book.slug, path("runs", book.slug))] if book else [])]
    if opened is None:
        return [*way, ("Comparison", "")]
    return [*way, ("Comparison", url(request, item="")), (opened.pair.place.example, "")]


def _ends(request: Request) -> Ends | None:
    """The sides that the address names, or None if it names less than two."""
    named = [request.query_params.get(name, "") for name in ("a", "b")]
    if not all(named):
        return None
    sides, books = [], []
    for text in named:
        slug, _, checkpoint = text.rpartition(":") if ":" in text else (text, "", "final")
        book = find_book(request, slug)
        with open_ledger(book.folder) as ledger:
            sides.append(comparing.find_side(ledger, checkpoint or "final", slug))
        books.append(book)
    return Ends(sides[0], sides[1], (books[0], books[1]))


def _shown(request: Request, ends: Ends) -> dict[str, Any]:
    compared = _compared(ends.a, ends.b, ends.books[0].version(), ends.books[1].version())
    row = _row(request, compared)
    values: dict[str, Any] = {"compared": compared, "row": row}
    item = request.query_params.get("item", "")
    with comparing.open_pairs(ends.a, ends.b, row) as pairs:
        if item:
            values["opened"] = _opened(request, ends, row, pairs, item)
        else:
            values["page"] = _page(pairs, row, _change(request), request.query_params.get("after", ""))
    return values


@lru_cache(maxsize=64)
def _compared(a: Side, b: Side, version_a: int, version_b: int) -> Compared:
    """The numbers, kept while neither ledger changes."""
    return comparing.compare(a, b)


def _row(request: Request, compared: Compared) -> Paired:
    """The task and split that are listed: those of the address, or the first learnt test, or the first."""
    task, split = (request.query_params.get(name, "") for name in ("task", "split"))
    fitting = [row for row in compared.tasks if task in {"", row.task} and split in {"", row.split}]
    if not fitting:
        raise LedgerError("The two sides did not both answer this task's split; choose one from the table.")
    return next((row for row in fitting if row.split == "test" and row.role == "learn"), fitting[0])


def _change(request: Request) -> Shown:
    given = request.query_params.get("change", "")
    return next((each for each in SHOWN if each == given), "regressions")


# The list ----------------------------------------------------------------------------------------------------------


def _page(pairs: Pairs, row: Paired, change: Shown, cursor: str) -> Page:
    wanted = SHOWN[change]
    total = sum(row.changes[each] for each in wanted)
    place = _place(cursor[1:])
    if cursor[:1] == "<" and place is not None:
        found = pairs.page_before(wanted, place, SIZE)
        if len(found) == SIZE:
            earlier = bool(pairs.page_before(wanted, found[0].place, 1))
            return Page(found, total, _cursor("<", found[0]) if earlier else "", _cursor(">", found[-1]))
        place = None  # the beginning, with a full page
    found = pairs.page(wanted, place, SIZE + 1)
    more, found = len(found) > SIZE, found[:SIZE]
    before = _cursor("<", found[0]) if place is not None and found else ""
    return Page(found, total, before, _cursor(">", found[-1]) if more else "")


def _cursor(direction: str, pair: Pair) -> str:
    return f"{direction}{pair.place.change}:{pair.place.example}"


def _place(text: str) -> Place | None:
    """A place out of an address; what is no place is the beginning."""
    change, _, example = text.partition(":")
    known = next((each for each in SHOWN["all"] if each == change), None)
    return Place(known, example) if known and example else None


# One question ------------------------------------------------------------------------------------------------------


def _opened(request: Request, ends: Ends, row: Paired, pairs: Pairs, item: str) -> Opened:
    place, wanted = pairs.place_of(item), SHOWN[_change(request)]
    answers = pairs.both(item)
    if place is None or answers is None:
        not_found(request, f"The question '{item}' of {row.task} ({row.split}) is not answered by both sides.")
    regressions = pairs.page(("broken",), place if place.change == "broken" else None, 1)
    with open_ledger(ends.a.path) as ledger:
        example = ledger.find(Example, keys.example(row.task, row.split, item))
    score_a, score_b = (answer.score for answer in answers)
    pair = Pair(place, score_a.verdict, score_b.verdict, "", score_a.extracted, score_b.extracted)
    return Opened(
        pair=pair,
        example=example,
        answers=answers,
        previous=_address(request, row, pairs.page_before(wanted, place, 1)),
        next=_address(request, row, pairs.page(wanted, place, 1)),
        regression=_address(request, row, [found for found in regressions if found.place != place]),
    )


def _address(request: Request, row: Paired, found: list[Pair]) -> str:
    """The address of a question in the same comparison; empty for none."""
    if not found:
        return ""
    return "/compare" + query(request, KEPT, task=row.task, split=row.split, item=found[0].place.example)


# What can be chosen ------------------------------------------------------------------------------------------------


def _offered(request: Request) -> list[tuple[str, list[tuple[str, str]]]]:
    """Runs with their checkpoints, as (value, words); a run that cannot be read is left out."""
    offered = []
    for book in shelf_of(request).books()[:MOST]:
        try:
            known = _choices(book.folder, book.version())
        except UserError:
            continue
        options = [(f"{book.slug}:{item.name}", f"{item.name}: {choice_text(item)}") for item in known]
        if options:
            offered.append((book.slug, options))
    return offered


@lru_cache(maxsize=256)
def _choices(folder: Path, version: int) -> tuple[CheckpointChoice, ...]:
    with open_ledger(folder) as ledger:
        return tuple(comparing.list_choices(ledger))


ROUTES: list[BaseRoute] = [Route("/compare", compare_page)]

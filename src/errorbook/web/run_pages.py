"""The shelf of runs, one run's page, and the help: where a reader begins.

The run's page is made of the report's own sections, so its numbers cannot differ from the report's. It computes
nothing: what is shown comes from `status`, `standing` and `report_html`.
"""

from __future__ import annotations

import string
import time
from functools import partial
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errorbook.errors import UserError
from errorbook.ledger.liveness import changed
from errorbook.render import status_words as standing
from errorbook.render.pages import html as report_html
from errorbook.report.status import Status
from errorbook.web.answering import book_of, encode_query, path, shelf_of, show
from errorbook.web.experiments import Experiment, experiment_of, list_experiments
from errorbook.web.shelf import Book, Shelf

MOST = 200
"""Runs on the first page, the newest ones: more are reached by opening a folder further down."""
SECTIONS = (
    ("accuracy", "Accuracy"),
    ("cycles", "By cycle"),
    ("fates", "Fates"),
    ("decisions", "Decisions"),
    ("skills", "Skills"),
    ("kinds", "Kinds of mistakes"),
    ("funnel", "Drafts"),
    ("cost", "Cost"),
    ("loss", "Training"),
    ("about", "About"),
)
"""The report's sections on the run's page, by the id of their heading; one that a run does not fill is left out."""
PATIENCE = 1.0
"""Seconds that a page waits for numbers which are not computed yet; after that it says so and asks again."""
_SOON = "2"  # seconds, for the browser
_BARE = string.ascii_letters + string.digits + "-_./~=+:@%"


class Card(NamedTuple):
    """One run on the shelf: where it stands, or the sentence that says why it cannot be read (yet)."""

    book: Book
    status: Status | None
    problem: str
    changed: float

    @property
    def address(self) -> str:
        """Of the run's page."""
        return path("runs", self.book.slug)


class Group(NamedTuple):
    """One experiment on the shelf, with the cards of its runs."""

    experiment: Experiment
    cards: list[Card]

    @property
    def address(self) -> str:
        """Of the experiment's page."""
        return path("experiments", self.experiment.slug)


def runs(request: Request) -> Response:
    """Every run below the folder, newest first; the runs of an experiment are one entry."""
    shelf = shelf_of(request)
    stamp = shelf.stamp()
    books = shelf.books()
    until = time.monotonic() + PATIENCE
    cards = [_card(book, until) for book in books[:MOST]]
    answer = show(
        request,
        "web/runs.html.j2",
        section="runs",
        stamp=stamp,
        root=str(shelf.root),
        entries=_group(shelf, cards),
        shown=len(cards),
        total=len(books),
        standing=standing,
        begin=f"errorbook demo --out {quote_for_shell(str(shelf.root / 'demo'))}",
    )
    return _again(answer, any(card.status is None and not card.problem for card in cards))


def run(request: Request) -> Response:
    """One run: where it stands, and all that its report says."""
    book = book_of(request)
    stamp, here = book.stamp(), path("runs", book.slug)
    page = {"book": book, "section": "run", "crumbs": _list_crumbs(request, book), "stamp": stamp}
    try:
        now = book.status(PATIENCE)
        report = book.report(patience=PATIENCE) if now else None
        behind = book.behind() if report else 0.0
    except UserError as error:
        return show(request, "web/run_problem.html.j2", sentence=str(error), **page)
    if now is None or report is None:
        return show_soon(request, book, "run", now)
    links = {f"{name}_link": partial(_list_address, f"{here}/{name}") for name in ("book", "samples")}
    values = report_html.context(report) | links
    return show(
        request, "web/run.html.j2", now=now, standing=standing, behind=behind, sections=SECTIONS, **values, **page
    )


def show_soon(request: Request, book: Book, section: str, now: Status | None = None) -> Response:
    """A page for numbers that are not made yet, which asks for itself again; `now` is where the run stands."""
    page = {"book": book, "section": section, "crumbs": _list_crumbs(request, book)}
    return _again(show(request, "web/run_soon.html.j2", now=now, standing=standing, **page), True)


def _list_crumbs(request: Request, book: Book) -> tuple[tuple[str, str], ...]:
    """The way to a run's page, by its experiment if it is part of one."""
    above = experiment_of(shelf_of(request), book)
    between = ((above.name, path("experiments", above.slug)),) if above else ()
    return (("Runs", "/"), *between, (book.slug, ""))


def keys(request: Request) -> Response:
    """What the keyboard does, for readers whose browser runs no scripts."""
    return show(request, "web/help.html.j2")


def quote_for_shell(text: str) -> str:
    """A path as a shell takes it."""
    return text if text and all(letter in _BARE for letter in text) else "'" + text.replace("'", "'\\''") + "'"


def _card(book: Book, until: float) -> Card:
    try:
        status = book.status(max(until - time.monotonic(), 0.0))
        return Card(book, status, "", changed(book.folder))
    except UserError as error:
        return Card(book, None, str(error), changed(book.folder))


def _group(shelf: Shelf, cards: list[Card]) -> list[Card | Group]:
    """The cards in their order; those of an experiment stand together, in the place of the first."""
    groups = {
        book.slug: group
        for found in list_experiments(shelf, [card.book for card in cards])
        for group in [Group(found, [])]
        for book in found.books.values()
    }
    entries: list[Card | Group] = []
    for card in cards:
        group = groups.get(card.book.slug)
        if group is None or not group.cards:
            entries.append(group or card)
        if group is not None:
            group.cards.append(card)
    return entries


def _again(answer: Response, soon: bool) -> Response:
    """Have the browser ask again where something is still being computed: also where it runs no scripts."""
    if soon:
        answer.headers["Refresh"] = _SOON
        answer.headers["Cache-Control"] = "no-store"
    return answer


def _list_address(lists: str, task: str = "", split: str = "", fate: str = "", **more: str) -> str:
    """The list of questions or drafts that a number counts."""
    return lists + encode_query({"task": task, "split": split, "fate": fate, **more})


ROUTES: list[BaseRoute] = [
    Route("/", runs),
    Route("/help", keys),
    Route("/runs/{run}", run),
]

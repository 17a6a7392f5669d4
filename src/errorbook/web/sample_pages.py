"""The samples: every draft with what became of it, one draft with its way back, and one call to an instructor."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errorbook.render.story_words import ASSOCIATION, describe_effect, name_checkpoint
from errorbook.report.question_story import read_call_story, read_draft_story
from errorbook.web.answering import book_of, list_crumbs, not_found, part, path, query, show
from errorbook.web.filters import DRAFT_QUERY, draft_filter, draft_sort, facet_choices
from errorbook.web.shelf import Book

SORTS = (
    ("newest", "newest"),
    ("oldest", "oldest"),
    ("kind", "kind of mistake"),
    ("strategy", "strategy"),
    ("outcome", "outcome"),
    ("reason", "reason of rejection"),
    ("cycle", "cycle"),
)
TITLES = {"reason": "Why rejected", "kind": "Kind of mistake", "task": "Task", "cycle": "Cycle"}


def samples_page(request: Request) -> Response:
    """The list of drafts that the address asks for."""
    book = book_of(request)
    wanted, sort = draft_filter(request), draft_sort(request)
    catalogue = book.catalogue
    page = catalogue.drafts(wanted, sort, request.query_params.get("after", "")[:500])
    facets = catalogue.draft_facets(wanted)
    kept = query(request, DRAFT_QUERY)
    # A run of one strategy has nothing to choose from.
    titles = TITLES | ({"strategy": "Strategy"} if len(facets.strategy) > 1 or wanted.strategy else {})
    return show(
        request,
        "web/samples.html.j2",
        book=book,
        section="samples",
        crumbs=list_crumbs(book, ("Samples", "")),
        page=page,
        rows=[(row, path("runs", book.slug, "samples", row.draft) + kept) for row in page.drafts],
        wanted=wanted,
        sort=sort,
        sorts=SORTS,
        outcomes=facets.outcome,
        facets=facet_choices(facets, wanted, titles),
        progress=catalogue.progress(),
    )


def draft_page(request: Request) -> Response:
    """One draft: its texts and checks, and the mistake that it was written against."""
    book, hash = book_of(request), part(request, "draft")
    with book.reading() as ledger:
        told = read_draft_story(ledger, hash)
    if told is None:
        not_found(request, f"This run has no draft '{hash}'.")
    return show(
        request,
        "web/draft.html.j2",
        book=book,
        section="samples",
        crumbs=_below(request, book, hash[:8]),
        told=told,
        effect=describe_effect(told.story) if told.story else "",
        association=ASSOCIATION,
        named=name_checkpoint,
    )


def call_page(request: Request) -> Response:
    """One call: what was sent, what came back, what it cost, and what it came to."""
    book, hash = book_of(request), part(request, "call")
    with book.reading() as ledger:
        told = read_call_story(ledger, hash)
    if told is None:
        not_found(request, f"This run has no call '{hash}'.")
    return show(
        request,
        "web/call.html.j2",
        book=book,
        section="samples",
        crumbs=_below(request, book, f"Call {hash[:8]}"),
        told=told,
    )


def _below(request: Request, book: Book, words: str) -> tuple[tuple[str, str], ...]:
    """The crumbs of a page below the list of samples."""
    samples = path("runs", book.slug, "samples") + query(request, DRAFT_QUERY)
    return list_crumbs(book, ("Samples", samples), (words, ""))


ROUTES: list[BaseRoute] = [
    Route("/runs/{run}/samples", samples_page),
    Route("/runs/{run}/samples/{draft}", draft_page),
    Route("/runs/{run}/calls/{call}", call_page),
]

"""The book's pages: the list of questions with what became of them, and one question with its whole story.

What is shown comes from `catalogue` (lists) and `lineage` (one thing). It computes no statistics.
"""

from __future__ import annotations

from urllib.parse import unquote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from errorbook.render.pages.model_texts import changes
from errorbook.render.story_words import ASSOCIATION, describe_effect, list_moments, name_checkpoint
from errorbook.report.question_story import Story, read_story
from errorbook.web import effect_pages, raw_pages, sample_pages
from errorbook.web.answering import book_of, list_crumbs, not_found, path, query, show, templates
from errorbook.web.catalogue.records import Facets, ItemFilter, ItemId
from errorbook.web.filters import ITEM_QUERY, facet_choices, item_filter, item_sort
from errorbook.web.fitting import fit, shorten
from errorbook.web.shelf import Book

SORTS = (
    ("id", "id"),
    ("newest", "newest diagnosis"),
    ("kind", "kind of mistake"),
    ("skill", "skill"),
    ("fate", "what became of it"),
    ("-drafts", "most drafts"),
)
TITLES = {
    "fate": "What became of it",
    "kind": "Kind of mistake",
    "skill": "Skill",
    "task": "Task",
    "split": "Split",
    "cycle": "As answered before cycle",
}
DRAFTS_SHOWN = 24
"""Drafts of one diagnosis on the page of its mistake; the list of samples has them all."""
_DIFFERENCE = 4_000
_FIRST = {"split": "train", "verdict": "wrong", "cycle": "1", "sort": "id"}
"""Where the book opens: the mistakes that the run began with."""


def book_page(request: Request) -> Response:
    """The list of questions that the address asks for; without any wish, the mistakes on train."""
    book = book_of(request)
    wanted, sort = item_filter(request), item_sort(request)
    catalogue = book.catalogue
    if not request.query_params:
        mistakes = catalogue.items(ItemFilter(split="train", verdict="wrong", cycle=1), size=1).total
        return RedirectResponse(
            path("runs", book.slug, "book") + query(request, (), **(_FIRST if mistakes else {"sort": "id"})), 302
        )
    page = catalogue.items(wanted, sort, request.query_params.get("after", "")[:500])
    facets = catalogue.item_facets(wanted)
    return show(
        request,
        "web/book.html.j2",
        book=book,
        section="book",
        crumbs=list_crumbs(book, ("Book", "")),
        page=page,
        rows=[(item, _address(request, book, item.id)) for item in page.items],
        wanted=wanted,
        sort=sort,
        sorts=SORTS,
        verdicts=facets.verdict,
        facets=facet_choices(facets, wanted, TITLES),
        progress=catalogue.progress(),
    )


def item_page(request: Request) -> Response:
    """One question: its answers, why they were wrong, what was written against that, and what came of it."""
    book = book_of(request)
    task, split, example = _place(request)
    with book.reading() as ledger:
        told = read_story(ledger, task, split, example)
    if told is None:
        not_found(request, f"This run has no question '{example}' in the {split} split of '{task}'.")
    wanted, sort, id = item_filter(request), item_sort(request), ItemId(task, told.example.split, example)
    before, after = book.catalogue.neighbours(wanted, sort, id)
    broken = book.catalogue.next_broken(wanted, sort, id)
    return show(
        request,
        "web/item.html.j2",
        book=book,
        section="book",
        crumbs=list_crumbs(
            book, ("Book", path("runs", book.slug, "book") + (query(request, ITEM_QUERY) or "?sort=id")), (example, "")
        ),
        story=told,
        moments=list_moments(told),
        effect=describe_effect(told),
        association=ASSOCIATION,
        named=name_checkpoint,
        marked=mark_step,
        shown=DRAFTS_SHOWN,
        difference=_difference(told),
        alike=_alike(book, told),
        next=_address(request, book, after),
        previous=_address(request, book, before),
        regression=_address(request, book, broken),
    )


def mark_step(text: str, step: str, limit: int = 6_000) -> Markup:
    """A response with its first wrong step marked; one that is too long is shown around that step."""
    at = text.find(step) if step.strip() else -1
    if at < 0:
        return shorten(text, limit)
    if at + len(step) > limit:
        start = at - min(at, limit // 4)
        return Markup("… from character {:,} on:\n").format(start + 1) + mark_step(
            text[start:], step[: limit // 2], limit
        )
    return Markup('{}<mark class="step">{}</mark>{}').format(
        shorten(text[:at], limit), shorten(step, limit), shorten(text[at + len(step) : limit], limit)
    )


def _difference(told: Story) -> tuple[Markup, Markup] | None:
    """The first and the last answer with the words in which they differ marked; None if there are not two."""
    if len(told.kept) < 2:
        return None
    first, last = (answer.response.text for answer in (told.kept[0], told.kept[-1]))
    first, last = first[: fit(first, _DIFFERENCE)], last[: fit(last, _DIFFERENCE)]
    return changes(first, last)


def _alike(book: Book, told: Story) -> tuple[str, int, Facets] | None:
    """The kind of error of the newest diagnosis, and what became of the questions that have it."""
    kind = next((study.diagnosis.error_kind for study in reversed(told.studies) if study.diagnosis), "")
    if not kind:
        return None
    facets = book.catalogue.item_facets(ItemFilter(task=told.example.task, split="train", kind=kind))
    return kind, sum(count.n for count in facets.fate), facets


def _address(request: Request, book: Book, id: ItemId | None) -> str:
    """A question's page, which keeps the list that it was found in; empty for none."""
    return path("runs", book.slug, "book", *id) + query(request, ITEM_QUERY) if id else ""


def _place(request: Request) -> tuple[str, str, str]:
    """Task, split and example of the address as it was sent: decoded before, a slash in a name would be a border."""
    raw = request.scope["raw_path"].decode("ascii").split("?")[0].split("/")[4:]
    parts = [unquote(piece).removeprefix("~") for piece in raw]
    if len(parts) < 3:
        not_found(request, "A question's address names its task, its split and its id.")
    return parts[0], parts[1], "/".join(parts[2:])


ROUTES: list[BaseRoute] = [
    Route("/runs/{run}/book", book_page),
    Route("/runs/{run}/book/{place:path}", item_page),
    *sample_pages.ROUTES,
    *effect_pages.ROUTES,
    *raw_pages.ROUTES,
]

templates().filters.update(brief=shorten)
templates().globals.update(fit=fit)

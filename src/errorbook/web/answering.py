"""What every page handler needs: its book, a rendered answer, links that keep the query, and pages that say no.

Handlers are plain functions of a request. It decides nothing about what a page shows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs, quote, unquote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from errorbook.render.pages import model_texts as texts
from errorbook.render.pages.environment import environment
from errorbook.web.shelf import Book, Shelf

if TYPE_CHECKING:
    from jinja2 import Environment

FORM = "application/x-www-form-urlencoded"
_STAMP = re.compile(rb'(<body[^>]* data-version=")[^"]*')
"""What a page was made from: of two pages that differ in nothing else, readers need only one."""


def shelf_of(request: Request) -> Shelf:
    """The server's shelf."""
    shelf = request.app.state.shelf
    assert isinstance(shelf, Shelf)  # noqa: S101 - create_app put it there
    return shelf


def book_of(request: Request) -> Book:
    """The book that the address names as `{run}`."""
    return find_book(request, part(request, "run"))


def find_book(request: Request, slug: str) -> Book:
    """The book of this name; if there is none, the answer is a page that says so."""
    book = shelf_of(request).book(slug)
    if book is None:
        not_found(request, f"There is no run '{slug}' below '{shelf_of(request).root}'.")
    return book


def list_crumbs(book: Book, *below: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """The way from the list of runs to a page of a book: each step's words and address, the last one without."""
    return (("Runs", "/"), (book.slug, path("runs", book.slug)), *below)


def not_found(request: Request, sentence: str) -> NoReturn:
    """Answer with a page of status 404 that says this sentence; never returns."""
    raise HTTPException(404, sentence)


def refuse(sentence: str, status: int = 400) -> NoReturn:
    """Answer with a page that says what is wrong with the request; never returns."""
    raise HTTPException(status, sentence)


# addresses --------------------------------------------------------------------------------------------------------


def path(*parts: str) -> str:
    """The address of these parts, each quoted whole: a part may hold slashes, dots, anything.

    Browsers take `.` and `..` (however they are quoted) for steps in the path, and lose empty parts. Those, and parts
    that begin with `~`, get a `~` in front; `part` takes it away again.
    """
    return "/" + "/".join(quote(_keep_dots(text), safe="~=") for text in parts)


def _keep_dots(text: str) -> str:
    return f"~{text}" if text in {"", ".", ".."} or text.startswith("~") else text


def part(request: Request, name: str) -> str:
    """A part of the request's path as `path` was given it."""
    return unquote(str(request.path_params[name])).removeprefix("~")


def url(request: Request, **changes: object) -> str:
    """The request's address with other query values; an empty value or None takes one out of it."""
    values = dict(request.query_params)
    values.update({name: "" if value is None else str(value) for name, value in changes.items()})
    return "/" + address(request.scope).lstrip("/") + encode_query(values)


def address(scope: Mapping[str, Any]) -> str:
    """The path of a request exactly as it was asked for, still quoted."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0].decode("latin-1")


def query(request: Request, names: Iterable[str], **changes: object) -> str:
    """Some of the request's query values, with changes, as `?a=b` or nothing: for links to other pages."""
    values = {name: request.query_params.get(name, "") for name in names}
    values.update({name: "" if value is None else str(value) for name, value in changes.items()})
    return encode_query(values)


def encode_query(values: Mapping[str, str]) -> str:
    """Query values as `?a=b`, or nothing; empty ones are left out."""
    kept = urlencode({name: value for name, value in values.items() if value}, errors="replace")
    return f"?{kept}" if kept else ""


def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form; of a field given twice the last counts."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        refuse("Send the form as the page does: application/x-www-form-urlencoded.", 415)
    body: bytes = request.scope.get("errorbook.body", b"")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=50)
    except ValueError:
        refuse("The form cannot be read; go back and send it again.")
    return {name: values[-1] for name, values in fields.items()}


# answers ----------------------------------------------------------------------------------------------------------


@cache
def templates() -> Environment:
    """The shared template environment with what only pages of the server need."""
    made = environment()
    made.filters.update(formatted=texts.formatted, plain=texts.plain)
    made.globals.update(changes=texts.changes, path=path)
    return made


def show(request: Request, template: str, **values: Any) -> Response:
    """Render a template of `web/`, with a tag of its content: a reader who has it already gets no second copy.

    `status` among the values is the answer's. Templates see `link(**changes)`, `query(names, **changes)`, `path(...)`,
    `request`, `book`, `section` and `crumbs`.
    """
    given = {"book": None, "section": "", "crumbs": (), "status": 200, **values}
    status = int(given["status"])
    text = (
        templates()
        .get_template(template)
        .render(request=request, link=partial(url, request), query=partial(query, request), **given)
    )
    body = text.encode("utf-8", "backslashreplace")
    tag = hashlib.blake2b(_STAMP.sub(rb"\1", body, count=1), digest_size=16).hexdigest()
    headers = {"ETag": f'W/"{tag}"', "Cache-Control": "private, no-cache"}
    if status == 200 and tag in _tags(request):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(body, status, headers)


def raw(text: str, name: str) -> Response:
    """A text exactly as it was recorded, which no browser takes for anything but text."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)
    headers = {
        "Content-Disposition": f'inline; filename="{safe[:80] or "text"}.txt"',
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        "Cache-Control": "private, no-cache",
    }
    return Response(text.encode("utf-8", "surrogatepass"), headers=headers, media_type="text/plain; charset=utf-8")


def _tags(request: Request) -> set[str]:
    known = request.headers.get("if-none-match", "")
    return {tag.strip().removeprefix("W/").strip('"') for tag in known.split(",")}

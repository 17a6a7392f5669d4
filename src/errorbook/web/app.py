"""The server of the book: its routes, put together, behind the rules of `security`. It shows no page of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

from jinja2 import TemplateError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from errorbook.errors import LedgerError, UserError
from errorbook.web import book_pages, compare_pages, correcting, experiment_pages, live, run_pages
from errorbook.web.answering import address, not_found, show
from errorbook.web.security import HEADERS, Guard, RefusedRequest, show_refusal
from errorbook.web.shelf import Shelf

PAGES = (live, run_pages, experiment_pages, book_pages, compare_pages, correcting)
HOSTS = ("127.0.0.1:8321", "localhost:8321", "[::1]:8321")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}
STATIC = ("render/pages/static", "web/static")
TITLES = {404: "Not found", 500: "Something went wrong here", 503: "This run cannot be read now"}


def create_app(root: Path, token: str | None = None, hosts: Sequence[str] = HOSTS) -> Starlette:
    """The application that serves the runs below a folder.

    Args:
        root: A run's folder, or any folder with runs below it.
        token: What readers must know, if others than this machine's programs can reach the server.
        hosts: Each `host:port` under which it may be asked; `*:port` is every address of this machine by number.
    """
    shelf = Shelf(root)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        shelf.close()

    app = Starlette(
        routes=[Route("/static/{name}", _Static()), *(route for page in PAGES for route in page.ROUTES)],
        middleware=[
            Middleware(Guard, hosts=hosts, token=token),
            Middleware(GZipMiddleware, compresslevel=5),
            Middleware(_WholeParts),
        ],
        exception_handlers={HTTPException: _said_no, UserError: _not_readable, Exception: _broken},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.shelf = shelf
    return app


class _WholeParts:
    """Keeps a quoted slash in a part of the path apart from those between the parts; `answering.part` unquotes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            parts = (unquote(part) for part in address(scope).split("/"))
            scope = {**scope, "path": "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)}
        await self.app(scope, receive, send)


class _Static:
    """The files that pages load, read once. Names are looked up, never made into paths."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for folder in STATIC:
            for item in files("errorbook").joinpath(folder).iterdir():
                kind = KINDS.get(Path(item.name).suffix)
                if kind:
                    content = item.read_bytes()
                    self._files[item.name] = content, kind, f'"{blake2b(content, digest_size=12).hexdigest()}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        file = self._files.get(request.path_params["name"])
        if file is None:
            not_found(request, "There is no such file.")
        content, kind, tag = file
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
            await Response(status_code=304, headers=headers)(scope, receive, send)
        else:
            await Response(content, headers=headers, media_type=kind)(scope, receive, send)


def _said_no(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    sentence = {"Not Found": "There is no such page.", "Method Not Allowed": "This page takes no such request."}
    return _page(request, error.status_code, sentence.get(error.detail, error.detail))


def _not_readable(request: Request, error: Exception) -> Response:
    return _page(request, 503 if isinstance(error, LedgerError) else 400, str(error))


def _broken(request: Request, error: Exception) -> Response:
    """The traceback goes to the terminal of the server. This answer is made outside of `Guard`."""
    answer = show_refusal(
        RefusedRequest(500, "Something went wrong here; the terminal that runs 'errorbook ui' says what.")
    )
    answer.headers.update(HEADERS)
    return answer


def _page(request: Request, status: int, sentence: str) -> Response:
    title = TITLES.get(status, "Not possible")
    try:
        answer = show(request, "web/error.html.j2", status=status, title=title, sentence=sentence)
    except TemplateError:
        answer = show_refusal(RefusedRequest(status, sentence))
    answer.headers["Cache-Control"] = "no-store"
    return answer

"""Tells an open page whether there is something new to fetch. What changed, the page finds out by asking for itself.

The page asks twice a second while somebody sees it. The answer is one word, the stamp of a book or of all of them.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from errorbook.web.answering import book_of, shelf_of


def report_changes(request: Request) -> Response:
    """The stamp now; with `?since=` the one that the page knows, whether there is anything new."""
    if "run" in request.path_params:
        book = book_of(request)
        book.tend()
        stamp = book.stamp()
    else:
        stamp = shelf_of(request).stamp()
    since = request.query_params.get("since", "")
    return JSONResponse({"version": stamp, "changed": since != stamp}, headers={"Cache-Control": "no-store"})


ROUTES: list[BaseRoute] = [
    Route("/changes", report_changes),
    Route("/runs/{run}/changes", report_changes),
]

"""Tells open pages that there is something new to fetch, as server-sent events or, where those fail, by polling.

An event is one word, the stamp of a book (or of all of them): what changed, a page finds out by asking for itself
again. One task looks twice a second at what somebody follows; a follower costs neither a thread nor a connection to
the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import TypeVar

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from errorbook.web.answering import book_of, shelf_of

EVERY = 0.5
HEARTBEAT = 15.0
THREADS = 2
"""Seconds between two looks, and between two signs of life; threads that look, for however many followers."""

T = TypeVar("T")
Stamp = Callable[[], str]


class Pulse:
    """Looks at what is followed and wakes those who follow it. Lives in the server's event loop."""

    def __init__(self) -> None:
        self._stamps: dict[Stamp, str] = {}
        self._followers: dict[Stamp, int] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._limit = anyio.CapacityLimiter(THREADS)

    async def ask(self, question: Callable[[], T]) -> T:
        """Let a thread find the answer, one of the few that all followers share."""
        return await anyio.to_thread.run_sync(question, limiter=self._limit)

    async def follow(self, stamp: Stamp) -> AsyncGenerator[str, None]:
        """The stamp now and whenever it changes, and nothing ("") as a sign of life; ends when the pulse is closed."""
        self._followers[stamp] = self._followers.get(stamp, 0) + 1
        try:
            if stamp not in self._stamps:
                self._stamps.setdefault(stamp, await self.ask(stamp))
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._look())
            known = ""
            while not self._closed:
                if self._stamps[stamp] != known:
                    known = self._stamps[stamp]
                    yield known
                    continue
                try:
                    await asyncio.wait_for(self._changed.wait(), HEARTBEAT)
                except TimeoutError:
                    yield ""
        finally:
            self._followers[stamp] -= 1
            if not self._followers[stamp]:
                del self._followers[stamp], self._stamps[stamp]

    def close(self) -> None:
        """End all following; to be called in the event loop."""
        self._closed = True
        self._wake()

    async def _look(self) -> None:
        """Go on for as long as anything is followed."""
        while self._followers and not self._closed:
            await asyncio.sleep(EVERY)
            before = dict(self._stamps)
            for stamp in list(self._followers):
                now = await self.ask(stamp)
                if stamp in self._stamps:
                    self._stamps[stamp] = now
            if self._stamps != before:
                self._wake()

    def _wake(self) -> None:
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()


async def events(request: Request) -> Response:
    """A stream of stamps, for as long as the page is open."""
    pulse: Pulse = request.app.state.pulse
    stamp = await pulse.ask(partial(_stamp, request))

    async def stream() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        async with aclosing(pulse.follow(stamp)) as words:
            async for word in words:
                yield f"data: {word}\n\n" if word else ": still here\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


def changes(request: Request) -> Response:
    """The stamp now; with `?since=` the one that the page knows, whether there is anything new."""
    stamp = _stamp(request)()
    since = request.query_params.get("since", "")
    return JSONResponse({"version": stamp, "changed": since != stamp}, headers={"Cache-Control": "no-store"})


def _stamp(request: Request) -> Stamp:
    if "run" in request.path_params:
        return book_of(request).followed
    return shelf_of(request).stamp


ROUTES: list[BaseRoute] = [
    Route("/events", events),
    Route("/changes", changes),
    Route("/runs/{run}/events", events),
    Route("/runs/{run}/changes", changes),
]

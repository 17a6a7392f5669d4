"""The HTTP server of the book: whoever begins a request and does not end it is hung up on.

uvicorn waits without an end for the rest of a request, so a few programs that send half a line each would hold every
connection that the machine has. It answers nothing itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 20.0
"""Seconds in which a whole request must have arrived, however steadily it drips; a form is a megabyte at most."""
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def make_server(app: ASGIApp, *, patience: float = PATIENCE, closing: int = 3) -> uvicorn.Server:
    """A server of the application, to be run with its sockets; open pages get `closing` seconds at its end."""

    class Timed(_TimedProtocol):
        """The protocol with this server's patience."""

        seconds = patience

    settings: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
    return uvicorn.Server(uvicorn.Config(app, http=Timed, timeout_graceful_shutdown=closing, **settings))


class _TimedProtocol(H11Protocol):
    """One connection, with a clock from a request's first byte, or the connection's begin, to its last byte."""

    seconds = PATIENCE
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on if the request is not whole. No byte that arrives sets the clock back."""
        super().data_received(data)
        if self._is_open():
            self._wait()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop()
        super().connection_lost(exc)

    def _is_open(self) -> bool:
        """Whether a request has begun and its last byte is not here."""
        if self.conn.their_state is h11.SEND_BODY:
            return True
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _wait(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(self.seconds, self._hang_up)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _hang_up(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self.transport.write(_TOO_LATE)
        self.transport.close()

"""A real server of the book in a thread, and a plain client of it: for tests that need no browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from errorbook.web.app import create_app
from errorbook.web.security import hosts_of
from errorbook.web.serving import PATIENCE, make_server

# No connection is kept, so that none is left open; no certificates are read, since there is nothing to check.
WEB = httpx.Client(verify=False, trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


class serving:  # noqa: N801 - a context manager, used as a function
    """A real server of a folder, into which the test can look; gives its address, without a slash at the end."""

    def __init__(self, root: Path, token: str | None = None, patience: float = PATIENCE) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.app = create_app(root, token, hosts=hosts_of("127.0.0.1", self.port))
        self.server = make_server(self.app, patience=patience, closing=1)
        self.thread = threading.Thread(target=self.server.run, args=([self.listening],), daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        wait_for(lambda: self.server.started)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.listening.close()


def wait_for(done: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until something is so; fail where it is not so in time."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def ask(address: str, place: str) -> bytes:
    """The answer to a GET of exactly this place, which clients would tidy up first."""
    host = address.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(f"GET {place} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.read()


def changed(address: str, place: str, since: str) -> str:
    """The stamp of a page's book when it is another one than `since`; asks as pages do."""
    answers = list[str]()

    def is_new() -> bool:
        answer = WEB.get(f"{address}{place}/changes", params={"since": since}).json()
        answers.append(answer["version"])
        return bool(answer["changed"])

    wait_for(is_new)
    return answers[-1]

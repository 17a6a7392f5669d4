"""A provider that answers whatever it is told to, status, headers and body: what no real one would send, too."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One answer of a provider."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


@contextmanager
def provider(answer: Callable[[bytes], Answer]) -> Iterator[str]:
    """Serve on this machine while the block runs; gives the base URL. `answer` is called in threads."""
    with service(lambda _, body: answer(body)) as url:
        yield url


@contextmanager
def service(answer: Callable[[str, bytes], Answer], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The same, for an answer that depends on the address, which is whole if the server is asked as a proxy."""

    class Desk(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            given = answer(self.path, self.rfile.read(size))
            self.send_response(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing is told."""

    class House(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is no news."""

    desk = House(("127.0.0.1", 0), Desk)
    if tls is not None:  # each thread shakes hands by itself, so that one who will not holds up nobody
        desk.socket = tls.wrap_socket(desk.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=desk.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{desk.server_address[1]}/v1"
    finally:
        desk.shutdown()
        desk.server_close()


def chat(content: object, usage: object = None, **more: object) -> bytes:
    """An envelope of OpenAI's chat completions."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], **({} if usage is None else {"usage": usage}), **more}).encode()

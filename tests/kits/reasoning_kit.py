"""A server that speaks OpenAI's chat completions as reasoning models do: whatever message a test gives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[[dict[str, Any]], dict[str, Any]]
"""From a request to the first choice of its reply, with `usage` beside it."""


@contextmanager
def reasoning_server(says: Says) -> Iterator[str]:
    """Serve; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            choice = says(asked)
            usage = choice.pop("usage", {"prompt_tokens": 7, "completion_tokens": 30})
            self._send({"choices": [{"index": 0, "finish_reason": "stop", **choice}], "usage": usage})

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": "thinker", "owned_by": "nobody"}]})

        def _send(self, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

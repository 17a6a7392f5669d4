"""Starts the test server in a thread or in a process of its own, and speaks with it about its counts and faults."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from errorbook.testing.counts import Stats
from errorbook.testing.settings import Faults, Settings
from errorbook.testing.wire import Script

TIMEOUT = 30.0


class Server:
    """A running test server. `base_url` ends in /v1, as OpenAI's clients want it; Anthropic's want `root`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.base_url = f"{root}/v1"

    def stats(self) -> Stats:
        """What the server has seen up to now."""
        return msgspec.json.decode(self._send("GET", "/stats"), type=Stats)

    def change(self, faults: Faults) -> None:
        """Meet requests with other faults from now on."""
        self._send("PUT", "/faults", msgspec.json.encode(faults))

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.root + path, data=body, method=method)  # noqa: S310  (our own server)
        # No proxy of the environment: the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT) as response:
            return bytes(response.read())


@contextmanager
def server(
    settings: Settings | None = None,
    faults: Faults | None = None,
    *,
    script: Script | str | None = None,
    port: int = 0,
    process: bool = False,
) -> Iterator[Server]:
    """Run a test server for the length of a block.

    Args:
        settings: How a healthy reply looks; see `Settings`.
        faults: What goes wrong; see `Faults`. `Server.change` sets others later.
        script: Computes the text of a reply from the messages: a function or, for a process, "module:function".
            If it raises, the reply is a plain 500 and the traceback goes to the log of aiohttp.
        port: 0 takes a free one.
        process: Run in a process of its own, so that the server's work takes no time from the client's interpreter.

    Yields:
        The running server.
    """
    chosen, wrong = settings or Settings(), faults or Faults()
    with ExitStack() as stack:
        if process:
            if script is not None and not isinstance(script, str):
                raise TypeError("A server in a process of its own needs its script as 'module:function'.")
            yield stack.enter_context(_in_process(chosen, wrong, script, port))
        else:
            yield stack.enter_context(_in_thread(chosen, wrong, script, port))


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address of this machine. Raises OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def find_script(script: Script | str | None) -> Script | None:
    """A script given as "module:function" is imported. Raises ImportError if there is none."""
    if not isinstance(script, str):
        return script
    import importlib

    module, _, name = script.partition(":")
    found = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        raise ImportError(f"There is no function '{name}' in '{module}'; give the script as 'module:function'.")
    return found  # type: ignore[no-any-return]


@contextmanager
def _in_thread(settings: Settings, faults: Faults, script: Script | str | None, port: int) -> Iterator[Server]:
    from errorbook.testing.app import serve
    from errorbook.testing.desk import ServerState

    desk = ServerState(settings, faults, find_script(script))
    listening = listen("127.0.0.1", port)
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_until_complete(serve(desk, listening, stop))
        loop.close()

    thread = threading.Thread(target=run, name="errorbook-test-server", daemon=True)
    # Connections that come before the loop runs wait in the backlog.
    listening.listen(1024)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT)


@contextmanager
def _in_process(settings: Settings, faults: Faults, script: str | None, port: int) -> Iterator[Server]:
    dials = msgspec.json.encode({"settings": settings, "faults": faults}).decode()
    command = [sys.executable, "-m", "errorbook.testing", "--port", str(port), "--dials", dials]
    if script is not None:
        command += ["--script", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  (our own module)
    assert process.stdout is not None  # noqa: S101  (it is a pipe, for the type checker)
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise RuntimeError("The test server did not start; its own message says why.")
        yield Server(line.removesuffix("/v1"))
    finally:
        process.terminate()
        process.wait(TIMEOUT)
        process.stdout.close()

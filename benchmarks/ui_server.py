"""The real `errorbook ui` as a process of its own, asked over one connection as a browser asks."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from errorbook.web.catalogue.index import Catalogue

COMMAND = "from errorbook.cli.ui import ui; ui(prog_name='errorbook ui')"


class Reply(NamedTuple):
    """One answer: seconds until it was read, bytes of the page, and as they were sent, headers included."""

    seconds: float
    size: int
    sent: int
    text: str


class Server:
    """The server of the runs below `root`, with a cache of its own; up between `with` and its end."""

    def __init__(self, root: Path, cache: Path) -> None:
        self._root, self._cache = root, cache

    def __enter__(self) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        command = [sys.executable, "-c", COMMAND, str(self._root), "--port", str(self._port), "--no-browser"]
        environment = {**os.environ, "ERRORBOOK_CACHE": str(self._cache)}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        self._connection = HTTPConnection("127.0.0.1", self._port, timeout=120)
        for _ in range(600):
            try:
                self._connection.connect()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(30)

    def ask(self, address: str) -> Reply:
        """Get a page; follows one redirect.

        Raises:
            RuntimeError: The server did not answer with a page.
        """
        began = time.perf_counter()
        reply, content = self._get(address)
        if reply.status in (302, 303, 307):
            reply, content = self._get(reply.headers["location"])
        seconds = time.perf_counter() - began
        page = gzip.decompress(content) if reply.headers.get("content-encoding") == "gzip" else content
        if reply.status != 200:
            raise RuntimeError(f"{address}: status {reply.status}, {page[:300]!r}")
        return Reply(seconds, len(page), len(content) + len(str(reply.headers)), page.decode("utf-8", "replace"))

    def changes(self, run: str, since: str) -> str:
        """The stamp of a run's book now."""
        return str(json.loads(self.ask(f"/runs/{run}/changes?since={quote(since)}").text)["version"])

    def indexed(self, run: Path) -> bool:
        """Whether the catalogue is up to the ledger, seen from here."""
        self.changes(run.name, "")  # which keeps the server at it
        catalogue = Catalogue.open(run, self._cache / "catalogues")
        try:
            done, total = catalogue.progress()
        finally:
            catalogue.close()
        return 0 < total == done

    def cpu_seconds(self) -> float:
        """Processor time that the server has used so far; 0 if the system does not say."""
        status = Path(f"/proc/{self._process.pid}/stat")
        times = status.read_text().rpartition(")")[2].split()[11:13] if status.is_file() else []
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK") if times else 0.0

    def peak_mb(self) -> float:
        """The most memory that the server has held so far, in MB; 0 if the system does not say."""
        status = Path(f"/proc/{self._process.pid}/status")
        lines = status.read_text().splitlines() if status.is_file() else []
        return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), 0.0)

    def _get(self, address: str) -> tuple[HTTPResponse, bytes]:
        try:
            self._connection.request("GET", address, headers={"Accept-Encoding": "gzip"})
            reply = self._connection.getresponse()
        except RemoteDisconnected:  # it was idle for longer than the server keeps a connection
            self._connection.request("GET", address, headers={"Accept-Encoding": "gzip"})
            reply = self._connection.getresponse()
        return reply, reply.read()

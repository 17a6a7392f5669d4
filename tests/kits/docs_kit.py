"""What the documents show, piece by piece, and a reader who does what a page says, from top to bottom."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from places import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r'^```(\w*)(?: title="([^"]*)")?[^\n]*\n(.*?)^```$', re.M | re.S)
SHELLS = {"sh", "bash", "shell", "console"}
PORT = "8000"
"""The port that pages use; a reader of ours takes a free one."""
BESIDE = "in a second terminal"


class Piece(NamedTuple):
    """Something that a document shows, and where."""

    place: str
    text: str


class Block(NamedTuple):
    """A fenced block: its language, its title (a file's name, or where to type it) and its text."""

    place: str
    language: str
    title: str
    text: str


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(f"{document.relative_to(ROOT)}:{line}", match[1], match[2] or "", match[3])


def prose(document: Path) -> str:
    return FENCE.sub("", document.read_text(encoding="utf-8"))


class Reader:
    """Follows a page in an empty folder: writes its files, types its commands, keeps its servers running meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.port = str(_free_port())
        self._servers: list[subprocess.Popen[bytes]] = []

    def follow(self, block: Block) -> None:
        text = block.text.replace(f":{PORT}", f":{self.port}").replace(f"--port {PORT}", f"--port {self.port}")
        if "." in block.title and " " not in block.title:
            (self.folder / block.title).write_text(text, encoding="utf-8")
        elif block.language in SHELLS and block.title == BESIDE:
            self._serve(text)
        elif block.language in SHELLS:
            self._type(block, text)
        if block.language == "python":
            self._run(block.place, [sys.executable, "-W", "error", "-c", text])

    def close(self) -> None:
        for server in self._servers:
            server.send_signal(signal.SIGINT)
        for server in self._servers:
            server.wait(20)

    def _type(self, block: Block, text: str) -> None:
        """The commands of one block, one by one; `pip install -e .` makes the folder's plugins known."""
        expected = int(block.title.removeprefix("exit code ") if block.title.startswith("exit code") else 0)
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        for number, line in enumerate(lines, 1):
            if line.startswith("pip install -e"):
                install(self.folder)
            else:
                self._run(block.place, ["bash", "-c", line], expected if number == len(lines) else 0)

    def _run(self, place: str, command: list[str], expected: int = 0) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(self.folder),
            check=False,
            capture_output=True,
            text=True,
            timeout=280,
        )
        self.said.append(done.stdout)
        assert done.returncode == expected, f"{place}: {command[-1]}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"

    def _serve(self, text: str) -> None:
        """Start a server of ours beside everything else; a page of the book must answer."""
        words = text.split("#", maxsplit=1)[0].split()
        book = words[0] == "errorbook"
        port = _free_port() if book else int(self.port)
        command = ["-m", *words, "--port", str(port), "--no-browser"] if book else words[1:]
        server = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment(self.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._servers.append(server)
        _wait(server, port, text)
        if book:
            page = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/")
            self.said.append(page.read().decode())


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    made = Reader(folder)
    try:
        yield made
    finally:
        made.close()


def install(folder: Path) -> None:
    """What `pip install -e .` leaves behind, without a network: the entry points of the folder's pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def environment(folder: Path) -> dict[str, str]:
    """The commands of this interpreter first, the folder importable, and no answers kept from one test to the next."""
    bin_folder = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ERRORBOOK_NO_CACHE": "1",
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
    }


def _wait(server: subprocess.Popen[bytes], port: int, what: str) -> None:
    for _ in range(600):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, f"the server ended by itself: {what}"
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready: {what}")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

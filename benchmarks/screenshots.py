"""The pictures of README and docs: real pages of a real run, taken by a headless Chromium.

    python -m benchmarks.screenshots RUN [--out docs/images]

Each is 1280 by 900 pixels, whatever the machine: the run's page (light and dark), the book, one mistake that was fixed,
and the comparison of the base with the final model. The run is copied first, without its weights, so looking at it
changes nothing. The pictures' fonts are the machine's own.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from errorbook.ledger.file import open_ledger
from errorbook.ledger.run_view import read_config
from errorbook.web.app import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTH, HEIGHT = 1280, 900
LARGEST = 250_000
"""Bytes of a picture; README loads several."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Shot(NamedTuple):
    """One picture: its file, its page's address, and what must be on the page; `follow` is a link to click first."""

    name: str
    address: str
    wanted: str
    follow: str = ""
    scheme: Literal["light", "dark"] = "light"


def shots(run: str) -> list[Shot]:
    """The pictures of a run, by its name on the shelf."""
    here = f"/runs/{run}"
    return [
        Shot("run.png", here, "svg.chart"),
        Shot("run-dark.png", here, "svg.chart", scheme="dark"),
        Shot("book.png", f"{here}/book", "main [data-row]"),
        Shot("mistake.png", f"{here}/book?split=train&fate=fixed", "h1", follow="main [data-row] a"),
        Shot("compare.png", f"/compare?a={run}:base&b={run}:final", "main table"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Take every picture and say how large it became; 1 if one is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="where the pictures go")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    largest = 0
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        name = copied(options.run, Path(folder))
        with served(Path(folder)) as address:
            for shot in shots(name):
                picture = taken(chromium, address, shot)
                (options.out / shot.name).write_bytes(picture)
                largest = max(largest, len(picture))
                print(f"{options.out / shot.name}: {len(picture) / 1000:.0f} kB")
    return 1 if largest > LARGEST else 0


def copied(run: Path, shelf: Path) -> str:
    """Copy a run's ledger below a folder, under the run's own name; only the copy is opened."""
    files = list(run.glob("ledger.sqlite*"))
    if not files:
        raise SystemExit(f"There is no run in '{run}'; give the folder of a finished one.")
    (shelf / "copy").mkdir()
    for file in files:
        shutil.copy(file, shelf / "copy")
    with open_ledger(shelf / "copy") as ledger:
        name = read_config(ledger).run.name
    (shelf / "copy").rename(shelf / name)
    return name


def taken(chromium: Browser, address: str, shot: Shot) -> bytes:
    """The top of one page as PNG."""
    context = chromium.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme=shot.scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    page = context.new_page()
    page.goto(f"{address}{shot.address}")
    _settled(page, shot)
    picture = page.screenshot()
    context.close()
    return picture


def _settled(page: Page, shot: Shot) -> None:
    """Wait until the page shows what the picture is of: the index of a large run takes a moment."""
    first = shot.follow or shot.wanted
    for _ in range(60):
        if page.locator(first).count():
            break
        page.wait_for_timeout(500)
        page.reload()
    if shot.follow:
        page.locator(shot.follow).first.click()
    page.locator(shot.wanted).first.wait_for()


@contextmanager
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise SystemExit("There is no Chromium; install one with 'sudo apt install chromium'.")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The book's own server on a free port, for as long as the block lasts."""
    import uvicorn

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(root, hosts=[f"127.0.0.1:{port}"])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


if __name__ == "__main__":
    raise SystemExit(main())

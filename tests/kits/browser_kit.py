"""A real server and a real headless Chromium: fixtures that click through the book as a reader does.

A page fails its test where the browser complains on its console, where a script throws, or where anything is asked of
another address than the server's.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from errorbook.web.app import create_app

FLAGS = (
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-gpu",
)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SETTLED = """async () => {
  await new Promise(next => requestAnimationFrame(() => requestAnimationFrame(next)));
  const still = document.getAnimations().map(one => one.finished.catch(() => null));
  await Promise.race([Promise.all(still), new Promise(enough => setTimeout(enough, 3000))]);
}"""
"""Waits until nothing fades or moves any more: half faded in, a text has not its contrast yet."""
Serve = Callable[[Path], str]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module; each page gets a context of its own.

    It ends with the module: Playwright keeps an event loop running in the thread, in which no other can be started.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("needs a Chromium: 'sudo apt install chromium'")
    alone = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *alone])
        yield browser
        browser.close()


@pytest.fixture
def served() -> Iterator[Serve]:
    """Serve the runs below a folder from a real server; the address ends without a slash."""
    import uvicorn

    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(root: Path, **options: Any) -> str:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        app = create_app(root, hosts=[f"127.0.0.1:{port}"], **options)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        for _ in range(400):
            if server.started:
                break
            time.sleep(0.025)
        assert server.started, "the server did not start within ten seconds"
        started.append((server, thread))
        return f"http://127.0.0.1:{port}"

    yield serve
    for server, thread in started:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def page(chromium: Browser, served: Serve) -> Iterator[Page]:
    """A fresh page; at the end nothing may have gone wrong in it. It goes before the server does."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    shown, wrong = context.new_page(), []
    shown.set_default_timeout(15_000)
    shown.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("request", lambda request: None if _own(request.url) else wrong.append(f"asked for {request.url}"))
    yield shown
    context.close()
    assert wrong == []


def accessible(page: Page, *, themes: tuple[str, ...] = ("light", "dark")) -> None:
    """No violation of axe-core's rules in either theme."""
    from axe_playwright_python.sync_playwright import Axe

    for theme in themes:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.evaluate(SETTLED)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{page.url} ({theme}):\n{results.generate_report()}"


def reflows(page: Page) -> None:
    """At 320 CSS pixels the page itself does not scroll sideways."""
    before = page.viewport_size
    page.set_viewport_size({"width": 320, "height": 800})
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= 320, f"{page.url} is {width} pixels wide at 320"
    if before:
        page.set_viewport_size(before)


def without_scripts(browser: Browser) -> BrowserContext:
    """A context in which no script runs."""
    return browser.new_context(java_script_enabled=False)


def _own(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:", "file:"))

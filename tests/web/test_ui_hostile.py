"""The book of a run in which every text is hostile, in a real Chromium: nothing acts, nothing is asked of elsewhere.

Questions, answers, diagnoses, drafts, replies, and the names of task, run, folder and examples are all hostile.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import msgspec
import pytest
from browser_kit import chromium, page, served, without_scripts  # noqa: F401 - `page` asks for `served`
from hostile_run import IDS, TASK, TEXTS, write_hostile_run
from hostile_texts import HOSTILE
from playwright.sync_api import Browser, Dialog, Page
from server_kit import WEB, serving

from errorbook.ledger.file import open_ledger
from errorbook.records import Call, Draft, Example, Record, Response
from errorbook.web.answering import path
from errorbook.web.shelf import find_runs

__all__ = ["chromium", "page"]

# What a reader may do by accident, done to everything at once.
ACT = """() => {
  for (const part of document.querySelectorAll("*"))
    for (const kind of ["mouseover", "mouseenter", "focus", "load", "error", "toggle", "animationstart"])
      part.dispatchEvent(new Event(kind));
  return window.__hit;
}"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the hostile run."""
    root = tmp_path_factory.mktemp("hostile")
    write_hostile_run(root)
    return root


@pytest.fixture(scope="module")
def address(hostile: Path) -> Iterator[str]:
    """Of a server of that folder."""
    with serving(hostile) as place:
        yield place


@pytest.fixture(scope="module")
def run(hostile: Path) -> str:
    """The run's name in addresses."""
    (slug,) = find_runs(hostile)
    return slug


@pytest.fixture
def quiet(page: Page) -> Iterator[Page]:
    """A page that fails its test where a dialog or a window opens."""
    opened: list[str] = []

    def close(dialog: Dialog) -> None:
        opened.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", close)
    page.on("popup", lambda popup: opened.append(popup.url))
    yield page
    assert opened == []


def links(html: str, base: str) -> list[str]:
    """The addresses on this server that a page leads to."""
    found = (urljoin(base, unescape(link)) for link in re.findall(r'href="([^"]*)"', html))
    return [link for link in dict.fromkeys(found) if link.startswith(base[: base.index("/", 8)])]


def pages(address: str, run: str, most: int) -> Iterator[str]:
    """Addresses of pages, at most so many of each kind, found by following links."""
    compared = f"/compare?a={run}:base&b={run}:final&task={quote(TASK)}&split=train"
    waiting, seen, kinds = [f"{address}/", address + compared], set(), Counter[tuple[str, ...]]()
    while waiting:
        link = waiting.pop(0).partition("#")[0]
        parts = urlsplit(link).path.split("/")
        kind = (parts[1], *parts[3:4], str(len(parts)))
        if link in seen or parts[1] == "static" or kinds[kind] >= most:
            continue
        seen.add(link)
        kinds[kind] += 1
        answer = WEB.get(link, follow_redirects=True)
        assert answer.status_code == 200, link
        if answer.headers["content-type"].startswith("text/html"):
            yield link
            waiting += links(answer.text, str(answer.url))


def visit(page: Page, address: str, found: Iterator[str]) -> int:
    """Open each page and do everything to it; return how many there were."""
    visited = 0
    for link in found:
        page.goto(link)
        assert page.evaluate(ACT) is None, link
        assert urlsplit(page.url).netloc == urlsplit(address).netloc
        visited += 1
    return visited


def test_nothing_acts_on_a_page_of_each_kind(address: str, run: str, quiet: Page) -> None:
    assert visit(quiet, address, pages(address, run, most=1)) >= 8


@pytest.mark.slow
def test_nothing_acts_on_any_page(address: str, run: str, quiet: Page) -> None:
    assert visit(quiet, address, pages(address, run, most=8)) > 25


def test_every_question_has_its_page_whatever_it_is_called(address: str, run: str) -> None:
    for example in IDS:
        answer = WEB.get(address + path("runs", run, "book", TASK, "train", example))

        assert answer.status_code == 200, example
        assert len(answer.content) < 300_000, example
        assert any("/raw/question/" in link for link in links(answer.text, str(answer.url)))


def test_an_id_that_browsers_take_for_a_step_in_the_path_keeps_its_page(address: str, run: str, page: Page) -> None:
    for example in ("..", ".", "a/b/../c", "//203.0.113.7/x", "\\..\\x"):
        page.goto(address + path("runs", run, "book", TASK, "train", example))

        assert page.locator("nav.crumbs [aria-current]").inner_text() == example


@pytest.mark.parametrize("kind", ["question", "response", "draft-solution", "call-prompt", "call-reply"])
def test_raw_is_what_was_recorded_byte_for_byte(address: str, run: str, hostile: Path, kind: str) -> None:
    found = {text: id for id, text in recorded(find_runs(hostile)[run], kind).items()}
    for text, id in found.items():
        answer = WEB.get(f"{address}/runs/{run}/raw/{kind}/{id}")

        assert answer.content == text.encode()
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert re.fullmatch(r'inline; filename="[\w-]+\.txt"', answer.headers["content-disposition"])
    assert set(found) == set(TEXTS)


def recorded(folder: Path, kind: str) -> dict[str, str]:
    """The recorded texts of a kind by hash."""
    of: dict[str, tuple[type[Record], Callable[..., str]]] = {
        "question": (Example, lambda item: item.question),
        "draft-solution": (Draft, lambda item: item.solution),
        "call-prompt": (Call, lambda item: item.prompt),
        "call-reply": (Call, lambda item: item.reply),
    }
    with open_ledger(folder) as ledger:
        if kind == "response":
            rows = ledger.connection.execute("SELECT hash, body FROM responses JOIN bodies USING (seq)").fetchall()
            return {hash: msgspec.json.decode(body, type=Response).text for hash, body in rows}
        record, said = of[kind]
        return {hash: said(item) for hash, item in ledger.by_hash(record)}


@pytest.mark.parametrize("place", ["book", "samples"])
def test_any_text_can_be_searched_for(address: str, run: str, place: str) -> None:
    for name, text in HOSTILE.items():
        answer = WEB.get(f"{address}/runs/{run}/{place}", params={"q": text[:300], "sort": "id"})

        assert answer.status_code == 200, name
        assert len(answer.content) < 300_000, name


@pytest.mark.parametrize("value", ["-1", "9" * 20, "\x00", "'; DROP TABLE items; --", "\u202e", "a" * 5_000])
def test_values_that_no_link_holds_are_answered_with_a_page(address: str, run: str, value: str) -> None:
    names = ("task", "split", "skill", "kind", "fate", "verdict", "cycle", "sort", "after", "outcome", "reason", "q")
    for place in ("/book", "/samples"):
        for name in names:
            answer = WEB.get(f"{address}/runs/{run}{place}", params={name: value})
            assert answer.status_code in {200, 400, 404}, name
    for name, place in [("control", f"/runs/{run}/effects"), ("a", "/compare"), ("task", "/compare"), ("x", "/")]:
        answer = WEB.get(address + place, params={name: value})
        assert answer.status_code in {200, 400, 404}, place


def test_the_pages_are_whole_without_scripts(address: str, run: str, chromium: Browser) -> None:
    bare = without_scripts(chromium)
    still = bare.new_page()
    for place in ("", "/book?sort=id", "/samples", "/effects"):
        still.goto(f"{address}/runs/{run}{place}")
        assert still.locator("h1").count() == 1
    bare.close()

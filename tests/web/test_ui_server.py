"""The server of the book over real HTTP: who is answered, how, and what happens to books that change or break."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from browser_kit import Serve, accessible, chromium, page, reflows, served, without_scripts
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page
from server_kit import WEB, ask, changed, serving, wait_for
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from synthetic_run import write_run

from errorbook.cli import ui as cli_ui
from errorbook.cli.ui import ui
from errorbook.errors import UserError
from errorbook.ledger.events import Event
from errorbook.ledger.file import open_ledger
from errorbook.ledger.watch import snapshot, version
from errorbook.records import Failure
from errorbook.web.answering import part, path, url
from errorbook.web.app import create_app
from errorbook.web.security import LARGEST, hosts_of, is_loopback
from errorbook.web.shelf import MOST, Shelf, find_runs

__all__ = ["chromium", "page", "served"]

TOKEN = "a token of some length"
BOUND = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, `done`; for tests that change nothing."""
    root = tmp_path_factory.mktemp("shelf")
    write_run(root / "done")
    return root


@pytest.fixture
def root(tmp_path: Path, finished: Path) -> Path:
    """The same, to change."""
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def address(finished: Path) -> Iterator[str]:
    """Of a server of that folder, for all tests of this module."""
    with serving(finished) as place:
        yield place


@pytest.fixture(scope="module")
def guarded(finished: Path) -> Iterator[str]:
    """Of a server that asks for the token."""
    with serving(finished, TOKEN) as place:
        yield place


@pytest.fixture(scope="module")
def hasty(finished: Path) -> Iterator[str]:
    """Of a server that waits for the rest of a request for less than half a second."""
    with serving(finished, patience=0.4) as place:
        yield place


def sentence(answer: httpx.Response) -> str:
    return answer.text.partition("<main")[2]


# who is answered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/", "/runs/done", "/static/style.css", "/nothing", "/runs/none", "/changes"])
def test_every_answer_binds_the_browser(address: str, place: str) -> None:
    answer = WEB.get(address + place)

    assert {name: answer.headers.get(name) for name in BOUND} == BOUND
    assert answer.headers["cache-control"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "@127.0.0.1:{port}"]
)
def test_a_forged_host_is_refused(address: str, host: str) -> None:
    answer = WEB.get(address, headers={"Host": host.format(port=address.rpartition(":")[2])})

    assert answer.status_code == 421
    assert "not the server" in sentence(answer)
    assert "done" not in sentence(answer)
    assert {name: answer.headers.get(name) for name in BOUND} == BOUND


def test_two_hosts_are_none(address: str) -> None:
    port = int(address.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        host = f"Host: 127.0.0.1:{port}\r\n"
        connection.sendall(f"GET / HTTP/1.1\r\n{host}{host}Connection: close\r\n\r\n".encode())
        answer = connection.makefile("rb").readline()

    assert answer.split()[1] in {b"400", b"421"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
def test_a_write_from_another_site_is_refused(address: str, headers: dict[str, str]) -> None:
    answer = WEB.post(f"{address}/runs/done/samples/x/strike", data={"reason": "no"}, headers=headers)

    assert answer.status_code == 403
    assert "Another site" in sentence(answer)


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Referer": "http://127.0.0.1/"}])
def test_a_write_that_does_not_say_where_it_comes_from_is_refused(address: str, headers: dict[str, str]) -> None:
    answer = WEB.post(f"{address}/runs/done/samples/x/strike", data={"reason": "no"}, headers=headers)

    assert answer.status_code == 403
    assert f"Origin: {address}" in sentence(answer)


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GE",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /runs/done HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: 9\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_request_that_never_ends_is_hung_up_on(hasty: str, half: bytes) -> None:
    host = hasty.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(half.replace(b"HOST", host.encode()))
        began = time.monotonic()
        with connection.makefile("rb") as answer:
            answer.read()  # returns when the server hangs up
    assert time.monotonic() - began < 8


def test_bytes_that_drip_in_win_no_time(hasty: str) -> None:
    with socket.create_connection(("127.0.0.1", int(hasty.rpartition(":")[2])), timeout=10) as connection:
        began = time.monotonic()
        with suppress(OSError):
            for letter in b"GET / HTTP/1.1\r\nX: " + b"a" * 100:
                connection.sendall(bytes([letter]))
                time.sleep(0.05)
    assert time.monotonic() - began < 4


def test_a_connection_is_kept_between_whole_requests(hasty: str) -> None:
    with httpx.Client(base_url=hasty, verify=False, trust_env=False) as client:
        assert client.get("/static/style.css").status_code == 200
        time.sleep(0.5)
        assert client.get("/static/style.css").status_code == 200
    assert WEB.get(f"{hasty}/").status_code == 200


def test_a_write_from_the_own_page_reaches_its_handler(address: str) -> None:
    headers = {"Origin": address, "Sec-Fetch-Site": "same-origin"}

    answer = WEB.post(f"{address}/runs/done/samples/x/strike", data={"reason": "no"}, headers=headers)

    assert answer.status_code not in {403, 405, 421}


@pytest.mark.parametrize("kind", ["iframe", "image", "script", "empty", "object"])
def test_other_sites_cannot_load_pages_as_parts_of_theirs(address: str, kind: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": kind}
    framed = {**headers, "Sec-Fetch-Mode": "navigate"}

    assert WEB.get(address, headers=headers).status_code == 403
    assert WEB.get(address, headers=framed).status_code == 403


def test_a_link_from_another_site_may_be_followed(address: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert WEB.get(address, headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_reading_and_posting_are_known(address: str, method: str) -> None:
    answer = WEB.request(method, address)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_head_is_answered_without_a_body(address: str) -> None:
    answer = WEB.head(f"{address}/runs/done")

    assert answer.status_code == 200
    assert answer.content == b""


def test_a_large_form_is_refused_however_it_is_sent(address: str) -> None:
    place, chunk = f"{address}/runs/done/samples/x/strike", b"a" * 100_000
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": address}

    whole = WEB.post(place, content=chunk * 11, headers=kind)
    pieces = WEB.post(place, content=(chunk for _ in range(LARGEST // len(chunk) + 1)), headers=kind)

    assert whole.status_code == pieces.status_code == 413


@pytest.mark.parametrize(
    "place",
    [
        *("/static/../pyproject.toml", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/%2fetc%2fpasswd"),
        *("/static/app.py", "/runs/..", "/runs/%2e%2e%2f%2e%2e", "/runs/done%2f..", "/runs/~~done", "/runs/done%00"),
        *("/runs/=2E=2E", "//evil.example", "/runs//etc/passwd"),
    ],
)
def test_names_are_looked_up_and_never_made_into_paths(address: str, place: str) -> None:
    answer = ask(address, place)

    assert answer.split()[1] == b"404"
    assert b"There is no" in answer


def test_a_page_that_breaks_says_so_without_its_traceback(finished: Path) -> None:
    def broken(_: object) -> None:
        raise ValueError("a secret")

    app = create_app(finished)
    app.router.routes.append(Route("/broken", broken))
    with TestClient(app, base_url="http://127.0.0.1:8321", raise_server_exceptions=False) as client:
        answer = client.get("/broken")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "terminal" in answer.text
    assert answer.headers["content-security-policy"] == BOUND["content-security-policy"]


@pytest.fixture(scope="module")
def echo() -> Iterator[TestClient]:
    """An application that says what the parts of its address and of its query were."""

    def said(request: Request) -> Response:
        parts = [part(request, "first"), part(request, "second")]
        return JSONResponse({"parts": parts, "same": url(request), "other": url(request, q="x", gone=None)})

    app = create_app(Path("nowhere"))
    app.router.routes.insert(0, Route("/echo/{first}/{second}", said))
    with TestClient(app, base_url="http://127.0.0.1:8321") as client:
        yield client


NAMES = st.one_of(
    st.sampled_from([".", "..", "", "~", "~~", "/", "%2F", "a/../b", "?", "#", "\\", "//x", "%", "%zz"]), st.text()
)


@given(NAMES, NAMES, st.text())
@settings(max_examples=200, deadline=None)
def test_any_name_comes_back_from_its_address(echo: TestClient, first: str, second: str, query: str) -> None:
    place = path("echo", first, second)

    answer = echo.get(place, params={"q": query}).json()

    assert answer["parts"] == [first, second]
    assert echo.get(answer["same"]).json() == answer
    assert answer["other"] == f"{place}?q=x"


def test_pages_that_say_no_are_as_readable_as_the_others(address: str, guarded: str, chromium: Browser) -> None:
    context = chromium.new_context()
    shown = context.new_page()
    for place in (f"{address}/nothing", f"{address}/runs/none", f"{guarded}/"):
        shown.goto(place)
        accessible(shown)
        reflows(shown)
    context.close()


# the token --------------------------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_told(guarded: str) -> None:

    for place in ("/", "/runs/done", "/static/style.css", "/changes", "/?token=wrong", "/?token="):
        answer = WEB.get(guarded + place)
        assert answer.status_code == 401
        assert "token" in sentence(answer)
        assert "done" not in sentence(answer)
    assert WEB.get(guarded, headers={"Cookie": f"errorbook-{guarded.rpartition(':')[2]}={TOKEN}"}).status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(guarded: str) -> None:
    with httpx.Client(base_url=guarded, verify=False) as client:
        first = client.get("/runs/done", params={"token": TOKEN, "q": "a b"})
        second = client.get(first.headers["location"])

    assert first.status_code == 303
    assert first.headers["location"] == "/runs/done?q=a+b"
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert second.status_code == 200


def test_the_redirect_stays_on_the_server(guarded: str) -> None:

    answer = WEB.get(f"{guarded}//evil.example/x", params={"token": TOKEN})

    assert answer.headers["location"] == "/evil.example/x"


def test_names_under_which_a_server_may_be_asked() -> None:
    assert set(hosts_of("127.0.0.1", 5)) == {"127.0.0.1:5", "localhost:5", "[::1]:5"}
    assert hosts_of("192.0.2.7", 5) == ("192.0.2.7:5",)
    assert hosts_of("0.0.0.0", 5) == ("*:5",)
    assert "localhost" in hosts_of("localhost", 80)
    assert [
        is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost", "0.0.0.0", "evil.example")
    ] == [
        *[True] * 4,
        *[False] * 2,
    ]


def test_everywhere_means_addresses_by_number_and_this_machine_by_name(finished: Path) -> None:
    app = create_app(finished, TOKEN, ("*:5",))
    asked = [
        "192.0.2.7:5",
        "[2001:db8::1]:5",
        f"{socket.gethostname()}:5",
        "localhost:5",
        "evil.example:5",
        "192.0.2.7:6",
    ]
    with TestClient(app) as client:
        answers = [client.get("/", headers={"Host": host}).status_code for host in asked]

    assert answers == [401, 401, 401, 401, 421, 421]


# books ------------------------------------------------------------------------------------------------------------


def test_runs_are_named_by_their_path_and_any_name_is_safe_in_an_address(tmp_path: Path) -> None:
    for name in ("plain-1.0", "a/b", "a~b", "<script>", "50% off?#", "\u65e5", "..hidden"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ledger.sqlite").touch()
    (tmp_path / "plain-1.0" / "checkpoints").mkdir()
    (tmp_path / "plain-1.0" / "checkpoints" / "ledger.sqlite").touch()

    found = find_runs(tmp_path)

    assert set(found) == {
        *("plain-1.0", "a~b", "a=7Eb", "=3Cscript=3E", "50=25=20off=3F=23", "=E6=97=A5", "..hidden"),
    }
    assert found["a~b"] == tmp_path / "a" / "b"


def test_a_folder_that_is_a_run_is_a_shelf_of_one(finished: Path) -> None:
    assert [book.slug for book in Shelf(finished / "done").books()] == ["done"]
    assert Shelf(finished / "nowhere").books() == []


def test_the_run_that_was_written_to_last_comes_first(root: Path) -> None:
    write_run(root / "sub" / "newer", stop_after=2)

    assert [book.slug for book in Shelf(root).books()] == ["sub~newer", "done"]


def test_a_commit_makes_the_version_grow_and_reading_does_not(root: Path) -> None:
    book = Shelf(root).book("done")
    assert book is not None
    before = book.version()
    book.status()
    same = book.version()
    with open_ledger(root / "done", "write") as ledger:
        ledger.append(Failure(subject="x", stage="diagnose", reason="y"), key="new")
        during = book.version()

    assert same == before < during == book.version()


def test_what_is_read_at_once_is_of_one_moment(root: Path) -> None:
    with snapshot(root / "done") as reading, open_ledger(root / "done", "write") as writing:
        before = reading.count(Failure)
        writing.append(Failure(subject="x", stage="diagnose", reason="y"), key="new")

        assert reading.count(Failure) == before
        assert version(reading) == version(writing) - 1


def test_the_report_is_made_once_for_a_version(root: Path) -> None:
    book = Shelf(root).book("done")
    assert book is not None
    first = book.report()

    assert book.report() is first
    assert book.behind() == 0.0
    stamp = book.stamp()
    with open_ledger(root / "done", "write") as ledger:
        ledger.append(Failure(subject="x", stage="diagnose", reason="y"), key="new")
    assert book.stamp() != stamp


def test_only_some_books_are_kept_ready(tmp_path: Path, finished: Path) -> None:
    for number in range(MOST + 3):
        shutil.copytree(finished / "done", tmp_path / f"run-{number:02}")
    shelf = Shelf(tmp_path)
    books = [book for book in (shelf.book(f"run-{number:02}") for number in range(MOST + 3)) if book]
    for book in books:
        book.report()
        assert shelf.book(book.slug) is book
    kept = [bool(book._values) for book in books]
    shelf.close()

    assert kept == [False] * 3 + [True] * MOST


# books that change or break ---------------------------------------------------------------------------------------


def damage(folder: Path) -> None:
    (folder / "ledger.sqlite").write_bytes(b"SQLite format 3\x00" + os.urandom(8192))


def truncate(folder: Path) -> None:
    data = (folder / "ledger.sqlite").read_bytes()
    (folder / "ledger.sqlite").write_bytes(data[:4096] + bytes(len(data) - 4096))


def make_old(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 0")


def make_new(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")


def make_empty(folder: Path) -> None:
    (folder / "ledger.sqlite").write_bytes(b"")


def make_folder(folder: Path) -> None:
    (folder / "ledger.sqlite").unlink()
    (folder / "ledger.sqlite").mkdir()


@pytest.mark.parametrize("harm", [damage, truncate, make_old, make_new, make_empty])
def test_a_ledger_that_cannot_be_read_is_listed_with_its_reason_and_breaks_nothing_else(
    served: Serve, root: Path, harm: Callable[[Path], None]
) -> None:
    shutil.copytree(root / "done", root / "broken")
    harm(root / "broken")
    address = served(root)

    listed = WEB.get(address)
    book = Shelf(root).book("broken")

    assert listed.status_code == 200
    assert "/runs/done" in listed.text
    assert "/runs/broken" in listed.text
    assert book is not None
    with pytest.raises(UserError, match="ledger"):
        book.status()
    for place in ("", "/book", "/samples", "/effects", "/changes"):
        answer = WEB.get(f"{address}/runs/broken{place}", follow_redirects=True)
        assert answer.status_code in {200, 503}, place
        assert "Traceback" not in answer.text
    assert WEB.get(f"{address}/runs/done").status_code == 200


def test_a_ledger_that_is_deleted_while_it_is_read_is_a_sentence(served: Serve, root: Path) -> None:
    write_run(root / "other", stop_after=3)
    address = served(root)
    assert WEB.get(f"{address}/runs/done").status_code == 200
    shutil.rmtree(root / "done")

    for place in ("", "/book?sort=id", "/samples"):
        answer = WEB.get(f"{address}/runs/done{place}")
        assert answer.status_code in {200, 404, 503}, place
        assert "There is no" in answer.text or "gone" in answer.text
    wait_for(lambda: "/runs/done" not in WEB.get(address).text)
    assert WEB.get(f"{address}/runs/other").status_code == 200


def test_a_run_that_is_begun_anew_is_another(root: Path) -> None:
    shelf = Shelf(root)
    book = shelf.book("done")
    assert book is not None
    before = book.report(), book.status(), book.catalogue
    assert before[1] is not None
    shutil.rmtree(root / "done")
    assert book.stamp() == "unreadable"
    write_run(root / "done", accept=False)

    assert book.report() != before[0]
    again = book.status()
    assert again is not None
    assert again.decisions != before[1].decisions
    assert book.catalogue is not before[2]
    shelf.close()


def test_a_run_that_begins_later_appears(served: Serve, tmp_path: Path) -> None:
    address = served(tmp_path)
    assert "No run yet" in WEB.get(address).text
    write_run(tmp_path / "late", stop_after=2)

    wait_for(lambda: "/runs/late" in WEB.get(address).text)
    assert WEB.get(f"{address}/runs/late").status_code == 200


# traffic ----------------------------------------------------------------------------------------------------------


def test_what_a_reader_has_is_not_sent_again(served: Serve, root: Path) -> None:
    address = served(root)
    for place in ("/runs/done", "/static/style.css", "/static/live.js"):
        first = WEB.get(address + place)
        again = WEB.get(address + place, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), place
    assert WEB.get(f"{address}/help").headers["etag"] != WEB.get(address).headers["etag"]


def test_a_commit_that_changes_nothing_on_a_page_costs_no_second_copy(served: Serve, root: Path) -> None:
    address = served(root)
    place = f"{address}/runs/done/samples"
    wait_for(lambda: WEB.get(place).headers["etag"] == WEB.get(place).headers["etag"])
    first = WEB.get(place)
    with open_ledger(root / "done", "write") as ledger:
        ledger.begin(Event("verify", 1, 0, 1))

    again = WEB.get(place, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_pages_are_compressed(address: str) -> None:
    answer = WEB.get(f"{address}/runs/done")

    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.content) / 3


@pytest.mark.timeout(60)
def test_a_commit_is_told_in_a_few_bytes(served: Serve, root: Path) -> None:
    address = served(root)
    first = changed(address, "/runs/done", "")
    with open_ledger(root / "done", "write") as ledger:
        ledger.append(Failure(subject="x", stage="diagnose", reason="y"), key="new")
    second = changed(address, "/runs/done", first)

    assert second != first
    assert len(second) < 40


def test_a_page_learns_whether_what_it_knows_is_still_so(served: Serve, root: Path) -> None:
    address = served(root)
    now = WEB.get(f"{address}/runs/done/changes").json()
    same = WEB.get(f"{address}/runs/done/changes", params={"since": now["version"]}).json()
    write_run(root / "another", stop_after=1)
    everything = WEB.get(f"{address}/changes").json()["version"]
    wait_for(lambda: WEB.get(f"{address}/changes", params={"since": "x"}).json()["changed"])

    assert now["changed"]
    assert not same["changed"]
    assert everything != now["version"]


# the page stays live ----------------------------------------------------------------------------------------------


def write_on(folder: Path, stop_after: int) -> None:
    """Go on with a synthetic run; what is recorded stays."""
    write_run(folder, stop_after=stop_after)


def shows_another(page: Page, selector: str, before: str) -> None:
    """Wait until a part of the page has another text than before."""
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).innerText !== before",
        arg=[selector, before],
        timeout=8_000,
    )


def test_an_open_page_shows_what_is_committed_without_being_loaded_again(
    served: Serve, page: Page, tmp_path: Path
) -> None:
    write_on(tmp_path / "live", 4)
    page.goto(f"{served(tmp_path)}/runs/live")
    page.evaluate("window.kept = 'still here'")
    before = page.inner_text("#standing")
    write_on(tmp_path / "live", 8)

    shows_another(page, "#standing", before)

    assert page.evaluate("window.kept") == "still here"


def test_focus_open_details_and_scrolling_survive_a_change(served: Serve, page: Page, tmp_path: Path) -> None:
    write_on(tmp_path / "live", 12)
    page.goto(f"{served(tmp_path)}/runs/live")
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    link = page.locator("#toc a").nth(1)
    words = link.inner_text()
    link.focus()
    page.evaluate("scrollTo(0, 300)")
    before = page.inner_text("main")
    write_run(tmp_path / "live")

    shows_another(page, "main", before)

    page.wait_for_timeout(300)
    assert page.evaluate("document.activeElement.innerText") == words
    assert page.evaluate("scrollY") == 300
    assert page.evaluate("[...document.querySelectorAll('[data-live] details')].some(part => part.open)")


def test_a_page_that_nobody_sees_asks_for_nothing(served: Serve, page: Page, finished: Path) -> None:
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served(finished)}/runs/done")
    page.wait_for_timeout(1500)
    assert asked[-1].partition("?")[0].endswith("/runs/done/changes")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(200)
    before = len(asked)
    page.wait_for_timeout(1500)

    assert len(asked) == before
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(1500)
    assert len(asked) > before


def test_the_list_of_runs_is_live_too_and_everything_is_there_without_scripts(
    served: Serve, page: Page, chromium: Browser, root: Path
) -> None:
    address = served(root)
    page.goto(address)
    write_on(root / "later", 3)
    page.wait_for_selector("a[href='/runs/later']", timeout=8_000)
    bare = without_scripts(chromium)
    still = bare.new_page()
    still.goto(f"{address}/runs/done")

    assert "synthetic" in still.inner_text("main")
    bare.close()


# the command ------------------------------------------------------------------------------------------------------

COMMAND = "import sys; from errorbook.cli.ui import ui; sys.exit(ui.main(sys.argv[1:], standalone_mode=False))"


def test_the_command_says_where_the_book_is_and_ends_with_ctrl_c_while_pages_are_open(finished: Path) -> None:
    command = [sys.executable, "-c", COMMAND, str(finished), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rstrip("/")
        with httpx.Client(base_url=address, verify=False, trust_env=False) as open_page:  # which keeps its connection
            assert open_page.get("/runs/done/changes").json()["changed"]
            process.send_signal(signal.SIGINT)
            out, complaints = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out == ""
    assert complaints == "The book is open there until Ctrl-C.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no folder 'nowhere'"),
        (["--host", "0.0.0.0"], "--token auto"),
        (["--host", "0.0.0.0"], "a tunnel ('ssh -L')"),
        (["--token", "short"], "at least 12"),
    ],
)
def test_what_cannot_be_served_is_a_sentence_with_the_fix(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(ui, arguments)

    assert isinstance(result.exception, UserError)
    assert words in str(result.exception)


def test_a_taken_port_is_a_sentence_and_the_next_is_taken_if_none_was_asked_for(finished: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} .*give another --port"):
            ui.main([str(finished), "--no-browser", "--port", str(port)], standalone_mode=False)
    with cli_ui.listen("127.0.0.1", None) as first, cli_ui.listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] < second.getsockname()[1]


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_book_for_others_says_that_a_tunnel_is_safer(
    finished: Path, monkeypatch: pytest.MonkeyPatch, host: str, warned: bool
) -> None:
    monkeypatch.setattr(cli_ui, "_serve", lambda _, listening: listening.close())
    result = CliRunner().invoke(ui, [str(finished), "--no-browser", "--host", host, "--token", "auto"])

    assert result.exit_code == 0
    assert ("unencrypted" in result.stderr and "ssh -L" in result.stderr) is warned


def test_no_browser_is_opened_where_nobody_would_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert cli_ui.has_screen()
    monkeypatch.setenv("SSH_CONNECTION", "a b c d")
    assert not cli_ui.has_screen()

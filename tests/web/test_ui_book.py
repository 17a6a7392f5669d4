"""The book in a real browser: from the run to a mistake, its drafts and calls, and back; with and without scripts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from browser_kit import Serve, accessible, chromium, page, reflows, served, without_scripts
from loop_kit import config
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect
from synthetic_run import Scribe, write_exam, write_run

from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Diagnosis, Draft, Evaluation, Example
from errorbook.report.fates import FATES
from errorbook.report.question_story import read_story

__all__ = ["chromium", "page", "served"]

BOOK = "/runs/small/book"
SAMPLES = "/runs/small/samples"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two cycles, and its control."""
    root = tmp_path_factory.mktemp("shelf")
    run(config(), root / "small")
    contrast = config()
    run(replace(contrast, strategy=replace(contrast.strategy, name="undirected")), root / "control")
    return root


@pytest.fixture
def address(shelf: Path, served: Serve) -> str:
    return served(shelf)


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, follow_redirects=True) as opened:
        yield opened


def titles(page: Page) -> list[str]:
    return page.locator(".row-title").all_inner_texts()


def counted(page: Page, facet: str) -> int:
    """The number beside a choice of the filters."""
    return int(page.locator(".filters a", has_text=facet).locator(".facet-count").first.inner_text().replace(",", ""))


def total(page: Page, noun: str) -> int:
    found = re.search(rf"([\d,]+) {noun}s?$", page.locator(".pager .soft").first.inner_text())
    assert found is not None
    return int(found[1].replace(",", ""))


def a_mistake(shelf: Path) -> Diagnosis:
    """The first diagnosis of cycle 1 that has drafts."""
    with open_ledger(shelf / "small") as ledger:
        return next(item for item in ledger.all(Diagnosis, 1) if next(ledger.all(Draft, parent=item.hash), None))


# the way through ---------------------------------------------------------------------------------------------------


def test_from_a_fate_of_the_run_to_a_mistake_its_draft_its_call_and_back(address: str, page: Page) -> None:
    page.goto(f"{address}/runs/small")
    page.locator('a[href*="split=train"][href*="fate=fixed"]').first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The book")
    question = titles(page)[0]
    page.locator(".row-title").first.click()
    assert question[:60] in page.get_by_role("heading", level=1).inner_text()
    expect(page.get_by_role("heading", name="Before and after")).to_be_visible()
    expect(page.get_by_role("heading", name="Why it was wrong").first).to_be_visible()
    expect(page.locator("mark.step").first).to_be_visible()
    expect(page.get_by_text("Association, not proof").first).to_be_visible()
    mistake = page.url

    page.locator(".drafts .draft-head a").first.click()
    expect(page.get_by_role("heading", name="The mistake behind it")).to_be_visible()
    page.get_by_role("link", name="The call").click()
    expect(page.get_by_role("heading", name="What was sent")).to_be_visible()
    expect(page.get_by_text("a built-in instructor needs none")).to_be_visible()
    page.locator("#result-part > p a").first.click()
    assert urlsplit(page.url).path == urlsplit(mistake).path, "the call leads back to its mistake"
    for _ in range(3):
        page.go_back()
    assert page.url == mistake


def test_every_fate_of_the_run_opens_a_list_of_as_many(client: httpx.Client) -> None:
    links = re.findall(r'href="(/runs/small/book\?[^"]*fate=[^"]*)"', client.get("/runs/small").text)
    assert links
    for link in dict.fromkeys(links):
        query = {name: values[0] for name, values in parse_qs(urlsplit(link.replace("&amp;", "&")).query).items()}
        shown = client.get(link.replace("&amp;", "&")).text
        found = re.search(r"([\d,]+) questions?<", shown)
        with open_ledger(Path(shelf_of(client)) / "small") as ledger:
            fates = [
                told.fate
                for example in ledger.all(Example)
                if (example.task, example.split) == (query["task"], query["split"])
                and (told := read_story(ledger, example.task, example.split, example.id))
            ]
        assert found is not None
        assert int(found[1]) == fates.count(query["fate"])
        assert query["fate"] in FATES


def shelf_of(client: httpx.Client) -> str:
    """The folder of the runs, as the page's foot names it."""
    found = re.search(r'<footer class="foot">\s*<p>([^<]*)</p>', client.get("/runs/small").text)
    assert found is not None
    return str(Path(found[1]).parent)


# lists -------------------------------------------------------------------------------------------------------------


def test_the_book_opens_with_the_mistakes_that_the_run_began_with(address: str, page: Page, shelf: Path) -> None:
    page.goto(address + BOOK)
    assert parse_qs(urlsplit(page.url).query) == {
        "split": ["train"],
        "verdict": ["wrong"],
        "cycle": ["1"],
        "sort": ["id"],
    }
    with open_ledger(shelf / "small") as ledger:
        base = {item.example for item in ledger.all(Diagnosis, 1)}
    assert total(page, "question") >= len(base)
    page.get_by_role("link", name="All questions").click()
    assert total(page, "question") > len(base)


def test_filters_search_and_order_live_in_the_address(address: str, page: Page) -> None:
    page.goto(f"{address}{BOOK}?sort=id")
    page.locator(".filters a", has_text="stubborn").first.click()
    n = total(page, "question")
    assert n == counted(page, "stubborn")
    page.get_by_label("Sort by").select_option("skill")
    page.get_by_role("button", name="Sort").click()
    filtered, shown = page.url, titles(page)
    assert {"fate", "sort"} <= set(parse_qs(urlsplit(filtered).query))
    page.reload()
    assert titles(page) == shown
    page.locator(".row-title").nth(1).click()
    page.go_back()
    assert (page.url, titles(page)) == (filtered, shown)
    page.locator(".chip", has_text="stubborn").click()
    assert total(page, "question") > n

    page.get_by_role("searchbox").fill("zzz no such words")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("No question of this run fits")).to_be_visible()


def arrived(page: Page, words: str) -> None:
    """Wait for the page with this headline, its scripts included."""
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(re.escape(words)))
    page.wait_for_load_state()


def test_next_and_previous_stay_in_the_list_with_the_keyboard(address: str, page: Page) -> None:
    page.goto(f"{address}{BOOK}?fate=fixed&sort=id")
    shown = titles(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    arrived(page, shown[0][:40])
    for expected in shown[1:3]:
        page.keyboard.press("j")
        arrived(page, expected[:40])
    page.keyboard.press("k")
    arrived(page, shown[1][:40])
    page.keyboard.press("u")
    arrived(page, "The book")
    assert titles(page) == shown
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_r_goes_to_the_next_regression_of_the_list(tmp_path: Path, served: Serve, page: Page) -> None:
    write_run(tmp_path / "synthetic")
    page.goto(f"{served(tmp_path)}/runs/synthetic/book?fate=still_right&sort=id")
    page.locator(".row-title").first.click()
    expect(page.get_by_role("link", name="Next regression")).to_have_count(0)
    page.goto(page.url.replace("fate=still_right&", ""))
    page.keyboard.press("r")
    expect(page.locator(".item-fate .fate-broken")).to_be_visible()


def test_unscorable_stands_apart_from_wrong(tmp_path: Path, served: Serve, page: Page) -> None:
    write_run(tmp_path / "synthetic")
    page.goto(f"{served(tmp_path)}/runs/synthetic/book?sort=id")
    tabs = {text.split()[-2]: int(text.split()[-1]) for text in page.locator(".tabs a").all_inner_texts()[1:]}
    assert set(tabs) == {"wrong", "unscorable", "right"}
    assert tabs["unscorable"] > 0
    page.get_by_role("navigation", name="Verdict").get_by_role("link", name="unscorable").click()
    assert total(page, "question") == tabs["unscorable"]
    assert all(text.strip().endswith("unscorable") for text in page.locator(".items .path .unseen").all_inner_texts())


def test_pages_of_a_list_join_without_gap_or_repeat(client: httpx.Client, shelf: Path) -> None:
    seen: list[str] = []
    address: str | None = f"{BOOK}?sort=id"
    while address:
        text = client.get(address).text
        seen += re.findall(r'class="row-title" href="([^"?]*)', text)
        later = re.search(r'href="([^"]*)" data-page-next', text)
        address = later[1].replace("&amp;", "&") if later else None
    with open_ledger(shelf / "small") as ledger:
        answered = {response.example for each in ledger.all(Evaluation) for response in ledger.responses(each)}
    assert len(seen) == len(set(seen)) == len(answered)


def test_an_open_list_grows_while_the_run_goes_on(tmp_path: Path, served: Serve, page: Page) -> None:
    with open_ledger(tmp_path / "live" / "ledger.sqlite", "write") as ledger:
        steps = Scribe(ledger).steps()
        for _ in range(2):  # the examples, and half of the train questions' answers
            next(steps)
        page.goto(f"{served(tmp_path)}/runs/live/book?sort=id")
        before = total(page, "question")
        page.keyboard.press("j")
        for _ in range(3):
            next(steps)
        page.wait_for_function(
            "n => parseInt(document.querySelector('.pager .soft').innerText.match(/(\\d+) questions/)[1]) > n",
            arg=before,
        )
        expect(page.locator(".row-title").first).to_be_focused()


def test_samples_are_listed_by_outcome_and_reason(address: str, page: Page, shelf: Path) -> None:
    with open_ledger(shelf / "small") as ledger:
        drafts = ledger.count(Draft)
    page.goto(address + SAMPLES)
    assert total(page, "draft") == drafts
    page.get_by_role("navigation", name="Outcome").get_by_role("link", name="rejected").click()
    rejected = total(page, "draft")
    assert 0 < rejected < drafts
    reason = page.locator(".facet", has_text="Why rejected").get_by_role("link").first
    n = int(reason.locator(".facet-count").inner_text())
    reason.click()
    assert total(page, "draft") == n
    page.locator(".row-title").first.click()
    expect(page.locator("#checks-part .refused")).to_be_visible()


# single pages ------------------------------------------------------------------------------------------------------


def test_raw_texts_are_what_was_recorded_to_the_byte(client: httpx.Client, shelf: Path) -> None:
    with open_ledger(shelf / "small") as ledger:
        draft = next(ledger.all(Draft))
        diagnosis = next(ledger.all(Diagnosis))
        response = ledger.response(diagnosis.response)
        example = ledger.find(Example, f"arithmetic:train:{diagnosis.example}")
    assert response is not None
    assert example is not None
    raw = {
        f"response/{response.hash}": response.text,
        f"response/{response.hash}?example={quote(response.example)}": response.text,
        f"draft-solution/{draft.hash}": draft.solution,
        f"draft-question/{draft.hash}": draft.question,
        f"call-reply/{draft.call}": "",
        f"call-prompt/{draft.call}": "",
        f"question/{example.hash}": example.question,
    }
    for place, text in raw.items():
        answer = client.get(f"/runs/small/raw/{place}")
        assert answer.content == text.encode(), place
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert client.get("/runs/small/raw/response/nothing").status_code == 404
    assert client.get("/runs/small/raw/secret/nothing").status_code == 404


def test_what_is_not_there_is_a_page_that_says_so(client: httpx.Client) -> None:
    for place in (f"{BOOK}/arithmetic/train/nothing", f"{BOOK}/x", f"{SAMPLES}/nothing", "/runs/small/calls/nothing"):
        answer = client.get(place)
        assert answer.status_code == 404, place
        assert "<h1" in answer.text


def test_a_bad_query_is_no_error(client: httpx.Client) -> None:
    for query in ("sort=nothing", "cycle=x&sort=id", "after=%00%ff", "verdict=%3Cb%3E", f"q={'a' * 5000}", "fate='--"):
        assert client.get(f"{BOOK}?{query}").status_code == 200, query
        assert client.get(f"{SAMPLES}?{query}").status_code == 200, query


def test_effects_are_association_without_a_control_and_paired_with_one(address: str, page: Page) -> None:
    page.goto(f"{address}/runs/small/effects")
    expect(page.get_by_text("Association, not proof")).to_be_visible()
    page.get_by_label("Against the run").select_option("control")
    page.get_by_role("button", name="Compare").click()
    assert "control=control" in page.url
    expect(page.get_by_text("exact McNemar")).to_be_visible()
    expect(page.get_by_text("Association, not proof")).to_have_count(0)
    page.get_by_role("link", name="Samples trained on").click()
    assert {"control", "sort"} <= set(parse_qs(urlsplit(page.url).query))
    page.locator(".effects tbody a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The book")


def test_a_control_that_does_not_fit_is_one_sentence(tmp_path: Path, served: Serve, page: Page, shelf: Path) -> None:
    shutil.copytree(shelf / "small", tmp_path / "small")
    write_run(tmp_path / "synthetic")
    page.goto(f"{served(tmp_path)}/runs/small/effects?control=synthetic")
    expect(page.get_by_role("status")).to_contain_text("other weights")
    expect(page.get_by_text("Association, not proof")).to_be_visible()


def test_an_exam_has_a_book_without_drafts(tmp_path: Path, served: Serve, page: Page) -> None:
    write_exam(tmp_path / "exam")
    address = served(tmp_path)
    page.goto(f"{address}/runs/exam/book")
    page.locator(".row-title").first.click()
    expect(page.get_by_role("heading", name="The answer")).to_be_visible()
    page.goto(f"{address}/runs/exam/samples")
    expect(page.get_by_text("no draft yet")).to_be_visible()
    page.goto(f"{address}/runs/exam/effects")
    expect(page.get_by_text("No mistake is diagnosed")).to_be_visible()


# everybody ---------------------------------------------------------------------------------------------------------


def pages_of(shelf: Path) -> list[str]:
    """One page of each sort; lists with few rows, since every row is checked."""
    diagnosis = a_mistake(shelf)
    with open_ledger(shelf / "small") as ledger:
        draft = next(ledger.all(Draft, parent=diagnosis.hash))
    return [
        f"{BOOK}?split=train&skill={diagnosis.skill}&sort=id",
        f"{BOOK}/arithmetic/train/{diagnosis.example}?sort=id",
        f"{SAMPLES}?outcome=rejected",
        f"{SAMPLES}/{draft.hash}",
        f"/runs/small/calls/{draft.call}",
        "/runs/small/effects?control=control",
    ]


def test_every_page_is_accessible_in_both_themes_and_reflows(address: str, page: Page, shelf: Path) -> None:
    for place in pages_of(shelf):
        page.goto(address + place)
        assert page.locator("h1").count() == 1
        accessible(page)
        reflows(page)


def test_reading_works_without_scripts(address: str, chromium: Browser, shelf: Path) -> None:
    with without_scripts(chromium) as context:
        page = context.new_page()
        page.goto(address + BOOK)
        page.get_by_role("link", name="All questions").click()
        page.get_by_label("Sort by").select_option("fate")
        page.get_by_role("button", name="Sort").click()
        assert "sort=fate" in page.url
        page.locator(".row-title").first.click()
        page.get_by_role("link", name="Next →").first.click()
        expect(page.get_by_role("heading", name="The question")).to_be_visible()
        for place in pages_of(shelf):
            page.goto(address + place)
            expect(page.get_by_role("heading", level=1)).to_be_visible()

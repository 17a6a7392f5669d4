"""The shelf of runs and the page of one run, in a real Chromium: read, followed live, and driven by the keyboard."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from browser_kit import Serve, accessible, chromium, page, reflows, served, without_scripts
from playwright.sync_api import Browser, Page, expect
from synthetic_run import Scribe, write_exam, write_run

from errorbook.ledger.file import open_ledger
from errorbook.render.pages import html as report_html
from errorbook.render.pages.environment import format_time, format_timestamp, group_digits
from errorbook.report.build import build
from errorbook.web import run_pages
from errorbook.web.run_pages import quote_for_shell

__all__ = ["chromium", "page", "served"]  # fixtures


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every kind: finished, fruitless, stopped, an exam, hostile texts, one damaged."""
    root = tmp_path_factory.mktemp("shelf")
    write_run(root / "good")
    write_run(root / "none", accept=False)
    write_run(root / "part", stop_after=2)
    write_exam(root / "exam")
    write_run(root / "hostile", hostile="<img src=x onerror=alert(1)>")
    (root / "damaged").mkdir()
    (root / "damaged" / "ledger.sqlite").write_bytes(b"not a ledger at all " * 100)
    return root


# the shelf ----------------------------------------------------------------------------------------------------------


def test_the_shelf_shows_every_run_with_its_state_and_history(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(served(shelf))
    rows = {name: page.locator("li.run").filter(has=page.locator(f"a[href='/runs/{name}']")) for name in names(shelf)}

    assert page.locator("h1").inner_text() == "Runs"
    assert page.locator("li.run").count() == len(names(shelf))
    expect(rows["good"]).to_contain_text("finished")
    expect(rows["good"].get_by_label("Decisions")).to_have_text(
        re.compile(r"Cycle 1\s+✓ accepted\s+Cycle 2\s+× rejected")
    )
    expect(rows["none"].get_by_label("Decisions")).to_contain_text("× rejected")
    expect(rows["part"]).to_contain_text("Stopped while answering the train questions of sums, 23 of 45.")
    expect(rows["part"].locator(".command code")).to_have_text(f"errorbook run FILE --out {shelf / 'part'}")
    expect(rows["exam"]).to_contain_text("an exam of the base model")
    expect(rows["damaged"]).to_contain_text("is not a ledger, or its first page is damaged")


def test_an_empty_shelf_says_how_to_begin(served: Serve, page: Page, tmp_path: Path) -> None:
    page.goto(served(tmp_path))

    expect(page.locator(".empty")).to_contain_text("No run yet")
    expect(page.locator(".empty code")).to_have_text(f"errorbook demo --out {tmp_path / 'demo'}")
    accessible(page)
    reflows(page)


def test_a_run_that_begins_appears_on_the_open_shelf(served: Serve, page: Page, shelf: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "first", stop_after=1)
    page.goto(served(tmp_path))
    expect(page.locator("li.run")).to_have_count(1)
    with open_ledger(tmp_path / "second" / "ledger.sqlite", "write") as ledger:
        steps = Scribe(ledger).steps()
        next(steps)
        expect(page.locator("li.run")).to_have_count(2)
        expect(page.locator("li.run").first).to_contain_text("running now")


# one run ------------------------------------------------------------------------------------------------------------


def test_the_run_page_shows_the_reports_own_numbers(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(f"{served(shelf)}/runs/good")
    with open_ledger(shelf / "good") as ledger:
        report = build(ledger)
    headline = report_html.context(report)["headline"]

    assert page.locator("h1").inner_text() == headline.title  # type: ignore[attr-defined]
    assert page.locator(".lead").inner_text() == headline.text  # type: ignore[attr-defined]
    facts = dict(
        zip(page.locator(".facts dt").all_inner_texts(), page.locator(".facts dd").all_inner_texts(), strict=True)
    )
    assert facts["Cycles accepted"] == "1 of 2"
    assert facts["Samples trained on"] == str(report.funnel.trained)
    assert facts["Instructor cost"] == f"${report.spending.usd:.2f}"
    cells = page.locator("[aria-labelledby=accuracy] tbody tr").first.inner_text().split("\t")
    base = report.tasks["sums"]["train"].base
    assert f"{100 * base.accuracy:.1f}% ({100 * base.low:.1f} to {100 * base.high:.1f})" in cells


def test_every_number_of_a_fate_opens_a_list_of_so_many_questions(served: Serve, page: Page, shelf: Path) -> None:
    address = served(shelf)
    for name in ("good", "exam"):
        page.goto(f"{address}/runs/{name}")
        with open_ledger(shelf / name) as ledger:
            bands = [band.n for item in build(ledger).fates for band in item.bands if band.n]
        links = page.locator("[aria-labelledby=fates] td a")
        shown = [(link.inner_text().split()[0], str(link.get_attribute("href"))) for link in links.all()]

        assert sorted(int(n) for n, _ in shown) == sorted(bands)
        for n, href in shown:
            listed = page.request.get(f"{address}{href}").text()
            assert re.findall(r'data-total="(\d+)"', listed)[:1] == [n], href


def test_the_run_leads_to_its_book_its_samples_and_its_comparison(served: Serve, page: Page, shelf: Path) -> None:
    address = served(shelf)
    for words, heading in (("Read the mistakes", "The book"), ("Look through", "Samples"), ("Compare", "Compare")):
        page.goto(f"{address}/runs/good")
        page.locator(".ways a", has_text=words).click()
        expect(page.locator("h1")).to_contain_text(heading)


def test_every_reason_for_rejection_opens_its_drafts(served: Serve, page: Page, shelf: Path) -> None:
    address = served(shelf)
    page.goto(f"{address}/runs/good")
    links = page.locator("#live-funnel > p a")
    shown = [(link.inner_text().split(" ", 1), str(link.get_attribute("href"))) for link in links.all()]

    assert {words for (_, words), _ in shown} == {"duplicate", "wrong answer"}
    for (n, _), href in shown:
        assert re.findall(r'data-total="(\d+)"', page.request.get(f"{address}{href}").text())[:1] == [n], href


def test_every_chart_has_a_table_twin(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(f"{served(shelf)}/runs/good")

    assert page.locator("svg.chart").count() >= 5
    for section in page.locator("section:has(svg.chart)").all():
        assert section.locator("table").count(), section.get_attribute("aria-labelledby")


@pytest.mark.parametrize(
    "name", ["good", *(pytest.param(name, marks=pytest.mark.slow) for name in ("none", "part", "exam", "hostile"))]
)
def test_every_kind_of_run_is_accessible_and_reflows(served: Serve, page: Page, shelf: Path, name: str) -> None:
    page.goto(f"{served(shelf)}/runs/{name}")

    assert page.locator("h1").count() == 1
    accessible(page)
    reflows(page)


@pytest.mark.slow
def test_a_book_imported_from_logs_has_a_page(served: Serve, page: Page, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"id": "1", "question": "2 + 2?", "answer": "4", "response": "5", "is_correct": false}\n')
    command = [sys.executable, "-m", "errorbook", "import", str(log), "--task", "gsm8k"]
    subprocess.run([*command, "--out", str(tmp_path / "runs" / "logged")], check=True, capture_output=True)
    page.goto(f"{served(tmp_path / 'runs')}/runs/logged")

    expect(page.locator("#standing")).to_contain_text("These answers come from a log")
    assert page.locator("main h2").all_inner_texts()[-1] == "About this run"
    accessible(page)
    reflows(page)


def test_the_shelf_and_the_help_are_accessible_and_reflow(served: Serve, page: Page, shelf: Path) -> None:
    address = served(shelf)
    for place in ("/", "/help", "/runs/damaged"):
        page.goto(f"{address}{place}")
        accessible(page)
        reflows(page)


def test_a_damaged_run_is_one_sentence(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(f"{served(shelf)}/runs/damaged")

    expect(page.locator("main")).to_contain_text("is not a ledger, or its first page is damaged")
    assert "Traceback" not in page.content()


# live ---------------------------------------------------------------------------------------------------------------


def test_every_prefix_of_a_run_can_be_read(served: Serve, page: Page, tmp_path: Path) -> None:
    address = served(tmp_path)
    with open_ledger(tmp_path / "live" / "ledger.sqlite", "write") as ledger:
        for step in Scribe(ledger).steps():
            for place in ("/", "/runs/live"):
                answer = page.request.get(f"{address}{place}")
                assert answer.status == 200, (step, place, answer.text())


def test_an_open_page_follows_the_run_and_leaves_the_reader_where_they_are(
    served: Serve, page: Page, tmp_path: Path
) -> None:
    address = served(tmp_path)
    with open_ledger(tmp_path / "live" / "ledger.sqlite", "write") as ledger:
        steps = Scribe(ledger).steps()
        next(step for step in steps if step == "training 1")
        page.goto(f"{address}/runs/live")
        page.evaluate("window.neverReloaded = true")
        page.locator("#toc a", has_text="About").focus()
        page.evaluate("window.scrollTo(0, 300)")
        for words in ("dev questions of chat", "dev questions of chat, 60 of 60"):
            next(steps)
            page.wait_for_function(SHOWS, arg=words)
        next(steps)
        expect(page.locator("#standing")).to_contain_text("✓ accepted")

        assert page.evaluate("window.neverReloaded")
        assert page.evaluate("document.activeElement.textContent") == "About"
        assert abs(page.evaluate("window.scrollY") - 300) < 40


SHOWS = "words => document.querySelector('#standing').textContent.includes(words)"


# keyboard, theme, no scripts ----------------------------------------------------------------------------------------


def test_the_keyboard_reaches_everything(served: Serve, page: Page, shelf: Path) -> None:
    address = served(shelf)
    page.goto(address)
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    first = page.locator("li.run a").first
    assert page.evaluate("document.activeElement.getAttribute('href')") == first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*")

    page.goto(f"{address}/runs/good")
    for keys, url in (("gb", "/runs/good/book"), ("gs", "/runs/good/samples"), ("gr", "/runs/good")):
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_url(re.compile(re.escape(f"{address}{url}") + r"($|\?)"))
    page.keyboard.press("u")
    page.wait_for_url(f"{address}/")


def test_the_question_mark_opens_the_help_and_escape_closes_it(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(f"{served(shelf)}/runs/good")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    expect(page.locator("#help")).to_contain_text("next regression")
    accessible(page)
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.locator("[data-help]").click()
    expect(page.locator("#help")).to_be_visible()


def test_keys_typed_into_a_field_are_text(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(f"{served(shelf)}/runs/good/book")
    page.keyboard.press("/")
    page.keyboard.type("jk?gr")

    assert page.locator("[data-search]").input_value() == "jk?gr"
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_the_theme_is_kept_and_overrides_the_systems(served: Serve, page: Page, shelf: Path) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{served(shelf)}/runs/good")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    button = page.locator("[data-theme-switch]")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    dark = page.evaluate(paper)
    page.reload()

    assert dark != light
    assert page.evaluate(paper) == dark
    button.click()
    assert page.evaluate(paper) == light


def test_everything_is_there_without_scripts(chromium: Browser, served: Serve, shelf: Path) -> None:
    address = served(shelf)
    context = without_scripts(chromium)
    shown = context.new_page()
    shown.goto(address)
    shown.locator("li.run a", has_text="synthetic").first.click()
    assert "/runs/" in shown.url
    assert shown.locator("section table").count() >= 3
    assert not shown.locator("[data-theme-switch]").is_visible()
    shown.locator("[data-help]").click()
    assert shown.url == f"{address}/help"
    assert shown.locator("h1").inner_text() == "Keys"
    context.close()


@pytest.mark.parametrize(
    ("text", "shell"), [("/a/b-1", "/a/b-1"), ("/a b", "'/a b'"), ("it's", "'it'\\''s'"), ("", "''")]
)
def test_commands_can_be_pasted_into_a_shell(text: str, shell: str) -> None:
    assert quote_for_shell(text) == shell


def test_a_large_run_says_that_its_numbers_come_and_then_shows_them(
    served: Serve, page: Page, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pages, "PATIENCE", 0.0)
    address = served(shelf)
    page.goto(address)
    good = page.locator("li.run").filter(has=page.locator("a[href='/runs/good']"))
    expect(good).to_contain_text("it is being read")
    page.goto(f"{address}/runs/good")
    expect(page.locator("h1")).to_have_text("The numbers are being computed")
    monkeypatch.setattr(run_pages, "PATIENCE", 5.0)
    expect(page.locator("h1")).to_have_text("A better model was kept")  # the page asks again by itself


def test_times_and_counts_are_written_for_people_and_for_programs() -> None:
    at = datetime(2026, 5, 3, 17, 5, tzinfo=UTC).timestamp()

    assert group_digits(12345) == "12,345"
    assert datetime.fromisoformat(format_timestamp(at)).timestamp() == at
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]{2} 2026, \d\d:\d\d", format_time(at))


def names(shelf: Path) -> set[str]:
    return {folder.name for folder in shelf.iterdir()}

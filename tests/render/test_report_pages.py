"""The report in a real browser, opened from disk: accessible in both themes, narrow, printed, and without a request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from browser_kit import accessible, chromium, page, reflows, served  # noqa: F401 - `page` asks for `served`
from playwright.sync_api import Page
from synthetic_run import HOSTILE, write_exam, write_run

from errorbook.ledger.file import open_ledger
from errorbook.render.pages import html as report_html
from errorbook.report.build import build

__all__ = ["chromium", "page"]

RUNS: dict[str, Callable[[Path], Path]] = {
    "no gain": lambda folder: write_run(folder, accept=False),
    "halfway": lambda folder: write_run(folder, stop_after=9),
    "only an exam": write_exam,
    "nothing yet": lambda folder: write_run(folder, stop_after=1),
    "hostile": lambda folder: write_run(folder, hostile=HOSTILE),
}


def written(folder: Path) -> str:
    """Write the run's report beside its ledger, and return its address on disk."""
    with open_ledger(folder) as ledger:
        text = report_html.render(build(ledger))
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    return file.as_uri()


def test_a_whole_report_is_accessible_in_both_themes_and_on_a_narrow_page(page: Page, tmp_path: Path) -> None:
    folder, other = write_run(tmp_path / "run", both=True), write_run(tmp_path / "control")
    with open_ledger(folder) as ledger, open_ledger(other) as control:
        text = report_html.render(build(ledger, control))
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    page.goto((tmp_path / "report.html").as_uri())

    unfold(page)
    accessible(page)
    reflows(page)
    assert page.locator("h1").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_the_report_of_any_run_is_accessible_and_fits_a_narrow_page(page: Page, tmp_path: Path, name: str) -> None:
    page.goto(written(RUNS[name](tmp_path)))

    unfold(page)
    accessible(page)
    reflows(page)
    assert page.locator("h1").count() == 1


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")


def test_hostile_texts_run_nothing_and_fetch_nothing(page: Page, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(f"a script said {dialog.message}"))
    address = written(write_run(tmp_path, hostile=HOSTILE))
    page.goto(address)

    assert asked == [address]
    assert page.locator("main script, main img, main style").count() == 0
    assert page.get_by_text("<script>alert(1)</script>").count() > 0
    assert page.evaluate("getComputedStyle(document.body).fontFamily").startswith("system-ui"), (
        "its own style is let in"
    )


def test_on_paper_nothing_stays_folded_and_the_ground_is_white(page: Page, tmp_path: Path) -> None:
    page.goto(written(write_run(tmp_path)))
    folded = page.locator("details table").first
    assert not folded.is_visible()

    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(media="print", color_scheme=scheme)
        assert folded.is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf().startswith(b"%PDF")


def test_every_fate_has_a_key_that_is_not_only_its_colour(page: Page, tmp_path: Path) -> None:
    page.goto(written(write_run(tmp_path, both=True)))
    bars = page.locator("section[aria-labelledby=fates] svg.chart rect:not(.track):not(pattern rect)")
    fills = set(bars.evaluate_all("rects => rects.map(rect => rect.getAttribute('fill'))"))

    assert fills == {
        "currentColor",
        *(f"url(#{fate}-fates)" for fate in ("relapsed", "stubborn", "broken", "still_right")),
    }
    for fate in ("relapsed", "stubborn", "broken", "still_right"):
        assert page.locator(f"pattern#{fate}-fates").count() == 1


def test_ids_are_not_given_twice(page: Page, tmp_path: Path) -> None:
    page.goto(written(write_run(tmp_path, both=True)))
    ids = page.locator("[id]").evaluate_all("found => found.map(item => item.id)")

    assert len(ids) == len(set(ids))

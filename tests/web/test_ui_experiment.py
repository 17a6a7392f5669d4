"""Experiments in the book: one entry on the shelf with its runs, and a page whose numbers lead to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_kit import Serve, accessible, chromium, page, reflows, served, without_scripts
from experiment_kit import RESULTS
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient
from synthetic_run import write_run

from errorbook.experiment.results import write_results
from errorbook.experiment.summary import summarise
from errorbook.experiment.tables import drop_empty, make_run_table, make_tables
from errorbook.render.task_words import task_words
from errorbook.render.words import task_name
from errorbook.setup.assemble import EXAMINED
from errorbook.web.app import create_app
from errorbook.web.experiments import list_experiments
from errorbook.web.shelf import Shelf

__all__ = ["chromium", "page", "served"]  # fixtures


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of which two runs are there, a run that lies beside them, and one of its own."""
    root = tmp_path_factory.mktemp("shelf")
    for name in ("trial/base-1", "trial/error-2", "trial/aside", "alone"):
        write_run(root / name, stop_after=1)
    write_results(root / "trial" / "results.json", RESULTS)
    (root / "results.json").write_text('{"accuracy": 0.5}', encoding="utf-8")  # another program's
    return root


def test_the_shelf_shows_an_experiment_as_one_entry_with_its_runs(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(served(shelf))
    entry = page.locator("li.run").filter(has=page.locator("a[href='/experiments/trial']"))

    expect(page.locator("li.run")).to_have_count(3)
    expect(entry).to_contain_text("16 of 16")
    expect(entry.locator("li a")).to_have_text(["base-1", "error-2"])
    entry.locator("summary").click()
    accessible(page)
    reflows(page)
    entry.locator("li a").last.click()
    expect(page.locator(".crumbs a")).to_have_text(["Runs", "made"])
    page.locator(".crumbs a").last.click()
    expect(page.locator("h1")).to_have_text("made")


def test_an_experiments_page_has_every_cell_of_its_tables(served: Serve, page: Page, shelf: Path) -> None:
    page.goto(f"{served(shelf)}/experiments/trial")
    summary = summarise(RESULTS)

    wanted = [drop_empty(table) for table in make_tables(summary) if table.rows] + [make_run_table(summary)]
    shown = page.locator("main table")
    assert shown.count() == len(wanted)
    for place, table in enumerate(wanted):
        for row, cells in enumerate(table.rows):
            expect(shown.nth(place).locator("tbody tr").nth(row).locator("th, td")).to_have_text(list(cells))
    expect(page.locator("h2").first).to_have_text("Gain on test, in points")
    expect(page.locator("main")).to_contain_text("160 of sums in 152 groups")
    expect(page.locator("main")).to_contain_text("error: 100 samples; train.replay = 0.5")
    accessible(page)
    reflows(page)


def test_a_number_of_a_run_leads_to_it_without_scripts(served: Serve, chromium: Browser, shelf: Path) -> None:
    with without_scripts(chromium) as context:
        plain = context.new_page()
        plain.goto(f"{served(shelf)}/experiments/trial")
        row = plain.locator("#arm-error")

        expect(row.locator("a")).to_have_count(1)  # the other seeds' runs are not in this folder
        plain.locator("a[href='#arm-error']").first.click()
        row.locator("a").click()
        assert plain.url.endswith("/runs/trial~error-2")


def test_the_numbers_of_each_run_are_those_of_the_gains() -> None:
    for arm in summarise(RESULTS).arms:
        runs = arm.by_seed
        assert len(runs) == arm.seeds
        assert sum(run.accuracy for run in runs) / arm.seeds == pytest.approx(arm.learnt.accuracy)
        if arm.learnt.gain:
            assert sum(run.gain for run in runs) / arm.seeds == pytest.approx(arm.learnt.gain.value)


def test_what_has_no_numbers_yet_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    from msgspec.structs import replace

    write_run(tmp_path / "begun" / "error-1", stop_after=1)
    write_results(tmp_path / "begun" / "results.json", replace(RESULTS, runs=RESULTS.runs[:1]))
    write_run(tmp_path / "newer" / "base-1", stop_after=1)
    (tmp_path / "newer" / "results.json").write_text('{\n "format": 99, "name": 1}', encoding="utf-8")
    write_run(tmp_path / "begun" / "results", stop_after=1)
    with TestClient(create_app(tmp_path), base_url="http://127.0.0.1:8321") as client:
        begun, newer, none, whole = map(
            client.get, ("/experiments/begun", "/experiments/newer", "/experiments/alone", "/")
        )

    assert '<a href="/runs/begun~error-1">error, seed 1</a>' in begun.text
    assert "gentle, seed 4 " in begun.text
    assert "is no result file of an experiment" in newer.text
    assert "/runs/newer~base-1" in newer.text
    assert (none.status_code, "There is no experiment" in none.text) == (404, True)
    assert "Its results cannot be read." in whole.text


def test_an_open_page_hears_of_new_results(tmp_path: Path) -> None:
    from msgspec.structs import replace

    write_run(tmp_path / "base-1", stop_after=1)
    write_results(tmp_path / "results.json", replace(RESULTS, runs=()))
    shelf = Shelf(tmp_path)
    try:
        before, (first,) = shelf.stamp(), list_experiments(shelf, shelf.books())
        write_results(tmp_path / "results.json", RESULTS)
        (second,) = list_experiments(shelf, shelf.books())

        assert shelf.stamp() != before
        assert first.slug == second.slug == tmp_path.name
        assert [bool(one.results and one.results.runs) for one in (first, second)] == [False, True]
    finally:
        shelf.close()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("sums", "sums"),
        (f"sums:{EXAMINED}", "sums (for the experiment)"),
        ("a:b:practice", "a:b (practice)"),
        ("sums:draw 2", "sums (draw 2)"),
        ("mmlu:physics", "mmlu:physics"),
        (":experiment", ":experiment"),
    ],
)
def test_a_task_that_was_asked_for_a_purpose_is_named_in_words(task: str, words: str) -> None:
    assert task_words(task) == words
    assert task_name(task, "guard") == f"{words} (guard)"

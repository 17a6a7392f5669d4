"""Comparing in a real browser: two sides, numbers, questions with regressions first, and all of it in the address."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from browser_kit import Serve, accessible, chromium, page, reflows, served, without_scripts
from playwright.sync_api import Browser, Page, expect
from synthetic_run import write_exam, write_run

from errorbook.render.words import difference_text
from errorbook.report.compare_runs import compare, list_items, parse_side

__all__ = ["chromium", "page", "served"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and an exam below one folder."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "one")
    write_run(root / "two", accept=False)
    write_exam(root / "exam")
    return root


def address(url: str, a: str = "one:base", b: str = "one:final", **query: str) -> str:
    """Of a comparison."""
    return f"{url}/compare?" + "&".join(f"{name}={quote(value)}" for name, value in {"a": a, "b": b, **query}.items())


def test_two_sides_are_chosen_and_the_numbers_are_those_of_the_command(root: Path, served: Serve, page: Page) -> None:
    page.goto(f"{served(root)}/compare")
    expect(page.get_by_text("Choose two checkpoints")).to_be_visible()
    page.get_by_label("A, before").select_option("one:base")
    page.get_by_label("B, after").select_option("one:final")

    page.get_by_role("button", name="Compare").click()

    expect(page).to_have_url(re.compile("a=one%3Abase&b=one%3Afinal$"))
    table = page.get_by_role("region", name="What both answered, by task and split")
    compared = compare(parse_side(f"{root / 'one'}:base"), parse_side(str(root / "one")))
    for row in compared.tasks:
        shown = table.get_by_role("row").filter(has_text=row.split).filter(has_text=row.task)
        expect(shown).to_contain_text(difference_text(row.difference))
        expect(shown.get_by_role("link", name=str(row.broken), exact=True).first).to_be_visible()
    accessible(page)
    reflows(page)


def test_regressions_come_first_and_each_opens_with_the_difference_marked(
    root: Path, served: Serve, page: Page
) -> None:
    page.goto(address(served(root), task="sums", split="test", change="all"))
    a, b = parse_side(f"{root / 'one'}:base"), parse_side(str(root / "one"))
    row = next(row for row in compare(a, b).tasks if (row.task, row.split) == ("sums", "test"))
    wanted = list_items(a, b, row, "all", 50)
    tags = page.locator("[data-row] .tag").all_inner_texts()
    assert [("regression" in tag) for tag in tags] == [item.change == "broken" for item in wanted]

    page.locator("[data-row] a").first.click()

    expect(page.get_by_role("heading", name="Both answers")).to_be_visible()
    expect(page.locator("del")).not_to_have_count(0)
    expect(page.locator("ins")).not_to_have_count(0)
    expect(page.locator("article.answer").first).to_contain_text("right")
    expect(page.locator("article.answer").last).to_contain_text("17")
    accessible(page)
    reflows(page)


def test_the_keyboard_goes_through_the_regressions(root: Path, served: Serve, page: Page) -> None:
    page.goto(address(served(root), task="sums", split="test"))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Both answers")).to_be_visible()
    page.wait_for_load_state()  # the keys are there when the page is loaded
    first = page.url
    page.keyboard.press("r")
    expect(page).not_to_have_url(first)
    page.wait_for_load_state()
    page.keyboard.press("k")
    expect(page).to_have_url(first)
    page.wait_for_load_state()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="B against A")).to_be_visible()


def test_reload_and_back_restore_what_was_seen(root: Path, served: Serve, page: Page) -> None:
    page.goto(address(served(root), task="sums", split="train", change="gains"))
    listed = page.locator("[data-row]").all_inner_texts()
    page.locator("[data-row] a").nth(1).click()
    question = page.get_by_role("heading", level=1).inner_text()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(question)
    page.go_back()
    assert page.locator("[data-row]").all_inner_texts() == listed


def test_a_long_list_is_read_page_by_page_and_back(root: Path, served: Serve, page: Page) -> None:
    page.goto(address(served(root), task="sums", split="dev", change="all"))
    first = page.locator("[data-row]").all_inner_texts()
    page.get_by_role("link", name="Later").click()
    expect(page.get_by_role("link", name="Earlier")).to_be_visible()
    second = page.locator("[data-row]").all_inner_texts()
    assert (len(first), len(second)) == (50, 10)
    page.get_by_role("link", name="Earlier").click()
    expect(page.locator("[data-row]")).to_have_count(50)
    assert page.locator("[data-row]").all_inner_texts() == first


def test_all_of_it_works_without_scripts(root: Path, served: Serve, chromium: Browser) -> None:
    context = without_scripts(chromium)
    page = context.new_page()
    page.goto(address(served(root), b="two:final", task="sums", split="test", change="all"))
    expect(page.get_by_text("association, not proof")).to_be_attached()
    page.locator("[data-row] a").first.click()
    page.get_by_role("link", name="Next →").click()
    page.get_by_role("link", name="Comparison").click()
    page.get_by_role("link", name="Swap").click()
    expect(page.get_by_label("A, before")).to_have_value("two:final")
    context.close()


def test_what_cannot_be_compared_is_said_in_a_sentence(root: Path, served: Serve, page: Page) -> None:
    url = served(root)
    for query, sentence in (
        (address(url, "exam:base", "one:base", split="test"), "choose one from the table"),
        (address(url, "one:best", "one:base"), "no checkpoint 'best'"),
    ):
        page.goto(query)
        expect(page.get_by_role("alert")).to_contain_text(sentence)
        expect(page.get_by_role("button", name="Compare")).to_be_visible()
    accessible(page)


def test_a_strange_place_in_the_list_is_its_beginning(root: Path, served: Serve) -> None:
    url = served(root)
    first = rows_of(address(url, task="sums", split="test", change="all"))
    assert len(first) == 50
    for cursor in (">", "<", ">broken", ">none:x", "x" * 2000, ">broken:\x00"):
        assert rows_of(address(url, task="sums", split="test", change="all", after=cursor)) == first


def rows_of(url: str) -> list[str]:
    answer = httpx.get(url)
    assert answer.status_code == 200
    return re.findall(r"item=([\w-]+)", answer.text)

"""Correcting by hand in a real browser: plain forms, one writer, and what comes of it said beside what was written."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import httpx
import pytest
from browser_kit import Serve, accessible, chromium, page, reflows, served, without_scripts
from playwright.sync_api import Browser, Page, expect
from synthetic_run import write_run

from errorbook.config import parse
from errorbook.corrections.inbox import find_newest, list_corrections, list_waiting
from errorbook.ledger.events import Event
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Correction, Diagnosis, Evaluation, Lesson, Response, Sample

__all__ = ["chromium", "page", "served"]

RUN_FILE = """
[run]
name = "small"
cycles = 1

[target]
engine = "scripted"
gain = 0.25

[[tasks]]
name = "arithmetic"
train = 13
dev = 26
test = 13

[strategy]
name = "error"

[train]
method = "scripted"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one finished run, which a test may change."""
    write_run(tmp_path / "one")
    return tmp_path


def a_sample(root: Path, place: int = 0) -> Sample:
    with open_ledger(root / "one") as ledger:
        return list(ledger.all(Sample, 1))[place]


def a_mistake(root: Path) -> Response:
    with open_ledger(root / "one") as ledger:
        known = next(ledger.all(Diagnosis, 1))
        found = ledger.response(known.response, known.example)
        assert found is not None
        return found


def said_of(root: Path, subject: str) -> list[Correction]:
    with open_ledger(root / "one") as ledger:
        return [item.correction for item in list_corrections(ledger, subject)]


def sample_page(url: str, sample: Sample) -> str:
    return f"{url}/runs/one/samples/{sample.draft}"


def item_page(url: str, response: Response) -> str:
    return f"{url}/runs/one/book/{response.task}/{response.split}/{response.example}"


def test_a_sample_is_struck_out_and_restored(root: Path, served: Serve, page: Page) -> None:
    sample = a_sample(root)
    page.goto(sample_page(served(root), sample))
    page.get_by_text("Correct this sample by hand").click()
    form = page.locator("form").filter(has_text="Strike it out")
    form.get_by_label("Reason").fill("It is about something else.")
    form.get_by_label("Your name").fill("ada")

    form.get_by_role("button").click()

    status = page.get_by_role("status")
    expect(status).to_contain_text("Struck out by ada (It is about something else).")
    expect(status).to_contain_text("Cycle 1 was trained before this. The model stays as it is")
    accessible(page)
    reflows(page)
    page.get_by_text("Correct this sample by hand").click()
    page.get_by_role("button", name="Restore it as it was written").click()
    expect(page.get_by_role("status")).to_contain_text("Restored by")
    assert [item.kind for item in said_of(root, sample.draft)] == ["strike", "restore"]
    with open_ledger(root / "one") as ledger:
        assert ledger.find(Sample, sample.draft) == sample


def test_an_edit_stands_beside_what_was_written(root: Path, served: Serve, page: Page) -> None:
    sample = a_sample(root)
    page.goto(sample_page(served(root), sample))
    page.get_by_text("Correct this sample by hand").click()
    expect(page.get_by_label("Question, yours")).to_have_value(sample.question)
    page.get_by_label("Question, yours").fill("How much is 41 + 58?")
    page.get_by_label("Worked solution, yours").fill("41 + 58 = 99.\nSo it is 99.")
    page.get_by_label("Answer").fill("99")

    page.get_by_role("button", name="Save the edit").click()

    expect(page.get_by_role("status")).to_contain_text("Edited by")
    page.get_by_text("Correct this sample by hand").click()
    expect(page.get_by_label("Question, yours")).to_have_value("How much is 41 + 58?")
    form = page.locator("form").filter(has_text="Save the edit")
    expect(form.locator("pre").first).to_have_text(sample.question)
    accessible(page)
    reflows(page)
    (edit,) = said_of(root, sample.draft)
    assert (edit.question, edit.answer, edit.solution) == ("How much is 41 + 58?", "99", "41 + 58 = 99.\nSo it is 99.")


def test_a_refused_edit_says_why_and_keeps_what_was_typed(root: Path, served: Serve, chromium: Browser) -> None:
    sample = a_sample(root)
    context = without_scripts(chromium)
    page = context.new_page()
    page.goto(sample_page(served(root), sample))
    page.get_by_text("Correct this sample by hand").click()
    page.get_by_label("Question, yours").fill("What is 58 + 1?")  # question 58 of dev
    page.get_by_label("Answer").fill("59")
    page.get_by_role("button", name="Save the edit").click()

    expect(page.get_by_role("alert")).to_contain_text("cannot be trained on (contaminated: ")
    expect(page.get_by_label("Question, yours")).to_have_value("What is 58 + 1?")
    page.get_by_label("Question, yours").fill("What is 5800 + 1?")
    page.get_by_label("Answer").fill("5801")
    page.get_by_role("button", name="Save the edit").click()

    expect(page.get_by_role("status")).to_contain_text("Edited by")
    expect(page).to_have_url(re.compile(f"/samples/{sample.draft}#correct-"))
    assert [item.answer for item in said_of(root, sample.draft)] == ["5801"]
    context.close()


def test_a_score_is_corrected_with_the_keyboard(root: Path, served: Serve, page: Page) -> None:
    mistake = a_mistake(root)
    page.goto(f"{item_page(served(root), mistake)}?sort=id")
    opener = page.get_by_text("Correct this score by hand").first
    opener.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("right")
    page.keyboard.press("Tab")
    page.keyboard.type("Seventeen is meant.")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status").first).to_contain_text("right (Seventeen is meant). The scorer said wrong.")
    expect(page.get_by_role("status").first).to_contain_text("the run has studied its last mistakes")
    assert "sort=id" in page.url
    assert [item.verdict for item in said_of(root, mistake.hash)] == ["right"]
    reflows(page)


def test_dev_and_test_are_only_remarked_on(root: Path, served: Serve, page: Page) -> None:
    with open_ledger(root / "one") as ledger:
        dev = next(item for item in ledger.all(Evaluation) if (item.task, item.split) == ("sums", "dev"))
        response = next(ledger.responses(dev, "wrong"))
    page.goto(item_page(served(root), response))
    page.get_by_text("Correct this score by hand").first.click()
    page.get_by_label("It is").first.select_option("right")
    page.get_by_role("button", name="Record this score").first.click()

    expect(page.get_by_role("status").first).to_contain_text("A remark: dev stays as it was scored")


def test_while_a_run_is_writing_the_page_says_that_it_waits(root: Path, served: Serve, page: Page) -> None:
    sample = a_sample(root)
    with open_ledger(root / "one", "write"):
        page.goto(sample_page(served(root), sample))
        page.get_by_text("Correct this sample by hand").click()
        page.get_by_role("button", name="Strike it out").click()
        expect(page.get_by_role("status")).to_contain_text("It waits: a run was writing")
        page.reload()
        expect(page.get_by_role("status")).to_contain_text("It waits: a run was writing")
    assert [item.correction.kind for item in list_waiting(root / "one")] == ["strike"]
    assert said_of(root, sample.draft) == []


def test_what_is_struck_out_in_the_browser_is_not_trained_on_by_the_run_that_writes(
    tmp_path: Path, served: Serve, page: Page
) -> None:
    folder, reached, corrected = tmp_path / "one", threading.Event(), threading.Event()

    def watch(event: Event) -> None:
        if (event.stage, event.split, event.cycle) == ("evaluate", "dev", 1) and not reached.is_set():
            reached.set()
            corrected.wait(60)

    going = threading.Thread(target=run, args=(parse(RUN_FILE), folder, watch))
    going.start()
    try:
        assert reached.wait(60)
        sample = a_sample(tmp_path)
        page.goto(sample_page(served(tmp_path), sample))
        page.get_by_text("Correct this sample by hand").click()
        page.get_by_role("button", name="Strike it out").click()
        expect(page.get_by_role("status")).to_contain_text("It waits")
        expect(page.get_by_role("status")).to_contain_text("The training of cycle 1 will go by it.")
    finally:
        corrected.set()
        going.join(60)

    page.reload()
    expect(page.get_by_role("status")).to_contain_text("The training of cycle 1 went by it.")
    with open_ledger(folder) as ledger:
        assert sample.hash not in {lesson.source for lesson in ledger.all(Lesson, 1)}


def test_sending_a_form_twice_records_it_once(root: Path, served: Serve) -> None:
    url, sample = served(root), a_sample(root)
    fields = {"author": "ada", "reason": "", "back": f"/runs/one/samples/{sample.draft}?q=x"}
    for _ in range(2):
        answer = httpx.post(f"{sample_page(url, sample)}/strike", data=fields, headers={"Origin": url})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/runs/one/samples/{sample.draft}?q=x#correct-{sample.draft[:12]}"
    assert len(said_of(root, sample.draft)) == 1


@pytest.mark.parametrize(
    "back", ["https://elsewhere.example/", "//elsewhere.example/", "/runs/onebutnot/", "/\\elsewhere"]
)
def test_a_form_leads_back_to_this_book_only(back: str, root: Path, served: Serve) -> None:
    url, sample = served(root), a_sample(root)
    answer = httpx.post(f"{sample_page(url, sample)}/strike", data={"back": back}, headers={"Origin": url})
    assert answer.headers["location"].startswith(f"/runs/one/samples/{sample.draft}#")


def test_what_fits_nothing_is_refused(root: Path, served: Serve) -> None:
    url, sample, mistake = served(root), a_sample(root), a_mistake(root)
    for place, fields, status in (
        ("samples/" + "0" * 32 + "/strike", {"reason": ""}, 404),
        (f"samples/{sample.draft}/burn", {"reason": ""}, 404),
        (f"samples/{sample.draft}/edit", {"question": "?", "answer": "", "solution": ""}, 422),
        ("responses/" + "0" * 32 + "/score", {"verdict": "right"}, 422),
        (f"responses/{mistake.hash}/score", {"verdict": "splendid"}, 400),
    ):
        answer = httpx.post(f"{url}/runs/one/{place}", data=fields, headers={"Origin": url})
        assert answer.status_code == status, place
    with open_ledger(root / "one") as ledger:
        assert find_newest(ledger) == {}


def test_only_the_page_itself_may_write(root: Path, served: Serve) -> None:
    url, sample = served(root), a_sample(root)
    answer = httpx.post(
        f"{sample_page(url, sample)}/strike", data={"reason": ""}, headers={"Origin": "https://elsewhere.example"}
    )
    assert answer.status_code == 403
    assert said_of(root, sample.draft) == []

"""Texts of any size and kind on the book's pages: shown whole or clipped, never executed, and raw to the byte."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
import pytest
from browser_kit import Serve, chromium, page, served
from hypothesis import example, given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect
from synthetic_run import write_run

from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import Call, Diagnosis, Draft, Evaluation, Example, Response, Score, Vote, digest
from errorbook.web.book_pages import mark_step
from errorbook.web.fitting import fit, shorten

__all__ = ["chromium", "page", "served"]


def an_answer(ledger: Ledger, text: str, id: str) -> Response:
    """A question that is this text, and a wrong answer to it that is the same."""
    evaluation = next(item for item in ledger.all(Evaluation) if (item.task, item.split) == ("sums", "train"))
    example = Example(id=id, task="sums", split="train", question=text, answer=text[:300], solution=text)
    response = Response(
        evaluation=evaluation.hash,
        example=id,
        task="sums",
        split="train",
        prompt_hash="p",
        text=text,
        tokens=1,
        truncated=False,
        score=Score(verdict="wrong", extracted=text[:500], evidence=text),
    )
    ledger.append(example, f"sums:train:{id}")
    ledger.append_responses([response])
    return response


def a_diagnosis(ledger: Ledger, text: str, response: Response) -> Diagnosis:
    """A diagnosis in the words of the text."""
    diagnosis = Diagnosis(
        response=response.hash,
        example=response.example,
        task="sums",
        strategy="error",
        error_kind=text[:200],
        misconception=text,
        skill=text[:200],
        first_wrong_step=text[:40],
        border=text,
    )
    ledger.append(diagnosis, f"{response.hash}:error", 1, response.hash)
    return diagnosis


def a_call(purpose: Literal["write", "verify"], subject: str, text: str) -> Call:
    return Call(instructor="model", purpose=purpose, subject=subject, input_tokens=9, reply=text, prompt=text)


def a_page_of(folder: Path, text: str, id: str = "a/../b c?d#e&f%2F.") -> list[str]:
    """Put one hostile question with its answer, diagnosis, draft, vote and calls into a run: their addresses."""
    with open_ledger(folder, "write") as ledger:
        response = an_answer(ledger, text, id)
        diagnosis = a_diagnosis(ledger, text, response)
        assignment = digest(text)
        draft = Draft(
            assignment=assignment,
            diagnosis=diagnosis.hash,
            index=0,
            task="sums",
            question=text,
            answer=text,
            solution=text,
        )
        written, asked = a_call("write", assignment, text), a_call("verify", f"{draft.hash}:0", text)
        ledger.extend(
            [Entry(written, keys.call("write", assignment), diagnosis.hash), Entry(asked, "vote", draft.hash)], 1
        )
        ledger.append(draft, f"{assignment}:0", 1, diagnosis.hash)
        ledger.append(Vote(draft=draft.hash, answer=text, call=asked.hash), f"{draft.hash}:0", 1, draft.hash)
    run = f"/runs/{folder.name}"
    return [
        f"{run}/book/sums/train/{quote(id, safe='')}",
        f"{run}/samples/{draft.hash}",
        f"{run}/calls/{written.hash}",
        f"{run}/calls/{asked.hash}",
    ]


@pytest.mark.parametrize("piece", ["word <b>&amp; $5 ", "\u202e", "\\(x^2\\) "], ids=["words", "unseen", "formulas"])
def test_pages_of_huge_texts_are_small_and_lead_to_the_whole_text(piece: str, tmp_path: Path, served: Serve) -> None:
    huge = piece * (1_000_000 // len(piece))
    write_run(tmp_path / "hostile")
    pages = a_page_of(tmp_path / "hostile", huge)
    address = served(tmp_path)
    for place in (*pages, "/runs/hostile/book?sort=-drafts", "/runs/hostile/samples"):
        answer = httpx.get(address + place)
        assert answer.status_code == 200, place
        assert len(answer.content) < 300_000, place
        assert answer.elapsed.total_seconds() < 3
    assert re.search(rf"The first [\d,]+ of {len(huge):,} characters", httpx.get(address + pages[0]).text)


@given(st.text(), st.integers(1, 500))
@example("\x1f", 1)
def test_no_text_takes_more_than_its_place(text: str, limit: int) -> None:
    shown = fit(text, limit)
    assert shown <= min(limit, len(text))
    assert len(shorten(text, limit)) <= 8 * limit
    assert shown == min(limit, len(text)) or not text.replace("\n", "").replace("\t", "").isprintable()


def test_a_wrong_step_is_marked_wherever_it_is() -> None:
    assert mark_step("a < b", "a <", 100) == '<mark class="step">a &lt;</mark> b'
    assert mark_step("a < b", "c", 100) == "a &lt; b"
    far = mark_step("x" * 5000 + "STEP" + "y" * 5000, "STEP", 400)
    assert '<mark class="step">STEP</mark>' in far
    assert "from character 4,901 on" in far
    assert len(far) < 600


def test_hostile_texts_are_shown_and_not_executed(tmp_path: Path, served: Serve, page: Page) -> None:
    hostile = (
        "<img src=x onerror=window.__hit=1><script>window.__hit=1</script>\x1b[31m\u202e \\(\\text{<script>}\\) ${{7}}"
    )
    write_run(tmp_path / "hostile", hostile=hostile)
    write_run(tmp_path / "untouched", hostile=hostile)
    address = served(tmp_path)
    pages = a_page_of(tmp_path / "hostile", hostile)
    for place in (*pages, "/runs/hostile/samples", "/runs/untouched/effects"):
        page.goto(address + place)
        assert page.evaluate("window.__hit") is None
        assert page.locator("main script, main img").count() == 0
    for place in pages:
        page.goto(address + place)
        for link in page.locator('a[href*="/raw/"]').all():
            assert httpx.get(address + str(link.get_attribute("href"))).content == hostile.encode()
    page.goto(f"{address}/runs/hostile/book?split=train&sort=id")
    page.locator('.row-title[href*="%2F..%2F"]').click()
    expect(page.locator("code", has_text="a/../b c?d#e&f%2F.")).to_be_visible()


def test_options_and_tests_are_shown_with_the_right_one_named(tmp_path: Path, served: Serve, page: Page) -> None:
    write_run(tmp_path / "options")
    quiz = Example(id="quiz", task="q/a", split="test", question="Floats?", answer="B", choices=("iron", "cork"))
    code = Example(id="code", task="..", split="dev", question="Twice?", answer="", tests="assert twice(2) == 4")
    with open_ledger(tmp_path / "options", "write") as ledger:
        ledger.extend(Entry(item, keys.example(item.task, item.split, item.id)) for item in (quiz, code))
    address = f"{served(tmp_path)}/runs/options/book"
    page.goto(f"{address}/q%2Fa/test/quiz")
    expect(page.locator(".choices .gold")).to_have_text(re.compile("cork.*the right one"))
    expect(page.get_by_text("not learnt from")).to_be_visible()
    expect(page.get_by_text("It is not answered yet")).to_be_visible()
    page.goto(f"{address}/~../dev/code")
    expect(page.get_by_text("assert twice(2) == 4")).to_be_visible()

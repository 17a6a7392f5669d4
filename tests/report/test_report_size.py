"""A report of ten thousand mistakes with long texts stays small, says what it leaves out, and is the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from synthetic_run import CONFIG

from errorbook.config import Config, dump
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import (
    Checkpoint,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Generation,
    Rejection,
    Response,
    Score,
    Verdict,
)
from errorbook.render import markdown as report_markdown
from errorbook.render.pages import html as report_html
from errorbook.report.build import build
from errorbook.report.records import Report

MISTAKES = 10_000
KINDS = 700
LONG = '"It\'s <b>wrong</b> & so on" 錯誤 ' * 80
"""2,400 characters, of which many take several bytes in a page."""
BASE = Checkpoint(base="tiny", base_fingerprint="f" * 32)
FINAL = Checkpoint(
    base="tiny", base_fingerprint="f" * 32, parent=BASE.hash, method="lora", form="adapter", folder="checkpoints/1"
)


def write_mistakes(folder: Path) -> Path:
    """A run that got every train question wrong, diagnosed all, and fixed two thirds."""
    tasks = (msgspec.structs.replace(CONFIG.tasks[0], train=MISTAKES, dev=0, test=0),)
    config: Config = msgspec.structs.replace(CONFIG, tasks=tasks)
    with open_ledger(folder, "write") as ledger:
        ledger.state("config", dump(config))
        ledger.extend([Entry(BASE, keys.BASE), Entry(FINAL, keys.candidate(1, 1))])
        ledger.extend(Entry(example(number), f"sums:train:{number:05}") for number in range(MISTAKES))
        wrong = list(answered(ledger, BASE))
        list(answered(ledger, FINAL))
        ledger.extend((entry for response in wrong for entry in supplied(response)), 1)
        decision = Decision(cycle=1, outcome="accept", reason="gain", checkpoint=FINAL.hash, candidate=FINAL.hash)
        ledger.append(decision, keys.decision(1), 1, BASE.hash)
    return folder


def example(number: int) -> Example:
    return Example(
        id=f"{number:05}", task="sums", split="train", question=LONG, answer="1", skill=f"skill {number % 300}"
    )


def answered(ledger: Ledger, checkpoint: Checkpoint) -> Iterator[Response]:
    evaluation = Evaluation(
        checkpoint=checkpoint.hash,
        task="sums",
        split="train",
        target="t" * 32,
        examples="e" * 32,
        n=MISTAKES,
        generation=Generation(max_new_tokens=8),
        scorer="exact",
    )
    ledger.open_evaluation(evaluation)
    for start in range(0, MISTAKES, 1000):
        block = [response(evaluation, number) for number in range(start, start + 1000)]
        ledger.append_responses(block)
        yield from block


def response(evaluation: Evaluation, number: int) -> Response:
    verdict: Verdict = "right" if evaluation.checkpoint == FINAL.hash and number % 3 else "wrong"
    return Response(
        evaluation=evaluation.hash,
        example=f"{number:05}",
        task="sums",
        split="train",
        prompt_hash="p" * 32,
        text=LONG,
        tokens=9,
        truncated=False,
        score=Score(verdict=verdict, extracted=LONG),
    )


def supplied(response: Response) -> Iterator[Entry]:
    diagnosis = Diagnosis(
        response=response.hash,
        example=response.example,
        task="sums",
        strategy="error",
        error_kind=f"{LONG} {int(response.example) % KINDS}",
        misconception=LONG,
        skill="add",
        first_wrong_step=LONG,
        border=LONG,
    )
    yield Entry(diagnosis, f"{response.hash}:error", response.hash)
    draft = Draft(
        assignment=response.hash,
        diagnosis=diagnosis.hash,
        index=0,
        task="sums",
        question=LONG,
        answer=LONG,
        solution=LONG,
    )
    yield Entry(draft, f"{response.hash}:0", diagnosis.hash)
    yield Entry(Rejection(draft=draft.hash, task="sums", reason="duplicate", detail=LONG), draft.hash, draft.hash)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mistakes(tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    with open_ledger(folder) as ledger:
        return build(ledger)


@pytest.mark.slow
def test_the_page_of_ten_thousand_mistakes_is_at_most_two_megabytes(report: Report) -> None:
    page = report_html.render(report)

    assert report.funnel.diagnosed == sum(item.n for item in report.strata) == MISTAKES
    assert len(page.encode()) <= 2_000_000
    assert len(report_markdown.render(report).encode()) <= 2_000_000
    assert f"Showing {len(report.cases)} of {MISTAKES} mistakes" in page
    assert f"The 60 most frequent of {KINDS} kinds" in page


@pytest.mark.slow
def test_the_cases_that_are_shown_are_of_many_kinds_and_of_every_fate(report: Report) -> None:
    assert len(report.cases) >= 10
    assert {case.fate for case in report.cases} == {"fixed", "stubborn"}
    assert sum(item.shown for item in report.strata) == len(report.cases)
    assert max(item.shown for item in report.strata) == 1


@pytest.mark.slow
def test_a_rerun_gives_the_same_bytes_whatever_was_written_before(folder: Path, report: Report) -> None:
    first = report_html.render(report)
    report_markdown.render(report)
    msgspec.json.encode(report)
    with open_ledger(folder) as ledger:
        again = build(ledger)

    assert report_html.render(again) == first
    assert msgspec.json.encode(again) == msgspec.json.encode(report)

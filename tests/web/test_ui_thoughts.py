"""The thoughts of a model that thinks are shown folded, in the book and in the report, and whole as raw text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from server_kit import WEB, serving

from errorbook.ledger.file import open_ledger
from errorbook.records import Evaluation, Response

THOUGHT = "Is it <b>11</b>? " + "No, more. " * 600
ROWS = [
    {"id": "a", "question": "7 + 5", "answer": "12", "response": f"<think>{THOUGHT}</think>\n\n13", "correct": False},
    {"id": "b", "question": "7 + 6", "answer": "13", "response": "13", "correct": True},
]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An imported book of two responses, one of which has a thought."""
    folder = tmp_path_factory.mktemp("thoughts")
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    errorbook(folder, "import", "log.jsonl", "--task", "gsm8k", "--out", "books/thinker")
    return folder / "books" / "thinker"


def errorbook(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "errorbook", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def responses(book: Path) -> dict[str, Response]:
    with open_ledger(book, "read") as ledger:
        [evaluation] = ledger.all(Evaluation)
        return {response.example: response for response in ledger.responses(evaluation)}


def test_an_imported_response_has_its_thought_apart(book: Path) -> None:
    found = responses(book)

    assert (found["a"].text, found["a"].thought) == ("13", THOUGHT.strip())
    assert (found["b"].text, found["b"].thought) == ("13", "")


def test_the_book_shows_the_thought_folded_and_whole(book: Path) -> None:
    with serving(book.parent) as address:
        page = WEB.get(f"{address}/runs/thinker/book/gsm8k/train/a").text
        other = WEB.get(f"{address}/runs/thinker/book/gsm8k/train/b").text
        hash = responses(book)["a"].hash
        raw = WEB.get(f"{address}/runs/thinker/raw/thought/{hash}?example=a")

    assert '<details class="thought">' in page
    assert '<details class="thought" open' not in page
    assert "not scored" in page
    assert "Is it &lt;b&gt;11&lt;/b&gt;?" in page
    assert f"raw/thought/{hash}" in page
    assert '<details class="thought">' not in other
    assert raw.text == THOUGHT.strip()


def test_the_report_shows_it_folded_and_its_json_holds_it(book: Path) -> None:
    errorbook(book.parent, "report", "thinker", "--format", "html", "--output", "report.html")
    told = json.loads(errorbook(book.parent, "report", "thinker", "--format", "json"))

    page = (book.parent / "report.html").read_text(encoding="utf-8")
    [case] = told["cases"]
    assert "It thought before, not scored" in page
    assert case["before"]["text"] == "13"
    assert case["before"]["thought"].startswith("Is it <b>11</b>?")

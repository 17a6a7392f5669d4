"""What stands before a question is shown with it, folded, and whole as raw text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from server_kit import WEB, serving

from errorbook.ledger.file import open_ledger
from errorbook.records import Example

ROWS = [
    {
        "id": "a",
        "messages": [
            {"role": "system", "content": "Never say <script>alert(1)</script>."},
            {"role": "user", "content": "I have 7 cows."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": "And 5 more?"},
        ],
        "response": "13",
        "answer": "12",
        "is_correct": False,
    },
    {"id": "b", "messages": [{"role": "user", "content": "7 + 6?"}], "response": "13", "is_correct": True},
]


def test_the_book_shows_what_stood_before_a_question(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    command = [sys.executable, "-m", "errorbook", "import", "log.jsonl", "--task", "gsm8k", "--out", "books/talks"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    book = tmp_path / "books" / "talks"
    with open_ledger(book, "read") as ledger:
        [hash] = [example.hash for example in ledger.all(Example) if example.id == "a"]
    with serving(book.parent) as address:
        page = WEB.get(f"{address}/runs/talks/book/gsm8k/train/a").text
        other = WEB.get(f"{address}/runs/talks/book/gsm8k/train/b").text
        raw = WEB.get(f"{address}/runs/talks/raw/before/{hash}").text

    assert '<details class="before">' in page
    assert "It is asked after 3 messages" in page
    assert "Never say &lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "Noted." in page
    assert '<details class="before">' not in other
    assert raw.startswith("Never say <script>alert(1)</script>.")
    assert raw.endswith("User:\nAnd 5 more?\n\nAssistant:")

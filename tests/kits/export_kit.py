"""A synthetic run to export from, and the card of one: shared by the tests of `errorbook export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic_run import write_run

from errorbook.cli.main import run_command
from errorbook.ledger import keys
from errorbook.ledger.file import open_ledger
from errorbook.records import Lesson, Sample

yaml: Any = pytest.importorskip("yaml")  # has no types


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two cycles, the first of them accepted, with the lessons that were made of its samples."""
    folder = write_run(tmp_path / "run")
    with open_ledger(folder, "write") as ledger:
        for cycle in (1, 2):
            for sample in ledger.all(Sample, cycle):
                completion = f"{sample.solution}\nAnswer: {sample.answer}"
                lesson = Lesson(prompt=sample.question, completion=completion, source=sample.hash)
                ledger.append(lesson, keys.lesson(cycle, lesson.hash), cycle, sample.hash)
    return folder


def card(folder: Path, *arguments: str) -> str:
    assert run_command(["export", str(folder), "--what", "card", "--force", *arguments]) == 0
    return (folder / "export" / "card" / "README.md").read_text(encoding="utf-8")


def front(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("\n---\n", maxsplit=1)[0].removeprefix("---\n"))
    return found

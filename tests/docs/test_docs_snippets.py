"""A reader who does what a page says gets what it says: files are written, commands typed, servers kept running."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from docs_kit import Block, blocks, reader
from places import ROOT

DOCS = ROOT / "docs"
RUN = "errorbook run run.toml"
MERGED = "errorbook export runs/tickets --what merged"
TUTORIAL = DOCS / "tutorial" / "index.md"
FOLLOWED = {
    "task.md": "Spell backwards: stone\nReply with the word alone.",
    "scorer.md": "backwards",
    "instructor.md": "the base model stays",
    "trainer.md": "curriculum",
    "experiment.md": "Gain on test, in points",
}
"""Pages that need nothing but an empty folder, and something that the last commands must have said."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_page_can_be_followed_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    with reader(tmp_path) as person:
        for block in blocks(DOCS / "howto" / name):
            person.follow(block)

    assert any(FOLLOWED[name] in text for text in person.said)


def scripted(folder: Path) -> str:
    """A target that knows the answers of the tickets, right one time in three, and learns without a model."""
    rows = [json.loads(line) for line in (folder / "tickets.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = ", ".join(f"{json.dumps(row['question'])} = {json.dumps(row['answer'])}" for row in rows)
    return f'\n[target]\nengine = "scripted"\nanswers = {{ {answers} }}\n[train]\nmethod = "scripted"\n'


def told(page: Path) -> list[Block]:
    """The blocks of the tutorial up to the page's last file, which is an example with a key."""
    return [block for block in blocks(page) if block.language != "toml" or block.title]


def tutorial(
    folder: Path, run_file_ends: str, small: bool = False, skip: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, Any]]:
    """What the tutorial's commands print, and the run's report, with something added to its run file.

    A `small` run may end without a better model, which the command says with exit code 1.
    """
    for name in ("tickets.jsonl", "teacher.py"):
        shutil.copy(DOCS / "tutorial" / name, folder)
    with reader(folder) as person:
        for block in told(TUTORIAL):
            text = block.text
            if small:
                text = text.replace("train = 60", "train = 8").replace(RUN, f"{RUN} || [ $? = 1 ]")
            lines = [line for line in text.splitlines() if not line.startswith(skip or ("#!",))]
            if lines:
                person.follow(block._replace(text="".join(f"{line}\n" for line in lines)))
            if block.title == "run.toml":
                with (folder / "run.toml").open("a", encoding="utf-8") as file:
                    file.write(run_file_ends)
    return person.said, json.loads((folder / "tickets.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_tutorial_can_be_followed_to_a_better_model(tmp_path: Path) -> None:
    """With a scripted target, whose weights cannot be merged; everything else is done as the page says."""
    shutil.copy(DOCS / "tutorial" / "tickets.jsonl", tmp_path)

    said, report = tutorial(tmp_path, scripted(tmp_path), skip=(MERGED,))

    assert any("smallest gain dev shows  15.6 points" in text for text in said)
    assert any("A better model was kept" in text for text in said)
    assert any("tickets" in text for text in said if text.startswith("<!"))
    [cycle] = report["cycles"]
    assert cycle["decision"] == "accept"
    sizes = {split: result["base"]["n"] for split, result in report["tasks"]["tickets"].items()}
    assert sizes == {"train": 60, "dev": 82, "test": 81}
    [samples] = (tmp_path / "samples").rglob("*.jsonl")
    assert "messages" in json.loads(samples.read_text(encoding="utf-8").splitlines()[0])


@pytest.mark.slow
def test_the_tutorial_works_with_its_real_model(tmp_path: Path) -> None:
    """Few questions, so it may end either way; where the base stays there is nothing to export."""
    said, report = tutorial(tmp_path, "dev = 8\ntest = 8\n", small=True, skip=("errorbook ui", "errorbook export"))

    assert report["tasks"]["tickets"]["test"]["base"]["n"] == 8
    assert any("From drafts to training" in text for text in said)


def test_the_stand_in_mostly_agrees_with_the_tickets() -> None:
    names: dict[str, Any] = {"__name__": "teacher"}
    source = (DOCS / "tutorial" / "teacher.py").read_text(encoding="utf-8")
    exec(compile(source, "teacher.py", "exec"), names)
    lines = (DOCS / "tutorial" / "tickets.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]

    agreed = sum(names["sort"](row["question"]) == row["answer"] for row in rows)

    assert len(rows) == 400
    assert agreed >= 0.95 * len(rows)

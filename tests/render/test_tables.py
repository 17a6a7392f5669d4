"""Tables at a terminal: at any width every name and every value is there, and no word that has room is broken."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from command_kit import call
from rich.console import Console
from synthetic_run import write_run

from errorbook.render.tables import make_table

COLUMNS = ["task", "split", "n", "base (95%)", "final (95%)", "points (95%)", "p"]
ROWS = [
    ["arithmetic_transfer (guard)", "train", 2400, "12.5% (5–26)", "35.0% (22–50)", "+22.5 (+12, +38)", "<0.0001"],
    ["arithmetic_transfer (guard)", "dev", 40, "12.5% (5–26)", "–", "–", "–"],
    ["算数の問題", "test", 7, "0.0% (0–22)", "9.6% (6–15)", "+9.6 (−4, +15)", "0.45"],
]


def shown(width: int, rows: list[list[object]], left: int = 2, columns: list[str] = COLUMNS) -> str:
    """The table as a console of this width prints it; no line is wider."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    with console.capture() as captured:
        console.print(make_table("Title", columns, rows, left))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [200, 110, 80, 72, 60, 40, 30])
def test_no_width_loses_a_name_or_breaks_a_value(width: int) -> None:
    text = shown(width, ROWS)
    flat = " ".join(text.split())
    for name in COLUMNS[2:]:
        assert all(word in flat.split() or f"{word}:" in flat.split() for word in name.split()), name
    for row in ROWS:
        assert all(str(cell) in flat for cell in row if cell != "–")
    assert "…" not in text


def test_a_task_that_has_no_room_stands_above_its_rows() -> None:
    lines = shown(80, ROWS).splitlines()
    assert lines.count("arithmetic_transfer (guard)") == 1  # once for both of its rows
    assert lines.index("算数の問題") == lines.index("arithmetic_transfer (guard)") + 3
    assert "arithmetic_transfer (guard)  train" in shown(110, ROWS)
    assert "arithmetic_transfer (guard)  train\n  n: 2400" in shown(60, ROWS)


def test_texts_are_broken_between_words_and_only_a_word_without_a_line_s_room_within() -> None:
    rows: list[list[object]] = [["arc", "a question with many words and an_identifier_that_is_long_enough", "x" * 70]]
    for width in (90, 60, 50):
        text = shown(width, rows, 0, ["task", "about", "mark"])
        assert "an_identifier_that_is_long_enough" in text
        assert text.count("x") == 70
    assert "about:" in shown(50, rows, 0, ["task", "about", "mark"])


def test_a_table_of_nothing_shows_its_names() -> None:
    for width in (80, 40):
        assert "split  n" in shown(width, [])
    assert shown(80, [], 0, []).strip() == "Title"


@pytest.mark.parametrize("width", ["80", "60"])
def test_commands_lose_nothing_at_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    folder = write_run(tmp_path / "run", both=True)
    commands = (("compare", f"{folder}:base", folder), ("report", folder), ("status", folder))
    for command in commands:
        monkeypatch.setenv("COLUMNS", "400")
        whole = call(tmp_path, *command).stdout
        monkeypatch.setenv("COLUMNS", width)
        narrow = call(tmp_path, *command)
        assert narrow.returncode == 0
        assert max(map(len, narrow.stdout.splitlines())) <= int(width) or command[0] == "status"
        # A path may be wider than the terminal; everything else is there with every letter.
        words = {word for word in whole.split() if len(word) < int(width) and "/" not in word}
        said = {word.rstrip(":") for word in narrow.stdout.split()}
        assert not {word.rstrip(":") for word in words} - said

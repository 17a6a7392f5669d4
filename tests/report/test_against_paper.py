"""A run's numbers beside the paper's: whose rows are shown, and that the documentation has the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from places import ROOT
from synthetic_run import write_run

from errorbook.cli.main import cli
from errorbook.cli.report import build_report, is_report
from errorbook.errors import ConfigError
from errorbook.render.against_paper import render, render_for_terminal
from errorbook.report.paper import LLAMA, MISTRAL, PAPER, TASKS, lay_beside
from errorbook.report.records import Report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A finished run, told as one of the paper's tasks."""
    made = build_report(write_run(tmp_path_factory.mktemp("runs") / "run"))
    task = next(name for name, splits in made.tasks.items() if "test" in splits)
    return replace(made, tasks={"gsm8k": made.tasks[task], "other": made.tasks[task]}, strategy="error, then contrast")


def test_the_rows_of_the_same_target_come_first_and_the_runs_own_last(report: Report) -> None:
    found = lay_beside(replace(report, model=f"mistralai/{MISTRAL}"))
    assert found.tasks == ("gsm8k",)
    assert found.method == "LE, then LEC"
    assert [row.source for row in found.rows] == ["paper"] * 7 + ["run"] * 2
    assert {row.model for row in found.rows[:7]} == {MISTRAL}
    after, last = report.tasks["gsm8k"]["test"].final, found.rows[-1]
    assert after is not None
    assert last.scores == {"gsm8k": 100 * after.accuracy}
    assert last.low["gsm8k"] < last.scores["gsm8k"] < last.high["gsm8k"]

    other = lay_beside(replace(report, model="meta-llama/Meta-Llama-3-8B-Instruct", strategy="cluster"))
    assert {row.model for row in other.rows[:-2]} == {LLAMA}
    assert other.method == ""
    assert len(lay_beside(report).rows) == 12 + 2, "both targets of the paper beside another one"


def test_the_table_has_a_line_for_each_row(report: Report) -> None:
    text = render(lay_beside(report))
    assert text.count("\n| ") == 14
    assert "| paper | Mistral-7B-Instruct-v0.2 | LE | 56.2 |" in text
    assert "this run is LE, then LEC" in text


def test_a_narrow_terminal_shows_every_score(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = render_for_terminal(lay_beside(report))
    assert text.count("paper  Mistral-7B-Instruct-v0.2  LE\n  gsm8k: 56.2") == 1
    assert max(map(len, text.splitlines())) <= 60
    assert is_report(text.encode()), "another report may replace it"


def test_a_run_without_the_papers_tasks_is_told_in_one_sentence(report: Report) -> None:
    with pytest.raises(ConfigError, match="has no answers to the test questions of mmlu, arc"):
        lay_beside(replace(report, tasks={"other": report.tasks["other"]}))


def test_the_command_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    write_run(tmp_path)
    refused = CliRunner().invoke(cli, ["report", str(tmp_path), "--against", "paper"])
    assert isinstance(refused.exception, ConfigError)
    html = CliRunner().invoke(cli, ["report", str(tmp_path), "--against", "paper", "--format", "html"])
    assert html.exit_code == 2
    assert "has no HTML" in html.output


def test_the_documentation_has_the_same_numbers_and_their_averages() -> None:
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    rows = {(cells[0], cells[1]): cells[2:] for cells in told if len(cells) == 2 + len(TASKS) + 1}
    for model, method, scores in PAPER:
        *shown, average = rows[model, method]
        assert shown == ["–" if score is None else f"{score:.1f}" for score in scores]
        known = [score for score in scores if score is not None]
        if len(known) == len(TASKS):
            assert float(average) == pytest.approx(sum(known) / len(TASKS), abs=0.16)

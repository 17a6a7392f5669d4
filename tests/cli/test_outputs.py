"""Where commands may write: over what they made themselves, and over nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import write_run

from errorbook.cli.main import run_command

FORMS = ("terminal", "html", "md", "json")


@pytest.mark.parametrize("form", FORMS)
def test_a_report_replaces_a_report_of_any_form_and_nothing_else(form: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_run(run)
    mine = {
        "run.toml": "[run]\n",
        "data.json": '{\n  "run": 1,\n  "rows": []\n}',
        "notes.md": "# Notes: mine\n\nText.\n",
    }
    for name, text in mine.items():
        (run / name).write_text(text)
    ledger = (run / "ledger.sqlite").read_bytes()
    ask = ["report", str(run), "--format", form, "--output"]

    for name in (*mine, "ledger.sqlite", "ledger.sqlite-wal", "corrections/1.md", "checkpoints/a", "no/such/folder/r"):
        assert run_command([*ask, str(run / name)]) == 2
    assert {name: (run / name).read_text() for name in mine} == mine
    assert (run / "ledger.sqlite").read_bytes() == ledger
    assert not (run / "no").exists()

    made = tmp_path / "new" / "report"
    for earlier in FORMS:
        assert run_command(["report", str(run), "--format", earlier, "--output", str(made)]) == 0
        assert run_command([*ask, str(made)]) == 0


def test_init_replaces_run_files_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pyproject.toml"
    ask = ["init", str(path), "--yes", "--force"]
    assert run_command(ask) == 0
    assert run_command(ask) == 0

    for text in ("[project]\nname = 'mine'\n", "run = 3\n"):
        path.write_text(text)
        assert run_command(ask) == 2
        assert path.read_text() == text


def test_a_mistyped_folder_is_not_made(tmp_path: Path) -> None:
    away = str(tmp_path / "no" / "such" / "folder")
    log = tmp_path / "log.jsonl"
    log.write_text('{"question": "1 + 1?", "response": "2", "answer": "2"}\n')

    assert run_command(["init", away, "--yes"]) == 2
    assert run_command(["demo", "--out", away]) == 2
    assert run_command(["import", str(log), "--task", "arithmetic", "--rescore", "--out", away]) == 2
    assert run_command(["verify", str(log), "--out", away]) == 2
    assert not (tmp_path / "no").exists()

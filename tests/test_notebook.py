"""`errorbook.run` and `errorbook.open_ledger` for people in Python: progress, sinks, tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from places import ROOT

import errorbook
from errorbook.cli import notebook
from errorbook.records import Decision, Response

RUN = """
[run]
name = "small"
cycles = 1
[target]
engine = "scripted"
accuracy = 0.3
gain = 0.3
[[tasks]]
name = "arithmetic"
train = 13
dev = 39
test = 13
[strategy]
retriever = "scripted"
[train]
method = "scripted"
[verify]
against = []
[[sinks]]
kind = "jsonl"
"""


def test_a_run_returns_its_tables_feeds_its_sinks_and_shows_progress_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.setattr(notebook, "_is_notebook", lambda: True)
    (tmp_path / "run.toml").write_text(RUN)
    finished = errorbook.run(tmp_path / "run.toml")
    tables = finished.to_pandas()

    assert finished.folder == tmp_path / "runs" / "small"
    assert finished.improved == (finished.report.cycles[0].decision == "accept")
    assert set(tables["results"]["split"]) == {"train", "dev", "test"}
    assert list(tables["cycles"]["cycle"]) == [1]
    assert "points" in str(finished)
    assert "39/39" in capfd.readouterr().err
    [fed] = finished.folder.glob("*metrics*.jsonl")
    assert all(map(json.loads, fed.read_text().splitlines()))
    with errorbook.open_ledger(finished.folder) as ledger:
        assert list(ledger.to_pandas(Decision)["cycle"]) == [1]
        answers = ledger.to_pandas(Response)
        assert {"right", "wrong"} <= set(answers["score.verdict"])


def test_outside_a_notebook_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.toml").write_text(RUN.partition("[[sinks]]")[0])
    errorbook.run(str(tmp_path / "run.toml"), tmp_path / "elsewhere")

    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "elsewhere" / "ledger.sqlite").exists()


@pytest.mark.slow
def test_the_example_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    for name in ("notebook.ipynb", "scripted.toml"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    shown = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(shown, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in shown.cells if cell.cell_type == "code" for out in cell.outputs]

    assert "cycle 1" in "".join(out.text for out in outputs if out.get("name") == "stderr"), "progress is shown"
    assert len([out for out in outputs if out.output_type == "execute_result"]) == 5

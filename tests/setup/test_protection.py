"""Held-out questions beyond the run's own: every benchmark at hand is protected, and may not change under a ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.tasks.gsm8k import gsm8k
from errorbook.config import Config, parse
from errorbook.errors import DataError, LedgerError, PluginError
from errorbook.loop import exam
from errorbook.setup.held_out import list_benchmarks_at_hand, protected_questions

RUN_FILE = """
[run]
name = "small"

[target]
engine = "scripted"

[[tasks]]
name = "arithmetic"
train = 3
dev = 3
test = 3

[train]
method = "scripted"
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    write(folder, 4)
    monkeypatch.setenv("ERRORBOOK_DATA", str(folder))
    return folder


def write(folder: Path, n: int) -> None:
    (folder / "gsm8k").mkdir(parents=True, exist_ok=True)
    rows = [
        {"question": f"Ann has {i} pears and buys {i}.", "answer": f"2 * {i}\n#### {2 * i}"} for i in range(1, n + 1)
    ]
    (folder / "gsm8k" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))


def config() -> Config:
    return parse(RUN_FILE)


def test_every_benchmark_at_hand_is_protected(data: Path) -> None:
    assert list_benchmarks_at_hand() == ("gsm8k",)
    assert len(protected_questions([Arithmetic()], None)) == 4
    assert len(protected_questions([gsm8k()], None)) == 4
    assert protected_questions([Arithmetic()], ()) == ()


def test_a_task_without_questions_or_of_unknown_name_is_one_sentence(data: Path) -> None:
    (data / "gsm8k" / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"take it out of verify\.against"):
        protected_questions([], ("gsm8k",))
    with pytest.raises(PluginError, match="no task called 'gsm9k'"):
        protected_questions([], ("gsm9k",))


def test_other_held_out_questions_need_another_ledger(data: Path, tmp_path: Path) -> None:
    exam(config(), tmp_path / "run")
    write(data, 5)
    with pytest.raises(LedgerError, match="benchmarks that no sample may contain changed"):
        exam(config(), tmp_path / "run")
    chosen = replace(config(), verify=replace(config().verify, against=()))
    exam(chosen, tmp_path / "other")

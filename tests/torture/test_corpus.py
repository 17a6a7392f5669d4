"""The kept inputs of the coverage-guided fuzzers, read without them, and what counts as a finding."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import fuzz

READERS = {name: load() for name, load in fuzz.TARGETS.items()}
INPUTS = sorted(path for name in fuzz.TARGETS for path in (fuzz.CORPUS / name).iterdir())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_kept_input_is_read(path: Path) -> None:
    assert fuzz.try_input(READERS[path.parent.name], path.read_bytes()) == ""


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_every_target_has_few_and_small_inputs(name: str) -> None:
    sizes = [path.stat().st_size for path in (fuzz.CORPUS / name).iterdir()]
    assert 5 <= len(sizes) <= 40
    assert max(sizes) <= 4_096


def test_what_a_reader_does_not_declare_and_what_takes_long_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes) -> None:
        raise KeyError(data)

    assert fuzz.try_input(fail, b"x").startswith("KeyError in test_corpus.py:")
    monkeypatch.setattr(fuzz, "SLOW_S", 0.001)
    assert fuzz.try_input(lambda _: sum(range(10**6)), b"x") == "slow"


def test_without_atheris_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(sys, "argv", ["fuzz", "numbers"])
    with pytest.raises(SystemExit) as left:
        fuzz.main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "pip install atheris" in said
    assert said.count("\n") == 1

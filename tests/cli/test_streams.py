"""Streams and signals as the world hands them over: never a traceback, and no work is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loop_kit import RUN_FILE

from errorbook.ledger.file import open_ledger

PROGRAM = Path(sys.executable).parent / "errorbook"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run file, and what a run of it left."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "run.toml").write_text(RUN_FILE, encoding="utf-8")
    assert shell(folder, "'{}' run run.toml --out done > out 2> err").returncode in {0, 1}
    return folder


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.format(PROGRAM)],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", ["status done", "run run.toml --out again"])
@pytest.mark.parametrize(
    ("streams", "codes"),
    [
        (">&-", {0, 1}),
        (">&- 2>&-", {0, 1}),
        ("> /dev/null 2> /dev/full", {0, 1}),
        ("2>&1 | true", {0, 1}),
        ("> /dev/full", {2}),
        ("1< /dev/null", {2}),
    ],
)
def test_streams_that_cannot_be_used_are_a_sentence_or_nothing(
    folder: Path, command: str, streams: str, codes: set[int]
) -> None:
    reply = shell(folder, f"'{{}}' {command} {streams}")
    said = [line for line in reply.stderr.splitlines() if " ... " not in line]

    assert reply.returncode in codes, reply.stderr
    assert len(said) == (1 if codes == {2} else 0), reply.stderr
    assert all(line.startswith("errorbook: ") for line in said)


def test_a_run_whose_streams_are_closed_writes_its_whole_ledger(folder: Path) -> None:
    """A ledger that got the descriptor of a closed stream would be written into by chance."""
    assert shell(folder, "'{}' run run.toml --out closed <&- >&- 2>&-").returncode in {0, 1}

    with open_ledger(folder / "closed") as ledger, open_ledger(folder / "done") as other:
        assert ledger.digest() == other.digest()


def test_without_a_home_and_in_a_narrow_encoding_it_works(folder: Path) -> None:
    assert shell(folder, "env -i '{}' status done").returncode == 0
    assert shell(folder, "env -i HOME=/nonexistent '{}' run run.toml --out homeless").returncode in {0, 1}
    assert shell(folder, "PYTHONIOENCODING=ascii '{}' report done").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_ends_like_ctrl_c(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "run.toml"
    file.write_text(RUN_FILE.replace("gain = ", "delay = 0.05\ngain = "), encoding="utf-8")
    running = subprocess.Popen(
        [PROGRAM, "run", file.name, "--out", "book"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "book" / "ledger.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert said.splitlines()[-1] == "errorbook: stopped; the same command goes on."
    assert "Traceback" not in said

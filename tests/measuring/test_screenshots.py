"""The command that makes the pictures of README and docs: right sizes, small files, and the run left as it was."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from synthetic_run import write_run

from benchmarks.screenshots import HEIGHT, LARGEST, PROGRAMS, WIDTH, shots

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="needs a Chromium: 'sudo apt install chromium'"),
]


def test_every_picture_has_its_size_and_the_run_is_left_as_it_was(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    command = [sys.executable, "-m", "benchmarks.screenshots", str(run), "--out", str(tmp_path / "images")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert said.count(" kB\n") == len(shots("x"))
    assert {file.name for file in (tmp_path / "images").iterdir()} == {shot.name for shot in shots("x")}
    for picture in (tmp_path / "images").iterdir():
        content = picture.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == (WIDTH, HEIGHT)
        assert len(content) < LARGEST
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before

"""A run of the real embedded model, killed at random moments, ends with the ledger of an undisturbed one.

`ERRORBOOK_KILLS=20` asks for more kills than a routine test run can afford.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from errorbook.ledger.file import open_ledger

KILLS = int(os.environ.get("ERRORBOOK_KILLS", "3"))
RUN_FILE = """
[run]
name = "killed"
cycles = 1
seed = 1

[[tasks]]
name = "arithmetic"
role = "learn"
train = 5
dev = 5
test = 2

[[tasks]]
name = "retention"
role = "guard"
train = 2
dev = 3
test = 2
margin = 0.5

[strategy]
samples_per_error = 2

[train]
rank = 8
epochs = 1.0
batch_size = 4

[gate]
alpha = 0.5
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_real_run_killed_at_random_moments_ends_as_if_undisturbed(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(RUN_FILE)
    begun = time.monotonic()
    finished = _start(file, tmp_path / "undisturbed").wait()
    whole = time.monotonic() - begun
    assert finished in {0, 1}
    moments = random.Random(3)
    kills = 0
    while kills < KILLS:
        process = _start(file, tmp_path / "killed")
        try:
            # Not before it has loaded its libraries, nor so late that nothing is left for the next kill.
            process.wait(moments.uniform(whole / 4, whole / 2))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert _start(file, tmp_path / "killed").wait() == finished
    assert kills >= min(KILLS, 3)
    with open_ledger(tmp_path / "undisturbed") as calm, open_ledger(tmp_path / "killed") as troubled:
        assert troubled.digest() == calm.digest()


def _start(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "errorbook", "run", str(file), "--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

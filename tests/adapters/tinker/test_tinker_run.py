"""A whole run with Tinker on both sides, killed while it trains and while it is examined, against the stand-in server.

The embedded model is trained and sampled for real, over a socket, by the provider's own SDK.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in_tinker import KEY, Server, stand_in

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.embedded import EMBEDDED, resolve
from errorbook.ledger.file import open_ledger
from errorbook.ledger.run_view import read_paid
from errorbook.records import Checkpoint, Comparison, Decision, Training

MODEL = "smollm2-135m-instruct"
RUN = """
[run]
name = "elsewhere"
cycles = 1
seed = 3
budget_usd = 50.0

[target]
engine = "tinker"
model = "{model}"
base_url = "{root}"
price_prefill = 1.0
price_sample = 2.0
price_train = 3.0
patience = 900

[[tasks]]
name = "arithmetic"
train = 10
dev = 9
test = 2

[train]
method = "tinker"
rank = 8
learning_rate = 1e-3
epochs = 2
batch_size = 8
save_every = 2
"""


def start(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "errorbook", "run", str(file), "--out", str(folder)]
    environment = {**os.environ, "TINKER_API_KEY": KEY, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=sys.stderr)


def kill_when(file: Path, folder: Path, ready: Callable[[], bool]) -> None:
    """Start the run and end it, as `kill -9` does, as soon as it is that far."""
    process = start(file, folder)
    until = time.monotonic() + 600
    while not ready():
        assert process.poll() is None, "the run ended before it was to be killed"
        assert time.monotonic() < until
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def count(server: Server, name: str) -> int:
    return int(server.stats()["counts"].get(name, 0))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_with_tinker_on_both_sides_survives_two_kills(tmp_path: Path) -> None:
    with stand_in(EMBEDDED[MODEL].hub, resolve(MODEL)) as server:
        file, folder = tmp_path / "run.toml", tmp_path / "out"
        file.write_text(RUN.format(model=MODEL, root=server.root))
        kill_when(file, folder, lambda: count(server, "optim_step") >= 3)
        trained = count(server, "sampled")
        kill_when(file, folder, lambda: count(server, "sampled") >= trained + 4)
        assert start(file, folder).wait() in {0, 1}  # 1: the gate accepted nothing
        steps, told = count(server, "optim_step"), server.stats()
    with open_ledger(folder) as ledger:
        [training], [decision] = ledger.all(Training), ledger.all(Decision)
        [candidate] = (one for one in ledger.all(Checkpoint) if one.form == "adapter")
        assert list(ledger.all(Comparison))
        assert 0 < read_paid(ledger) < 50
    # Of the training at most the steps since the last saved state were done twice, and of the answers those in the air.
    assert training.steps <= steps <= training.steps + 2
    assert decision.outcome in {"accept", "reject"}
    assert decision.comparisons
    # Two sessions of killed processes are left to their heartbeat; all others were ended.
    assert len(told["open"]) == 2
    assert training.losses[-1] < training.losses[0]
    loading.apply_adapter(loading.load_model(resolve(MODEL), "cpu", "float32"), folder / candidate.folder, 1.0)

"""`kill -9` in the middle: what was bought stays bought, what was in the air is bought again, nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from llm_kit import READ, asks, engine, kinds
from places import KITS

from errorbook.llm.budget import Budget
from errorbook.testing import Server, Settings, server

CLIENT = """
import sys
from pathlib import Path
from llm_kit import READ, asks, engine
base_url, store, n, concurrency = sys.argv[1:]
with engine(base_url, Path(store), concurrency=int(concurrency)) as llm:
    print(sum(1 for _ in llm.ask(asks(int(n)), READ)))
"""


def client(provider: Server, store: Path, n: int, concurrency: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CLIENT, provider.base_url, str(store), str(n), str(concurrency)]
    return subprocess.Popen(command, cwd=KITS, stdout=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen[str], provider: Server, answered: int) -> None:
    while provider.stats().answered < answered:
        assert process.poll() is None, "the client was done too soon"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_at_most_what_was_in_the_air_is_bought_again(tmp_path: Path) -> None:
    store, n, concurrency = tmp_path / "calls.sqlite", 600, 32
    with server(Settings(latency=0.05)) as provider:
        kill_after(client(provider, store, n, concurrency), provider, 300)
        time.sleep(0.2)
        again = client(provider, store, n, concurrency)
        output, _ = again.communicate(timeout=60)
        stats = provider.stats()

    assert int(output) == n
    assert stats.unique_prompts == n
    assert stats.requests <= n + concurrency


def test_what_was_in_the_air_counts_as_spent(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server(Settings(latency=0.3)) as provider:
        kill_after(client(provider, store, 100, 10), provider, 10)
        connection = sqlite3.connect(store)
        in_air = connection.execute("SELECT COUNT(*), SUM(held_tokens) FROM calls WHERE reply IS NULL").fetchone()
        connection.close()
        with engine(provider.base_url, store, budget=Budget(tokens=10**6)) as llm:
            before = llm.spent
            results = list(llm.ask(asks(100), READ))
            after = llm.spent
        stats = provider.stats()

    assert kinds(results) == {"Accepted": 100}
    assert in_air[0] >= 1
    assert before.tokens >= in_air[1]
    assert stats.requests <= after.calls <= stats.requests + 10
    assert after.tokens >= stats.input_tokens + stats.output_tokens

"""The second form of `python -m benchmarks.instructor`: one run against a running server, as others will call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from benchmarks.instructor_client import SCHEMA
from errorbook.testing import Faults, Server, Settings, server


def bench(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.instructor", *flags]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)


def measured(provider: Server, *flags: str) -> dict[str, Any]:
    done = bench("--base-url", provider.base_url, "--calls", "60", "--concurrency", "16", "--json", *flags)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_schema_is_in_the_help() -> None:
    assert SCHEMA in bench("--help").stdout


def test_every_call_is_accounted_for_and_a_rerun_sends_nothing(tmp_path: Path) -> None:
    tenth = Faults(rate_limited=0.05, server_error=0.05, truncated=0.1, retry_after=0)
    store = str(tmp_path / "calls.sqlite")
    with server(Settings(schema=SCHEMA), tenth) as provider:
        first = measured(provider, "--store", store)
        sent = provider.stats().requests
        again = measured(provider, "--store", store)
        sent_again = provider.stats().requests - sent

    assert first["accepted"] + first["rejected"] + first["failed"] == 60
    assert first["lost"] == again["lost"] == 0
    assert sent >= 60
    assert (sent_again, again["cached"]) == (0, 60)
    assert {"seconds", "cpu_seconds"} <= first.keys()


@pytest.mark.parametrize("faults", [Faults(refuse_schema=True), Faults(refuse_json=True)], ids=["schema", "json"])
def test_a_server_without_json_modes_serves_as_well(faults: Faults) -> None:
    with server(Settings(schema=SCHEMA), faults) as provider:
        assert measured(provider)["accepted"] == 60


def test_nobody_at_the_address_is_one_sentence_and_exit_1() -> None:
    done = bench("--base-url", "http://127.0.0.1:9/v1", "--calls", "10", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["lost"] == 10
    assert "http://127.0.0.1:9/v1" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_trial_is_one_sentence_and_exit_2() -> None:
    done = bench("--trials", "speed", "luck")

    assert done.returncode == 2
    assert "luck" in done.stderr

"""What a killed process leaves of Ray is ended; nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from errorbook.adapters.ray import reaper

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs the kernel's list of processes")
SLEEP = "import time; time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
from errorbook.adapters.ray.reaper import start_reaper
start_reaper()
children = [subprocess.Popen([sys.executable, "-c", "{SLEEP}", name]) for name in ("ray::Agent", "other")]
print(*(child.pid for child in children), flush=True)
time.sleep(60)
"""


def test_helpers_of_a_killed_process_are_ended_and_others_are_not() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        helper, other = map(int, parent.stdout.readline().split())
        time.sleep(3)  # long enough for the reaper to have seen them
        assert helper in reaper.find_helpers(parent.pid)
        assert other not in reaper.find_helpers(parent.pid)
        parent.kill()
    try:
        end = time.monotonic() + 20
        while reaper.read_process(helper)[1] and time.monotonic() < end:
            time.sleep(0.2)
        assert reaper.read_process(helper) == (0, "")
        assert reaper.read_process(other)[1]
    finally:
        subprocess.run(["kill", str(other)], check=False)

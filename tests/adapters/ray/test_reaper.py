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
words = "-c", "{SLEEP}", "--log-dir=/home/ray/arrays"
children = [subprocess.Popen([name, *words], executable=sys.executable) for name in ("ray::Agent", "ray-of-light")]
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


PACKAGE = "/opt/lib/site-packages/ray"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ray::DashboardAgent", True),
        ("ray::IDLE", True),
        ("ray-dashboard-NodeHead-0", True),
        (f"{PACKAGE}/core/src/ray/raylet/raylet --raylet_socket_name=/tmp/ray/x", True),
        (f"/opt/bin/python {PACKAGE}/dashboard/dashboard.py --port=8265", True),
        (f"/opt/bin/python3.11 -u {PACKAGE}/_private/log_monitor.py", True),
        ("/home/ray/anaconda3/bin/python -m errorbook run run.toml", False),
        ("/opt/bin/python -c pass ray::Agent", False),
        ("/opt/bin/python /opt/lib/site-packages/ray_tune/x.py", False),
        ("/opt/bin/python /home/ray/train.py --array=x", False),
        (f"/opt/bin/python -m errorbook.adapters.ray.reaper 7 {PACKAGE}", False),
        (f"tail -f {PACKAGE}/nohup.out", False),
        ("python", False),
        ("rayon", False),
        ("", False),
    ],
)
def test_only_commands_of_ray_are_taken_for_its_own(command: str, expected: bool) -> None:
    assert reaper.is_command_of_ray(command.split(" "), PACKAGE) is expected
    assert not reaper.is_command_of_ray(["python", "/ray.py"], "")


def test_the_package_is_the_one_that_starts_the_processes() -> None:
    ray = pytest.importorskip("ray")
    assert reaper._find_package() == str(Path(ray.__file__).parent)

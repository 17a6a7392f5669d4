"""A server that fails at random times in random ways, for one request or for a while, under a run over HTTP.

One try is one start of a run. Each start must end as a whole run does, with the ledger of an undisturbed one, or with
exit code 2 and one sentence; then nothing later was spent: no decision and no comparison is of the outage. A reply that
came and could not be used is the item's own failure as long as a stage has few of them, and an outage may begin just
before a stage ends. So a run may end with a few such failures (with more only if a start has stopped for them); it may
never hold one of a reply that did not come.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.torture.part import Outcome
from benchmarks.torture.small_run import read_digest, start, write_run_file
from benchmarks.torture.teacher import teach
from errorbook.ledger.file import open_ledger
from errorbook.records import Comparison, Decision, Evaluation, Failure
from errorbook.setup.outages import FEW
from errorbook.testing import Faults, Server, server

_KINDS = ("rate_limited", "server_error", "overloaded", "cut", "cut_midway", "broken_body", "malformed", "empty")
_PATIENCE = 1.5
_AT_MOST = 12


def torment(seconds: float, seed: int) -> Outcome:
    """Runs under random outages until the time is over."""
    draw = random.Random(seed)
    until, broken = time.monotonic() + seconds, []
    starts = runs = stopped = unusable = 0
    with tempfile.TemporaryDirectory() as place, server(script=teach) as provider:
        folder = Path(place)
        file = write_run_file(folder, provider.base_url, _PATIENCE)
        start(file, folder / "undisturbed").communicate()
        if not (whole := read_digest(folder / "undisturbed")):
            return Outcome(1, (f"seed {seed}: the undisturbed run left no ledger",), {})
        while not runs or time.monotonic() < until:
            run, name = folder / f"run{runs}", f"seed {seed}, run {runs + 1}"
            for number in range(_AT_MOST):
                starts += 1
                kind = _disturb(provider, draw, calm=number == _AT_MOST - 1)
                process = start(file, run)
                _, said = process.communicate(timeout=300)
                if fault := _judge(process.returncode, said, run, warned=number > 0):
                    broken.append(f"{name}, start {number + 1} ({kind}): {fault}")
                if process.returncode != 2:
                    break
                stopped += 1
            with open_ledger(run) as ledger:
                failed = ledger.count(Failure)
            if not failed and read_digest(run) != whole:
                broken.append(f"{name}: the ledger differs from an undisturbed one after {number + 1} starts")
            runs, unusable = runs + 1, unusable + failed
    return Outcome(starts, tuple(broken), {"runs": runs, "stopped with a sentence": stopped, "items lost": unusable})


def _disturb(provider: Server, draw: random.Random, *, calm: bool) -> str:
    """Have the server fail from a random moment on, in one way, for a random time; `calm` leaves it alone."""
    provider.change(Faults())
    if calm:
        return "calm"
    kind, length = draw.choice(_KINDS), draw.choice((0.3, 1.0, 600.0))
    wrong = {"retry_after": draw.choice((0.0, 0.2)), kind: 1.0}
    begin = draw.uniform(0.0, 1.5)
    _later(begin, provider, Faults(**wrong))  # type: ignore[arg-type]
    if length < 600:
        _later(begin + length, provider, Faults())
    return f"{kind} for {length:g} s after {begin:.1f} s"


def _later(seconds: float, provider: Server, faults: Faults) -> None:
    timer = threading.Timer(seconds, provider.change, (faults,))
    timer.daemon = True
    timer.start()


def _judge(code: int, said: str, run: Path, *, warned: bool) -> str:
    """What is wrong with how a start has ended; an empty text if it held. `warned`: an earlier start said so."""
    if code not in {0, 1, 2} or "Traceback" in said:
        return f"exit code {code} and {said[-200:]!r}"
    with open_ledger(run) as ledger:
        stages: dict[str, list[Failure]] = {}
        for failure in ledger.all(Failure):
            stages.setdefault(failure.stage, []).append(failure)
    if any(failure.cause == "unanswered" for failures in stages.values() for failure in failures):
        return "a reply that did not come was recorded as a failure"
    if not warned and any(len(failures) > FEW for failures in stages.values()):
        return "an outage was recorded as failures"
    if code != 2:
        return ""
    if sum(line.startswith("errorbook: ") for line in said.splitlines()) != 1:
        return f"no single sentence: {said[-200:]!r}"
    with open_ledger(run) as ledger:
        untrue = {
            "an outage was taken for a result": ledger.count(Comparison) > 0 or ledger.count(Decision) > 1,
            "the test split was read": any(item.split == "test" for item in ledger.all(Evaluation)),
        }
    return next((sentence for sentence, true in untrue.items() if true), "")

"""Runs many programs at once: each in a cell of its own, its tests in another that it cannot see.

The program's cell is used once and ends with the program, so no program can touch the next; the next cell is started
while the current program runs. The verdict is made from what the referee says, over a socket that the program's cell
does not have. Exit codes and output decide nothing. Programs with more than the standard library are not supported.

If the sandbox itself fails, or the machine is too busy to tell, a job is run again, alone, after a pause. If that does
not help it is `unjudged`, which says nothing about the program. But if the sandbox works for an honest program and
fails on this one each time, the fault lies in the job, and it is unscorable.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from errorbook.sandbox import wire
from errorbook.sandbox.cell import Cell, CellError, require_sandbox
from errorbook.sandbox.faults import Fault
from errorbook.sandbox.patience import BusyError, Times, wait_for_frame

Status = Literal["passed", "failed", "timeout", "unscorable", "unjudged"]
_GRACE = 2.0
"""Seconds that the referee has left to report once the program is killed."""
ENOUGH = 4
PAUSES = (0.0, 1.0, 5.0)
"""Seconds before each further try of a job that the sandbox failed on."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A program and its tests.

    `parts` run in order in one namespace; `tests` is Python that asserts; `entry` names the function under test.
    `prelude` is trusted code (the question's own helpers), which the tests use from there and not from the program.
    `asked` are the other names that the question mentions and the tests use, `classes` those that it calls classes.
    """

    parts: tuple[str, ...]
    tests: str
    entry: str
    prelude: str = ""
    asked: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One assertion that failed: its source with what came and what was expected, or the error that was raised."""

    test: str
    got: str = ""
    expected: str = ""
    error: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a program did. `why` says what else there is to say, such as the error that stopped it, for people only.

    `fault` says the same to us where something depends on it. It may stand beside assertions that failed.
    `doubt` says that it is to be tried again before it counts: after the cells had started, something killed one.
    """

    status: Status
    held: int = 0
    failed: int = 0
    why: str = ""
    notes: tuple[Note, ...] = ()
    fault: Fault = ""
    doubt: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one program may use: seconds of wall clock for everything it does, and bytes of memory."""

    seconds: float = 6.0
    memory: int = 512 << 20


def run_all(jobs: Sequence[Job], limits: Limits | None = None, workers: int = 0) -> list[Outcome]:
    """Run every job, `workers` at a time (0 means one for each processor core), and return outcomes in their order.

    Raises:
        UserError: This machine has no working sandbox. Nothing is ever run without it.
    """
    require_sandbox()
    limits = limits or Limits()
    outcomes = _run_once(jobs, limits, min(workers or len(os.sched_getaffinity(0)), len(jobs)))
    for pause in PAUSES:
        again = [index for index, outcome in enumerate(outcomes) if outcome.doubt or outcome.status == "unjudged"]
        if not again:
            break
        time.sleep(pause)
        if not _works(limits):
            continue
        for index, outcome in zip(again, _run_once([jobs[index] for index in again], limits, 1), strict=True):
            same = outcome.doubt and outcomes[index].doubt and outcome.status == outcomes[index].status != "unjudged"
            outcomes[index] = replace(outcome, doubt=False) if same else outcome
    return _settle(outcomes, limits)


def _settle(outcomes: Sequence[Outcome], limits: Limits) -> list[Outcome]:
    """What still is in doubt is the job's own doing if an honest program passes now, else nobody's."""
    if not any(outcome.doubt and outcome.status == "unjudged" for outcome in outcomes):
        return [replace(outcome, doubt=False) for outcome in outcomes]
    works = _works(limits)
    return [
        Outcome(status="unscorable", why=f"the sandbox fails on this program each time: {outcome.why}"[:300])
        if works and outcome.doubt and outcome.status == "unjudged"
        else replace(outcome, doubt=False)
        for outcome in outcomes
    ]


def _works(limits: Limits) -> bool:
    [honest] = _run_once([_HONEST], limits, 1)
    return honest.status == "passed"


def _run_once(jobs: Sequence[Job], limits: Limits, count: int) -> list[Outcome]:
    """Run every job once, `count` at a time."""
    crew = _Crew(jobs, limits)
    threads = [threading.Thread(target=crew.serve, name=f"sandbox-{number}") for number in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C: no further job is begun, those under way end at their wall clock
        crew.stop.set()
        raise
    if crew.errors:
        raise crew.errors[0]
    untried = Outcome(status="unjudged", why=crew.lost[-1].why if crew.lost else "")
    return [crew.outcomes.get(index, untried) for index in range(len(jobs))]


_HONEST = Job(parts=("def f(x): return x + 1",), tests="assert f(1) == 2", entry="f")


class _Crew:
    """The jobs of one call, shared by its threads."""

    def __init__(self, jobs: Sequence[Job], limits: Limits) -> None:
        self._jobs, self._limits = jobs, limits
        self._left = iter(range(len(jobs)))
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.outcomes: dict[int, Outcome] = {}
        self.lost: list[Outcome] = []
        """What the sandbox failed on since it last worked: no further job is begun if they are `ENOUGH`."""
        self.errors: list[Exception] = []

    def serve(self) -> None:
        """One thread: job after job on a bench of its own."""
        try:
            with contextlib.closing(_Bench(self._limits)) as bench:
                for index in self._take():
                    outcome = self.outcomes[index] = bench.run(self._jobs[index], more=index + 1 < len(self._jobs))
                    self.lost = [*self.lost, outcome] if outcome.status == "unjudged" else []
                    if len(self.lost) >= ENOUGH:
                        self.stop.set()
        except Exception as error:  # raised again by the thread that asked
            self.errors.append(error)
            self.stop.set()

    def _take(self) -> Iterator[int]:
        while not self.stop.is_set():
            with self._lock:
                index = next(self._left, None)
            if index is None:
                return
            yield index


class _Bench:
    """One referee, kept from job to job, and the cell that waits for the next program."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._referee: Cell | None = None
        self._next: Cell | None = None

    def run(self, job: Job, more: bool) -> Outcome:
        """Run one job; a fault of the sandbox itself is `unjudged`, and the next job gets fresh cells."""
        begun, program = False, None
        try:
            program, self._next = self._next or self._start("worker"), None
            referee = self._referee = self._referee or self._start("referee")
            referee.wait()
            program.wait()
            self._next = self._start("worker") if more else None
            begun = True
            return self._examine(job, program, referee)
        except BusyError as error:
            self._drop_referee()
            return Outcome(status="unjudged", why=str(error))
        except (CellError, OSError, wire.ClosedError, msgspec.ValidationError) as error:
            self._drop_referee()
            return Outcome(status="unjudged", why=f"the sandbox failed: {error}"[:300], doubt=begun)
        finally:
            if program is not None:
                program.close()

    def close(self) -> None:
        """End all cells."""
        if self._next is not None:
            self._next.close()
            self._next = None
        self._drop_referee()

    def _start(self, side: Literal["worker", "referee"]) -> Cell:
        if side == "referee":
            return Cell(side, memory=1 << 30, seconds=int(self._limits.seconds) + 60)
        return Cell(side, memory=self._limits.memory, seconds=int(self._limits.seconds) + 1)

    def _drop_referee(self) -> None:
        if self._referee is not None:
            self._referee.close()
            self._referee = None

    def _examine(self, job: Job, program: Cell, referee: Cell) -> Outcome:
        """What the referee reports, as an outcome."""

        def read() -> tuple[Times, Times]:
            return program.read_times(), referee.read_times()

        # From here on nobody but the referee reads the program's socket: what it sends decides nothing in this process.
        socket.send_fds(referee.link, [b"!"], [program.link.fileno()])
        wire.send(referee.link.fileno(), msgspec.to_builtins(job))
        late = not wait_for_frame(referee.link, self._limits.seconds, read)
        if late:
            program.kill()
            if not wait_for_frame(referee.link, _GRACE, lambda: (referee.read_times(),)):
                self._drop_referee()
                return Outcome(status="unscorable", why="the tests did not end")
        report = wire.receive(referee.link.fileno())
        if isinstance(report, list):  # the process that ran the tests has ended, by this code, without a report
            shot = report[1:] == [-signal.SIGKILL]
            return Outcome(status="unjudged" if shot else "unscorable", why="the tests crashed", doubt=True)
        wire.receive(referee.link.fileno())
        outcome = _judge(report, late)
        return replace(outcome, doubt=report["ended"] == "gone" and not late and program.was_shot())


def _judge(report: dict[str, Any], late: bool) -> Outcome:
    held, failed, ended, why = report["held"], report["failed"], report["ended"], report["why"]
    status: Status = "failed"
    if ended == "broken":
        status = "unscorable"
    elif ended == "gone":
        status, why = ("timeout", "out of time") if late else ("failed", "the program ended before it answered")
    elif ended == "ended" and not failed:
        status = "passed" if held and report["calls"] else "unscorable"
        why = "" if status == "passed" else "no assertion ran" if not held else "the tests never called the program"
    notes = msgspec.convert(report["notes"], tuple[Note, ...])
    fault: Fault = msgspec.convert(report["fault"], Fault)
    return Outcome(status=status, held=held, failed=failed, why=why, notes=notes, fault=fault)

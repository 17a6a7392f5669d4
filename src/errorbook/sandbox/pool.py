"""Runs many programs at once: each in a cell of its own, its tests in another that it cannot see.

The program's cell is used once and ends with the program, so no program can touch the next; the next cell is started
while the current program runs. The verdict is made from what the referee says, over a socket that the program's cell
does not have. Exit codes and output are never read. Programs with more than the standard library are not supported.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from errorbook.sandbox import wire
from errorbook.sandbox.cell import Cell, CellError, require_sandbox

Status = Literal["passed", "failed", "timeout", "unscorable"]
_GRACE = 2.0
"""Seconds that the referee has left to report once the program is killed."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A program and its tests.

    `parts` run in order in one namespace; `tests` is Python that asserts; `entry` names the function under test.
    `prelude` is trusted code (the question's own helpers), which the tests use from there and not from the program.
    """

    parts: tuple[str, ...]
    tests: str
    entry: str
    prelude: str = ""


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One assertion that failed: its source with what came and what was expected, or the error that was raised."""

    test: str
    got: str = ""
    expected: str = ""
    error: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a program did. `why` says what else there is to say, such as the error that stopped it."""

    status: Status
    held: int = 0
    failed: int = 0
    why: str = ""
    notes: tuple[Note, ...] = ()


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
    count = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    crew = _Crew(jobs, limits or Limits())
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
    return [crew.outcomes[index] for index in range(len(jobs))]


class _Crew:
    """The jobs of one call, shared by its threads."""

    def __init__(self, jobs: Sequence[Job], limits: Limits) -> None:
        self._jobs, self._limits = jobs, limits
        self._left = iter(range(len(jobs)))
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.outcomes: dict[int, Outcome] = {}
        self.errors: list[Exception] = []

    def serve(self) -> None:
        """One thread: job after job on a bench of its own."""
        try:
            with contextlib.closing(_Bench(self._limits)) as bench:
                for index in self._take():
                    self.outcomes[index] = bench.run(self._jobs[index], more=index + 1 < len(self._jobs))
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
        """Run one job; a fault of the sandbox itself is `unscorable`, and the next job gets fresh cells."""
        program = self._next or self._start("worker")
        self._next = None
        try:
            referee = self._referee = self._referee or self._start("referee")
            referee.wait()
            program.wait()
            self._next = self._start("worker") if more else None
            return _judge(*self._examine(job, program, referee))
        except (CellError, OSError, wire.ClosedError, msgspec.ValidationError) as error:
            self._drop_referee()
            return Outcome(status="unscorable", why=f"the sandbox failed: {error}"[:300])
        finally:
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

    def _examine(self, job: Job, program: Cell, referee: Cell) -> tuple[dict[str, Any] | None, bool]:
        """The referee's report, or None if it made none, and whether the program was killed at the wall clock."""
        end = time.monotonic() + self._limits.seconds
        # From here on nobody but the referee reads the program's socket: what it sends decides nothing in this process.
        socket.send_fds(referee.link, [b"!"], [program.link.fileno()])
        wire.send(referee.link.fileno(), msgspec.to_builtins(job))
        late = not _arrives(referee.link, end)
        if late:
            program.kill()
            if not _arrives(referee.link, time.monotonic() + _GRACE):
                self._drop_referee()
                return None, True
        report = wire.receive(referee.link.fileno())
        if report == ["end"]:
            return None, late
        wire.receive(referee.link.fileno())
        return report, late


def _arrives(link: socket.socket, end: float) -> bool:
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(max(0.0, end - time.monotonic()) * 1000))


def _judge(report: dict[str, Any] | None, late: bool) -> Outcome:
    if report is None:
        why = "the tests did not end" if late else "the tests crashed"
        return Outcome(status="unscorable", why=why)
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
    return Outcome(status=status, held=held, failed=failed, why=why, notes=notes)

"""A pool of Ray actors that take jobs as they get free; what a lost one had is done again by another.

Each job is done until its result is here, and its result is given out once. The pool starts actors and replaces lost
ones; what they do, and whether they are fit for it, is the business of whoever makes the pool.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from errorbook.adapters.ray.ray_cluster import describe, fetch, loss_errors
from errorbook.errors import ConfigError, ErrorbookError, StageError

Job = Callable[[Any], Any]
"""Given an actor, sends it one request and returns the reference to the reply."""

_PATIENCE = 3
"""So many losses for each worker, with nothing finished in between, and the pool gives up."""
_START_SECONDS = 600.0
"""So long no worker at all may be there: a cluster that grows by itself needs minutes for a node."""
_CLOSE_SECONDS = 15.0
_GREETING = -1


@dataclass(eq=False)
class _Worker:
    """One actor; `jobs` are the numbers of its requests under way, by reference."""

    actor: Any
    ready: bool = False
    jobs: dict[Any, int] = field(default_factory=dict)


class Pool:
    """Actors of one kind, each with the methods `ready` and `close`.

    `start` makes one, `size` says how many there should be now, and `greet` is given what `ready` replies and raises
    if that actor must not be used.
    """

    def __init__(
        self, ray: Any, start: Callable[[], Any], size: Callable[[], int], greet: Callable[[Any], None]
    ) -> None:
        self._ray = ray
        self._start = start
        self._size = size
        self._greet = greet
        self._workers: list[_Worker] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """The number and the result of each job, as they finish.

        Raises:
            ConfigError: No worker could be started.
            StageError: Workers were lost again and again without anything being finished, or a job failed.
            ErrorbookError: What a job or `greet` raised.
        """
        waiting = deque(range(len(jobs)))
        left = len(jobs)
        losses = 0
        self._fill()
        try:
            while left:
                self._hand_out(jobs, waiting)
                worker, reference = self._wait()
                try:
                    number, result = self._settle(worker, reference)
                except loss_errors(self._ray) as error:
                    # What the lost worker had under way comes first again, in its order; its results were never given
                    # out, so no job is done twice as far as anybody can see.
                    losses += 1
                    self._check_losses(losses, error)
                    waiting.extendleft(sorted(self._drop(worker), reverse=True))
                    self._fill()
                    continue
                if number != _GREETING:
                    losses, left = 0, left - 1
                    yield number, result
        finally:
            self._abandon()

    def close(self) -> None:
        """End all actors, those with nothing to do after their `close`, which may end processes of their own.

        The next job starts new ones.
        """
        if not self._ray.is_initialized():  # they ended with the connection
            self._workers.clear()
        idle = [worker.actor.close.remote() for worker in self._workers if worker.ready and not worker.jobs]
        if idle:
            self._ray.wait(idle, num_returns=len(idle), timeout=_CLOSE_SECONDS)
        while self._workers:
            self._drop(self._workers[-1])

    def _fill(self) -> None:
        """Ask for as many actors as there should be, and give up asking for those that found no room."""
        wanted = max(1, self._size())
        for worker in [worker for worker in self._workers if not worker.ready][: max(0, len(self._workers) - wanted)]:
            self._drop(worker)
        while len(self._workers) < wanted:
            worker = _Worker(self._start())
            worker.jobs[worker.actor.ready.remote()] = _GREETING
            self._workers.append(worker)

    def _hand_out(self, jobs: Sequence[Job], waiting: deque[int]) -> None:
        """Give each ready worker something to do, and the next thing as well while there is plenty.

        With a second job at hand a worker does not idle while its result is being scored.
        """
        ready = [worker for worker in self._workers if worker.ready]
        while ready and waiting:
            worker = min(ready, key=lambda worker: len(worker.jobs))
            if len(worker.jobs) >= (2 if len(waiting) > len(self._workers) else 1):
                return
            number = waiting.popleft()
            worker.jobs[jobs[number](worker.actor)] = number

    def _wait(self) -> tuple[_Worker, Any]:
        """The next reference that has a reply, or an error, and its worker."""
        owners = {reference: worker for worker in self._workers for reference in worker.jobs}
        begun = time.monotonic()
        while True:
            done, _ = self._ray.wait(list(owners), num_returns=1, timeout=5.0)
            if done:
                return owners[done[0]], done[0]
            if time.monotonic() - begun > _START_SECONDS and not any(worker.ready for worker in self._workers):
                raise ConfigError(
                    f"The cluster has {describe(self._ray)}, and in {_START_SECONDS:.0f} s there was no room for a "
                    "worker; lower cpus_per_worker or gpus_per_worker in [compute], or add nodes."
                )

    def _settle(self, worker: _Worker, reference: Any) -> tuple[int, Any]:
        """What came back under which number; a worker whose greeting is refused, or whose work failed, is ended."""
        try:
            result = fetch(self._ray, reference)
            number = worker.jobs.pop(reference)
            if number == _GREETING:
                self._greet(result)
                worker.ready = True
        except ErrorbookError:
            self._drop(worker)
            raise
        return number, result

    def _check_losses(self, losses: int, error: Exception) -> None:
        if losses >= _PATIENCE * max(1, len(self._workers)):
            reason = " ".join(str(error).split())[:300]
            raise StageError(
                f"The cluster lost {losses} workers in a row without finishing anything ({reason}); see whether they "
                "run out of memory or lack a package, then give the same command to go on."
            )

    def _drop(self, worker: _Worker) -> list[int]:
        """End one worker and return the numbers of the jobs that it had."""
        self._workers.remove(worker)
        self._ray.kill(worker.actor)
        return [number for number in worker.jobs.values() if number != _GREETING]

    def _abandon(self) -> None:
        """End those that still work on something nobody waits for any more."""
        for worker in [worker for worker in self._workers if set(worker.jobs.values()) - {_GREETING}]:
            self._drop(worker)

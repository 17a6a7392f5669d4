"""Values that may take long, each computed in a thread of its own, for pages that would rather say "soon" than wait.

Who asks again while it is being computed waits for the same one. It keeps nothing: see `kept`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """What is being computed at the moment, by name. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going: dict[str, Future[Any]] = {}

    def within(self, seconds: float, name: str, make: Callable[[], T]) -> T | None:
        """The value, or None where it takes longer than that; raises what making it raises."""
        with self._lock:
            found: Future[T] | None = self._going.get(name)
            if found is None:
                found = self._going[name] = Future()
                work = threading.Thread(target=self._make, args=(name, found, make), daemon=True)
                work.start()
        try:
            return found.result(seconds)
        except TimeoutError:
            return None

    def _make(self, name: str, promised: Future[T], make: Callable[[], T]) -> None:
        try:
            value = make()
        except Exception as error:
            self._end(name)
            promised.set_exception(error)
        else:
            self._end(name)
            promised.set_result(value)

    def _end(self, name: str) -> None:
        with self._lock:
            del self._going[name]

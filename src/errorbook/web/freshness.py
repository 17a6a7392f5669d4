"""How fresh the pages are: the one rule by which what is made from a ledger is kept, and the one thread that renews it.

Pages show three things that take time to make: where a run stands, its report, and its index. Each is made once and
kept. When the ledger has changed since,

- what took at most `CHEAP` seconds is made again by the page that asks for it: most runs are never shown older than
  their ledger. The index only takes in what is new, so it always is cheap once it is whole;
- what took longer is made again by the thread, at most every `REST` times the seconds that it took; until then pages
  show what there is. The report's pages say how old it is.

What was never made is made by the thread; a page waits for it as long as it likes, and else says "soon". Nothing is
renewed that no page asks for. An open page asks all the time (see `live`).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from errorbook.errors import UserError

T = TypeVar("T")

CHEAP = 0.05
REST = 5.0


class Kept(Generic[T]):
    """One value, and the version of its ledger that it was made from. One thread at a time makes it."""

    def __init__(self, make: Callable[[], T | None], version: Callable[[], int], *, grows: bool = False) -> None:
        """A value that is not made yet.

        Args:
            make: Makes it; None says that it is not whole yet, and that the thread must go on with it at once.
            version: Which version of the ledger would be made now.
            grows: Whether making it again only takes in what is new.
        """
        self._make, self._version, self._grows = make, version, grows
        self._lock = threading.Lock()
        self._of: int | None = None
        self._cost, self._at = 0.0, 0.0
        self.value: T | None = None
        self.promised: Future[T | None] | None = None

    def is_old(self) -> bool:
        """Whether the ledger has changed since it was made; true if it was not."""
        return self._of != self._version()

    def is_cheap(self) -> bool:
        """Whether a page makes it again itself."""
        return self._of is not None and (self._grows or self._cost <= CHEAP)

    def is_due(self) -> bool:
        """Whether the thread may make it again."""
        return self._of is None or time.monotonic() >= self._at + REST * self._cost

    def behind(self) -> float:
        """How many seconds ago the value was made that pages show, or 0 if they show the newest."""
        return time.monotonic() - self._at if self.shown() else 0.0

    def shown(self) -> int:
        """The version that pages show although there is a newer one, or 0."""
        return self._of if self._of is not None and not self.is_cheap() and self.is_old() else 0

    def renew(self) -> T | None:
        """Make it again if it is old, and return it."""
        with self._lock:
            version, start = self._version(), time.monotonic()
            if self._of != version:
                # The version first: what is appended meanwhile makes the value old, never too new.
                try:
                    self.value = self._make()
                    self._of = None if self.value is None else version
                finally:
                    self._at = time.monotonic()
                    self._cost = self._at - start
            return self.value


class Renewal:
    """The one thread. It begins when there is something to do."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Kept[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def get(self, kept: Kept[T], patience: float | None = None) -> T | None:
        """The value that a page shows now.

        Args:
            kept: What is asked for.
            patience: Seconds to wait for a value that was never made; None waits until it is.

        Returns:
            The value, or None if there is none yet.

        Raises:
            UserError: It cannot be made; the sentence says why.
        """
        if kept.is_cheap() and kept.renew() is not None:
            return kept.value
        promised = self.tend(kept)
        if kept.value is not None or promised is None:
            return kept.value
        try:
            return promised.result(patience)
        except TimeoutError:
            return None

    def tend(self, kept: Kept[T]) -> Future[T | None] | None:
        """Let the thread make it again if it is old and its turn has come; return what the thread promised."""
        if kept.is_cheap() or not kept.is_old():
            return None
        with self._lock:
            if kept.promised is None and kept.is_due() and not self._stopped:
                self._hand_over(kept)
            return kept.promised

    def stop(self) -> None:
        """End the thread for good when it has done what it is doing; that is not waited for long."""
        self._stopped = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _hand_over(self, kept: Kept[Any]) -> None:
        kept.promised = Future()
        self._waiting.put(kept)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="errorbook-renewal", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """Do what was handed over. Nothing may be raised here: every later page would wait in vain."""
        while (kept := self._waiting.get()) is not None and not self._stopped:
            value: object = None
            problem: Exception | None = None
            try:
                value = kept.renew()
            except UserError as error:
                problem = error
            except Exception as error:
                logging.getLogger(__name__).exception("A book could not be kept fresh.")
                problem = error
            with self._lock:
                promised, kept.promised = kept.promised, None
                if value is None and problem is None:
                    self._hand_over(kept)
            if promised is not None and problem is not None:
                promised.set_exception(problem)
            elif promised is not None:
                promised.set_result(value)

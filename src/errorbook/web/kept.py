"""Values that are made from a ledger and kept while it does not change, and one thread that renews those in use.

A value that takes t seconds to make is made at most every 5 t seconds, however fast the run writes; until then the
older one is shown. It knows nothing of ledgers, HTTP or pages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

CHEAP = 0.05
"""Seconds. What takes no longer is made where it is asked for; the rest by the thread, while the older is shown."""
REST = 5.0
"""How many times as long as making it took nothing is made anew."""


class Kept(Generic[T]):
    """One value with the version it was made from. Any thread may ask for it; one at a time makes it."""

    def __init__(self, make: Callable[[], tuple[int, T]], version: Callable[[], int]) -> None:
        """`make` gives the value with the version that it is of; `version` says which one would be made now."""
        self._make, self._version = make, version
        self._lock = threading.Lock()
        self._value: T | None = None
        self._of, self._cost, self._at = -1, 0.0, 0.0
        self.made = 0

    def get(self) -> T:
        """The value, made now if there is none yet or making it is cheap; else the newest there is."""
        value = self._value
        if value is None or (self._cost <= CHEAP and self._is_old()):
            self.renew()
            value = self._value
        assert value is not None  # noqa: S101 - renew() raises or sets it
        return value

    def due(self) -> bool:
        """Whether there is something newer, and its turn has come."""
        return self.made > 0 and self._is_old() and time.monotonic() >= self._at + REST * self._cost

    def behind(self) -> float:
        """How many seconds ago the value was made that `get` would give, or 0 where that is the newest."""
        return time.monotonic() - self._at if self._lags() else 0.0

    def shown(self) -> int:
        """The version that `get` would give now, or 0 where that is the newest."""
        return self._of if self._lags() else 0

    def _lags(self) -> bool:
        return self.made > 0 and self._cost > CHEAP and self._is_old()

    def _is_old(self) -> bool:
        return self._of != self._version()

    def renew(self) -> bool:
        """Make it anew if it is not of the newest version; return whether that was needed."""
        with self._lock:
            if self._value is not None and not self._is_old():
                return False
            start = time.monotonic()
            self._of, self._value = self._make()
            self._at = time.monotonic()
            self._cost = self._at - start
            self.made += 1
            return True


class Renewable(Protocol):
    """What the thread looks after."""

    def in_use(self) -> bool:
        """Whether somebody looked at it lately."""
        ...

    def renew(self) -> bool:
        """Do a little of what is due; return whether there is more to do soon."""
        ...


class Keeper:
    """One thread that renews what is in use; it ends when nothing is, and starts again when something is."""

    def __init__(self, every: float = 0.5) -> None:
        self._every = every
        self._lock = threading.Lock()
        self._charges: dict[int, Renewable] = {}
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def watch(self, charge: Renewable) -> None:
        """Look after something until it is no longer in use."""
        with self._lock:
            self._charges[id(charge)] = charge
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._work, name="errorbook-keeper", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread for good; what it is doing now is not waited for long."""
        self._stopped.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=1)

    def _work(self) -> None:
        while not self._stopped.is_set():
            charges = self._used()
            if not charges:
                return
            busy = [self._renew(charge) for charge in charges]
            self._stopped.wait(0.01 if any(busy) else self._every)

    def _renew(self, charge: Renewable) -> bool:
        try:
            return charge.renew()
        except Exception:  # one that breaks must not leave the others old; who looks at it next tries again
            logging.getLogger(__name__).exception("A book could not be kept fresh.")
            with self._lock:
                self._charges.pop(id(charge), None)
            return False

    def _used(self) -> list[Renewable]:
        """What is still in use; where nothing is, the thread gives itself up under the same lock."""
        with self._lock:
            self._charges = {key: charge for key, charge in self._charges.items() if charge.in_use()}
            if not self._charges:
                self._thread = None
            return list(self._charges.values())

"""How many requests are in the air: as many as the user allows, fewer while the server refuses many.

Additive increase, multiplicative decrease, but on the *share* of refusals in a window of answers: a server that
refuses one request in thirty at random is no reason to slow down, one that refuses every third is. Answers that take
more than half of the time limit count as refusals, since the next step would be losing them. Pure: time is given.
"""

from __future__ import annotations

import random

STEP_DOWN = 0.75
TOO_MANY = 0.2
"""Share of refusals in a window above which the limit falls."""


class Pace:
    """The limit on requests in the air, between `floor` and `ceiling`."""

    def __init__(self, ceiling: int, floor: int = 2) -> None:
        self.ceiling = ceiling
        self.floor = min(floor, ceiling)
        self.limit = float(ceiling)
        self.in_air = 0
        self.lowest = ceiling
        self._held_until = 0.0
        self._seen = 0
        self._refused = 0

    def free(self, now: float) -> bool:
        """Whether one more request may start."""
        return self.in_air < int(self.limit) and now >= self._held_until

    def held_for(self, now: float) -> float:
        """Seconds until the server allows requests again; 0 if it does."""
        return max(0.0, self._held_until - now)

    def hold(self, until: float) -> None:
        """Start nothing before `until`: the server says that its allowance is used up."""
        self._held_until = max(self._held_until, until)

    def resume(self) -> None:
        """The server has answered without saying that its allowance is used up."""
        self._held_until = 0.0

    def start(self) -> None:
        """A request goes out."""
        self.in_air += 1

    def finish(self, *, refused: bool = False) -> None:
        """A request came back."""
        self.in_air -= 1
        self._seen += 1
        self._refused += refused
        if self._seen >= max(8, int(self.limit)):
            self._adapt()

    def _adapt(self) -> None:
        share = self._refused / self._seen
        self._seen = self._refused = 0
        if share > TOO_MANY:
            self.limit = max(float(self.floor), self.limit * STEP_DOWN)
            self.lowest = min(self.lowest, int(self.limit))
        else:
            self.limit = min(float(self.ceiling), self.limit + 1)


def compute_backoff(failures: int, wait: float | None, base: float = 0.25, longest: float = 30.0) -> float:
    """Seconds before a request is sent again: exponential with jitter, never less than the server asked for."""
    delay = min(longest, base * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    return delay if wait is None else max(delay, wait * random.uniform(1.0, 1.1))  # noqa: S311 - not all at once

"""What every part of the torture is: a function that tries things for some seconds and says what broke."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """What one part tried and what broke."""

    tried: int
    """Inputs, kills or runs; what is counted is said by the part's docstring."""
    broken: tuple[str, ...] = ()
    """One sentence for each failure, with what repeats it (a seed, an input, a command)."""
    figures: dict[str, float] = {}
    """Measured values by name, such as a false-accept rate, for docs/reliability.md."""


Part = Callable[[float, int], Outcome]
"""`torment(seconds, seed)`: tries for about that many seconds, with draws from that seed only."""

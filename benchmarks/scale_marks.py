"""What every part of `benchmarks.scale` has in common: a measured value with its mark, and the clock."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value. `mark` is the bound that it must keep at full size, empty if it only informs."""

    part: str
    name: str
    value: float
    unit: str = ""
    mark: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the value keeps its mark; None if there is none."""
        if not self.mark:
            return None
        sign, bound = self.mark.split()
        return {"<": self.value < float(bound), ">=": self.value >= float(bound), "=": self.value == float(bound)}[sign]


class Stopwatch:
    """Seconds of the work inside `running`, added up."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time until the end of the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


def peak_gb() -> float:
    """The most memory that this process has held so far, in GB (10^9 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

"""What is said over one cycle's decision, in words that every renderer shares."""

from __future__ import annotations

from errorbook.report.records import CycleResult

_DECIDED = {"accept": "accepted", "reject": "rejected", "stop": "stopped"}


def decision_title(cycle: CycleResult) -> str:
    """One cycle's decision: 'Cycle 1: accepted'."""
    return f"Cycle {cycle.cycle}: {_DECIDED[cycle.decision]}"


def looks_text(cycle: CycleResult) -> str:
    """How far a sequential gate asked, and what its interval is good for; empty if dev was asked in full."""
    if not cycle.looks:
        return ""
    last = cycle.looks[-1]
    early = " A gain that ends the asking is seen a little too large." * (last.said == "gain" and last.number < last.of)
    return (
        f"The gate asked dev in blocks and ended after {last.number} of {last.of} ({last.asked} questions);"
        f" the intervals hold at all {last.of} looks together (each at {100 - 5 / last.of:.1f}%).{early}"
    )

"""Counts as the shares that a report shows: accuracies and differences with their 95% intervals.

Shared by the modules that compute a report. It reads tallies only, and knows nothing of cycles.
"""

from __future__ import annotations

from errorbook.ledger import Ledger
from errorbook.records import Evaluation
from errorbook.report_parts import Accuracy, Difference
from errorbook.stats import paired_interval, wilson


def accuracy_of(ledger: Ledger, evaluation: Evaluation) -> Accuracy:
    """The accuracy of what an evaluation answered so far."""
    tally = ledger.tally(evaluation)
    return share_of(tally.right, tally.n, evaluation.n, tally.unscorable, tally.truncated)


def share_of(right: int, n: int, planned: int, unscorable: int, truncated: int) -> Accuracy:
    """Counts as an accuracy with Wilson's interval."""
    low, high = wilson(right, n)
    return Accuracy(
        right=right,
        n=n,
        planned=planned,
        accuracy=right / n if n else 0.0,
        low=low,
        high=high,
        unscorable=unscorable,
        truncated=truncated,
    )


def difference_of(fixed: int, broken: int, n: int) -> Difference:
    """The paired difference of `n` questions, of which `fixed` got right and `broken` ceased to be."""
    low, high = paired_interval(fixed, broken, n)
    return Difference(value=(fixed - broken) / n if n else 0.0, low=low, high=high)

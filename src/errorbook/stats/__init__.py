"""Two evaluations paired, and the intervals and tests of such counts.

`pairing` says what fixed and broken mean, `paired` has the tests and intervals over `flips` and `spread`, `power` says
what they are able to see, `multiple` corrects several tests at once. Means over trainings and questions are in `mixed`,
and `seeds_needed` says how many of both a comparison takes.
"""

from errorbook.stats.multiple import holm
from errorbook.stats.paired import Interval, mcnemar, mcnemar_gain, not_worse, paired_interval, wilson
from errorbook.stats.pairing import CHANGES, Change, Pairing, change_of, cluster, pair, read_twice
from errorbook.stats.power import detectable_gain, effective_questions

__all__ = [
    "CHANGES",
    "Change",
    "Interval",
    "Pairing",
    "change_of",
    "cluster",
    "detectable_gain",
    "effective_questions",
    "holm",
    "mcnemar",
    "mcnemar_gain",
    "not_worse",
    "pair",
    "paired_interval",
    "read_twice",
    "wilson",
]

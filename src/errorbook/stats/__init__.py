"""Two evaluations paired, and the intervals and tests of such counts.

`pairing` says what fixed and broken mean, `paired` has the tests and intervals over `flips` and `spread`, `power` says
what they are able to see, `sequential` tests a gain and may end early, `multiple` corrects several tests at once.
Means over trainings and questions are in `mixed`, and `seeds_needed` says how many of both a comparison takes.
"""

from errorbook.stats.multiple import holm
from errorbook.stats.paired import Interval, mcnemar, mcnemar_gain, not_worse, paired_interval, sum_groups, wilson
from errorbook.stats.pairing import CHANGES, Change, Pairing, change_of, cluster, pair, read_twice
from errorbook.stats.power import detectable_gain, effective_questions
from errorbook.stats.sequential import Step, count_looks, draw_blocks, take_looks

__all__ = [
    "CHANGES",
    "Change",
    "Interval",
    "Pairing",
    "Step",
    "change_of",
    "cluster",
    "count_looks",
    "detectable_gain",
    "draw_blocks",
    "effective_questions",
    "holm",
    "mcnemar",
    "mcnemar_gain",
    "not_worse",
    "pair",
    "paired_interval",
    "read_twice",
    "sum_groups",
    "take_looks",
    "wilson",
]

"""What became of each answer between two evaluations, counted over single questions and over groups of them.

Says what fixed and broken mean; everything that counts them counts pairs of verdicts and asks here. No statistics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from errorbook.records import Cluster, Verdict, count_groups

Change = Literal["broken", "fixed", "unclear", "still_wrong", "still_right"]
"""What became of one answer: broken, fixed, unscorable on one side only, wrong (or unscorable) twice, right twice."""
CHANGES: tuple[Change, ...] = get_args(Change)
"""In the order in which items are shown."""


class Pairing(NamedTuple):
    """Counts over `n` questions that were answered twice; an unscorable answer counts as not right, on both sides.

    Of the fixed, `newly_readable` could not be scored before; of the broken, `no_longer_readable` cannot be scored now.
    `clusters` are the groups of questions that belong together.
    """

    n: int
    right_before: int
    right_after: int
    unscorable_before: int
    unscorable_after: int
    changes: dict[Change, int]
    newly_readable: int = 0
    no_longer_readable: int = 0
    clusters: tuple[Cluster, ...] = ()

    @property
    def fixed(self) -> int:
        """How many only the second got right."""
        return self.changes["fixed"]

    @property
    def broken(self) -> int:
        """How many only the first got right."""
        return self.changes["broken"]

    @property
    def groups(self) -> int:
        """How many pieces of evidence the questions are: groups, and questions that stand alone."""
        return count_groups(self.n, self.clusters)


def pair(counts: Mapping[tuple[Verdict, Verdict], int], clusters: tuple[Cluster, ...] = ()) -> Pairing:
    """The pairing of two evaluations, from how many questions have which verdict before and after."""

    def total(side: int, verdict: Verdict) -> int:
        return sum(n for verdicts, n in counts.items() if verdicts[side] == verdict)

    changes: dict[Change, int] = dict.fromkeys(CHANGES, 0)
    for (before, after), n in counts.items():
        changes[change_of(before, after)] += n
    return Pairing(
        n=sum(counts.values()),
        right_before=total(0, "right"),
        right_after=total(1, "right"),
        unscorable_before=total(0, "unscorable"),
        unscorable_after=total(1, "unscorable"),
        changes=changes,
        newly_readable=counts.get(("unscorable", "right"), 0),
        no_longer_readable=counts.get(("right", "unscorable"), 0),
        clusters=clusters,
    )


def cluster(
    groups: Iterable[Sequence[str]], before: Mapping[str, Verdict], after: Mapping[str, Verdict]
) -> tuple[Cluster, ...]:
    """The groups by what became of their questions, which are given by id; groups that are alike stand together."""
    found: Counter[tuple[int, int, int, int, int]] = Counter()
    for group in groups:
        pairs = [(before[one], after[one]) for one in group if one in before and one in after]
        if len(pairs) > 1:
            changes = Counter(change_of(was, now) for was, now in pairs)
            read = pairs.count(("unscorable", "right")), pairs.count(("right", "unscorable"))
            found[len(pairs), changes["fixed"], changes["broken"], *read] += 1
    return tuple(
        Cluster(size=size, fixed=fixed, broken=broken, newly_readable=newly, no_longer_readable=gone, times=times)
        for (size, fixed, broken, newly, gone), times in sorted(found.items())
    )


def read_twice(clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
    """The same groups with the changes of answers alone that could be scored before and after."""
    return tuple(
        Cluster(
            size=one.size,
            fixed=one.fixed - one.newly_readable,
            broken=one.broken - one.no_longer_readable,
            times=one.times,
        )
        for one in clusters
    )


def change_of(before: Verdict, after: Verdict) -> Change:
    """What became of an answer with these verdicts."""
    if before == "right":
        return "still_right" if after == "right" else "broken"
    if after == "right":
        return "fixed"
    return "still_wrong" if before == after else "unclear"

"""The gate: paired Evaluations -> Decision. Is the new checkpoint better, by a rule that was fixed before the run?

The rule (recorded as `Rule` before the first cycle):

- A candidate must improve the tasks it learns from: one-sided exact McNemar on the paired dev responses of all of
  them together. Questions that belong together are one piece of evidence: the test is then on the sums of groups.
- No task may get worse: for every guard, and for every learnt task if there are several, "worse by the margin or
  more" must be rejected (Tango's score test on the paired responses, or on groups), against the base and, if the rule
  says so, against the checkpoint that the cycle began with: a margin is spent once, and not again in every cycle.
- Each of the cycles x candidates applications is tested at alpha / (cycles x candidates), so that the chance that a
  useless run ever has a checkpoint accepted stays below alpha, whatever the target, and whichever candidate is
  picked. The guards need no further correction: all of them must pass (an intersection-union test).
- A gain that is not shown among the answers that could be scored before and after is one of form, and is named so;
  whether it counts is the rule's to say.

Reads dev only; never test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, get_args

import msgspec
from annotated_types import Interval
from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.records import Against, Cluster, Comparison, Counts, Evaluation, Outcome, Role, Rule, Verdict
from errorbook.stats import cluster, mcnemar, mcnemar_gain, not_worse, pair, paired_interval, read_twice


class GateSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[gate]`: the error rate of the whole run, shared by all cycles and candidates.

    `noise_floor` has the base asked a second time in other batches, so that a difference can be read beside what
    changes when nothing does. `counts` says what is a gain, `guards_against` what a guard is compared with.
    """

    alpha: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    noise_floor: bool = True
    counts: Counts = "all"
    guards_against: Against = "both"


class Judgement(NamedTuple):
    """What the rule says of one candidate; each comparison has its verdict. See `Decision`."""

    outcome: Outcome
    reason: str
    comparisons: tuple[Comparison, ...]
    against_base: tuple[Comparison, ...] = ()
    form: bool = False


def compare(
    before: tuple[Evaluation, Mapping[str, Verdict]],
    after: tuple[Evaluation, Mapping[str, Verdict]],
    role: Role,
    margin: float = 0.0,
    together: Sequence[Sequence[str]] = (),
) -> Comparison:
    """Pair two evaluations of the same examples, answered under the same settings; verdicts are by example id.

    The p-value is of the exact two-sided McNemar test, over sums of groups if questions belong together, for a task to
    learn, and of non-inferiority for a guard; the interval is Tango's at 95%. The ids in `together` say which questions
    belong together. An unscorable response counts as not right, on both sides.

    Raises:
        StageError: The evaluations differ in anything but the checkpoint, or miss responses or verdicts; or the margin
            of a guard is no share.
    """
    (old, verdicts_before), (new, verdicts_after) = before, after
    require_comparable(old, new)
    if verdicts_before.keys() != verdicts_after.keys() or len(verdicts_before) != old.n:
        raise StageError(f"An evaluation of '{old.task}' is incomplete; give the same command again to finish it.")
    if not old.n or not {*verdicts_before.values(), *verdicts_after.values()} <= {*get_args(Verdict)}:
        raise StageError(f"An evaluation of '{old.task}' has responses without a verdict; nothing can be compared yet.")
    if role == "guard" and not 0 <= margin < 1:
        raise StageError(f"The margin of the guard '{old.task}' is {margin}; it must be a share below 1.")
    clusters = cluster(together, verdicts_before, verdicts_after)
    pairing = pair(Counter((verdict, verdicts_after[key]) for key, verdict in verdicts_before.items()), clusters)
    fixed, broken = pairing.fixed, pairing.broken
    low, high = paired_interval(fixed, broken, old.n, clusters=clusters)
    test = mcnemar(fixed, broken, clusters) if role == "learn" else not_worse(fixed, broken, old.n, margin, clusters)
    return Comparison(
        task=old.task,
        split=old.split,
        role=role,
        before=old.hash,
        after=new.hash,
        n=old.n,
        unscorable_before=pairing.unscorable_before,
        unscorable_after=pairing.unscorable_after,
        right_before=pairing.right_before,
        right_after=pairing.right_after,
        fixed=fixed,
        broken=broken,
        difference=(fixed - broken) / old.n,
        low=low,
        high=high,
        p_value=test,
        margin=margin,
        newly_readable=pairing.newly_readable,
        no_longer_readable=pairing.no_longer_readable,
        clusters=clusters,
    )


def require_comparable(before: Evaluation, after: Evaluation) -> None:
    """Refuse two evaluations that differ in more than the checkpoint: their difference would not be the training's.

    Raises:
        StageError: Names everything that differs.
    """
    differing = [
        *(
            f"the {field} ({getattr(before, field)!r} and {getattr(after, field)!r})"
            for field in ("task", "split", "scorer")
            if getattr(before, field) != getattr(after, field)
        ),
        *(["the examples"] if (before.examples, before.n) != (after.examples, after.n) else []),
        *(["the target's base weights, chat template or engine"] if before.target != after.target else []),
        *(
            f"the generation setting {field} ({getattr(before.generation, field)!r} and"
            f" {getattr(after.generation, field)!r})"
            for field in before.generation.__struct_fields__
            if getattr(before.generation, field) != getattr(after.generation, field)
        ),
    ]
    if differing:
        raise StageError(
            f"Two evaluations of '{before.task}' differ in more than the checkpoint: {' and '.join(differing)};"
            " evaluate both in one way to compare them."
        )


def require_same_prompts(task: str, reworded: int, asked: int) -> None:
    """Refuse two evaluations if questions were put in other words to the second: `reworded` of those `asked`.

    The prompt that a task writes is no part of an evaluation's identity, so another version may have changed it.

    Raises:
        StageError: Says how many questions differ.
    """
    if reworded:
        raise StageError(
            f"The prompts of {reworded} of {asked} questions of '{task}' changed between two evaluations;"
            " evaluate both in one way to compare them."
        )


def judge(rule: Rule, comparisons: Sequence[Comparison], against_base: Sequence[Comparison] = ()) -> Judgement:
    """Apply the rule to one candidate's dev comparisons; `against_base` has the guards' if the cycle began elsewhere.

    Raises:
        StageError: A comparison is not on dev, a task of the rule is missing, or a number cannot be.
    """
    _require_sound(rule, comparisons, against_base)
    by_task = {comparison.task: comparison for comparison in comparisons}
    alpha = rule.alpha_each
    learnt = [by_task[name] for name in rule.learn]
    gain = _Gain.of(learnt, rule)
    since_parent = [] if against_base and rule.guards_against == "base" else [by_task[name] for name, _ in rule.guards]
    failing = [one for one in since_parent if _may_be_worse(one, rule)]
    failing_since_base = [one for one in against_base if _may_be_worse(one, rule)]
    judged = tuple(_mark(item, rule, gain.improved, failing) for item in comparisons)
    judged_base = tuple(_mark(item, rule, gain.improved, failing_since_base) for item in against_base)
    rest = judged, judged_base, gain.is_form(alpha)
    if not gain.improved:
        return Judgement("reject", f"no significant gain on dev ({gain.numbers(alpha)}){gain.form_words(alpha)}", *rest)
    said = f"gain on dev ({gain.numbers(alpha)}){gain.form_words(alpha)}"
    harms = [
        *(_harm(one, rule) for one in failing),
        *(_harm(one, rule, " than the base") for one in failing_since_base),
    ]
    if harms:
        return Judgement("reject", f"{said}, but {'; '.join(harms)}", *rest)
    return Judgement("accept", f"{said}; every guard within its margin", *rest)


class _Gain(NamedTuple):
    """The gain of all learnt tasks together: every change, and those alone of answers that were read twice."""

    fixed: int
    broken: int
    newly_readable: int
    no_longer_readable: int
    n: int
    groups: int
    p: float
    p_read: float
    counts: Counts
    improved: bool

    @classmethod
    def of(cls, learnt: Sequence[Comparison], rule: Rule) -> _Gain:
        """Add up the comparisons of the learnt tasks and test what counts by the rule."""
        fixed, broken = sum(item.fixed for item in learnt), sum(item.broken for item in learnt)
        newly, gone = sum(item.newly_readable for item in learnt), sum(item.no_longer_readable for item in learnt)
        p = _p_gain(learnt, "all")
        p_read = _p_gain(learnt, "read_twice") if newly or gone else p
        return cls(
            fixed=fixed,
            broken=broken,
            newly_readable=newly,
            no_longer_readable=gone,
            n=sum(item.n for item in learnt),
            groups=sum(item.groups for item in learnt),
            p=p,
            p_read=p_read,
            counts=rule.counts,
            improved=(p if rule.counts == "all" else p_read) <= rule.alpha_each,
        )

    def is_form(self, alpha: float) -> bool:
        """Whether there is a gain that is not shown without answers that became readable."""
        return self.p <= alpha < self.p_read

    def numbers(self, alpha: float) -> str:
        """What was counted, and what the test said."""
        of = f"{self.n} in {self.groups} groups" if self.groups < self.n else str(self.n)
        if self.counts == "all":
            return f"{self.fixed} fixed, {self.broken} broken of {of}, p = {self.p:.2g}, needed {alpha:.2g}"
        fixed, broken = self.fixed - self.newly_readable, self.broken - self.no_longer_readable
        return (
            f"among answers read before and after {fixed} fixed, {broken} broken of {of}, p = {self.p_read:.2g}, needed"
            f" {alpha:.2g}"
        )

    def form_words(self, alpha: float) -> str:
        """What became readable or unreadable, and whether that is all there is; empty if nothing did."""
        if not (self.newly_readable or self.no_longer_readable):
            return ""
        fixed, broken = self.fixed - self.newly_readable, self.broken - self.no_longer_readable
        kind = ""
        if self.is_form(alpha):
            kind = ": a gain of form alone" if fixed <= broken else ": a gain that is not shown without form"
        beside = f" ({fixed} fixed, {broken} broken without them, p = {self.p_read:.2g})" * (self.counts == "all")
        now = f", {self.no_longer_readable} of the broken no longer readable" * bool(self.no_longer_readable)
        return f", {self.newly_readable} of the {self.fixed} fixed newly readable{now}{beside}{kind}"


def _require_sound(rule: Rule, comparisons: Sequence[Comparison], against_base: Sequence[Comparison]) -> None:
    """Refuse what the rule was not made for, and numbers that would let anything pass."""
    if any(comparison.split != "dev" for comparison in (*comparisons, *against_base)):
        raise StageError("The gate was given a split other than dev; only dev may decide.")
    guards = {name for name, _ in rule.guards}
    if {item.task for item in comparisons} != {*rule.learn, *guards}:
        raise StageError("The gate lacks a task that its rule names; evaluate every task on dev.")
    if against_base and {item.task for item in against_base} != guards:
        raise StageError("The gate lacks a guard's comparison with the base; evaluate every guard of the base on dev.")
    for item in (*comparisons, *against_base):
        alone = (
            item.fixed - sum(one.fixed * one.times for one in item.clusters),
            item.broken - sum(one.broken * one.times for one in item.clusters),
        )
        counts = item.fixed - item.newly_readable, item.broken - item.no_longer_readable, *alone
        if min(counts) < 0 or not 0 < item.n >= item.fixed + item.broken:
            raise StageError(f"The comparison of '{item.task}' has numbers that cannot be; evaluate it anew.")


def best(judged: Sequence[tuple[Outcome, tuple[Comparison, ...]]], counts: Counts = "all") -> int:
    """Index of the candidate to report: an accepted one before the others, then the largest gain, then the first."""

    def merit(index: int) -> tuple[bool, int, int]:
        outcome, comparisons = judged[index]
        learnt = [item for item in comparisons if item.role == "learn"]
        gain = sum(item.fixed - item.broken for item in learnt)
        if counts == "read_twice":
            gain -= sum(item.newly_readable - item.no_longer_readable for item in learnt)
        return outcome == "accept", gain, -index

    return max(range(len(judged)), key=merit)


def _p_gain(learnt: Sequence[Comparison], counts: Counts) -> float:
    """The test of a gain on all of them together, by what counts as one."""
    fixed, broken = sum(item.fixed for item in learnt), sum(item.broken for item in learnt)
    clusters: Sequence[Cluster] = [one for item in learnt for one in item.clusters]
    if counts == "read_twice":
        fixed -= sum(item.newly_readable for item in learnt)
        broken -= sum(item.no_longer_readable for item in learnt)
        clusters = read_twice(clusters)
    return mcnemar_gain(fixed, broken, clusters)


def _p_worse(comparison: Comparison, margin: float) -> float:
    return not_worse(comparison.fixed, comparison.broken, comparison.n, margin, comparison.clusters)


def _may_be_worse(comparison: Comparison, rule: Rule) -> bool:
    """Whether a loss of the margin or more is not ruled out."""
    return not _p_worse(comparison, dict(rule.guards)[comparison.task]) <= rule.alpha_each


def _mark(comparison: Comparison, rule: Rule, improved: bool, failing: Sequence[Comparison]) -> Comparison:
    held = comparison not in failing
    if comparison.role == "learn":
        return replace(comparison, p_value=_p_gain([comparison], rule.counts), passed=improved and held)
    margin = dict(rule.guards)[comparison.task]
    return replace(comparison, p_value=_p_worse(comparison, margin), margin=margin, passed=held)


def _harm(comparison: Comparison, rule: Rule, than: str = "") -> str:
    margin = dict(rule.guards)[comparison.task]
    change = f"{100 * comparison.difference:+.1f} points, 95% interval {100 * comparison.low:+.1f} to"
    return (
        f"'{comparison.task}' may be worse{than} by {100 * margin:g} points or more"
        f" ({change} {100 * comparison.high:+.1f})"
    )

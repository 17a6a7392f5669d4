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
- A sequential rule asks the learnt tasks' dev questions in blocks and tests the gain after each, at an error that the
  looks share; it may end early. Guards are asked in full, and only if a gain was seen: they are tested as ever, on
  questions that no look chose.

Reads dev only; never test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, NamedTuple, get_args

import msgspec
from annotated_types import Interval
from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.records import Against, Cluster, Comparison, Counts, Evaluation, Look, Outcome, Role, Rule, Said, Verdict
from errorbook.stats import (
    Step,
    cluster,
    mcnemar,
    mcnemar_gain,
    not_worse,
    pair,
    paired_interval,
    read_twice,
    sum_groups,
    take_looks,
)


class GateSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[gate]`: the error rate of the whole run, shared by all cycles and candidates.

    `noise_floor` has the base asked a second time in other batches, so that a difference can be read beside what
    changes when nothing does. `counts` says what is a gain, `guards_against` what a guard is compared with.
    `sequential` asks dev in blocks, and may end before all of it is asked.
    """

    alpha: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    noise_floor: bool = True
    counts: Counts = "all"
    guards_against: Against = "both"
    sequential: bool = False


class Judgement(NamedTuple):
    """What the rule says of one candidate; each comparison has its verdict. See `Decision`."""

    outcome: Outcome
    reason: str
    comparisons: tuple[Comparison, ...]
    against_base: tuple[Comparison, ...] = ()
    form: bool = False
    looks: tuple[Look, ...] = ()


class Blockwise(NamedTuple):
    """The learnt tasks' comparisons block by block, as far as they were asked, for a sequential rule.

    `sizes` says of every block, asked or not, how many questions it has, of all learnt tasks together.
    """

    blocks: Sequence[Sequence[Comparison]]
    sizes: Sequence[int]

    @property
    def shares(self) -> list[float]:
        """Which share of all questions is asked by the end of each block."""
        return [total / sum(self.sizes) for total in accumulate(self.sizes)]


def compare(
    before: tuple[Evaluation, Mapping[str, Verdict]],
    after: tuple[Evaluation, Mapping[str, Verdict]],
    role: Role,
    margin: float = 0.0,
    together: Sequence[Sequence[str]] = (),
    among: Collection[str] | None = None,
) -> Comparison:
    """Pair two evaluations of the same examples, answered under the same settings; verdicts are by example id.

    The p-value is of the exact two-sided McNemar test, over sums of groups if questions belong together, for a task to
    learn, and of non-inferiority for a guard; the interval is Tango's at 95%. The ids in `together` say which questions
    belong together. An unscorable response counts as not right, on both sides. If `among` is given, only these of the
    questions are compared.

    Raises:
        StageError: The evaluations differ in anything but the checkpoint, or miss responses or verdicts; or the margin
            of a guard is no share.
    """
    (old, verdicts_before), (new, verdicts_after) = before, after
    require_comparable(old, new)
    if among is not None:
        verdicts_before, verdicts_after = (
            {key: side[key] for key in among if key in side} for side in (verdicts_before, verdicts_after)
        )
    n = old.n if among is None else len(among)
    if verdicts_before.keys() != verdicts_after.keys() or len(verdicts_before) != n:
        raise StageError(f"An evaluation of '{old.task}' is incomplete; give the same command again to finish it.")
    if not n or not {*verdicts_before.values(), *verdicts_after.values()} <= {*get_args(Verdict)}:
        raise StageError(f"An evaluation of '{old.task}' has responses without a verdict; nothing can be compared yet.")
    if role == "guard" and not 0 <= margin < 1:
        raise StageError(f"The margin of the guard '{old.task}' is {margin}; it must be a share below 1.")
    clusters = cluster(together, verdicts_before, verdicts_after)
    pairing = pair(Counter((verdict, verdicts_after[key]) for key, verdict in verdicts_before.items()), clusters)
    fixed, broken = pairing.fixed, pairing.broken
    low, high = paired_interval(fixed, broken, n, clusters=clusters)
    test = mcnemar(fixed, broken, clusters) if role == "learn" else not_worse(fixed, broken, n, margin, clusters)
    return Comparison(
        task=old.task,
        split=old.split,
        role=role,
        before=old.hash,
        after=new.hash,
        n=n,
        unscorable_before=pairing.unscorable_before,
        unscorable_after=pairing.unscorable_after,
        right_before=pairing.right_before,
        right_after=pairing.right_after,
        fixed=fixed,
        broken=broken,
        difference=(fixed - broken) / n,
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


def look(rule: Rule, asked: Blockwise) -> tuple[Look, ...]:
    """What a sequential rule says after each block; only if the last one says "go on" the next is to be asked.

    Raises:
        StageError: A comparison is not on dev, or not of a task that the rule learns from.
    """
    for item in (one for block in asked.blocks for one in block):
        if item.split != "dev" or item.task not in rule.learn:
            raise StageError("The gate looks at the dev questions of learnt tasks only; other answers may not end it.")
    steps = _take_looks(rule, asked, rule.counts)
    looks: list[Look] = []
    n = fixed = broken = 0
    for number, (step, block) in enumerate(zip(steps, asked.blocks, strict=False), 1):
        more_fixed, more_broken, _ = _count(block, rule.counts)
        n, fixed, broken = n + sum(item.n for item in block), fixed + more_fixed, broken + more_broken
        looks.append(
            Look(
                number=number,
                of=len(asked.shares),
                asked=n,
                fixed=fixed,
                broken=broken,
                p_value=step.p,
                allowed=step.allowed,
                chance=step.chance,
                said=_say(step, last=number == len(asked.shares)),
            )
        )
        if looks[-1].said != "go on":
            break
    return tuple(looks)


def judge(
    rule: Rule,
    comparisons: Sequence[Comparison],
    against_base: Sequence[Comparison] = (),
    asked: Blockwise | None = None,
) -> Judgement:
    """Apply the rule to one candidate's dev comparisons; `against_base` has the guards' if the cycle began elsewhere.

    A sequential rule needs what was `asked`, block by block. Without a gain it takes no comparison of a guard.

    Raises:
        StageError: A comparison is not on dev, a task of the rule is missing, or a number cannot be.
    """
    looks = look(rule, asked) if rule.sequential and asked is not None else ()
    if bool(looks) != rule.sequential or (asked is not None) != rule.sequential:
        raise StageError("A sequential gate decides by blocks of questions, and no other does; ask by the rule.")
    ended = bool(looks) and looks[-1].said != "gain"
    _require_sound(rule, comparisons, against_base, ended)
    by_task = {comparison.task: comparison for comparison in comparisons}
    learnt = [by_task[name] for name in rule.learn]
    gain = _Gain.of(learnt, rule, looks, asked)
    alpha = gain.needed
    if ended:
        judged = tuple(_mark(item, rule, gain, (), looks) for item in comparisons)
        reason = f"no significant gain on dev{_when(looks)} ({gain.numbers(alpha)}){gain.form_words(alpha)}"
        return Judgement("reject", reason, judged, looks=looks)
    since_parent = [] if against_base and rule.guards_against == "base" else [by_task[name] for name, _ in rule.guards]
    failing = [one for one in since_parent if _may_be_worse(one, rule)]
    failing_since_base = [one for one in against_base if _may_be_worse(one, rule)]
    judged = tuple(_mark(item, rule, gain, failing, looks) for item in comparisons)
    judged_base = tuple(_mark(item, rule, gain, failing_since_base) for item in against_base)
    rest = judged, judged_base, gain.is_form(alpha), looks
    if not gain.improved:
        return Judgement("reject", f"no significant gain on dev ({gain.numbers(alpha)}){gain.form_words(alpha)}", *rest)
    said = f"gain on dev{_when(looks)} ({gain.numbers(alpha)}){gain.form_words(alpha)}"
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
    needed: float
    improved: bool

    @classmethod
    def of(
        cls, learnt: Sequence[Comparison], rule: Rule, looks: Sequence[Look] = (), asked: Blockwise | None = None
    ) -> _Gain:
        """Add up the comparisons of the learnt tasks and test what counts by the rule, in looks if there are any."""
        if asked is not None:
            learnt = [item for block in asked.blocks[: len(looks)] for item in block]
        fixed, broken = sum(item.fixed for item in learnt), sum(item.broken for item in learnt)
        newly, gone = sum(item.newly_readable for item in learnt), sum(item.no_longer_readable for item in learnt)
        needed = looks[-1].allowed if looks else rule.alpha_each

        def test(counts: Counts) -> float:
            return _p_gain(learnt, counts) if asked is None else _take_looks(rule, asked, counts)[-1].p

        p = test("all")
        p_read = test("read_twice") if newly or gone else p
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
            needed=needed,
            improved=(p if rule.counts == "all" else p_read) <= needed,
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


def _take_looks(rule: Rule, asked: Blockwise, counts: Counts) -> list[Step]:
    return take_looks([sum_groups(*_count(block, counts)) for block in asked.blocks], asked.shares, rule.alpha_each)


def _say(step: Step, *, last: bool) -> Said:
    if step.gained:
        return "gain"
    return "no gain" if last else "hopeless" if step.hopeless else "go on"


def _when(looks: Sequence[Look]) -> str:
    """After which part of dev a sequential gate ended."""
    if not looks:
        return ""
    little = ", and too little chance of one" * (looks[-1].said == "hopeless")
    return f"{little} after {looks[-1].number} of {looks[-1].of} blocks"


def _require_sound(
    rule: Rule, comparisons: Sequence[Comparison], against_base: Sequence[Comparison], ended: bool
) -> None:
    """Refuse what the rule was not made for, and numbers that would let anything pass.

    If a sequential gate has `ended` without a gain, only what is learnt was asked.
    """
    if any(comparison.split != "dev" for comparison in (*comparisons, *against_base)):
        raise StageError("The gate was given a split other than dev; only dev may decide.")
    guards = {name for name, _ in rule.guards}
    if {item.task for item in comparisons} != {*rule.learn, *(() if ended else guards)}:
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

    def merit(index: int) -> tuple[bool, float, int]:
        outcome, comparisons = judged[index]
        learnt = [item for item in comparisons if item.role == "learn"]
        gain = sum(item.fixed - item.broken for item in learnt)
        if counts == "read_twice":
            gain -= sum(item.newly_readable - item.no_longer_readable for item in learnt)
        return outcome == "accept", gain / max(1, sum(item.n for item in learnt)), -index

    return max(range(len(judged)), key=merit)


def _p_gain(learnt: Sequence[Comparison], counts: Counts) -> float:
    """The test of a gain on all of them together, by what counts as one."""
    return mcnemar_gain(*_count(learnt, counts))


def _count(learnt: Sequence[Comparison], counts: Counts) -> tuple[int, int, Sequence[Cluster]]:
    """What of all of them together counts as fixed and broken, and the groups."""
    fixed, broken = sum(item.fixed for item in learnt), sum(item.broken for item in learnt)
    clusters: Sequence[Cluster] = [one for item in learnt for one in item.clusters]
    if counts == "read_twice":
        fixed -= sum(item.newly_readable for item in learnt)
        broken -= sum(item.no_longer_readable for item in learnt)
        clusters = read_twice(clusters)
    return fixed, broken, clusters


def _p_worse(comparison: Comparison, margin: float) -> float:
    return not_worse(comparison.fixed, comparison.broken, comparison.n, margin, comparison.clusters)


def _may_be_worse(comparison: Comparison, rule: Rule) -> bool:
    """Whether a loss of the margin or more is not ruled out."""
    return not _p_worse(comparison, dict(rule.guards)[comparison.task]) <= rule.alpha_each


def _mark(
    comparison: Comparison, rule: Rule, gain: _Gain, failing: Sequence[Comparison], looks: Sequence[Look] = ()
) -> Comparison:
    held = comparison not in failing
    if comparison.role == "learn" and looks:
        # Whichever look was the last one, the intervals of all of them hold together (Bonferroni).
        confidence = 1 - 0.05 / looks[-1].of
        item = comparison
        low, high = paired_interval(item.fixed, item.broken, item.n, confidence, item.clusters)
        comparison = replace(item, low=low, high=high)
    if comparison.role == "learn":
        p = looks[-1].p_value if looks else _p_gain([comparison], rule.counts)
        return replace(comparison, p_value=p, passed=gain.improved and held)
    margin = dict(rule.guards)[comparison.task]
    return replace(comparison, p_value=_p_worse(comparison, margin), margin=margin, passed=held)


def _harm(comparison: Comparison, rule: Rule, than: str = "") -> str:
    margin = dict(rule.guards)[comparison.task]
    change = f"{100 * comparison.difference:+.1f} points, 95% interval {100 * comparison.low:+.1f} to"
    return (
        f"'{comparison.task}' may be worse{than} by {100 * margin:g} points or more"
        f" ({change} {100 * comparison.high:+.1f})"
    )

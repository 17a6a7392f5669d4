"""The gate: paired Evaluations -> Decision. Is the new checkpoint better, by a rule that was fixed before the run?

The rule (recorded as `Rule` before the first cycle):

- A candidate must improve the tasks it learns from: one-sided exact McNemar on the paired dev responses of all of
  them together.
- No task may get worse: for every guard, and for every learnt task if there are several, "worse by the margin or
  more" must be rejected (Tango's score test on the paired responses).
- Each of the cycles x candidates applications is tested at alpha / (cycles x candidates), so that the chance that a
  useless run ever has a checkpoint accepted stays below alpha, whatever the target, and whichever candidate is
  picked. The guards need no further correction: all of them must pass (an intersection-union test).

Reads dev only; never test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from annotated_types import Interval
from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.records import Comparison, Evaluation, Outcome, Role, Rule, Verdict
from errorbook.stats import mcnemar, mcnemar_gain, not_worse, pair, paired_interval


class GateSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[gate]`: the error rate of the whole run, shared by all cycles and candidates.

    `noise_floor` has the base asked a second time in other batches, so that a difference can be read beside what
    changes when nothing does.
    """

    alpha: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    noise_floor: bool = True


def compare(
    before: tuple[Evaluation, Mapping[str, Verdict]],
    after: tuple[Evaluation, Mapping[str, Verdict]],
    role: Role,
    margin: float = 0.0,
) -> Comparison:
    """Pair two evaluations of the same examples, answered under the same settings; verdicts are by example id.

    The p-value is two-sided exact McNemar for a task to learn, non-inferiority for a guard; the interval is Tango's
    at 95%. An unscorable response counts as not right, on both sides.

    Raises:
        StageError: The evaluations differ in anything but the checkpoint, or miss responses.
    """
    (old, verdicts_before), (new, verdicts_after) = before, after
    require_comparable(old, new)
    if verdicts_before.keys() != verdicts_after.keys() or len(verdicts_before) != old.n:
        raise StageError(f"An evaluation of '{old.task}' is incomplete; give the same command again to finish it.")
    pairing = pair(Counter((verdict, verdicts_after[key]) for key, verdict in verdicts_before.items()))
    fixed, broken = pairing.fixed, pairing.broken
    low, high = paired_interval(fixed, broken, old.n)
    p_value = mcnemar(fixed, broken) if role == "learn" else not_worse(fixed, broken, old.n, margin)
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
        p_value=p_value,
        margin=margin,
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


def judge(rule: Rule, comparisons: Sequence[Comparison]) -> tuple[Outcome, str, tuple[Comparison, ...]]:
    """Apply the rule to one candidate's dev comparisons: the outcome, the reason, and each comparison's verdict.

    Raises:
        StageError: A comparison is not on dev, or a task of the rule is missing.
    """
    by_task = {comparison.task: comparison for comparison in comparisons}
    if any(comparison.split != "dev" for comparison in comparisons):
        raise StageError("The gate was given a split other than dev; only dev may decide.")
    if set(by_task) != {*rule.learn, *(name for name, _ in rule.guards)}:
        raise StageError("The gate lacks a task that its rule names; evaluate every task on dev.")
    alpha = rule.alpha_each
    learnt = [by_task[name] for name in rule.learn]
    fixed, broken = sum(item.fixed for item in learnt), sum(item.broken for item in learnt)
    gain = mcnemar_gain(fixed, broken)
    improved = gain <= alpha
    failing = [name for name, margin in rule.guards if _p_worse(by_task[name], margin) > alpha]
    judged = tuple(_mark(item, rule, improved, failing) for item in comparisons)
    numbers = f"{fixed} fixed, {broken} broken of {sum(item.n for item in learnt)}, p = {gain:.2g}, needed {alpha:.2g}"
    if not improved:
        return "reject", f"no significant gain on dev ({numbers})", judged
    if failing:
        return "reject", f"gain on dev ({numbers}), but {'; '.join(_harm(by_task[n], rule) for n in failing)}", judged
    return "accept", f"gain on dev ({numbers}); every guard within its margin", judged


def best(judged: Sequence[tuple[Outcome, tuple[Comparison, ...]]]) -> int:
    """Index of the candidate to report: an accepted one before the others, then the largest gain, then the first."""

    def merit(index: int) -> tuple[bool, float, int]:
        outcome, comparisons = judged[index]
        gain = sum(item.fixed - item.broken for item in comparisons if item.role == "learn")
        return outcome == "accept", gain, -index

    return max(range(len(judged)), key=merit)


def _p_worse(comparison: Comparison, margin: float) -> float:
    return not_worse(comparison.fixed, comparison.broken, comparison.n, margin)


def _mark(comparison: Comparison, rule: Rule, improved: bool, failing: Sequence[str]) -> Comparison:
    margins = dict(rule.guards)
    if comparison.role == "learn":
        p_value = mcnemar_gain(comparison.fixed, comparison.broken)
        return replace(comparison, p_value=p_value, passed=improved and comparison.task not in failing)
    margin = margins[comparison.task]
    p_value = _p_worse(comparison, margin)
    return replace(comparison, p_value=p_value, margin=margin, passed=comparison.task not in failing)


def _harm(comparison: Comparison, rule: Rule) -> str:
    margin = dict(rule.guards)[comparison.task]
    change = f"{100 * comparison.difference:+.1f} points, 95% interval {100 * comparison.low:+.1f} to"
    return (
        f"'{comparison.task}' may be worse by {100 * margin:g} points or more ({change} {100 * comparison.high:+.1f})"
    )

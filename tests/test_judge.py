import random

import pytest

from errorbook.errors import StageError
from errorbook.judge import best, compare, judge
from errorbook.records import Comparison, Evaluation, Generation, Role, Rule, Split, Verdict
from errorbook.stats import not_worse, paired_interval

RULE = Rule(alpha=0.05, tests=2, learn=("task",), guards=(("guard", 0.05),))


def evaluation(checkpoint: str, n: int, *, task: str = "task", split: Split = "dev", target: str = "t") -> Evaluation:
    settings = Generation(max_new_tokens=10)
    return Evaluation(
        checkpoint=checkpoint,
        task=task,
        split=split,
        target=target,
        examples="e",
        n=n,
        generation=settings,
        scorer="numeric",
    )


def comparison(fixed: int, broken: int, n: int, *, task: str = "task", role: Role = "learn") -> Comparison:
    before: dict[str, Verdict] = {str(i): "right" if i < broken else "wrong" for i in range(n)}
    after: dict[str, Verdict] = {str(i): "right" if broken <= i < broken + fixed else "wrong" for i in range(n)}
    sides = (evaluation("a", n, task=task), before), (evaluation("b", n, task=task), after)
    return compare(*sides, role, margin=0.05 if role == "guard" else 0.0)


def test_comparison_counts_pairs() -> None:
    found = comparison(12, 2, 50)
    assert (found.n, found.fixed, found.broken, found.right_before, found.right_after) == (50, 12, 2, 2, 12)
    assert (found.low, found.high) == paired_interval(12, 2, 50)


def test_a_clear_gain_with_safe_guards_is_accepted() -> None:
    outcome, reason, judged = judge(RULE, [comparison(30, 5, 100), comparison(0, 0, 200, task="guard", role="guard")])
    assert outcome == "accept"
    assert "30 fixed, 5 broken of 100" in reason
    assert all(item.passed for item in judged)


def test_no_gain_is_rejected_plainly() -> None:
    outcome, reason, judged = judge(RULE, [comparison(6, 5, 100), comparison(0, 0, 200, task="guard", role="guard")])
    assert outcome == "reject"
    assert reason.startswith("no significant gain on dev")
    assert not judged[0].passed


def test_a_harmed_guard_vetoes_a_gain() -> None:
    outcome, reason, judged = judge(RULE, [comparison(40, 0, 100), comparison(2, 20, 200, task="guard", role="guard")])
    assert outcome == "reject"
    assert "'guard' may be worse by 5 points or more" in reason
    assert judged[1].p_value == not_worse(2, 20, 200, 0.05)


def test_the_correction_counts_cycles_and_candidates() -> None:
    guard = comparison(0, 0, 400, task="guard", role="guard")
    strict = Rule(alpha=0.05, tests=20, learn=("task",), guards=(("guard", 0.05),))
    assert judge(RULE, [comparison(9, 1, 50), guard])[0] == "accept"
    assert judge(strict, [comparison(9, 1, 50), guard])[0] == "reject"


def test_only_dev_may_decide_and_nothing_may_be_missing() -> None:
    with pytest.raises(StageError, match="lacks a task"):
        judge(RULE, [comparison(9, 1, 50)])
    test_split = compare(
        (evaluation("a", 1, split="test"), {"x": "wrong"}), (evaluation("b", 1, split="test"), {"x": "right"}), "learn"
    )
    with pytest.raises(StageError, match="only dev may decide"):
        judge(RULE, [test_split])


def test_different_settings_are_not_compared() -> None:
    with pytest.raises(StageError, match="differ in more than the checkpoint"):
        compare(
            (evaluation("a", 1), {"x": "wrong"}),
            (evaluation("b", 1, target="another template"), {"x": "right"}),
            "learn",
        )
    with pytest.raises(StageError, match="incomplete"):
        compare((evaluation("a", 2), {"x": "wrong"}), (evaluation("b", 2), {"x": "right"}), "learn")


def test_an_accepted_candidate_is_preferred_to_a_larger_rejected_gain() -> None:
    judged = [("reject", (comparison(30, 0, 100),)), ("accept", (comparison(20, 0, 100),))]
    assert best(judged) == 1  # type: ignore[arg-type]


def test_a_useless_run_is_rarely_accepted() -> None:
    """The error rate over a whole run of two cycles stays below alpha: changes without direction on 300 items."""
    generator = random.Random(5)
    guard = comparison(0, 0, 400, task="guard", role="guard")
    runs, accepted = 400, 0
    for _ in range(runs):
        outcomes = []
        for _cycle in range(RULE.tests):
            changed = [generator.random() < 0.5 for _ in range(60)]
            outcomes.append(judge(RULE, [comparison(sum(changed), 60 - sum(changed), 300), guard])[0])
        accepted += "accept" in outcomes
    assert accepted / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5

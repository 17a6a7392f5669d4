import random
import re
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.judge import best, compare, judge, require_comparable, require_same_prompts
from errorbook.records import Comparison, Evaluation, Generation, Outcome, Role, Rule, Split, Verdict
from errorbook.stats import mcnemar, mcnemar_gain, not_worse, paired_interval, read_twice

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
    assert found.difference == 0.2
    assert (found.before, found.after) == (evaluation("a", 50).hash, evaluation("b", 50).hash)


def test_a_task_to_learn_is_tested_for_a_difference_and_a_guard_for_harm() -> None:
    learnt, guard = comparison(12, 2, 50), comparison(2, 12, 50, task="guard", role="guard")
    assert (learnt.p_value, learnt.margin) == (mcnemar(12, 2), 0.0)
    assert (guard.p_value, guard.margin) == (not_worse(2, 12, 50, 0.05), 0.05)
    sides = (evaluation("a", 1), {"x": "wrong"}), (evaluation("b", 1), {"x": "right"})
    assert compare(*sides, "guard").margin == 0.0  # type: ignore[arg-type]


def test_what_could_not_be_scored_is_not_right_and_is_counted_on_each_side() -> None:
    before: dict[str, Verdict] = {"a": "unscorable", "b": "unscorable", "c": "right", "d": "wrong"}
    after: dict[str, Verdict] = {"a": "right", "b": "wrong", "c": "unscorable", "d": "wrong"}
    found = compare((evaluation("a", 4), before), (evaluation("b", 4), after), "learn")
    assert (found.unscorable_before, found.unscorable_after) == (2, 1)
    assert (found.fixed, found.broken, found.right_before, found.right_after) == (1, 1, 1, 1)


def test_a_clear_gain_with_safe_guards_is_accepted() -> None:
    outcome, reason, judged, *_ = judge(
        RULE, [comparison(30, 5, 100), comparison(0, 0, 200, task="guard", role="guard")]
    )
    assert outcome == "accept"
    assert "30 fixed, 5 broken of 100" in reason
    assert all(item.passed for item in judged)


def test_no_gain_is_rejected_plainly() -> None:
    outcome, reason, judged, *_ = judge(
        RULE, [comparison(6, 5, 100), comparison(0, 0, 200, task="guard", role="guard")]
    )
    assert outcome == "reject"
    assert reason.startswith("no significant gain on dev")
    assert not judged[0].passed


def test_a_harmed_guard_vetoes_a_gain() -> None:
    outcome, reason, judged, *_ = judge(
        RULE, [comparison(40, 0, 100), comparison(2, 20, 200, task="guard", role="guard")]
    )
    assert outcome == "reject"
    low, high = paired_interval(2, 20, 200)
    assert reason == (
        "gain on dev (40 fixed, 0 broken of 100, p = 9.1e-13, needed 0.025), but 'guard' may be worse by 5 points or"
        f" more (-9.0 points, 95% interval {100 * low:+.1f} to {100 * high:+.1f})"
    )
    assert [item.passed for item in judged] == [True, False]
    assert [item.p_value for item in judged] == [mcnemar_gain(40, 0), not_worse(2, 20, 200, 0.05)]


def test_every_guard_that_may_be_harmed_is_named_with_the_margin_of_the_rule() -> None:
    rule = Rule(alpha=0.05, tests=2, learn=("task",), guards=(("guard", 0.02), ("other", 0.05), ("third", 0.5)))
    guards = [comparison(2, 20, 200, task=name, role="guard") for name in ("guard", "other", "third")]
    outcome, reason, judged, *_ = judge(rule, [comparison(40, 0, 100), *guards])
    assert outcome == "reject"
    assert re.search(r"but 'guard' may be worse by 2 points .*\); 'other' may be worse by 5 points [^;]*\)$", reason)
    assert [item.passed for item in judged] == [True, False, False, True]
    assert [item.margin for item in judged[1:]] == [0.02, 0.05, 0.5]


def test_a_p_value_that_equals_the_level_passes() -> None:
    guard = comparison(2, 6, 100, task="guard", role="guard")
    for alpha in (mcnemar_gain(3, 0), not_worse(2, 6, 100, 0.05)):
        rule = Rule(alpha=alpha, tests=1, learn=("task",), guards=(("guard", 0.05),))
        enough = [comparison(3, 0, 100), replace(guard, fixed=50, broken=0)]
        assert judge(rule, enough)[0] == ("accept" if alpha >= 0.125 else "reject")
        assert judge(rule, [comparison(40, 0, 100), guard])[2][1].passed == (alpha >= not_worse(2, 6, 100, 0.05))


def test_the_correction_counts_cycles_and_candidates() -> None:
    guard = comparison(0, 0, 400, task="guard", role="guard")
    strict = Rule(alpha=0.05, tests=20, learn=("task",), guards=(("guard", 0.05),))
    assert judge(RULE, [comparison(9, 1, 50), guard])[0] == "accept"
    assert judge(strict, [comparison(9, 1, 50), guard])[0] == "reject"


def test_only_dev_may_decide_and_nothing_may_be_missing() -> None:
    with pytest.raises(StageError, match=r"^The gate lacks a task that its rule names; evaluate every task on dev\.$"):
        judge(RULE, [comparison(9, 1, 50)])
    test_split = compare(
        (evaluation("a", 1, split="test"), {"x": "wrong"}), (evaluation("b", 1, split="test"), {"x": "right"}), "learn"
    )
    with pytest.raises(StageError, match=r"^The gate was given a split other than dev; only dev may decide\.$"):
        judge(RULE, [test_split])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"task": "other"}, r"the task \('task' and 'other'\)"),
        ({"split": "test"}, r"the split \('dev' and 'test'\)"),
        ({"scorer": "exact"}, r"the scorer \('numeric' and 'exact'\)"),
        ({"scorer": "numeric:1f2e3d4c"}, r"the scorer \('numeric' and 'numeric:1f2e3d4c'\)"),
        ({"examples": "others"}, "the examples"),
        ({"n": 2}, "the examples"),
        ({"target": "another template"}, "the target's base weights, chat template or engine"),
        ({"generation": Generation(max_new_tokens=20)}, r"the generation setting max_new_tokens \(10 and 20\)"),
        ({"generation": Generation(max_new_tokens=10, temperature=0.7)}, r"setting temperature \(0.0 and 0.7\)"),
        ({"generation": Generation(max_new_tokens=10, seed=3)}, r"setting seed \(0 and 3\)"),
        ({"generation": Generation(max_new_tokens=10, answer="options")}, r"setting answer \('text' and 'options'\)"),
        ({"target": "x", "examples": "y"}, "the examples and the target's base weights, chat template or engine"),
    ],
    ids=[
        "task",
        "split",
        "scorer",
        "scorer with options",
        "examples",
        "number",
        "target",
        "tokens",
        "temperature",
        "seed",
        "answer",
        "two",
    ],
)
def test_evaluations_that_differ_in_more_than_the_checkpoint_are_not_compared(
    changed: dict[str, Any], named: str
) -> None:
    before = evaluation("a", 1)
    after = replace(evaluation("b", 1), **changed)
    with pytest.raises(StageError, match=f"differ in more than the checkpoint: .*{named}.*; evaluate both in one way"):
        compare((before, {"x": "wrong"}), (after, {"x": "right"}), "learn")


def test_everything_that_identifies_an_evaluation_but_the_checkpoint_is_compared() -> None:
    """A field that is added to the record is not forgotten here."""
    before = evaluation("a", 1)
    other: dict[str, Any] = {
        "checkpoint": "b",
        "task": "other",
        "split": "test",
        "target": "t2",
        "examples": "e2",
        "n": 2,
        "generation": Generation(max_new_tokens=11),
        "scorer": "exact",
    }
    assert set(other) == set(Evaluation.__struct_fields__)
    for field, value in other.items():
        after = replace(before, **{field: value})
        if field == "checkpoint":
            require_comparable(before, after)
        else:
            with pytest.raises(StageError):
                require_comparable(before, after)


def test_an_unfinished_evaluation_is_not_compared() -> None:
    with pytest.raises(StageError, match="incomplete"):
        compare((evaluation("a", 2), {"x": "wrong"}), (evaluation("b", 2), {"x": "right"}), "learn")


CHANGED = (
    r"^The prompts of 1 of 2 questions of 'task' changed between two evaluations; evaluate both in one way to compare"
    r" them\.$"
)


def test_questions_put_in_other_words_are_not_compared() -> None:
    require_same_prompts("task", 0, 2)
    with pytest.raises(StageError, match=CHANGED):
        require_same_prompts("task", 1, 2)


def test_an_accepted_candidate_is_preferred_to_a_larger_rejected_gain() -> None:
    judged = [("reject", (comparison(30, 0, 100),)), ("accept", (comparison(20, 0, 100),))]
    assert best(judged) == 1  # type: ignore[arg-type]


def test_of_equal_outcomes_the_largest_gain_on_learnt_tasks_counts_then_the_first() -> None:
    guard = comparison(90, 0, 100, task="guard", role="guard")
    candidates: list[tuple[Outcome, tuple[Comparison, ...]]] = [
        ("reject", (comparison(9, 6, 100), guard)),
        ("reject", (comparison(8, 3, 100),)),
        ("reject", (comparison(5, 0, 100),)),
    ]
    assert best(candidates) == 1
    assert best(candidates[::-1]) == 0
    assert best(candidates[:1]) == 0


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


def grouped(
    changes: list[tuple[int, int]], size: int, *, same: int = 0, task: str = "task", role: Role = "learn"
) -> Comparison:
    """Groups of one size with so many fixed and broken each, and `same` groups in which nothing changed."""
    before: dict[str, Verdict] = {}
    after: dict[str, Verdict] = {}
    together = []
    for number, (fixed, broken) in enumerate([*changes, *[(0, 0)] * same]):
        ids = [f"{number}-{place}" for place in range(size)]
        together.append(tuple(ids))
        before |= {id: "right" if place < broken else "wrong" for place, id in enumerate(ids)}
        after |= {id: "right" if broken <= place < broken + fixed else "wrong" for place, id in enumerate(ids)}
    sides = (evaluation("a", len(before), task=task), before), (evaluation("b", len(before), task=task), after)
    return compare(*sides, role, 0.05 if role == "guard" else 0.0, together)


def test_a_question_that_is_there_twelve_times_is_fixed_once() -> None:
    guard = comparison(0, 0, 400, task="guard", role="guard")
    found = judge(RULE, [grouped([(12, 0), (12, 0)], 12, same=8), guard])

    assert found.outcome == "reject"
    assert "24 fixed, 0 broken of 120 in 10 groups, p = 0.25, needed 0.025" in found.reason
    assert judge(RULE, [comparison(24, 0, 120), guard]).outcome == "accept", "as it would be without groups"
    assert judge(RULE, [grouped([(12, 0)] * 6, 12, same=4), guard]).outcome == "accept"


def test_a_guard_of_few_groups_cannot_be_shown_to_be_safe() -> None:
    learnt = comparison(30, 5, 100)
    few, many = (grouped([], 10, same=n, task="guard", role="guard") for n in (20, 200))

    assert judge(RULE, [learnt, few]).outcome == "reject"
    assert judge(RULE, [learnt, many]).outcome == "accept"
    assert (few.groups, few.n) == (20, 200)


def test_a_margin_is_spent_once_and_not_again_in_every_cycle() -> None:
    learnt = comparison(30, 5, 100)
    since_parent = comparison(1, 5, 400, task="guard", role="guard")
    since_base = comparison(2, 22, 400, task="guard", role="guard")

    found = judge(RULE, [learnt, since_parent], [since_base])

    assert judge(RULE, [learnt, since_parent]).outcome == "accept"
    assert found.outcome == "reject"
    assert "'guard' may be worse than the base by 5 points or more (-5.0 points" in found.reason
    assert ([item.passed for item in found.comparisons], [item.passed for item in found.against_base]) == (
        [True, True],
        [False],
    )
    assert found.against_base[0].p_value == not_worse(2, 22, 400, 0.05)


def test_the_rule_may_ask_for_the_base_alone() -> None:
    rule = replace(RULE, guards_against="base")
    learnt, fallen = comparison(30, 5, 100), comparison(2, 40, 400, task="guard", role="guard")
    risen = comparison(20, 15, 400, task="guard", role="guard")

    assert judge(rule, [learnt, fallen], [risen]).outcome == "accept"
    assert judge(RULE, [learnt, fallen], [risen]).outcome == "reject"
    assert judge(rule, [learnt, fallen]).outcome == "reject", "the cycle began with the base"


def read(
    fixed: int, broken: int, newly: int, gone: int = 0, n: int = 100, together: Sequence[Sequence[str]] = ()
) -> Comparison:
    """A comparison with so many changes among readable answers, and so many from and to unscorable ones."""
    pairs: list[tuple[Verdict, Verdict]] = [("wrong", "right")] * fixed
    pairs += [("right", "wrong")] * broken
    form: list[tuple[Verdict, Verdict]] = [("unscorable", "right")] * newly
    form += [("right", "unscorable")] * gone
    pairs += form
    pairs += [("wrong", "wrong")] * (n - len(pairs))
    before, after = ({str(i): one[side] for i, one in enumerate(pairs)} for side in (0, 1))
    return compare((evaluation("a", n), before), (evaluation("b", n), after), "learn", together=together)


SAFE = comparison(0, 0, 400, task="guard", role="guard")


def test_a_gain_of_form_alone_is_named_so() -> None:
    found = judge(RULE, [read(0, 0, 40), SAFE])

    assert (found.outcome, found.form) == ("accept", True)
    assert (
        "40 of the 40 fixed newly readable (0 fixed, 0 broken without them, p = 1): a gain of form alone;"
        in found.reason
    )
    assert (found.comparisons[0].newly_readable, found.comparisons[0].fixed) == (40, 40)


def test_a_gain_that_needs_form_to_be_shown_is_not_called_form_alone() -> None:
    found = judge(RULE, [read(4, 0, 20, gone=1), SAFE])

    assert (found.outcome, found.form) == ("accept", True)
    assert (
        "20 of the 24 fixed newly readable, 1 of the broken no longer readable (4 fixed, 0 broken without"
        in found.reason
    )
    assert ": a gain that is not shown without form;" in found.reason


def test_a_gain_of_knowledge_stays_one_if_answers_became_readable_too() -> None:
    found = judge(RULE, [read(30, 5, 10), SAFE])

    assert (found.outcome, found.form) == ("accept", False)
    assert "10 of the 40 fixed newly readable (30 fixed, 5 broken without them" in found.reason
    assert "form" not in found.reason


def test_the_rule_may_count_what_was_read_twice_alone() -> None:
    rule = replace(RULE, counts="read_twice")
    form, knowledge = judge(rule, [read(0, 0, 40), SAFE]), judge(rule, [read(30, 5, 0, gone=20), SAFE])

    assert (form.outcome, form.form) == ("reject", True)
    assert form.reason.startswith(
        "no significant gain on dev (among answers read before and after 0 fixed, 0 broken of 100"
    )
    assert form.reason.endswith(", 40 of the 40 fixed newly readable: a gain of form alone")
    assert knowledge.outcome == "accept"
    judged: list[tuple[Outcome, tuple[Comparison, ...]]] = [
        ("accept", (read(9, 0, 40),)),
        ("accept", (read(30, 5, 0),)),
    ]
    assert (best(judged), best(judged, "read_twice")) == (0, 1)


def test_the_p_of_a_comparison_is_of_the_changes_that_count_by_the_rule() -> None:
    groups = [[str(n) for n in range(start, start + 3)] for start in range(0, 30, 3)]
    plain, grouped = read(14, 9, 11, gone=2), read(14, 9, 11, gone=2, together=groups)

    for item, clusters in ((plain, ()), (grouped, grouped.clusters)):
        everything = judge(RULE, [item, SAFE]).comparisons[0]
        twice = judge(replace(RULE, counts="read_twice"), [item, SAFE])
        assert everything.p_value == mcnemar_gain(25, 11, clusters)
        assert twice.comparisons[0].p_value == mcnemar_gain(14, 9, read_twice(clusters))
        assert f"p = {twice.comparisons[0].p_value:.2g}, needed" in twice.reason
        assert (twice.outcome, twice.comparisons[0].passed) == ("reject", False)


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -0.1, 0.0, 1.0])
def test_a_rule_with_a_margin_that_is_no_share_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=r"^The margin of 'guard' is .*; it must be between 0 and 1\.$"):
        Rule(alpha=0.05, tests=1, learn=("task",), guards=(("guard", margin),))


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 0.0, 1.0, -1.0])
def test_a_rule_with_an_alpha_that_is_no_share_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"^The gate's alpha is .*; it must be between 0 and 1\.$"):
        replace(RULE, alpha=alpha)
    with pytest.raises(ValueError, match=r"is said to be spent; it is at most all\.$"):
        replace(RULE, spent=0.06)
    with pytest.raises(ValueError, match=r"is applied 0 times"):
        replace(RULE, tests=0)


def test_a_guard_is_not_compared_with_a_margin_that_is_no_share() -> None:
    sides = (evaluation("a", 1), {"x": "wrong"}), (evaluation("b", 1), {"x": "right"})
    with pytest.raises(StageError, match=r"^The margin of the guard 'task' is nan; it must be a share below 1\.$"):
        compare(*sides, "guard", float("nan"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"fixed": -1}, {"fixed": 60, "broken": 60}, {"n": 0}, {"newly_readable": 99}, {"no_longer_readable": 99}]
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(StageError, match=r"^The comparison of 'task' has numbers that cannot be; evaluate it anew\.$"):
        judge(RULE, [replace(comparison(30, 5, 100), **wrong), SAFE])


def test_nothing_is_compared_while_a_verdict_is_missing() -> None:
    sides = (evaluation("a", 1), {"x": ""}), (evaluation("b", 1), {"x": "right"})
    with pytest.raises(StageError, match=r"has responses without a verdict; nothing can be compared yet\.$"):
        compare(*sides, "learn")  # type: ignore[arg-type]


def test_the_base_is_compared_with_for_every_guard_or_for_none() -> None:
    rule = replace(RULE, guards=(("guard", 0.05), ("other", 0.05)))
    comparisons = [comparison(30, 5, 100), SAFE, replace(SAFE, task="other")]
    with pytest.raises(StageError, match=r"^The gate lacks a guard's comparison with the base; "):
        judge(rule, comparisons, [SAFE])

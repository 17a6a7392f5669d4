"""Runs whose gate asks dev in blocks: it ends early either way, asks guards after a gain only, and can be stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from loop_kit import RUN_FILE, config
from msgspec.structs import replace

import errorbook
from errorbook.config import Config, parse
from errorbook.errors import StageError
from errorbook.judge import Blockwise, best, judge, look
from errorbook.ledger import keys
from errorbook.ledger.events import Event
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.records import Blocks, Checkpoint, Comparison, Decision, Evaluation, Rule
from errorbook.render.markdown import render
from errorbook.render.terminal import report_text
from errorbook.report.build import build
from errorbook.setup.plan import make_plan
from errorbook.stats import detectable_gain, paired_interval


def sequential(**changes: str) -> Config:
    given = config(**changes)
    return replace(given, gate=replace(given.gate, sequential=True))


def answers(ledger: Ledger, task: str, checkpoint: str) -> int:
    found = [
        item for item in ledger.all(Evaluation) if (item.task, item.split, item.checkpoint) == (task, "dev", checkpoint)
    ]
    return sum(ledger.tally(item).n for item in found)


def test_a_clear_gain_is_accepted_before_all_of_dev_is_asked(tmp_path: Path) -> None:
    errorbook.run(sequential(cycles="1", gain="0.6"), tmp_path)

    with open_ledger(tmp_path) as ledger:
        decision = ledger.find(Decision, keys.decision(1))
        assert decision is not None
        assert decision.outcome == "accept", decision.reason
        *before, last = decision.looks
        assert [item.said for item in before] == ["go on"] * len(before)
        assert {item.of for item in decision.looks} == {7}
        assert last.said == "gain"
        assert last.p_value <= last.allowed < 0.05
        learnt, guard = decision.comparisons
        assert learnt.n == last.asked == answers(ledger, "arithmetic", decision.candidate) < 78
        assert guard.n == answers(ledger, "retention", decision.candidate) == 70
        assert f"after {last.number} of 7 blocks" in decision.reason
        wide = paired_interval(learnt.fixed, learnt.broken, learnt.n, 1 - 0.05 / 7)
        assert (learnt.low, learnt.high) == wide
        report = build(ledger)
        for shown in (render(report), report_text(report, plain_text=True)):
            assert "blocks" in shown


def test_a_hopeless_candidate_is_not_asked_for_long_and_no_guard_is(tmp_path: Path) -> None:
    errorbook.run(sequential(cycles="1", gain="-0.2"), tmp_path)

    with open_ledger(tmp_path) as ledger:
        decision = ledger.find(Decision, keys.decision(1))
        assert decision is not None
        assert decision.outcome == "reject"
        assert decision.looks[-1].said == "hopeless"
        assert "too little chance" in decision.reason
        assert [item.task for item in decision.comparisons] == ["arithmetic"]
        assert answers(ledger, "arithmetic", decision.candidate) == decision.looks[-1].asked < 78
        assert answers(ledger, "retention", decision.candidate) == 0
        assert "no gain was shown" in render(build(ledger)).lower()


def test_blocks_are_drawn_before_the_first_answer_and_everyone_is_asked_by_them(tmp_path: Path) -> None:
    errorbook.run(sequential(cycles="1"), tmp_path)

    with open_ledger(tmp_path) as ledger:
        [drawn] = ledger.all(Blocks)
        base = ledger.find(Checkpoint, keys.BASE)
        assert base is not None
        assert answers(ledger, "arithmetic", base.hash) == sum(map(len, drawn.blocks)) == 78


class StopHereError(Exception):
    """The run was stopped by hand."""


def stop_at(number: int) -> Iterator[Event | None]:
    """To be sent every event; ends the run at the so-many-th."""
    for _ in range(number):
        yield None
    raise StopHereError


@pytest.mark.parametrize("gain", ["0.25", "-0.2"])
def test_a_run_that_is_stopped_anywhere_ends_as_the_undisturbed_one(gain: str, tmp_path: Path) -> None:
    wanted = sequential(cycles="1", gain=gain)
    errorbook.run(wanted, tmp_path / "calm")
    stops = 0
    for number in range(4, 400, 31):
        events = stop_at(number)
        try:
            errorbook.run(wanted, tmp_path / "stopped", watch=lambda event, events=events: next(events, None))  # type: ignore[misc]
            break
        except StopHereError:
            stops += 1
    assert stops >= 1
    with open_ledger(tmp_path / "calm") as calm, open_ledger(tmp_path / "stopped") as stopped:
        assert stopped.digest() == calm.digest()


def test_the_plan_names_a_larger_gain() -> None:
    whole, looks = make_plan(config()), make_plan(sequential())

    assert whole.detectable is not None
    assert looks.detectable is not None
    assert looks.detectable > whole.detectable
    assert detectable_gain(78, 0.025, in_looks=True) == detectable_gain(78, 0.025, power=0.88)


# The rule alone -----------------------------------------------------------------------------------------------------

RULE = Rule(alpha=0.05, tests=1, learn=("sums",), guards=(("words", 0.05),), sequential=True)


def compared(task: str, n: int, fixed: int, broken: int, **changes: int) -> Comparison:
    given = {
        "task": task, "split": "dev", "role": "learn" if task == "sums" else "guard", "before": "a", "after": "b",
        "n": n, "right_before": 0, "right_after": 0, "fixed": fixed, "broken": broken, "difference": 0.0, "low": -1.0,
        "high": 1.0, "p_value": 1.0,
    }  # fmt: skip
    return Comparison(**{**given, **changes})  # type: ignore[arg-type]


def test_a_gain_is_no_acceptance_if_a_guard_may_be_worse() -> None:
    asked = Blockwise([[compared("sums", 50, 20, 1)]], [50, 50])
    judged = judge(RULE, [compared("sums", 50, 20, 1), compared("words", 400, 5, 40)], (), asked)

    assert judged.outcome == "reject"
    assert "'words' may be worse" in judged.reason
    assert judge(RULE, [compared("sums", 50, 20, 1), compared("words", 400, 9, 9)], (), asked).outcome == "accept"


def test_answers_that_became_readable_do_not_end_a_gate_that_counts_those_read_twice() -> None:
    rule = replace(RULE, counts="read_twice")
    form = compared("sums", 50, 20, 1, newly_readable=19)
    asked = Blockwise([[form]], [50, 50])

    assert look(replace(rule, counts="all"), asked)[-1].said == "gain"
    assert look(rule, asked)[-1].said != "gain"
    judged = judge(RULE, [form, compared("words", 400, 9, 9)], (), asked)
    assert judged.form
    assert "a gain that is not shown without form" in judged.reason or "form alone" in judged.reason


def test_what_the_rule_does_not_ask_for_is_refused() -> None:
    sums, words = compared("sums", 50, 20, 1), compared("words", 400, 9, 9)
    asked = Blockwise([[sums]], [50, 50])
    with pytest.raises(StageError, match="blocks"):
        judge(RULE, [sums, words])
    with pytest.raises(StageError, match="blocks"):
        judge(replace(RULE, sequential=False), [sums, words], (), asked)
    with pytest.raises(StageError, match="learnt"):
        look(RULE, Blockwise([[words]], [400]))
    with pytest.raises(StageError, match="lacks"):
        judge(RULE, [sums], (), asked)
    with pytest.raises(StageError, match="lacks"):
        judge(RULE, [compared("sums", 50, 1, 9), words], (), Blockwise([[compared("sums", 50, 1, 9)]], [50, 50]))


def test_candidates_that_were_asked_less_are_compared_by_their_share() -> None:
    few, many = compared("sums", 50, 20, 0), compared("sums", 100, 30, 0)

    assert best([("accept", (many,)), ("accept", (few,))]) == 1


def test_learnt_tasks_that_guard_each_other_are_asked_in_full_after_a_gain(tmp_path: Path) -> None:
    rows = [
        {"question": f"Calculate {n} + {n + 7}.", "answer": 2 * n + 7, "solution": f"{n} + {n + 7} = {2 * n + 7}"}
        for n in range(100, 310)
    ]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    second = f'name = "sums"\nkind = "jsonl"\npath = "{tmp_path / "sums.jsonl"}"\nsolution = "solution"\ntrain = 30'
    text = RUN_FILE.replace('name = "retention"\nrole = "guard"\ntrain = 14', second).replace(
        "gain = 0.25", "gain = 0.6"
    )
    given = parse(text + '\n[verify]\nanswers = "trust"\n')
    errorbook.run(replace(given, gate=replace(given.gate, sequential=True)), tmp_path / "run")

    with open_ledger(tmp_path / "run") as ledger:
        first = ledger.find(Decision, keys.decision(1))
        assert first is not None
        assert first.outcome == "accept", first.reason
        assert first.comparisons[1].n == answers(ledger, "sums", first.candidate)
        assert first.looks[-1].asked < sum(item.n for item in first.comparisons)
        sizes = {item.task: [len(block) for block in item.blocks] for item in ledger.all(Blocks)}
        assert {item.task: item.n for item in first.comparisons} == {task: sum(of) for task, of in sizes.items()}
        assert first.looks[-1].asked == sum(sum(of[: len(first.looks)]) for of in sizes.values())

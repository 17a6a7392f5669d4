"""What samples cost, by kind of error: every dollar is somewhere, and none twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_run import KINDS, write_run

from errorbook.config import parse
from errorbook.ledger import keys
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Call, Diagnosis, Draft, Failure, Sample
from errorbook.render.markdown import render
from errorbook.render.terminal import report_text
from errorbook.report.build import build
from errorbook.report.costs import cost_by_kind
from errorbook.report.status import read_status

RUN_FILE = """
[run]
name = "costly"
cycles = 1

[target]
engine = "scripted"

[instructor]
kind = "scripted"
cost_usd = COST

[[tasks]]
name = "arithmetic"
train = 26
dev = 26
test = 26

[strategy]
name = "NAME"
retriever = "scripted"

[train]
method = "scripted"
"""


def test_calls_are_traced_to_the_mistake_that_they_were_made_for(tmp_path: Path) -> None:
    write_run(tmp_path)
    spent: Counter[str] = Counter()
    with open_ledger(tmp_path, "write") as ledger:
        kinds = {diagnosis.hash: diagnosis.error_kind for diagnosis in ledger.all(Diagnosis)}
        for diagnosis in ledger.all(Diagnosis):
            spent[diagnosis.error_kind] += 250
        for number, (diagnosed, kind) in enumerate(kinds.items(), 1):
            for turn in range(2):  # two rounds
                call = Call(instructor="i", purpose="write", subject=f"{number}/{turn}", cost_usd=number / 1000)
                ledger.append(call, keys.call("write", f"{number}/{turn}"), 1, diagnosed)
                spent[kind] += number
        for number, draft in enumerate(list(ledger.all(Draft))):
            call = Call(instructor="i", purpose="verify", subject=f"{draft.hash}:0", cost_usd=0.002)
            ledger.append(call, keys.call("vote", str(number)), 1, draft.hash)
            spent[kinds[draft.diagnosis]] += 2
        spent[""] = 250 * len(list(ledger.all(Failure)))
        of_draft = {draft.hash: kinds[draft.diagnosis] for draft in ledger.all(Draft)}
        accepted = Counter(of_draft[sample.draft] for sample in ledger.all(Sample))
        found = cost_by_kind(ledger)
        total = ledger.total_cost()

    assert {item.kind for item in found} == {*KINDS, ""}
    assert {item.kind: round(item.usd * 1000) for item in found} == dict(spent)
    assert {item.kind: item.samples for item in found} == {kind: accepted[kind] for kind in spent}
    assert all(item.each == (item.usd / item.samples if item.samples else None) for item in found)
    assert sum(item.usd for item in found) == pytest.approx(total, abs=1e-9)
    assert [item.usd for item in found] == sorted((item.usd for item in found), reverse=True)


@settings(max_examples=10, deadline=None)
@given(st.integers(min_value=1, max_value=20))
def test_the_parts_make_up_the_whole_at_any_moment(tmp_path_factory: pytest.TempPathFactory, steps: int) -> None:
    with open_ledger(write_run(tmp_path_factory.mktemp("part"), stop_after=steps)) as ledger:
        report, status = build(ledger), read_status(ledger)
    parts = report.spending.by_kind

    assert sum(item.usd for item in parts) == pytest.approx(report.spending.usd, abs=1e-9)
    assert sum(item.samples for item in parts) == status.samples
    assert status.cost_by_kind == parts
    assert status.usd_per_sample == report.spending.usd_per_sample


@pytest.mark.parametrize("strategy", ["error", "cluster", "undirected"])
def test_a_whole_run_is_accounted_for_and_shown(tmp_path: Path, strategy: str) -> None:
    run(parse(RUN_FILE.replace("COST", "0.007").replace("NAME", strategy)), tmp_path)
    with open_ledger(tmp_path) as ledger:
        report, calls = build(ledger), ledger.count(Call)
    spending = report.spending
    kinds = {item.kind: item for item in spending.by_kind}

    assert set(kinds) == ({""} if strategy == "undirected" else {"scripted"})
    assert sum(item.usd for item in spending.by_kind) == pytest.approx(0.007 * calls, abs=1e-9)
    if report.funnel.samples:
        assert spending.usd_per_sample == pytest.approx(0.007 * calls / report.funnel.samples)
    for text in (report_text(report, plain_text=True), render(report)):
        assert "Cost of verified samples" in text
        assert f"${0.007 * calls:.4f}" in text


def test_what_costs_nothing_is_not_split_up(tmp_path: Path) -> None:
    run(parse(RUN_FILE.replace("COST", "0.0").replace("NAME", "error")), tmp_path)
    with open_ledger(tmp_path) as ledger:
        report = build(ledger)

    assert report.spending.by_kind == ()
    assert "Cost of verified samples" not in report_text(report, plain_text=True) + render(report)

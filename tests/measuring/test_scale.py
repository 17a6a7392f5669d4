"""The bookkeeping at size: right at twenty thousand rows, and no faster than linear in what it does.

Wall time is measured by `benchmarks.scale`; here work is counted, which no busy machine changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from benchmarks import scale, scale_duplicates, scale_ledger, scale_retrieval
from benchmarks.scale_marks import Value
from errorbook.adapters.retrievers.searching import find_nearest
from errorbook.checks.taken import Protected, Taken
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.records import Call, Diagnosis, Evaluation
from errorbook.report.build import build


def by_name(values: list[Value]) -> dict[str, float]:
    return {value.name: value.value for value in values}


@pytest.fixture(autouse=True)
def invented_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERRORBOOK_DATA", raising=False)
    monkeypatch.setattr(scale_duplicates, "HELD_OUT", 500)


def test_a_ledger_of_twenty_thousand_responses_reports_each_of_them(tmp_path: Path) -> None:
    values = by_name(scale_ledger.measure(20_000, tmp_path))

    assert values["responses"] == values["responses in the report"] == 20_000
    with open_ledger(tmp_path) as ledger:
        report = build(ledger)
    sums = report.tasks["sums"]["test"]
    assert sums.final is not None
    assert (sums.base.right, sums.final.right, sums.fixed, sums.broken) == (1600, 1800, 200, 0)
    assert sum(skill.base.n for skill in report.skills) == 2000
    assert sum(skill.fixed for skill in report.skills) == 200
    assert [(kind.n, kind.fixed) for kind in report.error_kinds] == [(100, 0), (100, 100)] * 2
    assert report.spending.calls == 800
    assert report.spending.usd == pytest.approx(0.8)
    assert sum(kind.usd for kind in report.spending.by_kind) == pytest.approx(0.8)
    assert [len(case.drafts) for case in report.cases] == [2] * 24


def test_the_work_of_a_report_grows_as_the_ledger(tmp_path: Path) -> None:
    """SQLite's virtual machine is asked for a callback every 1,000 instructions; those are counted."""

    def work(rows: int, of: Callable[[Ledger], object]) -> int:
        folder = tmp_path / str(rows)
        if not folder.exists():
            scale_ledger.measure(rows, folder)
        with open_ledger(folder) as ledger:
            count = 0

            def tick() -> int:
                nonlocal count
                count += 1
                return 0

            ledger._sql.set_progress_handler(tick, 1000)
            of(ledger)
            return count

    def resume(ledger: Ledger) -> int:
        return sum(len(ledger.answered(evaluation)) for evaluation in ledger.all(Evaluation))

    for of in (build, resume):
        small, large = work(2_000, of), work(10_000, of)
        assert 0 < large < 6 * small


def test_asking_what_was_spent_after_every_call_reads_only_the_new_ones(tmp_path: Path) -> None:
    def spend(calls: int) -> int:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        with open_ledger(tmp_path / str(calls), "write") as ledger:
            ledger._sql.set_progress_handler(tick, 100)
            for number in range(calls):
                call = Call(instructor="i", purpose="write", subject=str(number), cost_usd=0.5)
                ledger.append(call, key=str(number))
                assert ledger.total_cost() == (number + 1) / 2
        return count

    assert spend(400) < 6 * spend(100)


def test_a_response_is_found_by_hash_with_and_without_its_example(tmp_path: Path) -> None:
    scale_ledger.measure(200, tmp_path)
    with open_ledger(tmp_path) as ledger:
        diagnosis = next(ledger.all(Diagnosis))
        found = ledger.response(diagnosis.response, diagnosis.example)
        assert found is not None
        assert found.hash == diagnosis.response
        assert found == ledger.response(diagnosis.response)
        assert ledger.response(diagnosis.response, "another example") is None
        evaluation = next(item for item in ledger.all(Evaluation) if item.hash == found.evaluation)
        assert ledger.answer(evaluation, found.example) == found
        assert ledger.answer(evaluation, "another example") is None


@pytest.mark.parametrize("kind", ["clustered", "uniform"])
def test_every_true_neighbour_is_found(kind: str) -> None:
    candidates, queries = (scale_retrieval.vectors(kind, n, seed=n) for n in (20_000, 40))

    places, _ = find_nearest(queries, candidates, 3)

    assert scale_retrieval.recall(places, scale_retrieval.truth(queries, candidates, 3)) == 1.0
    assert scale_retrieval.recall(places[:, ::-1] + 1, scale_retrieval.truth(queries, candidates, 3)) < 0.5


def test_planted_duplicates_and_leaks_are_found_and_little_else(tmp_path: Path) -> None:
    values = by_name(scale_duplicates.measure(4_000, tmp_path))

    assert values["near duplicates found"] >= 0.99
    assert values["contaminated found"] == 1.0
    assert values["others kept"] >= 0.99


def test_what_is_decided_does_not_depend_on_what_is_asked_besides() -> None:
    """The first draft wins, whatever was looked up in between."""
    drafts = [draft.question for draft in scale_duplicates.planted(600, scale_duplicates._held_out()[0], seed=1)]
    plain, asked = Taken(0.8), Taken(0.8)

    def decide(taken: Taken, question: str) -> str:
        refusal = taken.clash(question)
        if refusal is None:
            taken.add(question)
        return refusal.detail if refusal else ""

    first = [decide(plain, question) for question in drafts]
    second = []
    for number, question in enumerate(drafts):
        asked.clash(drafts[-number])
        second.append(decide(asked, question))
    assert first == second
    assert len([detail for detail in first if detail]) > 10
    assert Protected([], [], 10).clash(drafts[0], "1") is None


def test_each_part_says_whether_its_mark_is_kept(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scale", "ledger", "--rows", "500", "--json"])

    assert scale.main() == 0

    report = msgspec.json.decode(capfd.readouterr().out, type=scale.Report)
    assert {value.part for value in report.values} == {"ledger"}
    assert {"append", "resume-skip", "report", "peak memory"} <= {value.name for value in report.values}
    assert report.machine
    for value, verdict in ((6, "MISSED"), (4, "kept")):
        values = [Value(part="p", name="n", value=value, mark="< 5")]
        assert f"| {verdict} |" in scale.render(scale.Report(machine="here", rows=scale.FULL, values=values))

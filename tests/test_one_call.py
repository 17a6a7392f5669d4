"""Analysis and drafts in one call, the blind instructor, and the cap on samples by task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loop_kit import config
from msgspec.structs import replace
from teacher_kit import example, mistake, teacher

from errorbook.adapters.instructors.asking import (
    AskingSettings,
    build_diagnose_prompt,
    build_teach_prompt,
    build_write_prompt,
)
from errorbook.adapters.instructors.scripted import ScriptedInstructor
from errorbook.config import Config, parse
from errorbook.errors import BudgetError, ConfigError
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Assignment, Call, Diagnosis, Draft, Example, Failure, Mistake, Neighbours, Sample, Taught
from errorbook.report.question_story import read_call_story, read_story
from errorbook.setup.plan import make_plan
from errorbook.strategies.section import StrategySection
from errorbook.testing import server


def one_call(*, cycles: int = 1, rounds: int = 1, name: Any = "contrast", **instructor: Any) -> Config:
    """A run whose base answers every train question wrongly, so that a plan's bounds are met."""
    made = config(cycles=str(cycles), accuracy="0.0", gain="0.0")
    return replace(
        made,
        strategy=replace(made.strategy, name=name, rounds=rounds),
        instructor=replace(made.instructor, kind="scripted", calls="one", options=instructor),
    )


@pytest.mark.parametrize("name", ["error", "contrast", ("error", "contrast"), {"error": 0.5, "contrast": 0.5}])
def test_a_plan_counts_the_calls_and_each_brings_its_diagnosis_and_its_drafts(name: Any, tmp_path: Path) -> None:
    made = one_call(name=name)
    plan, two = make_plan(made), make_plan(replace(made, instructor=replace(made.instructor, calls="two")))

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        calls, diagnoses, drafts = list(ledger.all(Call)), list(ledger.all(Diagnosis)), list(ledger.all(Draft))
        assert len(calls) == plan.calls == two.calls / 2 == 39
        assert len(drafts) == plan.drafts == two.drafts
        by_hash = {diagnosis.hash: diagnosis for diagnosis in diagnoses}
        assert len(by_hash) == 39
        assert all(draft.call == by_hash[draft.diagnosis].call for draft in drafts)
        assert {diagnosis.call for diagnosis in diagnoses} == {call.hash for call in calls}
        assert ledger.count(Neighbours) == sum(bool(diagnosis.contrasts) for diagnosis in diagnoses)


def test_a_run_that_was_stopped_in_the_middle_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    made = one_call(rounds=2, cost_usd=1.0)
    whole = replace(made, run=replace(made.run, budget_usd=1000.0))
    run(whole, tmp_path / "whole")
    for cap in (7.0, 20.0):
        with pytest.raises(BudgetError):
            run(replace(made, run=replace(made.run, budget_usd=cap)), tmp_path / "cut")
    run(whole, tmp_path / "cut")

    found = []
    for folder in ("whole", "cut"):
        with open_ledger(tmp_path / folder) as ledger:
            found.append([one.hash for kind in (Call, Diagnosis, Draft, Sample) for one in ledger.all(kind)])
    assert found[0] == found[1]


def test_a_round_that_is_killed_while_it_analyses_what_failed_before_makes_the_same_assignments_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fifth mistake is analysed in the second round, and every tenth in the third."""
    teach = ScriptedInstructor.teach

    def fail_first(
        self: ScriptedInstructor, assignments: Iterable[Assignment]
    ) -> Iterator[tuple[Assignment, Taught | Failure, Call]]:
        for item, result, call in teach(self, assignments):
            failed = Failure(subject=item.hash, stage="instruct", reason="not JSON", cause="unread")
            yield item, failed if item.index % 5 == 0 and item.round <= (item.index % 10 == 0) else result, call

    monkeypatch.setattr(ScriptedInstructor, "teach", fail_first)
    made = one_call(rounds=4, name="error", cost_usd=1.0)
    whole = replace(made, run=replace(made.run, budget_usd=1000.0))
    run(whole, tmp_path / "whole")
    with open_ledger(tmp_path / "whole") as ledger:
        calls, wanted = ledger.count(Call), ledger.digest()
        assert (ledger.count(Failure), ledger.count(Diagnosis)) == (12, 39)
    for cap in (42, calls - 5, calls - 2):
        with pytest.raises(BudgetError):
            run(replace(made, run=replace(made.run, budget_usd=float(cap))), tmp_path / "cut")
    run(whole, tmp_path / "cut")

    with open_ledger(tmp_path / "cut") as ledger:
        assert (ledger.count(Call), ledger.digest()) == (calls, wanted)


def test_a_later_round_or_cycle_writes_against_the_diagnosis_that_it_has(tmp_path: Path) -> None:
    made = one_call(cycles=2, rounds=2)
    with open_examples(tmp_path / "seen") as ids:
        script = {id: [["What is 2 + 2?", "5", "2 + 2 = 5"]] for id in ids}
    made = replace(made, instructor=replace(made.instructor, options={"script": script}))

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert ledger.count(Call) == make_plan(made).calls == 2 * 2 * 39
        assert (ledger.count(Diagnosis, 1), ledger.count(Diagnosis, 2)) == (39, 0)
        known = {diagnosis.hash for diagnosis in ledger.all(Diagnosis)}
        assert {draft.diagnosis for draft in ledger.all(Draft)} == known
        assert ledger.count(Sample) == 0


class open_examples:  # noqa: N801 - a context manager, used as a function
    """The ids of the train questions of the run."""

    def __init__(self, folder: Path) -> None:
        run(one_call(), folder)
        with open_ledger(folder) as ledger:
            self._ids = [one.id for one in ledger.all(Example) if (one.task, one.split) == ("arithmetic", "train")]

    def __enter__(self) -> list[str]:
        return self._ids

    def __exit__(self, *_: object) -> None:
        pass


def test_a_call_that_fails_is_asked_again_whole_and_costs_no_other_item(tmp_path: Path) -> None:
    with open_examples(tmp_path / "seen") as ids:
        made = one_call(rounds=2, fail=ids[:2])

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert ledger.count(Failure) == 4, "in both rounds"
        assert ledger.count(Diagnosis) == 37
        failed = next(call for call in ledger.all(Call) if call.subject in {one.subject for one in ledger.all(Failure)})
        told = read_call_story(ledger, failed.hash)
        assert told is not None
        assert told.failure is not None
        assert told.example is not None


def test_the_book_shows_the_one_call_for_both(tmp_path: Path) -> None:
    run(one_call(), tmp_path)
    with open_ledger(tmp_path) as ledger:
        draft = next(iter(ledger.all(Draft)))
        diagnosis = ledger.get(Diagnosis, draft.diagnosis)
        assert diagnosis is not None
        told, call = read_story(ledger, "arithmetic", "train", diagnosis.example), read_call_story(ledger, draft.call)
        assert told is not None
        assert call is not None
        [study] = told.studies
        assert study.call is not None
        assert study.call.hash == draft.call
        assert [writing.call and writing.call.hash for writing in study.writings] == [draft.call]
        assert call.diagnosis == diagnosis
        assert len(call.drafts) == 2


def test_a_model_behind_a_socket_is_asked_once_for_each_mistake(tmp_path: Path) -> None:
    with server(script=teacher) as provider:
        made = one_call(base_url=provider.base_url, model="teacher", price_input=1.0, price_output=1.0)
        made = replace(made, instructor=replace(made.instructor, kind="openai"))
        run(made, tmp_path)
        asked = provider.stats().requests
        run(made, tmp_path)
        assert provider.stats().requests == asked
    with open_ledger(tmp_path) as ledger:
        assert asked == ledger.count(Diagnosis) == 39
        assert ledger.count(Sample) > 39
        assert all(diagnosis.border for diagnosis in ledger.all(Diagnosis) if diagnosis.contrasts)


KINDS = {
    "numeric": example("What is 17 + 25?", "4711", solution="Look it up: 4711."),
    "text": example("Which city is it?", "Quito", solution="It is Quito, high up."),
    "choice": example("Which floats on water?", "B", choices=("iron", "cork", "gold"), solution="Cork does."),
    "code": example("Write twice(n).", "def twice(n): return n * 2", tests="assert twice(2) == 4"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_blind_instructor_sees_no_answer_no_solution_and_no_test(kind: str) -> None:
    of, settings = KINDS[kind], AskingSettings()
    seen: Mistake = mistake(of, "It is 3.", [(of, "It is 3.")])
    blind = replace(seen, show_gold=False)
    told = Diagnosis(response="r", example="e", task="t", strategy="s", error_kind="k", misconception="m", skill="s")
    secrets = [text for text in (of.solution, of.tests, of.answer if len(of.answer) > 1 else "") if text]

    def texts(shown: Mistake) -> list[str]:
        item = Assignment(task="t", index=0, count=2, mistake=shown)
        written = build_write_prompt(replace(item, diagnosis=told), settings)
        prompts = [build_diagnose_prompt(shown, settings), build_teach_prompt(item, settings), written]
        return [prompt.ask.messages[-1].content for prompt in prompts if prompt is not None]

    assert not any(secret in text for secret in secrets for text in texts(blind))
    assert all("work it out first" in text for text in texts(blind))
    assert all("work it out first" not in text for text in texts(seen))
    assert all(secrets[-1] in text for text in texts(seen)) or kind in {"choice", "code"}
    assert all("\n\n\n" not in text and "{{" not in text for text in [*texts(blind), *texts(seen)])


RUN = '[run]\nname = "x"\n[[tasks]]\nname = "arithmetic"\n'


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[instructor]\ncalls = "one"\n', "'tutor' analyses and writes in two calls; leave out calls"),
        ('[strategy]\nname = "error"\nshow_gold = false\n', "'tutor' works from the gold answers; set show_gold"),
        (
            '[instructor]\nkind = "scripted"\ncalls = "one"\n[strategy]\nname = ["error", "cluster"]\n',
            "'cluster' compares all diagnoses before anything is written; set calls = 'two'",
        ),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_paid(lines: str, said: str, tmp_path: Path) -> None:
    made = parse(RUN + lines)
    with pytest.raises(ConfigError, match=said):
        make_plan(made)
    with pytest.raises(ConfigError, match=said):
        run(made, tmp_path)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_strategy_that_analyses_nothing_takes_no_notice_of_either_key(tmp_path: Path) -> None:
    made = one_call(name="gold")
    run(replace(made, strategy=replace(made.strategy, show_gold=False)), tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert (ledger.count(Call), ledger.count(Draft)) == (0, 78)


def test_the_cap_on_samples_counts_for_the_cycle_or_for_each_task() -> None:
    section = StrategySection(samples_per_error=2, max_samples=30)
    by_task = replace(section, max_samples_per="task")
    assert section.pools({"a": 20, "b": 5, "c": 0}) == [(("a", "b", "c"), 30)]
    assert by_task.pools({"a": 20, "b": 5, "c": 0}) == [(("a",), 30), (("b",), 10)]
    assert section.pools({"a": 0}) == by_task.pools({"a": 0}) == []


@pytest.mark.parametrize("name", ["error", "undirected", "augment", "gold", {"error": 0.5, "gold": 0.5}])
def test_each_task_has_its_own_cap_in_the_plan_and_in_the_run(name: Any, tmp_path: Path) -> None:
    rows = [
        {"question": f"Which number comes {n} places after {7 * n}?", "answer": str(8 * n), "solution": f"{8 * n}."}
        for n in range(2, 62)
    ]
    (tmp_path / "places.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines = f'[[tasks]]\nname = "places"\nkind = "jsonl"\npath = "{tmp_path}/places.jsonl"\ntrain = 20\ndev = 20\n'
    [places] = parse(f'[run]\nname = "x"\n{lines}test = 0\nsolution = "solution"').tasks
    made = one_call(name=name)
    strategy = replace(made.strategy, max_samples=12, max_samples_per="task")
    answers = {row["question"]: row["answer"] for row in rows}
    target = replace(made.target, options=made.target.options | {"answers": answers})
    made = replace(made, tasks=(made.tasks[0], places), strategy=strategy, target=target)
    plan = make_plan(made)

    run(made, tmp_path / "run")
    with open_ledger(tmp_path / "run") as ledger:
        drafts = list(ledger.all(Draft))
        if name not in ("undirected",):  # nothing shows a scripted instructor what that would be
            assert len(drafts) == 24
            assert sum(draft.task == "arithmetic" for draft in drafts) == 12
        assert plan.drafts == 24
        assert plan.calls == ledger.count(Call)

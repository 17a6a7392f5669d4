"""Every strategy and control of the table: whole runs at equal budgets, and plans that count what is then asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from loop_kit import RUN_FILE, config
from msgspec.structs import replace
from server_kit import WEB, serving, wait_for
from teacher_kit import response, teacher

from errorbook.config import Config, InstructorSection, parse
from errorbook.corrections.check_edit import refuse_edit
from errorbook.errors import ConfigError
from errorbook.exporting.samples import Wanted, rows
from errorbook.ledger.events import Event
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.loop import run
from errorbook.records import (
    Assignment,
    Call,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Failure,
    Lesson,
    Rejection,
    Response,
    Sample,
    Vote,
)
from errorbook.render.markdown import render
from errorbook.render.pages.html import render as render_html
from errorbook.render.terminal import report_text
from errorbook.report.build import build
from errorbook.report.question_story import read_draft_story, read_story
from errorbook.setup.plan import make_plan
from errorbook.setup.possible import Learnt, require_possible
from errorbook.strategies.questions import (
    Item,
    Key,
    Stock,
    assign_by_question,
    count_taken,
    replace_failed,
    restate,
    stock_answers,
    stock_by_skill,
    stock_gold,
    take,
)
from errorbook.strategies.section import StrategySection
from errorbook.strategies.shares import apportion, divide
from errorbook.strategies.table import NAMES, find
from errorbook.testing import server

QUOTA = 78
"""Two samples for each of the 39 train questions, all of which the base gets wrong."""


def all_wrong(name: object, rounds: int = 1, cycles: int = 1) -> Config:
    """A run whose base answers every train question wrongly, so that a plan's bounds are met."""
    made = config(cycles=str(cycles), accuracy="0.0", gain="0.0")
    return replace(made, strategy=replace(made.strategy, name=name, rounds=rounds))


def some_right(name: object, **changes: object) -> Config:
    made = config(cycles="1", accuracy="0.4")
    return replace(made, strategy=replace(made.strategy, name=name, **changes))


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_and_its_plan_counts_what_is_asked(name: str, tmp_path: Path) -> None:
    made = all_wrong(name)
    plan = make_plan(made)

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert [one.outcome for one in ledger.all(Decision)] == ["reject"]
        if name == "cluster":  # how many groups there are, only the diagnoses tell
            assert 39 < ledger.count(Call) <= plan.calls
        else:
            assert ledger.count(Call) == plan.calls
        drawn = sum(one.n for one in ledger.all(Evaluation) if one.generation.temperature)
        assert drawn == plan.responses - make_plan(all_wrong("gold")).responses
        assert (drawn > 0) == (name == "self")
        if name != "self":
            assert ledger.count(Draft) == plan.drafts == QUOTA
        assert ledger.count(Vote) == plan.votes == 0


@pytest.mark.parametrize("name", NAMES)
def test_equal_budgets_are_equal(name: str, tmp_path: Path) -> None:
    made = some_right(name, rounds=6)

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        wrong = sum(
            response.score.verdict == "wrong"
            for one in ledger.all(Evaluation, 1)
            if (one.task, one.split) == ("arithmetic", "train")
            for response in ledger.responses(one)
        )
        samples, lessons = list(ledger.all(Sample)), [one for one in ledger.all(Lesson) if not one.replay]
        assert wrong > 10
        assert len(samples) == len(lessons) == 2 * wrong
        assert {sample.strategy for sample in samples} == {name}
        assert {draft.strategy for draft in ledger.all(Draft)} == {name}


@pytest.mark.parametrize("name", NAMES)
def test_each_asks_the_instructor_for_no_more_than_the_table_says(name: str, tmp_path: Path) -> None:
    run(some_right(name), tmp_path)
    with open_ledger(tmp_path) as ledger:
        purposes = {call.purpose for call in ledger.all(Call)}
        assert ("diagnose" in purposes) == (ledger.count(Diagnosis) > 0) == find(name).diagnoses
        assert ("write" in purposes) == find(name).asks_instructor
        train = {one.question for one in ledger.all(Example) if (one.task, one.split) == ("arithmetic", "train")}
        kept = [draft.question in train for draft in ledger.all(Draft)]
        assert all(kept) if find(name).restates else not any(kept)


# by cycle and by shares --------------------------------------------------------------------------------------------


def strategies_of(ledger: Ledger, kind: type[Draft] | type[Sample] | type[Diagnosis], cycle: int) -> Counter[str]:
    return Counter(one.strategy for one in ledger.all(kind, cycle))


def test_a_list_has_one_for_each_cycle_and_the_last_goes_on(tmp_path: Path) -> None:
    made = config(cycles="3", accuracy="0.2", gain="0.3")
    made = replace(made, strategy=replace(made.strategy, name=("error", "gold")))

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert [list(strategies_of(ledger, Draft, cycle)) for cycle in (1, 2, 3)] == [["error"], ["gold"], ["gold"]]
        assert ledger.count(Diagnosis, 1) > 0 == ledger.count(Diagnosis, 2)
        report = build(ledger)
    assert report.strategy == "error, then gold"
    assert [one.strategy for one in report.strategies] == ["error", "gold"]


def test_a_run_is_described_by_the_strategies_that_it_comes_to() -> None:
    section = StrategySection(name=("gold", {"error": 0.25, "cluster": 0.75}, "self"))

    assert [section.describe(cycles) for cycles in (1, 2, 3, 7)] == [
        "gold",
        "gold, then 25% error + 75% cluster",
        *["gold, then 25% error + 75% cluster, then self"] * 2,
    ]
    assert make_plan(all_wrong(("gold", "self"))).strategy == "gold"


SHARES: list[tuple[dict[str, float], dict[str, int]]] = [
    ({"error": 0.5, "contrast": 0.5}, {"error": 39, "contrast": 39}),
    ({"contrast": 0.7, "error": 0.3}, {"error": 23, "contrast": 55}),
    ({"error": 0.333, "cluster": 0.333, "gold": 0.334}, {"error": 26, "cluster": 26, "gold": 26}),
    (
        dict.fromkeys(("self", "undirected", "augment", "imitate"), 0.25),
        {"undirected": 20, "augment": 20, "imitate": 19},
    ),
    ({"error": 0.01, "reweight": 0.99}, {"error": 1, "reweight": 77}),
]


@pytest.mark.parametrize(("shares", "drafts"), SHARES)
def test_shares_hold_exactly_and_a_mistake_is_analysed_once(
    shares: dict[str, float], drafts: dict[str, int], tmp_path: Path
) -> None:
    made = all_wrong(shares)
    plan = make_plan(made)

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        written = strategies_of(ledger, Draft, 1)
        assert written.items() >= drafts.items()
        analysed = [diagnosis.example for diagnosis in ledger.all(Diagnosis)]
        assert len(analysed) == len(set(analysed))
        assert len(analysed) == (39 if any(find(name).diagnoses for name in shares) else 0)
        if "cluster" not in shares:
            assert ledger.count(Call) == plan.calls
        first = {(draft.strategy, draft.question) for draft in ledger.all(Draft)}
    run(made, tmp_path / "again")
    with open_ledger(tmp_path / "again") as ledger:
        assert {(draft.strategy, draft.question) for draft in ledger.all(Draft)} == first


@pytest.mark.parametrize(
    ("whole", "shares", "parts"),
    [
        (10, [0.5, 0.5], [5, 5]),
        (11, [0.5, 0.5], [6, 5]),
        (1, [0.3, 0.7], [0, 1]),
        (0, [1.0], [0]),
        (10, [0.1, 0.2, 0.7], [1, 2, 7]),
        (100, [1 / 3, 1 / 3, 1 / 3], [34, 33, 33]),
        (3, [0.1 + 0.2, 0.3, 0.4], [1, 1, 1]),
    ],
)
def test_parts_add_up_by_largest_remainders(whole: int, shares: list[float], parts: list[int]) -> None:
    assert apportion(whole, shares) == parts


def test_fewer_mistakes_than_strategies_are_shared() -> None:
    mix = [(find("error"), 0.4), (find("contrast"), 0.3), (find("cluster"), 0.3)]

    parts = divide(mix, 30, {"sums": ["one"]}, str)

    assert [(part.strategy.name, part.quota, list(part.mistakes["sums"])) for part in parts] == [
        ("error", 12, ["one"]),
        ("contrast", 9, ["one"]),
        ("cluster", 9, ["one"]),
    ]


@pytest.mark.parametrize(
    ("shares", "sizes", "counts"),
    [
        ({"error": 0.7, "contrast": 0.3}, [1] * 20, [14, 6]),
        ({"error": 0.4, "contrast": 0.3, "cluster": 0.3}, [2, 0, 1, 2, 2, 3, 0], [4, 3, 3]),
        ({"error": 0.5, "contrast": 0.5}, [3, 5, 7, 1], [8, 8]),
        ({"error": 0.02, "contrast": 0.9, "cluster": 0.08}, [4, 6], [1, 8, 1]),
        ({"error": 0.8, "gold": 0.2}, [1, 4], [5]),
    ],
)
def test_all_mistakes_together_are_divided_by_the_shares(
    shares: dict[str, float], sizes: list[int], counts: list[int]
) -> None:
    mistakes = {f"task {n}": [f"{n}.{place}" for place in range(size)] for n, size in enumerate(sizes)}

    parts = divide([(find(name), share) for name, share in shares.items()], 100, mistakes, str)
    dealt = [[one for own in part.mistakes.values() for one in own] for part in parts if part.strategy.diagnoses]

    assert [len(part) for part in dealt] == counts
    assert sorted(one for part in dealt for one in part) == sorted(one for own in mistakes.values() for one in own)
    for part, count in zip(parts, counts, strict=False):
        for task, own in part.mistakes.items():
            assert abs(len(own) - len(mistakes[task]) * count / sum(sizes)) < 1.5, "of each task nearly its share"


# what is taught ----------------------------------------------------------------------------------------------------


def test_gold_teaches_the_datas_solutions_and_self_the_targets_own_words(tmp_path: Path) -> None:
    for name in ("gold", "self"):
        run(some_right(name), tmp_path / name)
    with open_ledger(tmp_path / "gold") as ledger:
        train = {one.question: one for one in ledger.all(Example) if (one.task, one.split) == ("arithmetic", "train")}
        for sample in ledger.all(Sample):
            assert (sample.solution, sample.answer) == (train[sample.question].solution, train[sample.question].answer)
    with open_ledger(tmp_path / "self") as ledger:
        texts = {
            response.text.strip()
            for one in ledger.all(Evaluation)
            if one.generation.temperature == 0.7
            for response in ledger.responses(one)
            if response.score.verdict == "right"
        }
        lessons = [lesson.completion for lesson in ledger.all(Lesson) if not lesson.replay]
        assert lessons
        assert set(lessons) <= texts
        drawn = [one.generation for one in ledger.all(Evaluation) if one.generation.temperature]
        assert sorted(one.seed for one in drawn) == [1, 2, 3, 4]


def test_the_usually_missed_questions_come_first_and_each_once_before_any_twice() -> None:
    examples = [Example(id=str(n), task="sums", split="train", question=f"{n}?", answer=str(n)) for n in range(4)]

    def said(n: int, *texts: str) -> tuple[tuple[str, str], list[Response]]:
        return ("sums", str(n)), [response(examples[n], text, "right") for text in texts]

    draws = dict([said(0, "a", "b", "c"), said(1, "d"), said(3, "e", "e", "f")])
    stock = stock_answers(find("self"), examples, draws, Counter())

    assert [item.response.text for item in stock.items if item.response] == ["d", "a", "e", "b", "f", "c"]


def test_reweight_takes_questions_by_the_skills_that_are_missing() -> None:
    examples = [
        Example(id=f"{skill}{n}", task="t", split="train", question="?", answer="1", solution="1", skill=skill)
        for skill in ("add", "divide", "never missed")
        for n in range(5)
    ]
    wrong = [*examples[:3], *examples[5:6]]  # three of add, one of divide

    stock = stock_by_skill(find("reweight"), examples, wrong, 12, Counter())
    taken = [one.exemplars[0] for one in take(stock, 12, cycle=1)[0]]

    assert Counter(example.skill for example in taken) == {"add": 9, "divide": 3}
    assert max(Counter(example.id for example in taken).values()) == 2


def test_a_refused_question_is_replaced_by_one_of_its_skill_while_any_is_left() -> None:
    examples = [
        Example(id=f"{skill}{n}", task=task, split="train", question="?", answer="1", solution="1", skill=skill)
        for task, skill, many in (("t", "add", 6), ("t", "halve", 3), ("u", "add", 4), ("u", "never missed", 4))
        for n in range(many)
    ]
    stock = stock_by_skill(find("reweight"), examples, [*examples[:2], examples[6], examples[9]], 8, Counter())

    taken, stock = take(stock, 8, cycle=1)
    failed = [one for one in taken if (one.task, one.exemplars[0].skill) != ("t", "add")]
    others, stock = replace_failed(stock, failed, 1, 1)
    rest, _ = replace_failed(stock, others[:2], 1, 2)

    def skills(found: list[Assignment]) -> Counter[tuple[str, str]]:
        return Counter((one.task, one.exemplars[0].skill) for one in found)

    assert skills(taken) == {("t", "add"): 4, ("t", "halve"): 2, ("u", "add"): 2}
    assert skills(others) == skills(failed)
    ids = [(one.task, one.exemplars[0].id) for one in [*failed, *others]]
    assert len(set(ids)) == 7, "the one halving question that was left came twice"
    assert skills(rest) == {("t", "add"): 2}, "then others, but none that was never missed"


@pytest.mark.parametrize("name", ["gold", "self", "reweight", "augment"])
def test_later_cycles_go_on_after_what_was_taken_whatever_their_quotas(name: str) -> None:
    examples = [
        Example(id=str(n), task="t", split="train", question=f"{n}?", answer="1", solution="1", skill="odd"[n % 2 :])
        for n in range(60)
    ]
    says = {("t", one.id): [response(one, f"{turn}", "right") for turn in range(2)] for one in examples}

    def choose(quota: int, cycle: int, taken: Counter[Key]) -> list[Assignment]:
        strategy = find(name)
        if strategy.asks_instructor:
            return assign_by_question(strategy, examples, quota, cycle, taken)
        if name == "gold":
            stock = stock_gold(strategy, examples, taken)
        elif name == "self":
            stock = stock_answers(strategy, examples, says, taken)
        else:
            stock = stock_by_skill(strategy, examples, examples[:6], quota, taken)
        return take(stock, quota, cycle)[0]

    drafts: list[Draft] = []
    for cycle, quota in enumerate((44, 12, 30, 7, 50), 1):
        asked = choose(quota, cycle, count_taken(drafts))
        drafts += [restate(one) for one in asked for _ in range(one.count)]
        often = count_taken(drafts)
        assert sum(often.values()) == len(drafts)
        assert max(often.values()) - min(often.values()) <= 1
        assert len(often) == min(120 if name == "self" else 60, len(drafts))


@pytest.mark.parametrize("name", ["gold", "self", "reweight", "augment"])
def test_a_cycle_after_a_rejected_one_teaches_other_samples(name: str, tmp_path: Path) -> None:
    made = config(cycles="3", accuracy="0.4", gain="0.0")
    made = replace(made, strategy=replace(made.strategy, name=name, max_samples=5))

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert {one.outcome for one in ledger.all(Decision)} == {"reject"}
        taught = [{(one.question, one.solution) for one in ledger.all(Sample, cycle)} for cycle in (1, 2, 3)]
    assert all(taught)
    assert sum(map(len, taught)) == len(set().union(*taught))


def test_a_refused_question_is_replaced_by_another() -> None:
    examples = tuple(
        Example(id=str(n), task="t", split="train", question=f"{n}?", answer="1", solution="1") for n in range(3)
    )
    taken, stock = take(Stock(find("gold"), tuple(map(Item, examples))), 4, cycle=1)
    again, stock = take(stock.without(taken[1:2]), 3, cycle=1, round=1)

    assert [one.exemplars[0].id for one in taken] == ["0", "1", "2", "0"]
    assert [one.exemplars[0].id for one in again] == ["2", "0", "2"]
    assert take(stock.without([*taken, *again]), 1, cycle=1)[0] == []


def test_a_held_out_question_is_refused_even_if_it_is_a_train_question_too(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is the sum of {n} and {n}?", "answer": str(2 * n), "why": f"{n} + {n} = {2 * n}"}
        for n in range(90)
    ]
    splits = [{**row, "split": ("train", "dev", "test")[n % 3]} for n, row in enumerate(rows)]
    splits.append({**rows[1], "question": "What is the sum of 1 and 1", "split": "train"})
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, splits)), encoding="utf-8")
    made = parse(
        RUN_FILE.replace(
            'name = "arithmetic"',
            'name = "mine"\nkind = "jsonl"\npath = "rows.jsonl"\nsolution = "why"\nscorer = "numeric"',
        )
        .replace("train = 39\ndev = 78\ntest = 78", "train = 40\ndev = 30\ntest = 20")
        .replace('name = "contrast"', 'name = "gold"\nsamples_per_error = 4'),
        folder=tmp_path,
    )

    run(made, tmp_path / "run")
    with open_ledger(tmp_path / "run") as ledger:
        reasons = Counter(rejection.reason for rejection in ledger.all(Rejection))
        assert set(reasons) == {"contaminated"}
        assert "What is the sum of 1 and 1" not in {sample.question for sample in ledger.all(Sample)}
        assert ledger.count(Sample) >= 31


# what cannot be done -----------------------------------------------------------------------------------------------


def own_task(folder: Path, name: str, more: str = "", columns: dict[str, str] | None = None) -> Config:
    rows = [
        {"question": f"{n}?", "answer": str(n), "split": ("train", "dev", "test")[n % 3], **(columns or {})}
        for n in range(90)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    head = '[run]\nname = "r"\n[target]\nengine = "scripted"\n[[tasks]]\nname = "mine"\nkind = "jsonl"\n'
    return parse(
        f'{head}path = "rows.jsonl"\n{more}\n[strategy]\nname = "{name}"\n[train]\nmethod = "scripted"\n', folder=folder
    )


@pytest.mark.parametrize(
    ("name", "more", "columns", "sentence"),
    [
        ("gold", "", {}, "come with none; name the column that holds them as the task's 'solution'"),
        ("reweight", "", {}, "'reweight' teaches worked solutions"),
        ("reweight", 'solution = "why"', {"why": "because"}, "'reweight' goes by skills"),
    ],
)
def test_what_the_data_cannot_give_is_refused_by_plan_and_run(
    name: str, more: str, columns: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    made = own_task(tmp_path, name, more, columns)

    with pytest.raises(ConfigError, match=re.escape(sentence)):
        make_plan(made)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        run(made, tmp_path / "run")
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


@pytest.mark.parametrize("name", ["gold", {"error": 0.3, "gold": 0.7}, ("gold", "error")])
def test_a_task_with_samples_of_its_own_needs_its_own_solutions(name: object) -> None:
    def learnt(task: str, solution: str) -> Learnt:
        made = [Example(id="1", task=task, split="train", question="1?", answer="one", solution=solution)]
        return NamedTask(name=task), made  # type: ignore[return-value]

    made, tasks = some_right(name, max_samples_per="cycle"), [learnt("told", "It is one."), learnt("bare", " ")]
    require_possible(made, NewOnly(), tasks)  # type: ignore[arg-type]
    own = some_right(name, max_samples_per="task")
    require_possible(own, NewOnly(), tasks[:1])  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match="'gold' teaches worked solutions, and the train questions of 'bare' come with"
    ):
        require_possible(own, NewOnly(), tasks)  # type: ignore[arg-type]


class NamedTask(NamedTuple):
    name: str


class NewOnly:
    """An instructor of somebody else, who knows nothing of variations."""

    name = "new only"

    def diagnose(self, mistakes: object) -> list[object]:
        return []

    def write(self, assignments: object) -> list[object]:
        return []


@pytest.mark.parametrize(("name", "asked"), [("augment", "variations"), ("imitate", "solutions")])
def test_an_instructor_that_writes_new_questions_only_is_refused(name: str, asked: str) -> None:
    made = some_right({"error": 0.5, name: 0.5})

    with pytest.raises(
        ConfigError, match=f"asks for {asked} of train questions, and the instructor 'tutor' writes new"
    ):
        require_possible(made, NewOnly(), [])  # type: ignore[arg-type]


# an instructor that is a model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_against_a_provider_and_its_plan_counts_the_requests(name: str, tmp_path: Path) -> None:
    with server(script=teacher) as provider:
        made = replace(
            all_wrong(name),
            instructor=InstructorSection(kind="openai", options={"model": "teacher", "base_url": provider.base_url}),
        )
        plan = make_plan(made)
        run(made, tmp_path)
        asked = provider.stats().requests
    with open_ledger(tmp_path) as ledger:
        assert asked <= ledger.count(Call)
        assert (asked > 0) == find(name).asks_instructor
        assert ledger.count(Call) == plan.calls or name == "cluster"
        assert ledger.count(Failure) == 0
        assert {sample.strategy for sample in ledger.all(Sample)} <= {name}
        if find(name).asks_instructor:
            assert ledger.count(Sample) > 0


# killed and resumed ------------------------------------------------------------------------------------------------


class KilledError(Exception):
    """Stands for `kill -9` between two records."""


@pytest.mark.parametrize("name", ["self", "gold", "imitate", {"error": 0.4, "self": 0.3, "reweight": 0.3}], ids=str)
def test_a_killed_run_goes_on_as_the_undisturbed_one(name: object, tmp_path: Path) -> None:
    made = some_right(name, draws=2)
    run(made, tmp_path / "undisturbed")
    with open_ledger(tmp_path / "undisturbed") as ledger:
        whole = ledger.digest()
    for stage, times in (("evaluate", 4), ("verify", 1), ("train", 1)):
        left = iter(range(times))

        def kill(event: Event, stage: str = stage, left: Iterator[int] = left) -> None:
            if event.stage == stage and event.done == event.total > 0 and next(left, None) is None:
                raise KilledError

        with pytest.raises(KilledError):
            run(made, tmp_path / stage, kill)
        run(made, tmp_path / stage)
        with open_ledger(tmp_path / stage) as ledger:
            assert ledger.digest() == whole


# what people read --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with four strategies in one cycle."""
    folder = tmp_path_factory.mktemp("mixed") / "small"
    run(some_right({"contrast": 0.25, "augment": 0.25, "gold": 0.25, "self": 0.25}), folder)
    return folder


def test_report_export_and_lineage_keep_the_strategy(mixed: Path) -> None:
    with open_ledger(mixed) as ledger:
        report = build(ledger)
        exported = list(rows(ledger, Wanted(include_rejected=True)))
        of_draft = {draft.hash: draft for draft in ledger.all(Draft)}
        written = Counter(draft.strategy for draft in of_draft.values())
        assert {one.strategy: one.drafts for one in report.strategies} == written
        assert sum(one.trained for one in report.strategies) == report.funnel.trained
        for one in report.strategies:
            assert one.fixed is not None
            assert 0 <= one.fixed <= one.mistakes <= one.drafts
            assert one.mistakes or one.strategy == "self"  # a question that it answers rightly may be no mistake
        assert Counter(row.strategy for row in exported) == written
        for row in exported:
            assert row.example, "each of these goes back to one train question"
            draft, story = of_draft[row.draft], read_story(ledger, row.task, "train", row.example)
            told = read_draft_story(ledger, row.draft)
            assert story is not None
            assert told is not None
            assert told.strategy == draft.strategy
            below = {line.hash for line in story.drafts}
            assert (row.draft in below) == (draft.strategy != "contrast") == (told.source is not None)
        taught = [row.completion for row in exported if row.strategy == "self" and row.outcome == "sample"]
        assert taught
        assert all(completion.count("Answer:") == 1 for completion in taught), "it is the target's own, and whole"
    for shown in (render(report), report_text(report, plain_text=True), render_html(report)):
        for name, drafts in written.items():
            assert re.search(rf"\b{name}\b\D+{drafts}\b", shown), name


def test_the_book_leads_from_a_restated_sample_to_its_question_and_back(mixed: Path) -> None:
    with open_ledger(mixed) as ledger:
        drafts = {draft.strategy: draft for draft in ledger.all(Draft)}
    with serving(mixed.parent) as address:
        for name, said in {
            "gold": "the solution is that of the data",
            "self": "own right response",
            "augment": "varies this one",
        }.items():
            page = WEB.get(f"{address}/runs/small/samples/{drafts[name].hash}").text
            assert said in page
            assert f"· {name} ·" in page
            link = f"/runs/small/book/arithmetic/train/{drafts[name].example}"
            assert link in page
            assert drafts[name].hash in WEB.get(address + link).text
        wait_for(lambda: "Nothing is ready yet" not in WEB.get(f"{address}/runs/small/samples?strategy=self").text)
        listed = WEB.get(f"{address}/runs/small/samples?strategy=self").text
        assert drafts["self"].hash in listed
        assert drafts["gold"].hash not in listed


def test_an_edit_of_a_gold_sample_is_checked_like_any_other(mixed: Path) -> None:
    with open_ledger(mixed) as ledger:
        draft = next(one for one in ledger.all(Draft) if one.strategy == "gold")
        dev = next(one for one in ledger.all(Example) if (one.task, one.split) == ("arithmetic", "dev"))
        other = next(
            one
            for one in ledger.all(Example)
            if (one.task, one.split) == ("arithmetic", "train") and one.id != draft.example
        )
        kept = replace(draft, solution=f"{draft.solution}\nThat is all.")

        assert refuse_edit(ledger, kept, draft.hash) is None
        for question, reason in ((dev.question, "contaminated"), (other.question, "duplicate")):
            refusal = refuse_edit(ledger, replace(kept, question=question), draft.hash)
            assert refusal is not None
            assert refusal.reason == reason

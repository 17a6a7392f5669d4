"""Whole runs whose questions belong together: the plan, the gate, the report and the comparison say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

import errorbook
from errorbook.adapters.tasks.gsm_plus import SPEC as GSM_PLUS
from errorbook.adapters.tasks.jsonl import Jsonl
from errorbook.checks.groups import find_groups
from errorbook.cli.main import cli
from errorbook.config import Config, parse
from errorbook.ledger import keys
from errorbook.ledger.file import open_ledger
from errorbook.records import Cluster, Decision, Example, Groups, Rule
from errorbook.render.markdown import render
from errorbook.render.pages import html as report_html
from errorbook.render.terminal import report_text
from errorbook.report.build import build
from errorbook.setup.plan import enough_for, make_plan
from errorbook.stats import detectable_gain, not_worse

RUN_FILE = """
[run]
name = "grouped"
cycles = 2
seed = 3

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.35

[instructor]
kind = "scripted"

[[tasks]]
name = "sums"
kind = "jsonl"
path = "PATH"
group = "passage"
solution = "solution"
train = 30
dev = 120
test = 60

[[tasks]]
name = "arithmetic_transfer"
role = "guard"
train = 0
dev = 64
test = 64
margin = 0.2

[strategy]
name = "error"

[verify]
answers = "trust"

[train]
method = "scripted"
"""


def write_sums(path: Path) -> Path:
    """120 dev questions on 30 passages, 60 test questions on 15, and 30 train questions that stand alone."""
    rows: list[dict[str, object]] = [
        {
            "question": f"Calculate {n} + {n + 7}.",
            "answer": 2 * n + 7,
            "solution": f"{n} + {n + 7} = {2 * n + 7}",
        }
        for n in range(100, 310)
    ]
    for place, row in enumerate(rows):
        row["split"] = "dev" if place < 120 else "test" if place < 180 else "train"
        row["passage"] = f"p{place // 4}" if place < 180 else ""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return parse(RUN_FILE.replace("PATH", str(write_sums(tmp_path_factory.mktemp("data") / "sums.jsonl"))))


@pytest.fixture(scope="module")
def run_folder(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "grouped"
    errorbook.run(config, folder)
    return folder


def test_a_plan_counts_effective_questions_and_says_so(config: Config) -> None:
    plan = make_plan(config)
    sums = next(task for task in plan.tasks if task.task == "sums")

    assert (sums.dev, sums.dev_groups, sums.dev_effective) == (120, {4: 30}, 30)
    assert (plan.dev_effective, plan.detectable) == (30, detectable_gain(30, 0.05 / 2))
    assert any("120 of the 120 dev questions of 'sums' belong together in 30 groups" in text for text in plan.notes)


def test_a_guard_of_too_few_groups_is_told_before_the_run(config: Config) -> None:
    guard = replace(config.tasks[0], name="grouped", role="guard", margin=0.05)
    plan = make_plan(replace(config, tasks=(*config.tasks, guard)))

    assert any("'grouped' can never pass as a guard: 120 dev questions, which count as 30," in w for w in plan.warnings)


def test_a_guard_of_groups_is_foretold_by_the_test_that_the_gate_makes(config: Config) -> None:
    alpha = config.rule().alpha_each
    for margin, passes in ((0.12, False), (0.13, True)):
        assert enough_for(margin, alpha) <= 30, "as many questions that all stand alone would do"
        guard = replace(config.tasks[0], name="grouped", role="guard", margin=margin)
        told = [text for text in make_plan(replace(config, tasks=(*config.tasks, guard))).warnings if "never" in text]
        groups = [Cluster(size=4, times=30)]

        assert (not_worse(0, 0, 120, margin, groups) <= alpha) == passes
        assert len(told) == (not passes)
        for text in told:
            needed = enough_for(margin, alpha, grouped=True)
            assert f"which count as 30, cannot rule out a loss of {100 * margin:g} points" in text
            assert f"give it more groups of them, to count as {needed}, or a wider margin" in text
            assert 30 < needed < 40


def test_questions_in_two_learnt_tasks_are_told(config: Config) -> None:
    assert not any("more than one learnt task" in text for text in make_plan(config).warnings)
    again = replace(config.tasks[0], name="again", dev=20)
    plan = make_plan(replace(config, tasks=(*config.tasks, again)))

    assert any(
        text.startswith("20 dev questions or groups of them are in more than one learnt") for text in plan.warnings
    )


@pytest.mark.parametrize(("shared", "said"), [(1, "1 dev question or group of them is"), (8, "8 dev questions or")])
def test_the_report_says_that_questions_are_in_two_learnt_tasks(shared: int, said: str, tmp_path: Path) -> None:
    def question(task: str, split: str, n: int) -> dict[str, str]:
        people = task if split != "dev" or n >= shared else "both"
        return {
            "question": f"What is {n} plus {n * n} for {people} in {split}?",
            "answer": str(n + n * n),
            "split": split,
        }

    tasks = ""
    for task in ("left", "right"):
        rows = [question(task, split, n) for split in ("train", "dev", "test") for n in range(40)]
        (tmp_path / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        path = tmp_path / f"{task}.jsonl"
        tasks += f'[[tasks]]\nname = "{task}"\nkind = "jsonl"\npath = "{path}"\ntrain = 6\ndev = 40\ntest = 6\n'
    config = parse(RUN_FILE[: RUN_FILE.index("[[tasks]]")] + tasks + RUN_FILE[RUN_FILE.index("[strategy]") :])
    errorbook.run(config, tmp_path / "run")

    with open_ledger(tmp_path / "run") as ledger:
        report = build(ledger)
    assert report.shared == shared
    sentences = [said, "in more than one learnt task; the gate counts them in each"]
    for shown in (render(report), report_text(report, plain_text=True), report_html.render(report)):
        assert all(sentence in " ".join(shown.split()) for sentence in sentences)
    assert any(text.startswith(f"{shared} dev questions or groups") for text in make_plan(config).warnings)


def test_a_run_without_common_questions_says_nothing_of_them(run_folder: Path) -> None:
    with open_ledger(run_folder) as ledger:
        report = build(ledger)

    assert report.shared == 0
    assert "more than one learnt task" not in render(report)


def test_the_gate_counts_a_passage_once(run_folder: Path) -> None:
    with open_ledger(run_folder) as ledger:
        groups = ledger.find(Groups, keys.groups("sums", "dev"))
        first, *later = sorted(ledger.all(Decision), key=lambda decision: decision.cycle)

    assert groups is not None
    assert sorted(map(len, groups.together)) == [4] * 30
    (learnt,) = [item for item in first.comparisons if item.role == "learn"]
    assert (learnt.n, learnt.groups) == (120, 30)
    assert f"of 120 in 30 groups, p = {learnt.p_value:.2g}" in first.reason
    assert first.outcome == "accept"
    assert first.against_base == (), "it began with the base"
    assert [item.task for item in later[0].against_base] == ["arithmetic_transfer"]
    base = next(item.before for item in first.comparisons if item.role == "guard")
    assert later[0].against_base[0].before == base


def test_the_report_and_the_comparison_are_over_groups(run_folder: Path) -> None:
    with open_ledger(run_folder) as ledger:
        report = build(ledger)
    result = report.tasks["sums"]["test"]
    reply = CliRunner().invoke(cli, ["compare", f"{run_folder}:base", str(run_folder), "--split", "test", "--json"])
    (row,) = [item for item in json.loads(reply.stdout)["tasks"] if item["task"] == "sums"]
    shown = CliRunner().invoke(cli, ["compare", f"{run_folder}:base", str(run_folder), "--split", "test"])

    assert (result.groups, report.detectable) == (15, detectable_gain(30, 0.05 / 2))
    assert (row["groups"], row["p_value"], row["difference"]["low"]) == (
        15,
        result.p_value,
        result.difference.low if result.difference else None,
    )
    said = "sums (test): 60 questions in 15 groups that belong together or stand alone"
    assert said in " ".join(shown.stdout.split())
    assert "60 questions in 15 groups" in render(report)
    assert ", since the base" in render(report)


def test_resuming_takes_the_groups_that_the_run_began_with(run_folder: Path, config: Config) -> None:
    with open_ledger(run_folder) as ledger:
        before = ledger.count(Groups)
    errorbook.run(config, run_folder)
    with open_ledger(run_folder) as ledger:
        assert ledger.count(Groups) == before == 5
        assert ledger.find(Rule, keys.RULE) == config.rule()


def test_a_group_is_in_one_split_if_the_hash_decides(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": n, "source": f"s{n // 5}"} for n in range(200)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = Jsonl(str(file), group="source")
    splits: dict[str, set[str]] = {}
    found: list[Example] = []
    for split in ("train", "dev", "test"):
        found += task.examples(split, None, 0)
    for example in found:
        splits.setdefault(example.group, set()).add(example.split)

    assert len(found) == 200
    assert len(splits) == 40
    assert all(len(seen) == 1 for seen in splits.values())
    assert sorted(map(len, find_groups(task.examples("train", None, 0)))) == [5] * (
        len(task.examples("train", None, 0)) // 5
    )


def test_the_variants_of_a_gsm_plus_question_are_one_group() -> None:
    row = {"answer": "3", "solution": "", "perturbation_type": "distraction insertion", "seed_question": "the original"}
    assert GSM_PLUS.read({**row, "question": "one way"}, "").group == "the original"

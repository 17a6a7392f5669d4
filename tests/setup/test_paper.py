"""The run files of the paper's setting: planned as they are, and the small one run to its end.

The small one also runs on invented rows in the benchmarks' own layout, with the scripted target and trainer, so that
its road is walked where the reference data are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from places import EXAMPLES

from errorbook import plugins
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.config import Config, TargetSection, load, parse
from errorbook.errors import ConfigError
from errorbook.evaluate import evaluate, identify
from errorbook.interfaces import OptionTask, Scorer, Task
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Call, Comparison, Decision, Rejection, Sample
from errorbook.setup.plan import make_plan

LEARNT = ["mmlu", "gsm8k", "mbpp"]
GUARDS = ["arc", "gsm_plus", "humaneval", "bbh"]
PAPER = EXAMPLES / "paper"
RECIPES: dict[str, str | tuple[str, ...]] = {
    "le": "error",
    "lec": "contrast",
    "le-then-lec": ("error", "contrast"),
    "lec-then-le": ("contrast", "error"),
    "fine-tuning": "gold",
    "auggpt": "augment",
}
Row = dict[str, Any]

needs_data = pytest.mark.skipif(
    not os.environ.get("ERRORBOOK_DATA"), reason="ERRORBOOK_DATA does not name the folder of reference data"
)


# The real data -----------------------------------------------------------------------------------------------------


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("file", RECIPES)
def test_the_papers_recipe_can_be_planned_without_a_warning(file: str) -> None:
    config = load(PAPER / f"{file}.toml")
    plan = make_plan(config)

    assert [task.task for task in plan.tasks] == LEARNT + GUARDS
    assert [task.name for task in config.learn()] == LEARNT
    assert plan.warnings == ()
    assert plan.usd is not None
    assert plan.usd < 100
    assert (plan.calls > 0) == (file != "fine-tuning")


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_small_version_runs_to_its_end_with_a_real_model(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "errorbook"
    command = [str(program), "run", str(PAPER / "small.toml"), "--out", str(tmp_path)]
    reply = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1400)

    assert reply.returncode in {0, 1}, reply.stderr
    with open_ledger(tmp_path) as ledger:
        decisions = list(ledger.all(Decision))
    assert [decision.cycle for decision in decisions] == [1]
    assert {comparison.task for comparison in decisions[0].comparisons} == {*LEARNT, *GUARDS}


# Invented data -----------------------------------------------------------------------------------------------------


def sums(n: int) -> Row:
    """A row of GSM8K."""
    return {
        "question": f"Ann has {n} stamps and buys {n + 3} more. How many stamps has she?",
        "answer": f"She has {n} + {n + 3} = <<{n}+{n + 3}={2 * n + 3}>>{2 * n + 3} stamps.\n#### {2 * n + 3}",
    }


def changed_sums(n: int) -> Row:
    """A row of GSM-Plus."""
    return {
        "question": f"Bob reads {n} pages today and {n + 7} tomorrow. How many pages does he read?",
        "answer": str(2 * n + 7),
        "solution": f"He reads {n} + {n + 7} = {2 * n + 7} pages.",
        "perturbation_type": "numerical variation",
        "seed_question": f"Bob reads {n} pages.",
    }


def options(n: int) -> Row:
    """A row of MMLU; the options are numbers, so that a wrong number of the scripted target is one of them."""
    return {
        "question": f"A box holds {n} red and {n + 1} blue marbles: how many are that?",
        **dict(zip("ABCD", _near(n), strict=True)),
        "answer": "ABCD"[n % 4],
        "subject": "counting",
    }


def science(n: int) -> Row:
    """A row of ARC."""
    found = options(n)
    question = f"{n} moons circle one planet and {n + 1} another: how many are that?"
    return {**found, "question": question, "id": f"moons_{n}", "label": list("ABCD")}


def _near(n: int) -> list[str]:
    """The right number at place `n % 4`, and the three that follow it."""
    right, place = 2 * n + 1, n % 4
    numbers = [right + 1, right + 2, right + 3]
    return [str(number) for number in [*numbers[:place], right, *numbers[place:]]]


def program(n: int) -> Row:
    """A row of MBPP, as the hub has them; their numbers are their task ids."""
    asserts = [f"assert add_{n}({x}) == {x + n}" for x in (0, 5)]
    text = f"Write a function add_{n}(x) that adds {n} to x."
    return {"task_id": n, "text": text, "code": f"def add_{n}(x):\n    return x + {n}", "test_list": asserts}


def completed(n: int) -> Row:
    """A row of HumanEval."""
    return {
        "task_id": f"Invented/{n}",
        "prompt": f'def times_{n}(x):\n    """x times {n}."""\n',
        "canonical_solution": f"    return x * {n}\n",
        "test": f"def check(candidate):\n    assert candidate(2) == {2 * n}",
        "entry_point": f"times_{n}",
    }


def more(n: int) -> Row:
    """A row of BIG-Bench Hard."""
    return {"input": f"Is {n} more than {100 - n}?", "target": "yes" if n > 50 else "no"}


FILES: dict[str, tuple[Callable[[int], Row], Sequence[int]]] = {
    "mmlu/train.jsonl": (options, range(2, 182)),
    "gsm8k/train.jsonl": (sums, range(2, 162)),
    "gsm8k/test.jsonl": (sums, range(200, 225)),
    "mbpp/train.jsonl": (program, [*range(511, 536), *range(601, 626)]),
    "mbpp/test.jsonl": (program, range(11, 36)),
    "arc/test.jsonl": (science, range(2, 72)),
    "gsm_plus/testmini.jsonl": (changed_sums, range(2, 72)),
    "humaneval/test.jsonl": (completed, range(2, 72)),
    "bbh/comparing.jsonl": (more, range(2, 72)),
}


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data in the layout of the reference data."""
    folder = tmp_path_factory.mktemp("data")
    for name, (row, numbers) in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(json.dumps(row(n)) for n in numbers), encoding="utf-8")
    return folder


def said() -> dict[str, str]:
    """What a perfect scripted target says to each question, by the first line of its prompt."""
    answers = {}
    for make, numbers in FILES.values():
        for row in map(make, numbers):
            asked = next(row[key] for key in ("question", "text", "prompt", "input") if key in row)
            answers[asked.partition("\n")[0]] = _gold(row)
    return answers


def _gold(row: Row) -> str:
    if "subject" in row:
        return str(row[row["answer"]])
    if "prompt" in row or "code" in row:
        return f"\n```python\n{row.get('code') or row['prompt'] + row['canonical_solution']}\n```"
    return str(row.get("target") or row["answer"].rpartition(" ")[2])


def small(invented: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The small run file on the invented data, with parts that take no time."""
    monkeypatch.setenv("ERRORBOOK_DATA", str(invented))
    config = load(PAPER / "small.toml")
    return replace(
        config,
        target=TargetSection(
            model="scripted", engine="scripted", options={"accuracy": 0.3, "gain": 0.65, "answers": said()}
        ),
        train=replace(config.train, method="scripted"),
    )


def test_the_small_version_asks_twenty_questions_to_decide_and_ten_to_report(
    invented: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(small(invented, monkeypatch))

    assert [(task.dev, task.test) for task in plan.tasks] == [(20, 10)] * 7
    assert [task.train for task in plan.tasks] == [20] * 3 + [0] * 4


@pytest.mark.slow
def test_the_small_version_runs_to_its_end_on_invented_data(
    invented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small(invented, monkeypatch), tmp_path)

    with open_ledger(tmp_path) as ledger:
        [decision] = ledger.all(Decision)
        samples, rejections = list(ledger.all(Sample)), list(ledger.all(Rejection))
        tested = [item.task for item in ledger.all(Comparison) if item.split == "test"]
    assert {sample.task for sample in samples} == set(LEARNT), Counter((one.task, one.reason) for one in rejections)
    assert rejections == []
    assert {comparison.task for comparison in decision.comparisons} == {*LEARNT, *GUARDS}
    assert all(one.right_after > one.right_before for one in decision.comparisons), decision.comparisons
    assert decision.outcome == "accept"
    assert sorted(tested) == sorted(LEARNT + GUARDS)
    assert all(len(sample.choices) == 4 for sample in samples if sample.task == "mmlu")


# The six run files -------------------------------------------------------------------------------------------------


def test_the_six_run_files_differ_in_their_name_and_strategy_alone() -> None:
    found = [load(PAPER / f"{file}.toml") for file in RECIPES]
    assert [config.strategy.name for config in found] == list(RECIPES.values())
    assert [config.run.name for config in found] == [f"paper-{file}" for file in RECIPES]
    same = [
        replace(config, run=replace(config.run, name="x"), strategy=replace(config.strategy, name="x"))
        for config in found
    ]
    assert all(config == same[0] for config in same)


def test_the_recipe_is_the_papers() -> None:
    """Facts of the paper's published code, as docs/paper.md tells them."""
    config = load(PAPER / "le.toml")
    strategy, train = config.strategy, config.train
    assert (config.run.cycles, strategy.k, strategy.max_samples, strategy.max_samples_per) == (3, 3, 3000, "task")
    assert (strategy.retriever, strategy.encoder) == ("encoder", "google-bert/bert-base-uncased")
    assert (strategy.show_gold, config.instructor.calls, config.instructor.options["temperature"]) == (
        False,
        "one",
        0.8,
    )
    assert (train.method, train.epochs, train.schedule, train.warmup_steps) == ("full", 1.0, "cosine", 100)
    assert (train.learning_rate, train.max_tokens, train.replay) == (5e-6, 512, 0.0)
    assert {task.name: task.shots for task in config.tasks} == dict.fromkeys(LEARNT + GUARDS, 0) | {"bbh": 3}


def shrink(file: str, invented: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run file of the recipe on 20 invented questions a task, with parts that take no time and need no network."""
    monkeypatch.setenv("ERRORBOOK_DATA", str(invented))
    config = load(PAPER / f"{file}.toml")
    return replace(
        config,
        run=replace(config.run, cycles=2),
        target=TargetSection(
            model="scripted", engine="scripted", options={"accuracy": 0.3, "gain": 0.3, "answers": said()}
        ),
        instructor=replace(config.instructor, kind="scripted", options={}),
        tasks=tuple(
            replace(task, train=20 * (task.role == "learn"), dev=20, test=10, margin=0.3) for task in config.tasks
        ),
        strategy=replace(config.strategy, show_gold=True, retriever="scripted"),
        train=replace(config.train, method="scripted"),
        compute=replace(config.compute, processes=1, strategy="ddp"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", RECIPES)
def test_the_recipe_runs_small_on_invented_data_and_asks_what_its_plan_says(
    file: str, invented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shrink(file, invented, monkeypatch)
    plan = make_plan(config)
    run(config, tmp_path)

    assert plan.warnings == ()
    used = {one.name for one in config.strategy.used(2)}
    with open_ledger(tmp_path) as ledger:
        decisions, samples = list(ledger.all(Decision)), list(ledger.all(Sample))
        assert ledger.count(Call) <= plan.calls
        assert (ledger.count(Call) > 0) == (plan.calls > 0) == (file != "fine-tuning")
        tested = [item.task for item in ledger.all(Comparison) if item.split == "test"]
    assert {comparison.task for comparison in decisions[0].comparisons} == {*LEARNT, *GUARDS}
    assert sorted(tested) == sorted(LEARNT + GUARDS)
    assert {sample.strategy for sample in samples} <= used
    assert {sample.task for sample in samples} == set(LEARNT)


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("file", RECIPES)
def test_the_recipe_runs_small_with_a_real_model(file: str, tmp_path: Path) -> None:
    """All weights, one epoch, a cosine: the trainer's part of the recipe as it is, on the embedded model."""
    config = load(PAPER / f"{file}.toml")
    tokens = {"mmlu": 16, "arc": 16, "bbh": 16}
    config = replace(
        config,
        run=replace(config.run, cycles=1),
        target=TargetSection(),
        instructor=replace(config.instructor, kind="scripted", options={}),
        tasks=tuple(
            replace(
                task,
                train=6 * (task.role == "learn"),
                dev=6,
                test=4,
                margin=0.9,
                shots=min(task.shots, 1),
                options={"max_new_tokens": tokens.get(task.name, 32)},
            )
            for task in config.tasks
        ),
        strategy=replace(config.strategy, show_gold=True, retriever="hidden"),
        compute=replace(config.compute, processes=1, strategy="ddp"),
    )
    run(config, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert [decision.cycle for decision in ledger.all(Decision)] == [1]
        assert ledger.count(Comparison) >= len(LEARNT + GUARDS)


# Options weighed by likelihood -------------------------------------------------------------------------------------

RUN = '[run]\nname = "weighed"\n[[tasks]]\nname = "{name}"\n{line}'


def made(name: str, line: str = "") -> Task:
    """The task of a run file that has the line."""
    [section] = parse(RUN.format(name=name, line=line)).tasks
    task: Task = plugins.create("tasks", section.plugin, section.options)
    return task


@pytest.mark.parametrize("name", ["mmlu", "arc"])
def test_options_are_weighed_where_the_run_file_says_so(
    name: str, invented: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRORBOOK_DATA", str(invented))
    task, written = made(name, 'answer = "likelihood"'), made(name)
    scorer: Scorer = plugins.create("scorers", task.scorer)
    examples = task.examples("dev", 10, 0)
    target = ScriptedTarget(accuracy=1.0, answers={example.question: example.answer for example in examples})
    evaluation = identify(target, "base", task, "dev", examples)
    [responses] = evaluate(target, task, scorer, evaluation, examples)

    assert evaluation.generation.answer == "options"
    assert {response.score.verdict for response in responses} == {"right"}
    assert identify(target, "base", written, "dev", examples).generation.answer == "text"
    prompt = task.prompt(examples[0].question, examples[0].choices)
    assert "step by step" not in prompt
    assert "step by step" in written.prompt(examples[0].question, examples[0].choices)
    assert task.completion("Because.", "B") == "B", "the first word is weighed, so the first word is taught"
    assert scorer.score(examples[0], task.completion("", examples[0].answer)).verdict == "right"


def test_tasks_without_options_for_all_questions_cannot_be_weighed() -> None:
    assert all(isinstance(made(name), OptionTask) for name in ("mmlu", "arc"))
    assert not any(isinstance(made(name), OptionTask) for name in ("gsm8k", "bbh", "mbpp"))
    with pytest.raises(ConfigError, match="answer"):
        made("gsm8k", 'answer = "likelihood"')
    with pytest.raises(ConfigError, match='write "text" or "likelihood"'):
        made("arc", 'answer = "letters"')

"""What comes before a run: the run file that `init` writes, what `plan` promises, what `doctor` finds."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from command_kit import call
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from errorbook.adapters.instructors.forecast import ANSWER, DRAFT, REPLY
from errorbook.cli.main import cli
from errorbook.config import Config, InstructorSection, RunSection, TaskSection, load
from errorbook.errors import ConfigError, DataError
from errorbook.judge import GateSection
from errorbook.records import Cluster
from errorbook.setup import doctor
from errorbook.setup import new_run_file as scaffold
from errorbook.setup.data_layout import inspect_data
from errorbook.setup.plan import Plan, enough_for, make_plan
from errorbook.stats import detectable_gain, not_worse
from errorbook.strategies.section import StrategySection
from errorbook.strategies.table import Name as Strategy
from errorbook.train import TrainSection
from errorbook.verify import VerifySection

PLANNED = Config(
    run=RunSection(name="planned", cycles=2),
    tasks=(
        TaskSection(name="arithmetic", train=40, dev=60, test=20),
        TaskSection(name="arithmetic_transfer", role="guard", train=0, dev=30, test=10, margin=0.05),
    ),
    strategy=StrategySection(name="error", samples_per_error=3, rounds=2),
    train=TrainSection(scales=(1.0, 0.5)),
    gate=GateSection(alpha=0.05),
)


def write_questions(path: Path, rows: int = 60, **more: str) -> Path:
    lines = [json.dumps({"prompt": f"What is {n} + 1?", "label": str(n + 1), **more}) for n in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def answers(data: Path | None = None) -> scaffold.InitAnswers:
    return scaffold.InitAnswers(data, "smollm2-135m-instruct", "tutor", "contrast", 2, None)


def test_init_takes_every_key_that_an_instructor_cannot_do_without(tmp_path: Path) -> None:
    command = ["init", str(tmp_path / "own.toml"), "--instructor", "custom", "--yes"]
    refused = CliRunner().invoke(cli, command)
    assert "give --instructor-option function=VALUE" in str(refused.exception)

    options = ["--instructor-option", "function=json:dumps", "--instructor-option", "concurrency=2"]
    assert CliRunner().invoke(cli, [*command, *options]).exit_code == 0
    assert load(tmp_path / "own.toml").instructor.options == {"function": "json:dumps", "concurrency": 2}

    by_hand = ["init", str(tmp_path), "--instructor", "custom"]
    asked = CliRunner().invoke(cli, by_hand, input="arithmetic\njson:dumps\n\n")
    assert asked.exit_code == 0
    assert load(tmp_path / "run.toml").instructor.options == {"function": "json:dumps"}

    wrong = CliRunner().invoke(cli, [*command, "--force", "--instructor-option", "function"])
    assert "--instructor-option function is not a new KEY=VALUE" in str(wrong.exception)


def test_own_data_that_the_tutor_cannot_teach_are_named_before_anything_runs(tmp_path: Path) -> None:
    data = write_questions(tmp_path / "questions.jsonl")
    made = CliRunner().invoke(cli, ["init", str(tmp_path), "--data", str(data), "--yes"])
    assert made.exit_code == 0
    assert "The instructor 'tutor' knows its own tasks only" in made.stderr
    warned = " ".join(make_plan(load(tmp_path / "run.toml")).warnings)
    assert re.search(r"can teach no question of the \d+ train questions of 'questions'", warned)
    assert "use an instructor that runs a model" in warned

    for options in (
        ["--data", "arithmetic"],
        ["--data", str(data), "--instructor", "openai", "--instructor-model", "m"],
    ):
        quiet = CliRunner().invoke(cli, ["init", str(tmp_path / "other.toml"), "--yes", "--force", *options])
        assert "tutor" not in quiet.stderr, options
        assert "can teach" not in " ".join(make_plan(load(tmp_path / "other.toml")).warnings)


def test_a_function_beside_the_run_file_is_found_by_the_command_that_pip_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate_way.py").write_text("def reply(messages):\n    return ''\n")
    instructor = '[instructor]\nkind = "custom"\nfunction = "gate_way:reply"\n'
    text = f'[run]\nname = "g"\n\n{instructor}\n[[tasks]]\nname = "arithmetic"\n'
    (tmp_path / "run.toml").write_text(text)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in {"", str(tmp_path)}])
    planned = call(tmp_path, "plan", "run.toml")
    assert planned.returncode == 0, planned.stderr
    (tmp_path / "run.toml").write_text(text.replace("gate_way:", "gone_way:"))
    refused = call(tmp_path, "plan", "run.toml")
    assert refused.returncode == 2
    assert "start the command in the folder that holds it" in refused.stderr


def test_the_default_run_file_parses_and_is_commented(tmp_path: Path) -> None:
    scaffold.write_run_file(tmp_path / "run.toml", answers())
    text = (tmp_path / "run.toml").read_text()
    config = load(tmp_path / "run.toml")

    assert [task.name for task in config.learn()] == ["arithmetic"]
    assert config.guards()
    assert config.verify.answers == "recompute"
    assert text.count("#") > 10
    assert max(map(len, text.splitlines())) <= 120
    assert not make_plan(config).warnings


def test_own_questions_are_found_by_their_columns(tmp_path: Path) -> None:
    data = write_questions(tmp_path / "My questions.jsonl")
    scaffold.write_run_file(tmp_path / "run.toml", answers(data))
    config = load(tmp_path / "run.toml")
    (task,) = config.learn()

    assert (task.name, task.plugin, config.run.name) == ("My-questions", "jsonl", "My-questions")
    assert task.options["path"] == str(data)
    assert (task.options["question"], task.options["answer"], task.options["scorer"]) == ("prompt", "label", "numeric")
    assert 'path = "My questions.jsonl"' in (tmp_path / "run.toml").read_text(), "the path moves with the folder"
    assert sum(plan.train + plan.dev + plan.test for plan in make_plan(config).tasks if plan.role == "learn") == 60


def test_what_looks_like_a_comment_in_a_name_stays_as_it_is(tmp_path: Path) -> None:
    data = write_questions(tmp_path / 'new "b"  # 2.jsonl')
    scaffold.write_run_file(tmp_path / "run.toml", answers(data)._replace(model='of  # "mine"', budget_usd=None))
    config, lines = load(tmp_path / "run.toml"), (tmp_path / "run.toml").read_text().splitlines()

    assert (config.learn()[0].options["path"], config.target.model) == (str(data), 'of  # "mine"')
    model = r'model = "of  # \"mine\""          # the embedded model, a folder, or a name on the Hugging Face hub'
    assert model in lines
    assert "# budget_usd = 10.0               # the most that the instructor may cost, in dollars" in lines


@pytest.mark.parametrize(("ending", "kind"), [("csv", "csv"), ("tsv", "csv"), ("CSV", "csv"), ("parquet", "parquet")])
def test_own_questions_may_lie_in_any_file_that_a_task_reads(ending: str, kind: str, tmp_path: Path) -> None:
    data, rows = tmp_path / f"own.{ending}", [(f"What is {n} + 1?", str(n + 1)) for n in range(60)]
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.table({"prompt": [row[0] for row in rows], "label": [row[1] for row in rows]})
        pytest.importorskip("pyarrow.parquet").write_table(table, data)
    else:
        mark = "\t" if ending == "tsv" else ","
        data.write_text("\n".join(mark.join(row) for row in [("prompt", "label"), *rows]) + "\n")
    scaffold.write_run_file(tmp_path / "run.toml", answers(data))
    config = load(tmp_path / "run.toml")
    (task,) = config.learn()

    assert (task.plugin, task.options["question"], task.options["answer"]) == (kind, "prompt", "label")
    assert sum(plan.train + plan.dev + plan.test for plan in make_plan(config).tasks if plan.role == "learn") == 60


@pytest.mark.parametrize(("group", "said"), [("source", "correct the column 'source'"), ("", "name a column")])
def test_what_to_do_about_groups_depends_on_the_run_file(group: str, said: str, tmp_path: Path) -> None:
    data = tmp_path / "own.jsonl"
    rows = [
        {
            "question": f"Of the long text about {n % 2}: what is {n} and {n * n}?",
            "answer": "1",
            "split": split,
            "source": "a",
        }
        for split, start in (("train", 0), ("dev", 100))
        for n in range(start, start + 20)
    ]
    rows += [{**row, "question": f"{row['question']} Really?"} for row in rows if row["split"] == "dev"]
    data.write_text("".join(json.dumps({**row, "source": row["split"]}) + "\n" for row in rows))
    options = {"path": str(data), "scorer": "exact", **({"group": group} if group else {})}
    task = TaskSection(name="own", kind="jsonl", train=20, dev=40, test=0, options=options)
    [note] = [note for note in make_plan(replace(PLANNED, tasks=(task,))).notes if "belong together" in note]

    assert said in note
    assert " 1 groups" not in note


def test_answers_in_words_are_compared_exactly(tmp_path: Path) -> None:
    (tmp_path / "words.jsonl").write_text('{"question": "Capital of France?", "answer": "Paris"}\n')

    assert inspect_data(tmp_path / "words.jsonl").scorer == "exact"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "There is no file"),
        ("", "is empty"),
        ("nonsense\n", "Line 1 of .* is not JSON"),
        ("[1, 2]\n", "Line 1"),
        ('{"a": 1, "b": 2}\n', "it has: a, b"),
    ],
)
def test_unusable_questions_are_one_sentence(tmp_path: Path, content: str | None, expected: str) -> None:
    data = tmp_path / "data.jsonl"
    if content is not None:
        data.write_text(content)

    with pytest.raises(DataError, match=expected):
        scaffold.write_run_file(tmp_path / "run.toml", answers(data))
    assert not (tmp_path / "run.toml").exists()


def test_a_run_file_is_never_overwritten_by_accident(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("precious")

    with pytest.raises(ConfigError, match="--force"):
        scaffold.write_run_file(tmp_path / "run.toml", answers())
    assert (tmp_path / "run.toml").read_text() == "precious"
    scaffold.write_run_file(tmp_path / "run.toml", answers(), force=True)
    assert load(tmp_path / "run.toml").run.name == "arithmetic"


def test_init_takes_every_answer_as_an_option(tmp_path: Path) -> None:
    options = ["--data", "arithmetic", "--model", "./mine", "--instructor", "noise", "--strategy", "undirected"]
    file = tmp_path / "new" / "other.toml"
    reply = CliRunner().invoke(cli, ["init", str(file), *options, "--cycles", "3", "--budget", "0"])
    config = load(file)

    assert reply.exit_code == 0, reply.output
    assert (config.instructor.kind, config.strategy.name, config.run.cycles) == ("noise", "undirected", 3)
    assert config.run.budget_usd is None
    assert config.target.model == str(file.parent / "mine")


def test_a_plan_bounds_the_work() -> None:
    plan = make_plan(PLANNED)

    on_train, on_dev, on_test = 40 * 3, (60 + 30) * (1 + 2 * 2), 2 * (20 + 10)
    asked_twice = 60  # the learnt task's dev, for the noise floor
    assert plan.responses == on_train + on_dev + asked_twice + on_test
    assert plan.calls == 2 * 40 + 2 * 2 * 40
    assert plan.drafts == 2 * 2 * 120
    assert plan.usd == 0.0
    assert 0 < plan.generated_tokens < plan.generated_tokens_at_most
    assert plan.alpha_each == pytest.approx(0.05 / 4)
    assert plan.detectable == detectable_gain(60, 0.05 / 4)


def test_an_undirected_plan_asks_for_no_diagnoses() -> None:
    plan = make_plan(replace(PLANNED, strategy=replace(PLANNED.strategy, name="undirected")))

    assert plan.calls == 2 * 2 * 12
    assert plan.drafts == 2 * 2 * 120


def priced(folder: Path, budget: float | None = None, votes: int = 3, **options: object) -> Config:
    """Two tasks of one's own that nothing recomputes, and an instructor that is never asked."""
    rows = [{"question": f"{n}?", "answer": str(n), "split": ("train", "dev", "test")[n % 3]} for n in range(90)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    instructor = {"model": "teacher", "base_url": "http://127.0.0.1:9/v1", **options}
    return Config(
        run=RunSection(name="priced", cycles=2, budget_usd=budget),
        instructor=InstructorSection(kind="openai", options=instructor),
        tasks=tuple(
            TaskSection(name=name, kind="jsonl", train=n, dev=20, test=5, options={"path": str(folder / "rows.jsonl")})
            for name, n in (("first", 30), ("second", 10))
        ),
        strategy=StrategySection(name="contrast", samples_per_error=2, rounds=2),
        verify=VerifySection(votes=votes),
    )


PRICE: dict[str, Any] = {"price_input": 2.0, "price_output": 8.0}


def test_an_instructor_behind_an_endpoint_is_priced_without_a_key_or_a_request(tmp_path: Path) -> None:
    plan = make_plan(priced(tmp_path, budget=100.0, **PRICE))

    diagnoses, writes, drafts = 2 * 40, 2 * 2 * 40, 2 * 2 * 80
    assert (plan.drafts, plan.votes, plan.calls) == (drafts, 3 * drafts, diagnoses + writes + 3 * drafts)
    assert plan.output_tokens == diagnoses * REPLY + drafts * DRAFT + 3 * drafts * ANSWER
    assert plan.input_tokens is not None
    assert plan.input_tokens > 100 * plan.calls, "prompts are not short"
    assert plan.usd == pytest.approx((2 * plan.input_tokens + 8 * plan.output_tokens) / 1e6)
    assert not [warning for warning in plan.warnings if "budget" in warning or "price" in warning]


def test_a_plan_warns_of_money(tmp_path: Path) -> None:
    unknown = make_plan(priced(tmp_path, budget=5.0))
    assert unknown.usd is None
    assert any("price_input and price_output" in warning for warning in unknown.warnings)
    assert any("budget_usd" in warning for warning in make_plan(priced(tmp_path, **PRICE)).warnings)
    dear = make_plan(priced(tmp_path, budget=0.25, **PRICE))
    (warning,) = [warning for warning in dear.warnings if "stops at its budget of $0.25" in warning]
    assert f"${dear.usd:.2f}" in warning
    own = make_plan(priced(tmp_path, price_input=0.0, price_output=0.0))
    assert own.usd == 0.0
    assert not [warning for warning in own.warnings if "budget" in warning]


@pytest.mark.parametrize(("name", "writes"), [("error", 40), ("undirected", 8), ("cluster", (80 + 4 * 40) // 5)])
def test_each_strategy_has_its_own_number_of_calls(tmp_path: Path, name: Strategy, writes: int) -> None:
    config = priced(tmp_path, votes=0, **PRICE)
    plan = make_plan(replace(config, strategy=replace(config.strategy, name=name)))

    assert plan.calls == (0 if name == "undirected" else 2 * 40) + 2 * 2 * writes
    assert plan.drafts == 2 * 2 * 80
    assert plan.votes == 0


def test_drafts_that_something_checks_are_not_voted_on(tmp_path: Path) -> None:
    config = priced(tmp_path, **PRICE)
    solved = replace(config, tasks=PLANNED.tasks)
    trusted = replace(config, verify=VerifySection(answers="trust"))

    assert make_plan(config).votes
    assert make_plan(solved).votes == 0
    assert make_plan(trusted).votes == 0


def test_few_samples_are_shared_as_the_run_shares_them(tmp_path: Path) -> None:
    config = priced(tmp_path, votes=1, **PRICE)
    plan = make_plan(replace(config, strategy=replace(config.strategy, max_samples=50)))

    assert (plan.drafts, plan.votes) == (2 * 2 * 50, 2 * 2 * 50)
    assert plan.calls == 2 * 40 + 2 * 2 * 40 + plan.votes


def test_the_forecast_is_shown(tmp_path: Path) -> None:
    write_questions(tmp_path / "sums.jsonl", 90)
    (tmp_path / "run.toml").write_text(
        '[run]\nname = "r"\nbudget_usd = 3.0\n[instructor]\nkind = "openai"\nmodel = "m"\nprice_input = 2.0\n'
        'price_output = 8.0\n[[tasks]]\nname = "sums"\nkind = "jsonl"\npath = "sums.jsonl"\nquestion = "prompt"\n'
        'answer = "label"\ntrain = 20\ndev = 20\ntest = 5\n'
    )
    shown = CliRunner().invoke(cli, ["plan", str(tmp_path / "run.toml")])
    value = json.loads(CliRunner().invoke(cli, ["plan", str(tmp_path / "run.toml"), "--json"]).output)

    assert f"about ${value['usd']:.2f} of a budget of $3.00" in shown.output
    assert f"about {value['input_tokens']} in, {value['output_tokens']} out" in shown.output
    assert f"{value['votes']} of them blind answers" in shown.output


def test_a_guard_that_can_never_pass_is_foretold_with_the_size_it_needs() -> None:
    (warning,) = make_plan(PLANNED).warnings
    needed = enough_for(0.05, 0.05 / 4)
    guard = replace(PLANNED.tasks[1], dev=needed)

    assert "'arithmetic_transfer' can never pass" in warning
    assert f"dev = {needed}" in warning
    assert make_plan(replace(PLANNED, tasks=(PLANNED.tasks[0], guard))).warnings == ()


@given(st.floats(min_value=0.02, max_value=0.5), st.floats(min_value=0.001, max_value=0.2))
def test_enough_questions_are_the_fewest_that_suffice(margin: float, alpha: float) -> None:
    needed = enough_for(margin, alpha)

    assert not_worse(0, 0, needed, margin) <= alpha
    assert needed == 1 or not_worse(0, 0, needed - 1, margin) > alpha


@given(
    st.floats(min_value=0.03, max_value=0.5),
    st.floats(min_value=0.001, max_value=0.2),
    st.integers(min_value=2, max_value=9),
)
def test_enough_groups_are_the_fewest_that_suffice_whatever_their_size(margin: float, alpha: float, size: int) -> None:
    def p(groups: int) -> float:
        return not_worse(0, 0, size * groups, margin, (Cluster(size=size, times=groups),))

    needed = enough_for(margin, alpha, grouped=True)

    assert p(needed) <= alpha * (1 + 1e-9)
    assert p(needed - 1) > alpha * (1 - 1e-9)
    assert needed >= enough_for(margin, alpha)


def test_plan_prints_one_json_object(tmp_path: Path) -> None:
    scaffold.write_run_file(tmp_path / "run.toml", answers())
    reply = CliRunner().invoke(cli, ["plan", str(tmp_path / "run.toml"), "--json"])
    shown = CliRunner().invoke(cli, ["plan", str(tmp_path / "run.toml")])

    assert {"responses", "calls", "usd", "detectable", "warnings", "tasks"} <= set(json.loads(reply.output))
    assert "smallest gain dev shows" in shown.output


def test_every_lack_has_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv("ERRORBOOK_CACHE", str(occupied / "below"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1e8))
    findings = {item.name: item for item in doctor.examine()}

    assert not doctor.can_run_demo(list(findings.values()))
    for name in ("cache folder", "free disk"):
        assert not findings[name].ok
        assert findings[name].fix


def test_the_doctor_ends_with_0_exactly_where_the_demo_can_run() -> None:
    reply = CliRunner().invoke(cli, ["doctor", "--json"], standalone_mode=False)
    value = json.loads(reply.output)
    lacking = [item for item in value["findings"] if item["needed"] and not item["ok"]]

    assert value["ready"] is (not lacking)
    assert reply.return_value == (0 if value["ready"] else 1)
    assert all(item["fix"] for item in lacking)
    assert {"Python", "torch", "embedded model", "free disk"} <= {item["name"] for item in value["findings"]}


@pytest.mark.parametrize(
    ("section", "answers"),
    [
        ({}, 2 * (2 * (120 + 21 + 40))),  # 120 samples, 21 of 141 rehearsed, 40 train questions; two epochs, two cycles
        ({"start": "restart"}, 2 * (120 + 21 + 40) + 2 * (240 + 42 + 40)),
        ({"epochs": 1.0, "replay": 0.0}, 2 * 160),
        ({"epochs": 0.1, "replay": 0.0, "batch_size": 100}, 2 * 100),
        ({"objective": "sft"}, 0),
    ],
)
def test_a_plan_counts_the_answers_that_a_target_writes_to_learn_from(section: dict[str, Any], answers: int) -> None:
    plain = make_plan(PLANNED)
    train = replace(PLANNED.train, **({"method": "scripted", "objective": "self_distill"} | section))
    plan = make_plan(replace(PLANNED, train=train))

    assert plan.own_answers == answers
    assert plan.training_bytes is None
    assert plan.responses == plain.responses
    most = max(task.max_new_tokens for task in plan.tasks)
    assert plan.generated_tokens_at_most == plain.generated_tokens_at_most + answers * most


def test_a_plan_refuses_a_trainer_that_cannot_and_tells_the_memory_of_one_that_can(tiny_model: Path) -> None:
    def planned(**train: Any) -> Plan:
        target = replace(PLANNED.target, engine="transformers", model=str(tiny_model))
        section = replace(PLANNED.train, objective="self_distill", **train)
        return make_plan(replace(PLANNED, target=target, train=section))

    few, many = (planned(max_tokens=size).training_bytes for size in (128, 256))

    assert few is not None
    assert many is not None
    assert 0 < few < many < 2**26
    with pytest.raises(ConfigError, match="the adapter alone learns"):
        planned(method="full")

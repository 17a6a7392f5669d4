"""The command `init`: what it finds by itself, the three questions at most, what it shows, and its one call."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from errorbook.cli.main import cli
from errorbook.config import Config, load
from errorbook.errors import DataError, UserError
from errorbook.setup import new_run_file as scaffold
from errorbook.setup import plan_prompts, proposal
from errorbook.setup.assemble import create_scorer, create_task
from errorbook.setup.data_layout import inspect_data
from errorbook.setup.gold import find_flaws
from errorbook.setup.plan import make_plan
from errorbook.setup.surroundings import KEYS, find_account, is_near
from errorbook.setup.task_preview import Template
from errorbook.testing import Server, Settings, server

TEAMS = ("billing", "shipping", "returns")
PRICES = ["--instructor-option", "price_input=20", "--instructor-option", "price_output=80"]
ANSWER = json.dumps({"reasoning": "It is plain.", "answer": "billing", "sound": True})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of whoever runs the tests are not found, and prompts are shown without a model's own template."""
    for user in (proposal, plan_prompts):
        monkeypatch.setattr(user, "chat_template", lambda _: Template("", str, "As it is."))
    for name in (*KEYS, "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A provider that lets one key in, and the environment that leads to it."""
    with server(Settings(reply=ANSWER, api_key="sk-right")) as made:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
        monkeypatch.setenv("OPENAI_BASE_URL", made.base_url)
        yield made


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def tickets(folder: Path, count: int = 90) -> Path:
    rows = [(f"Ticket {n} about order {n * 7}", TEAMS[n % 3]) for n in range(count)]
    return write_csv(folder / "tickets.csv", ("Ticket", "Team"), rows)


def init(folder: Path, *options: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli, ["init", str(folder), *options], input=typed)


def learnt(folder: Path) -> tuple[Config, dict[str, Any]]:
    config = load(folder / "run.toml")
    return config, config.learn()[0].options


def test_with_data_and_a_key_three_questions_lead_to_a_file_that_needs_no_edit(
    provider: Server, tmp_path: Path
) -> None:
    tickets(tmp_path)
    reply = init(tmp_path, typed="m-1\n2.5\n\n")
    config, options = learnt(tmp_path)

    assert reply.exit_code == 0, reply.output
    assert provider.stats().requests == 1, "the endpoint is checked with one call"
    assert config.instructor.options == {
        "model": "m-1",
        "base_url": provider.base_url,
        "api_key_env": "OPENAI_API_KEY",
        "price_input": 0,
        "price_output": 0,
    }
    assert (options["question"], options["answer"], options["scorer"]) == ("Ticket", "Team", "exact")
    assert "billing, returns, shipping" in options["prompt"]
    assert config.run.budget_usd == 2.5
    assert config.verify.answers == "recompute", "it can vote blind, so nothing has to be trusted"
    assert "sk-right" not in (tmp_path / "run.toml").read_text() + reply.output
    assert reply.output.count("--- prompt") == 2
    assert "'Answer: billing' -> read as 'billing': right" in reply.output
    assert "--shots 4" in reply.output
    assert "points on (5 points need more questions)" in reply.output
    assert "answers 'billing'" in reply.output
    section = config.learn()[0]
    [plan] = [task for task in make_plan(config).tasks if task.role == "learn"]
    assert (plan.train, plan.dev, plan.test) == (section.train, section.dev, section.test)


def test_a_refused_key_is_told_in_the_servers_words_and_the_file_is_there(
    provider: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    tickets(tmp_path)
    reply = init(tmp_path, "--instructor-model", "m-1", "--yes")

    assert isinstance(reply.exception, UserError)
    assert "run.toml is written, but its instructor does not answer" in str(reply.exception)
    assert "401" in str(reply.exception)
    assert load(tmp_path / "run.toml").instructor.options["model"] == "m-1"


def test_a_reply_in_another_form_is_said_and_no_error(provider: Server, tmp_path: Path) -> None:
    tickets(tmp_path)
    with server(Settings(reply="I would rather not.")) as other:
        reply = init(tmp_path, "--instructor-model", "m", "--instructor-url", other.base_url, "--yes")

    assert reply.exit_code == 0, reply.output
    assert "its reply is no answer" in reply.output


def test_an_instructor_at_an_endpoint_needs_the_name_of_its_model(tmp_path: Path) -> None:
    tickets(tmp_path)
    refused = init(tmp_path, "--instructor", "anthropic", "--yes")

    assert isinstance(refused.exception, UserError)
    assert "name it with --instructor-model" in str(refused.exception)
    assert not (tmp_path / "run.toml").exists()


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_every_answer_may_be_an_option(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets(tmp_path)
    with server(Settings(reply=ANSWER)) as provider:
        given = ["--instructor", kind, "--instructor-model", "m-1", "--instructor-url", provider.base_url]
        prices = [*PRICES, "--budget", "5", "--shots", "3", "--cycles", "1"]
        reply = init(tmp_path, *given, *prices, "--strategy", "error", "--model", "smollm2-135m-instruct")
    config, _ = learnt(tmp_path)

    assert reply.exit_code == 0, reply.output
    assert config.instructor.kind == kind
    assert config.instructor.options["price_output"] == 80
    assert (config.strategy.name, config.run.cycles, config.learn()[0].shots) == ("error", 1, 3)
    assert "Answer: " in reply.output.partition("--- prompt 2")[0], "the shots stand in the prompts that are shown"


def test_a_budget_that_pays_for_less_makes_train_smaller(tmp_path: Path) -> None:
    tickets(tmp_path, 600)
    options = ["--instructor-model", "m", "--yes", *PRICES, "--json"]
    with server(Settings(reply=ANSWER)) as provider:
        given = [*options, "--instructor-url", provider.base_url, "--force"]
        small = json.loads(init(tmp_path, *given, "--budget", "30").stdout)
        large = json.loads(init(tmp_path, *given, "--budget", "3000").stdout)

    assert 20 <= small["answers"]["sizes"][0] < large["answers"]["sizes"][0]
    assert small["proposal"]["plan"]["usd"] <= 30
    assert small["endpoint"]["answer"] == "billing"


def test_a_gold_answer_that_cannot_be_read_is_named_with_its_row(provider: Server, tmp_path: Path) -> None:
    rows = [(f"What is {n} + {n}?", 2 * n) for n in range(60)]
    write_csv(tmp_path / "sums.csv", ("problem", "result"), [*rows, ("And pi?", "endless")])
    reply = init(tmp_path, "--instructor-model", "m", "--yes")

    assert isinstance(reply.exception, UserError)
    assert "is written, but cannot be run yet" in str(reply.exception)
    assert "line 62 of 'sums.csv'" in str(reply.exception)
    assert provider.stats().requests == 0


def test_without_a_key_the_tutor_is_said_to_know_arithmetic_only(tmp_path: Path) -> None:
    tickets(tmp_path)
    reply = init(tmp_path, "--yes")

    assert reply.exit_code == 0, reply.output
    assert load(tmp_path / "run.toml").instructor.kind == "tutor"
    assert "The instructor 'tutor' knows its own tasks only" in reply.stderr


def test_in_an_empty_folder_two_answers_are_enough(tmp_path: Path) -> None:
    reply = init(tmp_path, typed="arithmetic\n\n")

    assert reply.exit_code == 0, reply.output
    assert load(tmp_path / "run.toml").instructor.kind == "tutor"
    assert f"errorbook plan {tmp_path / 'run.toml'}" in reply.output


def test_several_files_are_no_guess(tmp_path: Path) -> None:
    tickets(tmp_path)
    (tmp_path / "more.jsonl").write_text("{}\n")
    reply = init(tmp_path, "--yes")

    assert isinstance(reply.exception, UserError)
    assert "2 files of data here (more.jsonl, tickets.csv); name one with --data" in str(reply.exception)


def test_a_key_goes_to_its_own_provider_or_to_a_near_server_only() -> None:
    both = {"OPENAI_API_KEY": "a", "GROQ_API_KEY": "b", "OPENAI_BASE_URL": "http://10.0.0.7/v1"}
    first = find_account(both)

    assert first is not None
    assert (first.key, first.url) == ("OPENAI_API_KEY", "http://10.0.0.7/v1")
    assert find_account({"ANTHROPIC_API_KEY": "x"}, "openai") is None
    groq = find_account({"GROQ_API_KEY": "b", "OPENAI_BASE_URL": "http://10.0.0.7/v1"})
    assert groq is not None
    assert groq.url.startswith("https://api.groq.com")
    assert is_near("http://localhost:8000/v1")
    assert not is_near("https://api.example.com/v1")


def test_a_far_address_gets_no_key_that_was_not_named_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    monkeypatch.setattr(proposal, "try_endpoint", lambda _: None)
    tickets(tmp_path)
    away = ["--instructor-model", "m", "--instructor-url", "https://example.invalid/v1", "--yes"]
    init(tmp_path, *away)

    assert "api_key_env" not in load(tmp_path / "run.toml").instructor.options
    init(tmp_path, *away, "--instructor-option", "api_key_env=OPENAI_API_KEY", "--force")
    assert load(tmp_path / "run.toml").instructor.options["api_key_env"] == "OPENAI_API_KEY"


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        (("id", "Frage", "Antwort"), [(n, f"Wie viel ist {n}?", n) for n in range(9)], {"scorer": "numeric"}),
        (
            ("question", "A", "B", "C", "answer"),
            [(f"Which {n}?", "x", "y", "z", "ABC"[n % 3]) for n in range(9)],
            {"scorer": "choice", "choices": ("A", "B", "C"), "count_from": None},
        ),
        (
            ("question", "option1", "option2", "answer"),
            [(f"Which {n}?", "x", "y", n % 2) for n in range(9)],
            {"scorer": "choice", "choices": ("option1", "option2"), "count_from": 0},
        ),
        (
            ("question", "option1", "option2", "answer"),
            [(f"Which {n}?", 1, 2, 1 + n % 2) for n in range(9)],
            {"scorer": "choice", "count_from": None},
        ),
        (
            ("question", "answer"),
            [(f"Sum {n}?", f"It is {n}.\n#### {n}") for n in range(9)],
            {"scorer": "numeric", "after": "####"},
        ),
        (("prompt", "completion"), [(f"Name {n}?", f"Person {n}") for n in range(9)], {"scorer": "exact"}),
        (("text", "category"), [(f"Text {n} is so", "ab"[n % 2]) for n in range(9)], {"answer": "category"}),
    ],
    ids=["other words", "a column each", "numbered from 0", "options that are numbers", "mark", "pairs", "categories"],
)
def test_columns_kind_and_scorer_come_from_the_data(
    header: Sequence[str], rows: Sequence[Sequence[object]], expected: dict[str, Any], tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "own.csv", header, rows)
    found = inspect_data(data)._asdict()
    assert {key: found[key] for key in expected} == expected

    scaffold.write_run_file(
        tmp_path / "run.toml", scaffold.InitAnswers(data, "smollm2-135m-instruct", "tutor", "error", 1, None)
    )
    section = load(tmp_path / "run.toml").learn()[0]
    task = create_task(section)
    assert not find_flaws(task, create_scorer(task.scorer, section.marking), task.examples("train", None, 1))


def test_what_the_columns_leave_open_is_asked_for_by_option(tmp_path: Path) -> None:
    rows = [(f"The text number {n}", f"x{n % 2}", f"y{n % 3}") for n in range(30)]
    data = write_csv(tmp_path / "own.csv", ("Body", "First", "Second"), rows)

    with pytest.raises(DataError, match="--question COLUMN and --answer COLUMN"):
        inspect_data(data)
    assert inspect_data(data, answer="Second")[:2] == ("Body", "Second")
    with pytest.raises(DataError, match="has no column 'Third'"):
        inspect_data(data, answer="Third")

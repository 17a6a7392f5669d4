"""`errorbook tasks`: the known tasks, a task's prompts as the model reads them, and scoring a typed response."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from errorbook import plugins
from errorbook.adapters.targets.conversation import render
from errorbook.adapters.targets.loading import load_tokenizer
from errorbook.cli.main import cli
from errorbook.cli.options import parse_options
from errorbook.errors import ConfigError, DataError, PluginError, UserError

BARE = ("--model", "./no-model")


def errorbook(*arguments: str | Path, typed: str = "") -> Result:
    """The command, with `typed` on stdin."""
    return CliRunner().invoke(cli, [str(item) for item in arguments], input=typed, catch_exceptions=False)


def shown(*arguments: str | Path, typed: str = "") -> dict[str, Any]:
    """What `tasks show --json` prints."""
    found: dict[str, Any] = json.loads(errorbook("tasks", "show", *arguments, "--json", typed=typed).stdout)
    return found


def questions(path: Path, split: str = "train") -> Path:
    rows = [{"question": f"Spell {word} backwards.", "answer": word[::-1]} for word in ("stone", "pear")]
    path.write_text("".join(json.dumps({**row, "split": split}) + "\n" for row in rows), encoding="utf-8")
    return path


def test_every_installed_task_is_listed_with_its_scorer() -> None:
    found = {item["name"]: item for item in json.loads(errorbook("tasks", "--json").stdout)["tasks"]}

    assert sorted(found) == plugins.names("tasks")
    assert (found["arithmetic"]["scorer"], found["arithmetic"]["package"]) == ("numeric", "errorbook")
    assert found["jsonl"]["needs"] == ["path"]
    assert all(item["about"] for item in found.values())


def test_the_list_as_a_table() -> None:
    listed = errorbook("tasks").stdout

    assert "arithmetic" in listed
    assert "jsonl needs the option path" in listed


def test_prompts_are_rendered_by_the_models_own_chat_template(tiny_model: Path) -> None:
    task = plugins.create("tasks", "arithmetic")
    examples = task.examples("train", 3, 0)
    tokenizer = load_tokenizer(str(tiny_model))

    found = shown("arithmetic", "--model", tiny_model)

    assert [item["prompt"] for item in found["examples"]] == [
        render(tokenizer, task.prompt(example.question)) for example in examples
    ]
    assert found["template"] == str(tiny_model)
    assert found["score"] is None


def test_without_a_tokenizer_the_bare_message_is_shown_and_said_so() -> None:
    task = plugins.create("tasks", "arithmetic")
    [example, *_] = task.examples("dev", 3, 7)

    reply = errorbook("tasks", "show", "arithmetic", "--split", "dev", "--seed", "7", *BARE)

    assert task.prompt(example.question) in reply.stdout
    assert "without a chat template" in reply.stderr


def test_a_response_on_stdin_is_scored_against_the_first_example() -> None:
    [example, *_] = plugins.create("tasks", "arithmetic").examples("train", 3, 0)

    right = shown("arithmetic", *BARE, typed=f"Answer: {example.answer}\n")
    wrong = errorbook("tasks", "show", "arithmetic", *BARE, typed="Answer: -123456")

    assert right["score"]["verdict"] == "right"
    assert (right["score"]["extracted"], right["score"]["method"]) == (example.answer, "marker")
    assert "wrong (extracted: '-123456', method: marker)" in wrong.stdout


def test_options_reach_the_task_and_the_first_filled_split_is_shown(tmp_path: Path) -> None:
    path = questions(tmp_path / "my.jsonl", split="test")
    found = shown("jsonl", "--option", f"path={path}", "--option", "scorer=exact", *BARE, typed="enots")

    assert (found["split"], found["scorer"], len(found["examples"])) == ("test", "exact", 2)
    assert found["score"]["verdict"] in {"right", "wrong"}


def test_option_values_are_read_as_in_a_run_file() -> None:
    given = ("path=1.jsonl", "dev=0.5", "names=[1, 2]", 'quoted="7"', "empty=", "twice=a=b")

    assert parse_options(given) == {
        "path": "1.jsonl",
        "dev": 0.5,
        "names": [1, 2],
        "quoted": "7",
        "empty": "",
        "twice": "a=b",
    }


@pytest.mark.parametrize("pairs", [("path",), ("=x",), ("a=1", "a=2")])
def test_a_malformed_option_is_refused(pairs: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_options(pairs)


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        (("sums",), PluginError, "There is no task called 'sums'; known: arc, arithmetic"),
        (("jsonl",), ConfigError, "needs the key 'path'"),
        (("jsonl", "--option", "path=absent.jsonl"), DataError, "There is no file 'absent.jsonl'"),
        (("arithmetic", "--option", "colour=red"), ConfigError, "has no key 'colour'"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(arguments: tuple[str, ...], kind: type[UserError], expected: str) -> None:
    with pytest.raises(kind) as caught:
        errorbook("tasks", "show", *arguments, *BARE)

    assert expected in str(caught.value)


def test_a_split_that_is_asked_for_and_empty_is_refused(tmp_path: Path) -> None:
    path = questions(tmp_path / "my.jsonl", split="test")

    with pytest.raises(DataError, match="no example in the dev split"):
        errorbook("tasks", "show", "jsonl", "--option", f"path={path}", "--split", "dev", *BARE)

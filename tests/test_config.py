from importlib import resources
from pathlib import Path

import pytest

from errorbook.config import Config, dump, load, parse
from errorbook.errors import ConfigError, PluginError, UserError

GOOD = """
[run]
name = "mine"
cycles = 2

[target]
engine = "scripted"

[[tasks]]
name = "arithmetic"
"""


def test_a_short_file_gets_defaults() -> None:
    config = parse(GOOD)
    assert config.run.cycles == 2
    assert config.strategy.name == "contrast"
    assert [task.name for task in config.learn()] == ["arithmetic"]


def test_the_shipped_demo_parses() -> None:
    text = resources.files("errorbook").joinpath("demo.toml").read_text()
    assert isinstance(parse(text), Config)


def test_equal_files_have_equal_identity() -> None:
    assert dump(parse(GOOD)) == dump(parse(GOOD + "\n# a comment\n"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("cycles", "cycels"), "did you mean 'cycles'"),
        (GOOD.replace("[run]", "[runn]"), "did you mean 'run'"),
        (GOOD.replace("cycles = 2", 'cycles = "two"'), "'run.cycles' must be of type int, not str"),
        (GOOD.replace('name = "mine"', ""), "'run.name' is missing"),
        (GOOD.replace("cycles = 2", "cycles = 0"), "must be at least 1"),
        (GOOD + "rolle = 'learn'", "did you mean 'role'"),
        (GOOD + "role = 'teacher'", "learn or guard"),
        (GOOD + "role = 'guard'", "no task to learn from"),
        (GOOD + "train = 0", "needs train and dev"),
        (GOOD + "margin = 2.0", "margin"),
        (GOOD + "[[tasks]]\nname = 'arithmetic'", "used twice"),
        (GOOD + "[gate]\nalpha = 5.0", "between 0 and 1"),
        (GOOD + "[strategy]\nname = 'contrst'", "error, contrast, cluster or undirected"),
        (GOOD + "[strategy]\nsamples_per_eror = 3", "did you mean 'samples_per_error'"),
        (GOOD + "[train]\nrnk = 3", "did you mean 'rank'"),
        (GOOD + "[train]\nscales = []", "scales"),
        (GOOD + "[instructor]\nkind = 'tutor'\nseeed = 3", "did you mean 'seed'"),
        ("[run\n", "not valid TOML"),
        ("tasks = 3\n[run]\nname='x'", "[[tasks]]"),
    ],
)
def test_each_mistake_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [GOOD.replace("arithmetic", "arithmetik"), GOOD + "[instructor]\nkind = 'tutr'", GOOD + "[train]\nmethod='x'"],
)
def test_an_unknown_plugin_lists_the_known_ones(text: str) -> None:
    with pytest.raises(PluginError, match="known: "):
        parse(text)


def test_a_missing_file_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="errorbook init"):
        load(tmp_path / "absent.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "odd.toml")


def test_data_paths_are_relative_to_the_run_file(tmp_path: Path) -> None:
    text = GOOD.replace('name = "arithmetic"', 'name = "own"\nkind = "jsonl"\npath = "data/own.jsonl"')
    (tmp_path / "run.toml").write_text(text)
    (task,) = load(tmp_path / "run.toml").tasks
    assert task.options["path"] == str(tmp_path / "data" / "own.jsonl")

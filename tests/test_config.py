from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Interval

from errorbook.config import Config, dump, load, parse
from errorbook.errors import ConfigError, PluginError, UserError
from errorbook.plugins import Share, describe_type

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


def test_a_key_that_equals_its_default_does_not_count() -> None:
    assert dump(parse(GOOD)) == dump(parse(GOOD.replace("cycles = 2", "cycles = 2\nseed = 0") + "[gate]\nalpha = 0.05"))
    assert "alpha" not in dump(parse(GOOD))
    assert dump(parse(GOOD)) != dump(parse(GOOD + "[gate]\nalpha = 0.06"))


def numbers(hint: Any, stated: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """For each number in an annotation, what the annotation states of it."""
    if hint in {int, float}:
        yield stated
    for part in (hint.__origin__,) if get_origin(hint) is Annotated else get_args(hint):
        yield from numbers(part, getattr(hint, "__metadata__", ()))


def test_every_number_of_every_section_has_a_range() -> None:
    found = {
        f"{name}.{key}": stated
        for name, hint in get_type_hints(Config).items()
        for key, kind in get_type_hints((get_args(hint) or (hint,))[0], include_extras=True).items()
        for stated in numbers(kind)
    }

    assert len(found) > 25
    for key, stated in found.items():
        bounds = [(item.ge, item.gt, item.le, item.lt) for item in stated if isinstance(item, Interval)]
        assert [(ge is None) != (gt is None) and (le is None) != (lt is None) for ge, gt, le, lt in bounds] == [True], (
            key
        )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("cycles", "cycels"), "did you mean 'cycles'"),
        (GOOD.replace("[run]", "[runn]"), "did you mean 'run'"),
        (GOOD.replace("cycles = 2", 'cycles = "two"'), "'run.cycles' is 'two'; it must be a whole number at least 1"),
        (GOOD.replace('name = "mine"', ""), "'run.name' is missing"),
        (GOOD.replace("cycles = 2", "cycles = 0"), "must be at least 1"),
        (GOOD + "rolle = 'learn'", "did you mean 'role'"),
        (GOOD + "role = 'teacher'", "learn or guard"),
        (GOOD + "role = 'guard'", "no task to learn from"),
        (GOOD + "train = 0", "needs train and dev"),
        (GOOD + "margin = 2.0", "margin"),
        (GOOD + "[[tasks]]\nname = 'arithmetic'", "used twice"),
        (GOOD + "[gate]\nalpha = 5.0", "between 0 and 1"),
        (
            GOOD + "[strategy]\nname = 'contrst'",
            "undirected, augment, imitate, gold, self or reweight",
        ),
        (GOOD + "[strategy]\nsamples_per_eror = 3", "did you mean 'samples_per_error'"),
        (GOOD + "[train]\nrnk = 3", "did you mean 'rank'"),
        (GOOD + "[train]\nscales = []", "scales"),
        (GOOD + "[instructor]\nkind = 'tutor'\nseeed = 3", "did you mean 'seed'"),
        (GOOD + "[gate]\nalpha = nan", "'gate.alpha' is nan; it must be a finite number"),
        (GOOD + "[train]\nlearning_rate = inf", "'train.learning_rate' is inf; it must be a finite number"),
        (GOOD + "[train]\nlearning_rate = -1.0", "'train.learning_rate' is -1.0; it must be above 0 and at most 10"),
        (GOOD + "[train]\nscales = [1.0, 0.0]", "'train.scales' is 0.0; it must be above 0"),
        (GOOD + "[train]\nbatch_size = 2.5", "'train.batch_size' is 2.5; it must be a whole number"),
        (GOOD + "[train]\nreplay = 1.0", "at least 0 and below 1"),
        (GOOD + "[strategy]\nk = true", "'strategy.k' is True; it must be a whole number"),
        (GOOD + "[verify]\nvotes = -1", "'verify.votes' is -1; it must be at least 0"),
        (GOOD + "[compute]\nworkers = 9999999", "at most"),
        (GOOD + "[compute]\nworkers = -1", "'compute.workers' is -1; it must be at least 0"),
        (GOOD + "[verify]\nagainst = 'mmlu'", "'verify.against' is 'mmlu'; it must be a list of texts"),
        (GOOD + "stop = ['']", "'tasks.stop' of 'arithmetic' is empty"),
        (GOOD.replace("cycles = 2", "seed = -1"), "'run.seed' is -1"),
        ("gate = 3\n" + GOOD, "'gate' is a section; write it as [gate]"),
        ("[[tasks]]\nname = 'arithmetic'", "'run' is missing"),
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


@pytest.mark.parametrize(("value", "shown"), [('"maybe"', "'maybe'"), ("true", "True"), ('["on"]', "['on']")])
def test_an_option_of_few_values_names_them(value: str, shown: str) -> None:
    text = f'[run]\nname = "x"\n[target]\nengine = "transformers"\nthinking = {value}\n[[tasks]]\nname = "arithmetic"\n'

    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert str(raised.value) == (
        f"The key 'thinking' of the target 'transformers' has a wrong value, {shown}; it takes 'off', 'on', 'auto'."
    )


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool | None, "true or false"),
        (Literal["any", "all"] | None, "'any' or 'all'"),
        (list[str], "a list of texts"),
        (tuple[int, ...], "a list of whole numbers"),
        (Mapping[str, float], "a table of numbers"),
        (str | list[str | int], "text or a list"),
        (dict[str, Any], "a table"),
        (Share | None, "a number at least 0 and at most 1"),
        (Path | str, ""),
        (Any, ""),
    ],
)
def test_what_a_key_takes_is_said_in_words(hint: Any, words: str) -> None:
    assert describe_type(hint) == words

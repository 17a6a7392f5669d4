"""The experiment file: what it makes of a run file, and one sentence for each mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiment_kit import EXPERIMENT, RUN_FILE, write_files

from errorbook.config import parse
from errorbook.errors import ConfigError
from errorbook.experiment.arms import READY_ARMS
from errorbook.experiment.file import describe_changes, load, make_config
from errorbook.setup.claim import identify, relocate

HEAD = '[experiment]\nname = "t"\nrun = "base.toml"\nseeds = [1]\nsamples = 12\n'


def config_of(folder: Path, arm: str, name: str = "x") -> object:
    asked = load(write_files(folder, f"{HEAD}[arms.{name}]\n{arm}"))
    return make_config(asked, asked.arm(name), 1)


@pytest.mark.parametrize(
    "text",
    [
        "train.learning_rate = 0.001\ntrain.epochs = 3.0",
        '"train.learning_rate" = 0.001\n"train.epochs" = 3.0',
        "train = {learning_rate = 0.001, epochs = 3.0}",
        '"train.learning_rate" = 0.001\ntrain.epochs = 3.0',
    ],
)
def test_keys_may_be_nested_or_dotted(tmp_path: Path, text: str) -> None:
    made = config_of(tmp_path, text)

    assert (made.train.learning_rate, made.train.epochs) == (0.001, 3.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "tasks.arithmetic.shots = 2",
        '"tasks.arithmetic.shots" = 2',
        "tasks.learn.shots = 2",
        "tasks.learn = {shots = 2}",
    ],
)
def test_tasks_are_named_or_all_that_are_learnt(tmp_path: Path, text: str) -> None:
    made = config_of(tmp_path, text)

    assert [task.shots for task in made.tasks] == [2, 0]  # type: ignore[attr-defined]


def test_a_value_takes_the_place_of_the_whole_value(tmp_path: Path) -> None:
    made = config_of(tmp_path, "arm = 'both'\nstrategy.name = {gold = 1.0}")

    assert made.strategy.name == {"gold": 1.0}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", READY_ARMS)
def test_every_ready_made_arm_makes_a_run_file(tmp_path: Path, name: str) -> None:
    asked = load(write_files(tmp_path, f"{HEAD}[arms.{name}]\n"))
    made = make_config(asked, asked.arm(name), 7)

    assert (made.run.seed, made.run.name) == (7, f"t-{name}-7")
    assert (made.strategy.max_samples, made.strategy.samples_per_error) == (12, 12)
    assert len(describe_changes(asked.arm(name))) == sum(len(block) for block in READY_ARMS[name].changes.values())


def test_an_arm_may_have_samples_of_its_own(tmp_path: Path) -> None:
    made = config_of(tmp_path, "samples = 120\narm = 'undirected'")

    assert made.strategy.max_samples == 120  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'experiment' is missing"),
        (HEAD, "there are no arms"),
        (HEAD.replace("[1]", "[]") + "[arms.error]", "experiment.seeds' is empty"),
        (HEAD.replace("[1]", "[1, 1]") + "[arms.error]", "names a seed twice"),
        (HEAD.replace("[1]", '["a"]') + "[arms.error]", "experiment.seeds"),
        (HEAD.replace("samples = 12", "") + "[arms.error]", "'experiment.samples' is missing"),
        (HEAD.replace("samples", "tokens") + "[arms.error]", "cannot be ended at so many 'tokens'"),
        (HEAD.replace("samples", "usd") + "[arms.error]", "cannot be ended at so many 'usd'"),
        (HEAD.replace("samples", "minutes") + "[arms.error]", "cannot be ended at so many 'minutes'"),
        (HEAD.replace("base.toml", "none.toml") + "[arms.error]", "There is no run file"),
        (HEAD.replace('"t"', '"a/b"') + "[arms.error]", "may hold letters"),
        (HEAD + "[arms.eror]", "did you mean 'error'"),
        (HEAD + '[arms.x]\narm = "eror"', "did you mean 'error'"),
        (HEAD + '[arms."a b"]\narm = "error"', "may be called by letters"),
        (HEAD + "[arms.base]\ntrain.epochs = 3.0", "give what you change another name"),
        (HEAD + "[arms.x]\nsamples = 0", "whole number"),
        (HEAD + "[arms.x]\ntrain.epoch = 3.0", "'epoch'"),
        (HEAD + "[arms.x]\nstrategies.k = 3", "there is no section"),
        (HEAD + "[arms.x]\nstrategy.max_samples = 3", "which is the budget"),
        (HEAD + "[arms.x]\nrun.seed = 3", "changes run.seed"),
        (HEAD + "[arms.x]\ntasks.arithmetic.test = 3", "changes tasks.test"),
        (HEAD + "[arms.x]\n'tasks.learn.role' = 'guard'", "changes tasks.role"),
        (HEAD + "[arms.x]\ntasks.gsm8k.shots = 3", "has no task 'gsm8k'"),
        (HEAD + "[arms.x]\ntasks = []", "sets 'tasks' as a whole"),
        (HEAD + "[arms.x]\nrun.cycles = 5", "cannot be divided equally"),
        (HEAD + "control = 'gold'\n[arms.error]", "which is no arm"),
        (HEAD + "[arm.error]", "there is no section [arm]"),
        (HEAD + "[arms]\nerror = 3", "there are no arms"),
        (HEAD + "[arms.x]\nstrategy = 3", "as a whole"),
        (HEAD + "[arms.x]\nverify = 3", "sets 'verify' as a whole"),
        (HEAD + "[arms.x]\nsinks = 3", "sets 'sinks' as a whole"),
        (HEAD + "[arms.x]\nepochs = 3", "there is no section [epochs]"),
        (HEAD + "[arms.x]\narm = {}", "must be the name of a ready-made arm"),
        (HEAD + "[arms.x]\ntasks.learn = [1]\n'tasks.learn.' = 3", "sets 'tasks' as a whole"),
        (HEAD + "[arms.x]\n'' = 3", "there is no section []"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write_files(tmp_path, text))

    assert said in str(caught.value)
    assert "trial.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no experiment file"):
        load(tmp_path / "none.toml")


def test_the_control_is_undirected_if_there_is_one(tmp_path: Path) -> None:
    assert load(write_files(tmp_path)).control == "undirected"
    assert load(write_files(tmp_path, EXPERIMENT.replace("undirected", "error"))).control == "base"


def test_what_is_bought_may_be_kept_for_several_runs(tmp_path: Path) -> None:
    text = RUN_FILE + '\n[compute]\nstore = "bought"\n'
    made = parse(text, folder=tmp_path)
    (tmp_path / "new" / "bought").mkdir(parents=True)
    moved = relocate(made, tmp_path / "old", tmp_path / "new")
    there = relocate(parse(text, folder=tmp_path / "old"), tmp_path / "old", tmp_path / "new")

    assert made.compute.store == str(tmp_path / "bought")
    assert identify(made) == identify(parse(RUN_FILE))
    assert moved.compute.store == made.compute.store
    assert there.compute.store == str(tmp_path / "new" / "bought")

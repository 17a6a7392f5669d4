"""A trainer of somebody else's, installed as a package: its own options, and its own name in every record."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loop_kit import RUN_FILE

from errorbook import open_ledger, run
from errorbook.config import Config, parse
from errorbook.errors import ConfigError
from errorbook.records import Checkpoint, Training

PACKAGE = '''
from typing import Annotated

from annotated_types import Interval

from errorbook.adapters.trainers.scripted import ScriptedTrainer


class Stepwise(ScriptedTrainer):
    """Trains as the scripted trainer does and says how it was asked to."""

    def __init__(
        self,
        stages: Annotated[int, Interval(ge=1, le=9)],
        decay: Annotated[float, Interval(gt=0, lt=1)] | None = 0.5,
        widths: tuple[Annotated[int, Interval(ge=1)], ...] = (),
    ) -> None:
        if stages == 7:
            raise ValueError("seven stages\\nbring no luck.")
        self.stages, self.decay = stages, decay

    def train(self, parent, lessons, recipe, root, progress):
        training = super().train(parent, lessons, recipe, root, progress)
        (root / training.folder / "asked.txt").write_text(f"{self.stages} {self.decay} {recipe.options}")
        return training
'''


@pytest.fixture(autouse=True)
def stepwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "site" / "stepwise-1.dist-info"
    about.mkdir(parents=True)
    (about.parent / "stepwise_trainer.py").write_text(PACKAGE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stepwise\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[errorbook.trainers]\nstepwise = stepwise_trainer:Stepwise\n")
    monkeypatch.syspath_prepend(str(about.parent))


def config(keys: str) -> Config:
    return parse(RUN_FILE.replace('method = "scripted"', f'method = "stepwise"\n{keys}'))


def test_its_options_reach_it_and_its_name_is_recorded(tmp_path: Path) -> None:
    final = run(config("stages = 3\ndecay = 0.25\nrank = 4"), tmp_path / "run").checkpoint

    assert (final.method, final.form) == ("stepwise", "adapter")
    with open_ledger(tmp_path / "run") as ledger:
        assert {item.method for item in ledger.all(Checkpoint)} == {"", "stepwise"}
        assert "trainers stepwise: stepwise 1" in (ledger.fact("plugins") or "")
        for training in ledger.all(Training):
            asked = (ledger.root / training.folder / "asked.txt").read_text()
            assert asked == "3 0.25 {'stages': 3, 'decay': 0.25}"


def test_other_options_are_another_recipe() -> None:
    recipes = [config(keys).train.recipe(0) for keys in ("stages = 3", "stages = 4", "stages = 3\ndecay = 0.1")]

    assert len({recipe.hash for recipe in recipes}) == 3
    assert {recipe.method for recipe in recipes} == {"stepwise"}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("stages = 3\ndekay = 0.1", "The trainer 'stepwise' has no key 'dekay'; did you mean 'decay'?"),
        ("stages = 3\nbatchsize = 4", "did you mean 'batch_size'?"),
        ("decay = 0.1", "The trainer 'stepwise' needs the key 'stages'"),
        (
            "stages = 'three'",
            "'stages' of the trainer 'stepwise' is 'three'; it must be a number at least 1 and at most 9.",
        ),
        (
            "stages = 10",
            "'stages' of the trainer 'stepwise' is 10; it must be a number at least 1 and at most 9.",
        ),
        (
            "stages = 3\ndecay = 1",
            "'decay' of the trainer 'stepwise' is 1; it must be a number between 0 and 1.",
        ),
        ("stages = 3\nwidths = [4, 0]", "The key 'widths' of the trainer 'stepwise' has a wrong value"),
    ],
)
def test_its_options_are_checked_when_the_run_file_is_read(keys: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(keys)

    assert sentence in str(caught.value)


def test_a_factory_that_refuses_its_options_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run(config("stages = 7"), tmp_path / "run")

    assert str(caught.value) == (
        "The trainer 'stepwise' cannot be made with its keys in [train] (seven stages bring no luck); correct them."
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            "accuracy = 1.5",
            "'accuracy' of the target 'scripted' is 1.5; it must be a number at least 0 and at most 1",
        ),
        ("accuracy = -0.1", "is -0.1; it must be a number at least 0 and at most 1"),
        ("gain = 2", "'gain' of the target 'scripted' is 2; it must be a number at least -1 and at most 1"),
        (
            "delay = -1",
            "'delay' of the target 'scripted' is -1; it must be a number at least 0 and at most 3600",
        ),
        ("delay = nan", "'target.delay' is nan; it must be a finite number"),
    ],
)
def test_the_scripted_targets_numbers_have_ranges(wrong: str, sentence: str) -> None:
    key = wrong.partition(" ")[0]
    rest = "".join(line for line in RUN_FILE.splitlines(keepends=True) if not line.startswith(f"{key} = "))

    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse(rest.replace('engine = "scripted"', f'engine = "scripted"\n{wrong}'))

"""The experiment file: a base run file, arms as changes to it, seeds, and a budget that is equal for all of them.

Every mistake in it is one sentence with the fix, before anything is run. It knows what a run file is by `config` alone:
each arm and seed gives a run file like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from annotated_types import Interval, MinLen

from errorbook import plugins
from errorbook.config import Config, interpret, read_section, read_tables, read_text
from errorbook.errors import ConfigError, UserError
from errorbook.experiment.arms import BASE, LEARNT, READY_ARMS
from errorbook.files import shorten

_NAME = re.compile(r"[\w.-]+")
_OTHER_BUDGETS = ("tokens", "usd", "minutes")
_FIXED = {
    "run": ("name", "seed"),
    "strategy": ("max_samples", "max_samples_per"),
    "tasks": ("name", "kind", "role", "test"),
}
"""What no arm may change: the questions that all are compared on, and the budget."""
_MOST_PER_ERROR = 1000

Tables = dict[str, Any]


class ExperimentSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[experiment]`: `samples` are those of a whole run, over all its cycles, and the same for every arm.

    A seed decides the questions and the training alike. `difference` is the smallest difference from the control, in
    accuracy, that is worth knowing: it decides nothing and is what `--plan` reckons with.
    """

    name: str
    run: str
    seeds: Annotated[tuple[Annotated[int, Interval(ge=0, lt=2**32)], ...], MinLen(1)]
    samples: Annotated[int, Interval(ge=1, le=10_000_000)]
    control: str = ""
    difference: Annotated[float, Interval(gt=0, lt=1)] = 0.05


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: the ready-made one that it begins with (or none), its own changes by section, and its samples."""

    name: str
    ready: str = ""
    changes: Tables = {}
    samples: int
    trains: bool = True


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A checked experiment file. `tables` are those of the base run file, `text` is it as it is written."""

    name: str
    source: str
    folder: Path
    tables: Tables
    text: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    control: str
    difference: float

    def arm(self, name: str) -> Arm:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)


def load(path: Path) -> Experiment:
    """Read and check an experiment file, its base run file, and the run file of every arm.

    Raises:
        ConfigError: One of them is missing, not TOML, or wrong in any key.
        PluginError: A run file names a plugin that is not installed.
    """
    source = str(path)
    data = read_tables(read_text(path, "experiment file"), source)
    try:
        section = _read_section(data)
        run_file = path.parent / section.run
        text = read_text(run_file)
        arms = _read_arms(data.get("arms", {}), section)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    tables = read_tables(text, str(run_file))
    interpret(tables, str(run_file), run_file.parent)
    experiment = Experiment(
        name=section.name,
        source=source,
        folder=run_file.parent,
        tables=tables,
        text=text,
        arms=arms,
        seeds=section.seeds,
        control=_find_control(section, arms, source),
        difference=section.difference,
    )
    for arm in arms:
        make_config(experiment, arm, section.seeds[0])
    return experiment


def make_config(experiment: Experiment, arm: Arm, seed: int) -> Config:
    """The run of one arm and seed: the base run file with the budget, what the arm changes, and the seed.

    Raises:
        ConfigError: The changes do not make a run file.
    """
    place = f"{experiment.source}: arm '{arm.name}'"
    tables: Tables = {
        key: dict(value) if isinstance(value, dict) else value for key, value in experiment.tables.items()
    }
    for changes in (READY_ARMS[arm.ready].changes if arm.ready else {}, arm.changes):
        _change(tables, changes, place)
    run = tables["run"] | {"name": f"{experiment.name}-{arm.name}-{seed}", "seed": seed}
    cycles = _check(tables, place, experiment.folder).run.cycles
    if arm.samples % cycles:
        raise ConfigError(
            f"{place}: {arm.samples} samples cannot be divided equally among {cycles} cycles; give samples that can."
        )
    each = arm.samples // cycles
    strategy = {**tables.get("strategy", {}), "max_samples": each, "max_samples_per": "cycle"}
    if "samples_per_error" not in arm.changes.get("strategy", {}):  # the budget is had from however few mistakes
        strategy["samples_per_error"] = min(each, _MOST_PER_ERROR)
    return _check({**tables, "run": run, "strategy": strategy}, place, experiment.folder)


def _check(tables: Tables, place: str, folder: Path) -> Config:
    """The tables as a configuration; what is wrong says of which arm."""
    try:
        return interpret(tables, place, folder)
    except UserError as error:
        raise error if str(error).startswith(place) else type(error)(f"{place}: {error}") from None


def describe_changes(arm: Arm) -> dict[str, Any]:
    """All that the arm changes, by dotted key."""
    found: dict[str, Any] = {}
    for changes in (READY_ARMS[arm.ready].changes if arm.ready else {}, arm.changes):
        for section, block in changes.items():
            if not isinstance(block, Mapping):
                found[section] = block
                continue
            for key, value in block.items():
                inner = value.items() if section == "tasks" else [("", value)]
                found.update({".".join(filter(None, (section, key, last))): one for last, one in inner})
    return found


def _read_section(data: Mapping[str, Any]) -> ExperimentSection:
    if unknown := [key for key in data if key not in ("experiment", "arms")]:
        raise ConfigError(f"there is no section [{unknown[0]}]; it takes [experiment] and [arms.NAME].")
    block = data.get("experiment")
    if not isinstance(block, dict):
        raise ConfigError("'experiment' is missing; write an [experiment] section with name, run, seeds and samples.")
    for other in _OTHER_BUDGETS:
        if other in block:
            raise ConfigError(
                f"a run cannot be ended at so many '{other}', so arms cannot be made equal by them; give samples = N."
            )
    section = read_section("experiment", ExperimentSection, block)
    if not _NAME.fullmatch(section.name):
        raise ConfigError("experiment.name may hold letters, digits, '.', '_' and '-' only.")
    if len(set(section.seeds)) < len(section.seeds):
        raise ConfigError("experiment.seeds names a seed twice; give each once.")
    return section


def _read_arms(blocks: object, section: ExperimentSection) -> tuple[Arm, ...]:
    """The arms in their order, the base first: it is added if it is not there."""
    if not (isinstance(blocks, dict) and blocks and all(isinstance(block, dict) for block in blocks.values())):
        raise ConfigError("there are no arms; write a section such as [arms.error] for each.")
    arms = [_read_arm(name, block, section.samples) for name, block in blocks.items()]
    own = [arm for arm in arms if arm.name == BASE] or [_read_arm(BASE, {}, section.samples)]
    if own[0].changes or own[0].ready != BASE:
        raise ConfigError(f"the arm '{BASE}' is the base run file's own model; give what you change another name.")
    return (*own, *(arm for arm in arms if arm.name != BASE))


def _read_arm(name: str, block: Tables, samples: int) -> Arm:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the arm '{name}' may be called by letters, digits, '.', '_' and '-' only.")
    ready = block.get("arm", name if name in READY_ARMS else "")
    if not isinstance(ready, str):
        raise ConfigError(f"'arm' of the arm '{name}' is {shorten(ready)}; it must be the name of a ready-made arm.")
    own = block.get("samples", samples)
    changes = _unfold({key: value for key, value in block.items() if key not in ("arm", "samples")}, name)
    if "arm" in block and ready not in READY_ARMS:
        raise ConfigError(f"there is no ready-made arm '{ready}'; {plugins.suggest(ready, READY_ARMS)}")
    if not (ready or changes or "samples" in block):
        raise ConfigError(f"the arm '{name}' changes nothing; {plugins.suggest(name, READY_ARMS)}")
    if not (isinstance(own, int) and not isinstance(own, bool) and own >= 1):
        raise ConfigError(f"'samples' of the arm '{name}' is {shorten(own)}; it must be a whole number of at least 1.")
    trains = READY_ARMS[ready].trains if ready else True
    return Arm(name=name, ready=ready, changes=changes, samples=own, trains=trains)


def _unfold(block: Tables, name: str) -> Tables:
    """The changes by section, whether their keys are nested or written with dots; refuses what no arm may change."""
    changes: Tables = {}
    for key, given in block.items():
        section, _, rest = key.partition(".")
        value = _nest(section, rest, given)
        _require_tables(name, section, value)
        known = changes.get(section, {})
        if section == "tasks":
            changes[section] = known | {task: {**known.get(task, {}), **keys} for task, keys in value.items()}
        else:
            changes[section] = value if isinstance(value, list) else {**known, **value}
    for section, fixed in _FIXED.items():
        blocks = changes.get(section, {})
        for one in blocks.values() if section == "tasks" else [blocks]:
            if found := [key for key in fixed if key in one]:
                raise ConfigError(_say_fixed(name, section, found[0]))
    return changes


def _nest(section: str, rest: str, value: Any) -> Any:
    """The value below the rest of a dotted key: the key of a section, or a task and its key."""
    if not rest:
        return value
    task, _, key = rest.rpartition(".")
    return {task: {key: value}} if section == "tasks" and task else {rest: value}


def _require_tables(name: str, section: str, value: Any) -> None:
    """Refuse what cannot be put into a section of a run file key by key."""
    if section not in Config.__struct_fields__:
        hint = plugins.suggest(section, Config.__struct_fields__)
        raise ConfigError(f"the arm '{name}' sets '{section}', and there is no section [{section}]; {hint}")
    blocks = value.values() if section == "tasks" and isinstance(value, dict) else [value]
    if section == "sinks":
        blocks = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in blocks):
        raise ConfigError(f"the arm '{name}' sets '{section}' as a whole; name the keys, as in {section}.…")


def _say_fixed(name: str, section: str, key: str) -> str:
    if section == "strategy":
        return f"the arm '{name}' sets strategy.{key}, which is the budget; give the arm samples = N instead."
    return f"the arm '{name}' changes {section}.{key}, and all arms are compared on the same questions; leave it out."


def _change(tables: Tables, changes: Mapping[str, Any], place: str) -> None:
    """Make an arm's changes in the tables of a run file."""
    for section, block in changes.items():
        if section == "tasks":
            tables["tasks"] = _change_tasks(tables.get("tasks", []), block, place)
        elif isinstance(block, Mapping):
            tables[section] = {**tables.get(section, {}), **block}
        else:
            tables[section] = block


def _change_tasks(tasks: list[Tables], changes: Mapping[str, Tables], place: str) -> list[Tables]:
    named = [task.get("name") for task in tasks]
    if unknown := [name for name in changes if name not in named and name != LEARNT]:
        known = ", ".join(str(name) for name in named)
        raise ConfigError(f"{place}: the run file has no task '{unknown[0]}'; it has {known}, and '{LEARNT}' means all")
    changed = []
    for task in tasks:
        learnt = changes.get(LEARNT, {}) if task.get("role", "learn") == "learn" and LEARNT not in named else {}
        changed.append({**task, **learnt, **changes.get(str(task.get("name")), {})})
    return changed


def _find_control(section: ExperimentSection, arms: tuple[Arm, ...], source: str) -> str:
    """The arm that the others are compared with: the one that is named, else `undirected`, else the base."""
    names = [arm.name for arm in arms]
    if section.control and section.control not in names:
        hint = plugins.suggest(section.control, names)
        raise ConfigError(f"{source}: 'experiment.control' is '{section.control}', which is no arm; {hint}")
    return section.control or ("undirected" if "undirected" in names else BASE)

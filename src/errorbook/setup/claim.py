"""Whose ledger this is: what of a run file makes the run, what may change between two starts, and how that is kept.

Data and models are known by their content, so a run may move. Its name, the instructor, the budget, where the work is
done and who is told of it may change, and cycles may be added; every change is recorded. All else is the run itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from errorbook import plugins
from errorbook.config import SCORER_FILES, ComputeSection, Config, InstructorSection, TargetSection, TaskSection
from errorbook.errors import ConfigError, LedgerError, PluginError
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Change, budget, find_rule, note_budget, note_change, note_config, read_config
from errorbook.records import Blocks, Checkpoint, Decision, Evaluation, Example, Groups, Rule

_WAYS = {
    "openai": ("timeout", "stream", "proxies", "certificates", "concurrency", "dialect"),
    "tinker": ("api_key_env", "concurrency", "patience", "price_prefill", "price_sample", "price_train"),
}
"""Options of a target behind a server, by engine, that say how it is reached and paid, not what answers there."""
_LINES = {"command": ("command", "wait")}
"""Options of a trainer, by method, that say how another program is started: a line that failed has to be mended."""
_FREE = (
    *("run.name", "run.cycles", "gate.alpha", "instructor.", "compute."),
    *(f"target.options.{way}" for ways in _WAYS.values() for way in ways),
    *(f"train.options.{way}" for ways in _LINES.values() for way in ways),
)
"""What is shown if it was changed; the rest of what may change (paths, sinks) changes nothing that is measured."""
_PRIVATE = ("header", "key", "token", "secret", "password")


def claim(ledger: Ledger, config: Config) -> None:
    """Take a ledger for this run file, and record the gate's rule and what has changed since the last start.

    Raises:
        LedgerError: It belongs to another run file, or the added cycles have no error rate left.
    """
    known = read_config(ledger) if ledger.fact("config") is not None else None
    if known is not None and identify(known) != identify(config):
        if not _is_untouched(ledger):
            raise LedgerError(
                f"The ledger '{ledger.path}' belongs to another run file ({_describe_difference(known, config)});"
                " restore that value or use another --out folder."
            )
        ledger.clear()  # nothing was seen yet, so nothing is lost: a run file may be mended after its first outage
        known = None
    _agree_on_rule(ledger, known, config)
    if known is not None:
        cycle = ledger.count(Decision) + 1
        for key, before, after in _compare(known, config):
            if key.startswith(_FREE):
                shown = ("…", "…") if any(word in key.lower() for word in _PRIVATE) else (before, after)
                note_change(ledger, Change(cycle=cycle, key=key, before=shown[0], after=shown[1]))
        if budget(ledger) != config.run.budget_usd:
            caps = (_dollars(budget(ledger)), _dollars(config.run.budget_usd))
            note_change(ledger, Change(cycle=cycle, key="run.budget_usd", before=caps[0], after=caps[1]))
    note_config(ledger, config)
    note_budget(ledger, config.run.budget_usd)


def _target_options(target: TargetSection) -> dict[str, Any]:
    ways = _WAYS.get(target.engine, ())
    told = {name: value for name, value in target.options.items() if name not in ways}
    return _telling("targets", target.engine, told)


def _train_options(config: Config) -> dict[str, Any]:
    method, options = config.train.method, config.train.options
    told = {name: value for name, value in options.items() if name not in _LINES.get(method, ())}
    return _telling("trainers", method, told)


def identify(config: Config) -> Config:
    """The configuration without all that may change, and without what says nothing that a default does not say."""
    target = config.target
    model = "" if Path(target.model).is_absolute() else target.model  # its weights are known by their content
    return replace(
        config,
        run=replace(config.run, name="", cycles=1, budget_usd=None),
        target=replace(target, model=model, options=_target_options(target)),
        instructor=InstructorSection(),
        tasks=tuple(map(_identify_task, config.tasks)),
        train=replace(config.train, options=_train_options(config)),
        gate=replace(config.gate, alpha=0.05),
        compute=ComputeSection(),
        sinks=(),
    )


def relocate(config: Config, old: Path, new: Path) -> Config:
    """The same configuration after the run's folder has moved from `old` to `new` together with its data.

    A file that is still where it was is left there.
    """

    def moved(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        paths = {name: value for name, value in options.items() if name in names and isinstance(value, str)}
        return options | {name: _move(value, old, new) for name, value in paths.items()}

    tasks = tuple(
        replace(task, options=moved(task.options, ("path",)), scorer_options=moved(task.scorer_options, SCORER_FILES))
        for task in config.tasks
    )
    target = replace(config.target, model=_move(config.target.model, old, new))
    compute = replace(config.compute, store=_move(config.compute.store, old, new))
    return replace(config, tasks=tasks, target=target, compute=compute)


def _move(path: str, old: Path, new: Path) -> str:
    if not Path(path).is_absolute() or Path(path).exists():
        return path
    found = os.path.normpath(new / os.path.relpath(path, old))
    return found if Path(found).exists() else path


def _identify_task(task: TaskSection) -> TaskSection:
    options = {name: value for name, value in task.options.items() if name != "path"}
    marking = {name: value for name, value in task.scorer_options.items() if name not in SCORER_FILES}
    return replace(task, options=_telling("tasks", task.plugin, options), scorer_options=marking)


def _telling(kind: plugins.Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from the plugin's defaults."""
    try:
        known = plugins.list_options(kind, name)
    except PluginError:
        known = {}
    return {key: value for key, value in options.items() if key not in known or known[key].default != value}


def _is_untouched(ledger: Ledger) -> bool:
    """Whether the ledger holds nothing but what a start writes down."""
    begun = sum(ledger.count(kind) for kind in (Checkpoint, Rule, Example, Groups, Blocks, Evaluation))
    return ledger.is_without_responses() and ledger.count_all() == begun


def _agree_on_rule(ledger: Ledger, known: Config | None, config: Config) -> None:
    """Record the rule; if cycles were added, one for the looks to come that leaves alone what is decided.

    The sum of the levels of all looks, those that were had and those to come, is never above alpha, so the chance of a
    false acceptance in the whole run stays below it (a union bound). The levels depend on counts alone.
    """
    rule, decided = find_rule(ledger), list(ledger.all(Decision))
    if rule is None or known is None:
        ledger.append(config.rule(), key=keys.RULE)
        return
    if config.run.cycles < len(decided):
        raise ConfigError(f"run.cycles is {config.run.cycles}, but {len(decided)} cycles are decided; set it to more.")
    if config.gate.alpha != known.gate.alpha and not (
        config.gate.alpha > known.gate.alpha and config.run.cycles > known.run.cycles
    ):
        raise LedgerError(
            f"The ledger '{ledger.path}' belongs to another run file (its gate.alpha is {known.gate.alpha:g}, yours"
            f" {config.gate.alpha:g}); restore that value, which can only be raised, together with run.cycles."
        )
    if config.run.cycles <= known.run.cycles:
        return
    looks = len(config.train.scales)
    had = sum(bool(item.comparisons) for item in decided if item.cycle >= rule.first_cycle)
    spent, to_come = rule.spent + had * looks * rule.alpha_each, (config.run.cycles - len(decided)) * looks
    if config.gate.alpha - spent < 1e-9:
        raise LedgerError(
            f"The {len(decided)} cycles of '{ledger.path}' have used up gate.alpha = {config.gate.alpha:g}; to add"
            f" cycles, raise it as well (to {2 * config.gate.alpha:g}, say), which the report will tell."
        )
    later = replace(config.rule(), tests=to_come, spent=spent, first_cycle=len(decided) + 1)
    ledger.append(later, key=keys.later_rule(ledger.count(Rule) + 1), cycle=len(decided) + 1)


def _compare(known: Config, config: Config) -> Iterator[tuple[str, str, str]]:
    """Every key whose value differs, with both values as text."""
    old, new = (dict(_flatten("", msgspec.to_builtins(item))) for item in (known, config))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key) and key != "run.budget_usd":
            yield key, str(old.get(key, "not set")), str(new.get(key, "not set"))


def _describe_difference(known: Config, config: Config) -> str:
    """The first key that makes another run of it, as the part of a sentence."""
    for key, before, after in _compare(identify(known), identify(config)):
        return f"its {key} is {before!r}, yours {after!r}"
    return "they differ in form"


def _dollars(usd: float | None) -> str:
    return "no cap" if usd is None else f"{usd:g}"


def _flatten(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(f"{prefix}.{key}".removeprefix("."), item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _flatten(f"{prefix}[{index}]", item)
    else:
        yield prefix, value

"""Runs every arm and seed of an experiment: each is an ordinary run in a folder of its own, below the experiment's.

So the same command goes on after `kill -9`, and a second one beside it (on another machine that shares the folder)
takes the runs that nobody works on. What arms of a seed have in common is asked once: the base's
answers are taken over from the first run, and equal calls of instructors are bought once (`[compute] store`).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from errorbook.config import Config
from errorbook.errors import BusyError, DataError, ErrorbookError, LedgerError, UserError
from errorbook.experiment.arms import BASE
from errorbook.experiment.collect import Collected, collect_run
from errorbook.experiment.file import Arm, Experiment, describe_changes, make_config
from errorbook.experiment.page import write_page
from errorbook.experiment.results import PAGE, RESULTS, ArmResult, Questions, Results, name_run, write_results
from errorbook.experiment.sharing import take_base_answers
from errorbook.files import write_file
from errorbook.ledger.events import Watch, quiet
from errorbook.loop import exam, examine, run
from errorbook.setup.assemble import assemble

_MOST_IN_A_ROW = 3
"""If so many runs stop one after the other, the fault is not an arm's, and the next would stop as well."""


class Work(NamedTuple):
    """One arm and seed: its run and the folder of it."""

    arm: Arm
    seed: int
    config: Config
    folder: Path


def list_work(experiment: Experiment, out: Path) -> list[Work]:
    """Every arm of the first seed, then of the next: so there is something to compare early. The base comes first.

    Arms of a seed share what is bought of instructors and judges.
    """
    return [
        Work(
            arm,
            seed,
            _share(make_config(experiment, arm, seed), out / f"bought-{seed}"),
            out / name_run(arm.name, seed),
        )
        for seed in experiment.seeds
        for arm in experiment.arms
    ]


def _share(config: Config, folder: Path) -> Config:
    store = config.compute.store or str(folder.resolve())
    return replace(config, compute=replace(config.compute, store=store))


def run_experiment(
    experiment: Experiment,
    out: Path,
    tell: Callable[[str], None] = lambda _: None,
    show: Callable[[int], AbstractContextManager[Watch]] = lambda _: nullcontext(quiet),
) -> Results:
    """Run or resume every arm and seed, and write the results after each of them.

    Args:
        experiment: The checked file.
        out: The experiment's folder; the runs are in folders below it.
        tell: Given a sentence when a run begins, or is left to another process.
        show: Given a run's number of cycles; what watches the events of its stages for as long as the block lasts.

    Raises:
        UserError: An arm cannot be run, or runs stopped for something that the user must fix. The others are done
            first, unless several stop in a row. What was recorded stays, and the same call goes on.
    """
    work = list_work(experiment, out)
    _require_possible(work)
    stopped: list[str] = []
    in_a_row = 0
    for number, item in enumerate(work, 1):
        if collect_run(item.folder, item.arm.name, item.config) is not None:
            continue
        place = f"{item.arm.name}, seed {item.seed} ({number} of {len(work)})"
        tell(f"{place} -> {item.folder}")
        try:
            with show(item.config.run.cycles) as watch:
                _do(experiment, item, watch)
        except BusyError:
            tell(f"{place} is left to the process that works on it")
        except ErrorbookError as error:
            stopped.append(f"{place} stopped: {error}")
            tell(stopped[-1])
            in_a_row += 1
            if in_a_row == _MOST_IN_A_ROW:
                break
        else:
            in_a_row = 0
            write_results(out / RESULTS, collect_results(experiment, work))
    results = collect_results(experiment, work)
    write_results(out / RESULTS, results)
    write_file(out / PAGE, write_page([results], experiment.name))
    if stopped:
        more = f" ({len(stopped)} runs stopped in all)" if len(stopped) > 1 else ""
        raise UserError(f"{stopped[0]}{more}")
    return results


def collect_results(experiment: Experiment, work: Sequence[Work]) -> Results:
    """The results of all runs that are finished."""
    found = [collect_run(item.folder, item.arm.name, item.config) for item in work]
    done = [item for item in found if item is not None]
    return Results(
        name=experiment.name,
        control=experiment.control,
        seeds=experiment.seeds,
        arms=tuple(
            ArmResult(
                name=arm.name,
                ready=arm.ready,
                samples=arm.samples if arm.trains else 0,
                trains=arm.trains,
                changes=describe_changes(arm),
            )
            for arm in experiment.arms
        ),
        model=done[0].model if done else "",
        version=done[0].version if done else "",
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        run_file=done[0].run_file if done else "",
        questions=tuple(_agree_on_questions(done)),
        runs=tuple(item.run for item in done),
    )


def _do(experiment: Experiment, item: Work, watch: Watch) -> None:
    """One run, and then the examination of all that it trained."""
    said = ", ".join(f"{key} = {value!r}" for key, value in describe_changes(item.arm).items()) or "nothing"
    head = f"# Experiment '{experiment.name}', arm '{item.arm.name}', seed {item.seed}; changed below: {said}\n"
    text = head + experiment.text
    base = item.folder.with_name(name_run(BASE, item.seed))
    if item.folder != base and not item.folder.exists() and (base / "ledger.sqlite").exists():
        try:
            take_base_answers(base, item.config, item.folder, text)
        except BusyError:
            raise
        except LedgerError:
            pass  # the other run is just being begun, so there is nothing to take over yet
    if item.arm.trains:
        run(item.config, item.folder, watch, text)
    else:
        exam(item.config, item.folder, watch, text)
    examine(item.config, item.folder, watch, text)


def _require_possible(work: list[Work]) -> None:
    """Refuse an arm that cannot be run before hours are spent on the others: each is put together once."""
    for item in {item.arm.name: item for item in reversed(work) if not item.folder.exists()}.values():
        try:
            assemble(item.config, item.folder)
        except UserError as error:
            raise type(error)(f"The arm '{item.arm.name}' cannot be run: {error}") from None


def _agree_on_questions(done: list[Collected]) -> Iterator[Questions]:
    """The questions of each seed and task, which all arms must have been asked."""
    known: dict[tuple[int, str], Questions] = {}
    for item in done:
        for questions in item.questions:
            first = known.setdefault((questions.seed, questions.task), questions)
            if first.ids != questions.ids:
                raise DataError(
                    f"The arm '{item.run.arm}' was asked other test questions of '{questions.task}' than the arms"
                    " before it, so they cannot be compared; take out of it what chooses questions."
                )
    yield from known.values()

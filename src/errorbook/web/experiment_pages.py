"""The page of an experiment: the tables of its results, and from each run's number to the run.

It computes nothing: what is shown comes from `experiment.summary` and `experiment.tables`, as on the page in Markdown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errorbook.experiment.page import ARMS, HOW, say_arm
from errorbook.experiment.results import PAGE, Results
from errorbook.experiment.summary import Summary
from errorbook.experiment.tables import NOTHING, drop_empty, make_notes, make_run_table, make_tables
from errorbook.web.answering import not_found, part, path, shelf_of, show
from errorbook.web.experiments import Experiment, list_experiments
from errorbook.web.shelf import Book


class RunCell(NamedTuple):
    """The numbers of one run, and its page's address; empty if there is no such run."""

    text: str
    address: str


class Unshown(NamedTuple):
    """A run without numbers yet, and its page's address; empty if it is not begun."""

    arm: str
    seed: int
    address: str


def experiment(request: Request) -> Response:
    """One experiment: its notes, tables, runs and arms."""
    shelf, slug = shelf_of(request), part(request, "experiment")
    stamp = shelf.stamp()
    found = next((one for one in list_experiments(shelf, shelf.books()) if one.slug == slug), None)
    if found is None:
        not_found(request, f"There is no experiment '{slug}' below '{shelf.root}'.")
    page = {"section": "experiment", "crumbs": (("Runs", "/"), (found.name, "")), "stamp": stamp, "found": found}
    summary, results = found.summarise(), found.results
    if summary is None or results is None:
        return show(request, "web/experiment_problem.html.j2", **page)
    return show(
        request,
        "web/experiment.html.j2",
        results=results,
        notes=make_notes(summary),
        how=HOW.replace("*", ""),
        tables=[drop_empty(table) for table in make_tables(summary) if table.rows],
        runs=make_run_table(summary),
        cells=list(_list_cells(found, summary)),
        unshown=list(_list_unshown(found, results, summary)),
        arms_title=ARMS,
        arms=[(arm.name, say_arm(arm)) for arm in results.arms],
        markdown=found.folder / PAGE,
        **page,
    )


def _list_cells(found: Experiment, summary: Summary) -> Iterator[tuple[str, list[RunCell]]]:
    """The rows of the table of runs: the arm, and a cell for each seed."""
    for arm, *texts in make_run_table(summary).rows:
        pairs = zip(summary.seeds, texts, strict=True)
        yield arm, [RunCell(text, "" if text == NOTHING else _address(found.book(arm, seed))) for seed, text in pairs]


def _list_unshown(found: Experiment, results: Results, summary: Summary) -> Iterator[Unshown]:
    """The runs that no number is of: not finished, or without a finished run of their seed's base."""
    shown = {(arm.arm, run.seed) for arm in summary.arms for run in arm.by_seed}
    for seed in results.seeds:
        for arm in results.arms:
            if (arm.name, seed) not in shown:
                yield Unshown(arm.name, seed, _address(found.book(arm.name, seed)))


def _address(book: Book | None) -> str:
    return path("runs", book.slug) if book else ""


ROUTES: list[BaseRoute] = [Route("/experiments/{experiment}", experiment)]

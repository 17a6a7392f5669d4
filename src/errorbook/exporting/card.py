"""The card of an export: what it is, what was measured, what the gate said, as Markdown with the hub's front matter.

Its numbers are the report's, for the checkpoint that is exported. A checkpoint that the gate did not keep says so in
its first lines, and its card claims no gain. Equal ledgers give equal cards.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from errorbook import plugins
from errorbook.adapters.targets.embedded import EMBEDDED, public_name
from errorbook.config import Config
from errorbook.exporting.chosen import Chosen
from errorbook.interfaces import Free, Weightless
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import read_config, read_public_run_file
from errorbook.records import Role, Split
from errorbook.render import words as sentences
from errorbook.report.records import Accuracy, Difference, Form, Point, Report

if TYPE_CHECKING:
    from jinja2 import Environment

Kind = Literal["adapter", "merged", "gguf", "card"]
_LICENSES = {"HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0"}
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One task and split: the base, and the exported checkpoint if it was asked."""

    task: str
    role: Role
    split: Split
    base: Accuracy
    after: Accuracy | None = None
    difference: Difference | None = None
    p_value: float | None = None
    fixed: int = 0
    broken: int = 0
    form: Form | None = None


class CardSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What the card is about: the export's kind, its checkpoint, and the name by which others know the base."""

    kind: Kind
    chosen: Chosen
    base: str
    stored: str = ""


def model_card(ledger: Ledger, report: Report, subject: CardSubject) -> str:
    """The card of a model."""
    report, config = sentences.for_readers(report), read_config(ledger)
    standing = subject.chosen.standing
    measured = _measured(report, subject.chosen)
    scripted = _is_script(config.target.engine)
    own = {
        "subject": subject,
        "scripted": scripted,
        "standing": standing,
        "checkpoint": subject.chosen.checkpoint,
        "decision": subject.chosen.decision,
        "measured": measured,
        "index": _index(report, measured) if standing == "final" and report.finished and not scripted else [],
        "hub_base": subject.base if _HUB_NAME.fullmatch(subject.base) and not scripted else "",
        "base": Path(subject.base).name if Path(subject.base).is_absolute() else subject.base,
        "embedded": None if scripted else EMBEDDED.get(report.model),
        "license": "" if scripted else _license(subject.base, report.model),
        "cycle": _cycle(report, subject.chosen),
        "losses": _losses(report, subject.chosen),
    }
    return _rendered("card.md.j2", _shared(ledger, report, config) | own)


def samples_card(ledger: Ledger, report: Report, count: int, form: str) -> str:
    """The card of a data set of samples."""
    shared = _shared(ledger, sentences.for_readers(report), read_config(ledger))
    return _rendered("samples.md.j2", shared | {"rows": count, "form": form})


def base_name(config: Config, given: str = "") -> str:
    """The name by which others know the base: the one given, else the hub's, else the folder's."""
    return given or public_name(config.target.model)


def _shared(ledger: Ledger, report: Report, config: Config) -> dict[str, Any]:
    origins = {task.name: ledger.fact(f"origin {task.name}") or task.plugin for task in config.tasks}
    return {
        "report": report,
        "config": config,
        "headline": sentences.headline(report),
        "notes": sentences.notes(report),
        "origins": origins,
        "run_file": read_public_run_file(ledger),
        "plugins": ledger.fact("plugins") or "",
        "asks_a_provider": not plugins.implements("instructors", config.instructor.kind, Free),
    }


def _is_script(engine: str) -> bool:
    factory = plugins.load("targets", engine) if plugins.implements("targets", engine, Weightless) else None
    return isinstance(factory, Weightless) and factory.is_script


def _measured(report: Report, chosen: Chosen) -> list[Measured]:
    """What the chosen checkpoint was asked, by task and split, in the report's order."""
    measured = []
    for line in report.by_cycle:
        base, own = line.points[0], _point(line.points, chosen)
        shared: dict[str, Any] = {"task": line.task, "role": line.role, "split": line.split, "base": base.accuracy}
        if chosen.standing == "base":
            measured.append(Measured(**shared))
        if own is None or own is base:
            continue
        measured.append(
            Measured(
                **shared,
                after=own.accuracy,
                difference=own.difference,
                p_value=own.p_value,
                fixed=own.fixed,
                broken=own.broken,
                form=own.form,
            )
        )
    return measured


def _point(points: tuple[Point, ...], chosen: Chosen) -> Point | None:
    return next((point for point in points if chosen.checkpoint.hash.startswith(point.checkpoint)), None)


def _index(report: Report, measured: list[Measured]) -> list[dict[str, Any]]:
    """The front matter's `model-index`: accuracies on test, or on dev if a task has no test questions."""
    splits = {item.task: "test" if "test" in report.tasks[item.task] else "dev" for item in measured}
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": item.task, "type": item.task, "split": item.split},
            "metrics": [
                {
                    "type": "accuracy",
                    "value": round(item.after.accuracy, 4),
                    "name": f"accuracy on {item.after.n} questions (base: {round(item.base.accuracy, 4)})",
                }
            ],
        }
        for item in measured
        if item.after is not None and item.split == splits[item.task]
    ]


def _cycle(report: Report, chosen: Chosen) -> int:
    """The cycle that trained the checkpoint, or 0 for the base."""
    return max((point.cycle for line in report.by_cycle if (point := _point(line.points, chosen))), default=0)


def _losses(report: Report, chosen: Chosen) -> tuple[float, ...]:
    cycle = _cycle(report, chosen)
    return next((item.losses for item in report.trainings if item.cycle == cycle), ())


def _license(base: str, model: str) -> str:
    """The base's license if it is known: by name, or from the card beside its weights."""
    if base in _LICENSES:
        return _LICENSES[base]
    try:
        front = (Path(model) / "README.md").read_text(encoding="utf-8").split("\n---", 1)[0]
    except (OSError, UnicodeDecodeError):
        return ""
    found = re.search(r"(?m)^license:\s*([\w.-]+)\s*$", front)
    return found.group(1) if found else ""


def _rendered(template: str, values: dict[str, Any]) -> str:
    """A template's text, without the empty lines that its branches leave behind."""
    text = _environment().get_template(template).render(values)
    parts = re.split(r"(?s)(```.*)", text, maxsplit=1)  # what follows the first fence is nobody's to change
    return re.sub(r"\n{3,}", "\n\n", parts[0]) + "".join(parts[1:]).rstrip() + "\n"


@cache
def _environment() -> Environment:
    """The templates as Markdown: nothing is escaped for HTML, `cell` takes the meaning from what is not ours."""
    from errorbook.render.pages.environment import environment

    made = environment().overlay(autoescape=False)
    made.filters = {**made.filters, "cell": _cell, "fence": _fence}
    return made


def _cell(text: object) -> str:
    """Text that neither ends a table's cell nor becomes HTML, an image or a link."""
    return re.sub(r"([\\`*_\[\]<>|&#])", r"\\\1", " ".join(str(text).split()))


def _fence(text: str) -> str:
    """The text in a fence that it does not end itself."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}toml\n{text.rstrip()}\n{marks}"

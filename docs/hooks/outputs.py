"""JSON schemas of what the commands print with --json, made from the records themselves while the site is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from errorbook.experiment.plan import ExperimentPlan
from errorbook.experiment.summary import Summary
from errorbook.exporting.export import Made
from errorbook.importing.book import VerdictTally
from errorbook.importing.check_samples import FileFunnel
from errorbook.ledger.salvage import Salvage
from errorbook.report.compare_runs import Compared
from errorbook.report.records import Report
from errorbook.report.status import Status
from errorbook.setup.doctor import Finding
from errorbook.setup.plan import Plan
from errorbook.setup.proposal import Proposal, Tried
from errorbook.setup.task_preview import Shown, TaskInfo

MARK = "<!-- outputs -->"


def _made(name: str, **fields: Any) -> Any:
    return msgspec.defstruct(name, list(fields.items()))


OUTPUTS: dict[str, Any] = {
    "compare": Compared,
    "doctor": _made("Doctor", ready=bool, findings=list[Finding]),
    "doctor DIR": _made("RunDoctor", whole=bool, findings=list[Finding]),
    "doctor DIR --salvage NEW": Salvage,
    "experiment": Summary,
    "experiment --plan": ExperimentPlan,
    "export": _made("Exports", exports=list[Made]),
    "import": VerdictTally,
    "init": _made("Init", run_file=str, answers=dict[str, Any], proposal=Proposal, endpoint=Tried | None),
    "plan": Plan,
    "run, exam, demo, report": Report,
    "status": Status,
    "tasks": _made("Tasks", tasks=list[TaskInfo]),
    "tasks show": Shown,
    "verify": FileFunnel,
}
"""What each command prints; some add keys of their own, so a reader passes over a key that it does not know."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page: the mark becomes the schemas."""
    return markdown.replace(MARK, "\n\n".join(_section(name, kind) for name, kind in OUTPUTS.items()))


def _schema(kind: type) -> dict[str, str]:
    """What msgspec does not know by itself: a path is text."""
    if issubclass(kind, Path):
        return {"type": "string"}
    raise NotImplementedError(kind)


def _section(name: str, kind: Any) -> str:
    schema = msgspec.json.format(msgspec.json.encode(msgspec.json.schema(kind, schema_hook=_schema)), indent=2).decode()
    return f"## {name}\n\n```json\n{schema}\n```"

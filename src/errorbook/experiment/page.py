"""Result files as one Markdown page: nothing on it is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.experiment.results import ArmResult, Results
from errorbook.experiment.summary import summarise
from errorbook.experiment.tables import Table, drop_empty, make_notes, make_run_table, make_tables

HOW = """\
Every candidate is asked the test questions once, whatever the gate said, so arms are compared as trainings; what the
gate accepted stands beside. The gain is that of a run's last training over the base model, in percentage points; the
base and all arms of a seed answer the same questions. Intervals (95%) are over questions *and* seeds: a mixed bootstrap
resamples questions in their groups, while seeds enter by their own variance and Student's t. P-values are of the
difference to the control, corrected for all arms of a table (Holm). A ratio has Fieller's interval; "not bounded" says
that the control's own gain may be nothing, so no multiple of it is known."""
ARMS = "What each arm changes in the run file:"


def write_page(found: Sequence[Results], title: str = "Results", about: str = "") -> str:
    """The page of one or several experiments."""
    parts = [f"# {title}", *([about] if about else []), HOW]
    for results in found:
        parts += _write_experiment(results)
    if not found:
        parts.append("There is no result file yet.")
    return "\n\n".join(parts) + "\n"


def is_page(content: bytes) -> bool:
    """Whether a file's content is such a page, so that it may be written anew."""
    return content.startswith(b"# ") and HOW.encode() in content


def _write_experiment(results: Results) -> list[str]:
    summary = summarise(results)
    parts = [f"## {results.name}", *make_notes(summary)]
    for table in (*make_tables(summary), make_run_table(summary)):
        if table.rows:
            parts += [f"**{table.title}**", write_table(table)]
    parts += [ARMS, "\n".join(f"- `{arm.name}`: {say_arm(arm)}" for arm in results.arms)]
    parts.append(f"Errorbook {results.version}, {results.machine}.")
    return parts


def write_table(table: Table) -> str:
    """A table in Markdown; a column that has nothing to say in any row is left out."""
    shown = drop_empty(table)
    rule = ["---" if place < shown.left else "---:" for place in range(len(shown.columns))]
    lines = [shown.columns, rule, *shown.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def say_arm(arm: ArmResult) -> str:
    """Its samples, and what it changes in the run file."""
    changes = ", ".join(f"`{key} = {_literal(value)}`" for key, value in arm.changes.items())
    training = f"{arm.samples} samples" if arm.trains else "no training"
    return f"{training}{'; ' if changes else ''}{changes}"


def _literal(value: object) -> str:
    """A value as a run file has it, nearly."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)

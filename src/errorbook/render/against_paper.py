"""A run beside the paper as a table in Markdown, which a terminal shows as well as a page."""

from __future__ import annotations

from errorbook.render.markdown import list_rows
from errorbook.report.paper import AgainstPaper, PaperRow

_READ = (
    "Percent right on test; in brackets 95% intervals over questions, which the paper does not give. Splits, prompts"
    " and scorers are not the same, so compare the changes and not the levels."
)


def render(found: AgainstPaper) -> str:
    """The table, the run's rows last, and what may be compared in it."""
    head = ["source", "target", "what was done", *found.tasks]
    rows = [[row.source, row.model, row.method, *(_score(row, task) for task in found.tasks)] for row in found.rows]
    same = f"In the paper's words this run is {found.method}. " if found.method else ""
    return "\n".join([*list_rows(head, rows), f"{same}{_READ}", ""])


def _score(row: PaperRow, task: str) -> str:
    if task not in row.scores:
        return "–"
    between = f" [{row.low[task]:.1f}, {row.high[task]:.1f}]" if task in row.low else ""
    return f"{row.scores[task]:.1f}{between}"

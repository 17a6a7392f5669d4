"""A run beside the paper as a table: in Markdown, and as wide as a terminal is."""

from __future__ import annotations

from errorbook.render.markdown import list_rows
from errorbook.render.tables import make_table, strip_controls
from errorbook.render.terminal import out
from errorbook.report.paper import AgainstPaper, PaperRow

_READ = (
    "Percent right on test; in brackets 95% intervals over questions, which the paper does not give. Splits, prompts"
    " and scorers are not the same, so compare the changes and not the levels."
)


def render(found: AgainstPaper) -> str:
    """The table in Markdown, the run's rows last, and what may be compared in it."""
    return "\n".join([*list_rows(*_make_rows(found)), _read_text(found), ""])


def render_for_terminal(found: AgainstPaper) -> str:
    """The same as the terminal shows it."""
    console = out()
    with console.capture() as captured:
        console.print(make_table("", *_make_rows(found), 3))
        console.print(strip_controls(_read_text(found)))
    return captured.get()


def _make_rows(found: AgainstPaper) -> tuple[list[str], list[list[object]]]:
    head = ["source", "target", "what was done", *found.tasks]
    return head, [
        [row.source, row.model, row.method, *(_score(row, task) for task in found.tasks)] for row in found.rows
    ]


def _read_text(found: AgainstPaper) -> str:
    same = f"In the paper's words this run is {found.method}. " if found.method else ""
    return f"{same}{_READ}"


def _score(row: PaperRow, task: str) -> str:
    if task not in row.scores:
        return "–"
    between = f" [{row.low[task]:.1f}, {row.high[task]:.1f}]" if task in row.low else ""
    return f"{row.scores[task]:.1f}{between}"

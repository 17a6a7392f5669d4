"""The one template environment of the report and the browser's pages, and the one style sheet that both carry.

Every text in a template may come from a model: autoescaping is on, characters that would not be seen are spelt out, and
only what is made safe elsewhere is `Markup`. A value that a form sends back is escaped alone (`| e`), so it comes back.
It answers no request: what a page needs of one (`link`, say) is given to it with its values.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from errorbook.render import compare_words
from errorbook.render import words as sentences
from errorbook.render.decision_words import decision_title, looks_text
from errorbook.render.task_words import task_words
from errorbook.render.unseen import spell
from errorbook.render.words import cost_row
from errorbook.report.fates import FATES, Fate

if TYPE_CHECKING:
    from jinja2 import Environment

_FILTERS = ("percent", "signed", "with_interval", "difference_text", "p_text", "words", "duration", "sentence")
_FUNCTIONS = ("again_text", "guard_text", "noise_text", "form_text", "count")

FATE_SIGNS: dict[Fate, str] = {
    "fixed": "↑",
    "relapsed": "↻",
    "stubborn": "×",
    "broken": "↓",
    "still_right": "✓",
    "waiting": "…",
}
"""A sign beside each fate's word: no page tells them apart by colour alone."""

KEYS: tuple[tuple[str, str], ...] = (
    ("j", "next row, or next item"),
    ("k", "previous row, or previous item"),
    ("Enter", "open the row"),
    ("r", "next regression: right before, not right now"),
    ("t", "the raw text"),
    ("u", "up to the list"),
    ("/", "search"),
    ("n", "later page of a list"),
    ("p", "earlier page of a list"),
    ("g r", "the run"),
    ("g b", "the book of mistakes"),
    ("g e", "effects"),
    ("g s", "samples"),
    ("g c", "compare"),
    ("g h", "all runs"),
    ("?", "this help"),
    ("Esc", "close the help, leave the search"),
)
"""What the keyboard does on every page; `keys.js` does it, the help lists it."""


@cache
def environment() -> Environment:
    """Templates of `render/pages/templates`, with the project's filters; a name that a template lacks is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("errorbook", "render/pages/templates"),
        autoescape=True,
        finalize=_show_unseen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({name: getattr(sentences, name) for name in _FILTERS}, cost_row=cost_row)
    made.filters.update(task_words=task_words, grouped=group_digits, moment=format_time, instant=format_timestamp)
    made.globals.update({name: getattr(sentences, name) for name in _FUNCTIONS})
    made.globals.update(decision_title=decision_title, looks_text=looks_text)
    made.globals.update(remarks=compare_words.list_remarks, comparison_notes=compare_words.comparison_notes)
    made.globals.update(FATES=FATES, FATE_MEANING=sentences.FATE_MEANING, FATE_SIGNS=FATE_SIGNS, KEYS=KEYS)
    return made


def _show_unseen(value: object) -> object:
    """A text of a template without characters that would not be seen, or would turn others round."""
    return spell(value) if type(value) is str and not value.isprintable() else value


def style() -> str:
    """The style sheet, as the report carries it and the server sends it."""
    return files("errorbook").joinpath("render/pages/static/style.css").read_text(encoding="utf-8")


def group_digits(number: float) -> str:
    """A count with its thousands apart: 12,345."""
    return f"{number:,}"


def format_time(at: float) -> str:
    """A time of this machine's clock as people write it: 3 May 2026, 17:05."""
    when = datetime.fromtimestamp(at).astimezone()
    return f"{when.day} {when:%b %Y, %H:%M}"


def format_timestamp(at: float) -> str:
    """The same for programs, with the offset from UTC: 2026-05-03T17:05:00+02:00."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")

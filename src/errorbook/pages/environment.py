"""The one template environment of the report and the browser's pages, and the one style sheet that both carry.

Every text in a template may come from a model: autoescaping is on, and only what is made safe elsewhere is `Markup`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from errorbook import sentences
from errorbook.costs import cost_row

if TYPE_CHECKING:
    from jinja2 import Environment

_FILTERS = ("percent", "signed", "with_interval", "difference_text", "p_text", "words", "duration", "sentence")
_FUNCTIONS = ("decision_title", "again_text", "guard_text", "noise_text", "count")


@cache
def environment() -> Environment:
    """Templates of `pages/templates`, with the project's filters; a name that a template lacks is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("errorbook", "pages/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({name: getattr(sentences, name) for name in _FILTERS}, cost_row=cost_row)
    made.globals.update({name: getattr(sentences, name) for name in _FUNCTIONS})
    return made


def style() -> str:
    """The style sheet, as the report carries it and the server sends it."""
    return files("errorbook").joinpath("pages/static/style.css").read_text(encoding="utf-8")

"""Prompts from the text files in `prompts/`: rendered with foreign text fenced off, and versioned by their content.

Whatever comes from a dataset or from a model is put in by the filter `data`, which sets it between two tags with a code
made from the text itself: no text can hold its own code, so none can close its fence. What a prompt asks is the files'
business; which one is used and for what, is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from errorbook.records import Message, digest, own_turns

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: Any) -> str:
    """The text of `prompts/NAME.md` with its values; one that is missing is an error."""
    return _environment().get_template(f"{name}.md").render(values).strip()


def show_before(messages: Sequence[Message]) -> dict[str, Any]:
    """What prompts show of the messages before a question: its system message and the turns that are its own."""
    system = "\n\n".join(one.content for one in messages if one.role == "system")
    return {"system": system, "turns": own_turns(messages)}


def version(names: Sequence[str], *also: str) -> str:
    """The hash of prompt files and of whatever else decides what is asked."""
    return digest(*(_source(f"{name}.md") for name in names), *also)


def data(text: str | Sequence[str], name: str) -> str:
    """A text, or options to be lettered, between tags with a code that the text cannot hold."""
    if not isinstance(text, str):
        text = "\n".join(f"{chr(ord('A') + place)}. {option}" for place, option in enumerate(text))
    salt = 0
    while (code := digest(name, text, str(salt))[:16]) in text:
        salt += 1
    return f"<{name}-{code}>\n{text}\n</{name}-{code}>"


@cache
def _source(file: str) -> str:
    return files("errorbook").joinpath("prompts", file).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    # Not HTML, so nothing is to be escaped: a fence keeps its text exactly, since quotes are compared with it.
    environment = Environment(  # noqa: S701
        loader=FunctionLoader(_source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data"] = data
    return environment

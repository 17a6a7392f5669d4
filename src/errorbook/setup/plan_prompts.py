"""What the target will read: one prompt of a task as the model reads it, and how long its prompts are.

The tokens are the model's own if its tokenizer is on this machine, else an estimate by their length.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from errorbook import plugins
from errorbook.config import Config
from errorbook.evaluate import ask
from errorbook.interfaces import Task, Weightless
from errorbook.records import Example, messages_of
from errorbook.setup.task_preview import Template, chat_template

_MEASURED = 40
"""Questions of each split that are measured."""
_BYTES_PER_TOKEN = 4.0


class ReadPrompt(NamedTuple):
    """The first prompt as the model reads it; the mean length of all, and that of the longest measured, in tokens."""

    text: str
    tokens: int
    longest: int


def read_prompts(config: Config, task: Task, parts: Sequence[Sequence[Example]]) -> ReadPrompt | None:
    """The prompts of a task's questions, if something stands before any of them; else None."""
    measured = [*chain.from_iterable(part[:_MEASURED] for part in parts)]
    if not any(example.before for example in measured):
        return None
    # One that stands in no file here is sent messages, and its server renders them.
    served = plugins.implements("targets", config.target.engine, Weightless)
    template = Template("", _as_messages, "") if served else chat_template(config.target.model)
    shown = [template.render(ask(task, example)) for example in measured]
    sizes = [template.measure(text) if template.measure else len(text.encode()) / _BYTES_PER_TOKEN for text in shown]
    first = next(place for place, example in enumerate(measured) if example.before)
    return ReadPrompt(shown[first], round(sum(sizes) / len(sizes)), round(max(sizes)))


def _as_messages(prompt: str) -> str:
    return "\n\n".join(f"[{one.role}]\n{one.content}" for one in messages_of(prompt))

"""What every log format is turned into: one `Logged` record a response, with the label that the log gives it.

It knows how labels are spelt, and nothing of any one format.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from errorbook.records import Message

Label = Literal["right", "wrong", ""]
"""The log's own verdict; empty if it gives none, or neither (partial credit, no answer)."""

_RIGHT = {"right", "correct", "true", "yes", "pass", "passed", "c"}
_WRONG = {"wrong", "incorrect", "false", "no", "fail", "failed", "i"}
_NEITHER = {"", "none", "null", "nan", "unknown", "unscorable", "p", "n"}


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One response as a log holds it. `model` is empty if the log names none; `tokens` is 0 if unknown.

    `accepted` are other answers that are as right as `answer`. `before` is what the model was told before the question,
    as far as the log says it, `thought` what the log has told apart as the model's reasoning.
    """

    id: str
    place: str
    question: str
    text: str
    label: Label = ""
    answer: str = ""
    accepted: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    tests: str = ""
    solution: str = ""
    skill: str = ""
    model: str = ""
    tokens: int = 0
    truncated: bool = False
    before: tuple[Message, ...] = ()
    thought: str = ""

    @property
    def said(self) -> str:
        """The response as the model wrote it: the thought with its marks, and the text behind it."""
        if not self.thought:
            return self.text
        return f"<think>{self.thought}</think>\n{self.text}" if self.text.strip() else f"<think>{self.thought}"


def read_label(value: object) -> Label | None:
    """The label that a value spells, or None if it spells none. A share between 0 and 1 is no label: empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in _RIGHT | _WRONG | _NEITHER:
            return "right" if word in _RIGHT else "wrong" if word in _WRONG else ""
    if not isinstance(value, bool | int | float | str):
        return None
    try:
        share = float(value)
    except (ValueError, OverflowError):
        return None
    if not 0 <= share <= 1:
        return None
    return "right" if share == 1 else "wrong" if share == 0 else ""

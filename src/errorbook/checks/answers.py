"""Whether a model's answers to many questions are answers at all: an outage, a wrong template or a lame engine is none.

Pure functions over texts. What is to be done about it is said in the sentence; who acts on it is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

NEARLY_ALL = 0.9
"""Share of the answers of which something must be true before it is called true of the engine."""
FEW = 8
"""Answers below which nothing is said of an engine that says the same to every question."""

_TEMPLATE_MARKS = re.compile(
    r"<\|(?:im_start|im_end|user|assistant|system|start_header_id|end_header_id|eot_id|endoftext|begin_of_text)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<\|(?:END|START)_OF_TURN_TOKEN\|>|\[\|(?:assistant|user)\|\]"
)


class Given(NamedTuple):
    """One answer: its text, the question's gold answer, whether it could be scored, and whether it was cut off."""

    text: str
    gold: str
    scored: bool
    truncated: bool


def find_empty(answers: Sequence[Given]) -> str:
    """The sentence if nearly all answers have no text."""
    empty = sum(not answer.text.strip() for answer in answers)
    if not _nearly_all(empty, answers):
        return ""
    return (
        f"{empty} of {len(answers)} answers are empty; give the model more room (max_new_tokens) if it thinks before it"
        " answers, or see to the server"
    )


def find_template_marks(answers: Sequence[Given]) -> str:
    """The sentence if nearly all answers hold the marks of a chat template: a model asked in its own says none."""
    found = [mark for answer in answers if (mark := _TEMPLATE_MARKS.search(answer.text))]
    if not _nearly_all(len(found), answers):
        return ""
    return (
        f"{len(found)} of {len(answers)} answers hold marks of a chat template, such as '{found[0][0]}'; give the model"
        " the tokenizer files and the chat template that it was trained with"
    )


def find_cut_off(answers: Sequence[Given]) -> str:
    """The sentence if nearly all answers were cut off before they said anything that can be scored."""
    cut = sum(answer.truncated and not answer.scored for answer in answers)
    if not _nearly_all(cut, answers):
        return ""
    return (
        f"{cut} of {len(answers)} answers were cut off before an answer was reached; raise max_new_tokens, or name what"
        " ends an answer with stop"
    )


def find_unreadable(answers: Sequence[Given]) -> str:
    """The sentence if nearly no answer could be scored."""
    unreadable = [answer for answer in answers if not answer.scored]
    if not _nearly_all(len(unreadable), answers):
        return ""
    return (
        f"{len(unreadable)} of {len(answers)} answers could not be scored (the first: {_quote(unreadable[0].text)});"
        " have the prompt ask for the form that the scorer reads, or choose another scorer"
    )


def find_sameness(answers: Sequence[Given]) -> str:
    """The sentence if many questions with many different gold answers all got one and the same answer."""
    golds, texts = {answer.gold for answer in answers}, {answer.text for answer in answers}
    if len(answers) < FEW or len(texts) > 1 or 2 * len(golds) < len(answers):
        return ""
    return (
        f"all {len(answers)} questions got the same answer ({_quote(next(iter(texts)))}); see to it that the engine is"
        " given the question, and that its chat template uses it"
    )


def find_parrot(before: Sequence[str], after: Sequence[str]) -> str:
    """The sentence if a trained model gives the very answers of the model before it."""
    if len(after) < FEW or list(before) != list(after):
        return ""
    return (
        f"all {len(after)} answers are those of the model before, letter for letter: the training did nothing that"
        " shows, or its adapter is not applied"
    )


def doubt_answers(answers: Sequence[Given], *, alike: bool = True) -> str:
    """Why these answers are no result, without a full stop; empty if they are one. `alike` looks for sameness, too."""
    detectors = (find_empty, find_template_marks, find_cut_off, find_unreadable)  # the narrower cause first
    found = (detect(answers) for detect in (*detectors, *((find_sameness,) * alike)) if answers)
    return next(filter(None, found), "")


def _nearly_all(count: int, answers: Sequence[Given]) -> bool:
    return count > NEARLY_ALL * len(answers)


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line[:80]}…'" if len(line) > 80 else f"'{line}'"

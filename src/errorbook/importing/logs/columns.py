"""Which column of a row holds what, in the spellings that are in use: the guesses of every command that reads rows.

It decides by the columns alone, never by the task's name or the file's. The order is that in which names are tried.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

QUESTION = ("question", "problem", "prompt", "instruction", "input", "query", "text")
MESSAGES = ("messages", "conversations", "conversation")
"""A whole conversation in chat form."""
ANSWER = (
    "answer",
    "final_answer",
    "gold",
    "target",
    "ground_truth",
    "gold_answer",
    "expected_answer",
    "correct_answer",
    "reference",
    "expected",
    "answerkey",
)
PROGRAM = ("canonical_solution", "code")
"""The gold answer if answers are programs."""
RESPONSE = (
    "response",
    "completion",
    "prediction",
    "model_prediction",
    "output",
    "model_output",
    "model_response",
    "generation",
    "generated_text",
    "model_answer",
)
LABEL = ("is_correct", "correct", "passed", "label", "verdict", "exact_match", "acc", "score", "result")
"""Whether a response is right."""
ANSWER_OR_LABEL = (*ANSWER, "label")
"""The gold answer in a file of questions or samples, which has no verdicts that could be called label."""
SOLUTION = ("solution", *RESPONSE, "rationale")
"""The worked solution of a training sample."""
CHOICES = ("choices", "options")
TESTS = ("tests", "test")
SKILL = ("subject", "skill", "category")
ID = ("id", "task_id", "question_id")
LETTERS = string.ascii_uppercase
"""Columns of one option each, and how options are called."""


def find_columns(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The columns with one of the names, in the order of the names; case does not count."""
    there = {column.casefold(): column for column in row}
    return [there[name] for name in names if name in there]


def first_value(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What the first of these columns holds that holds anything; None if none does."""
    return next((row[column] for column in find_columns(row, names) if row[column] is not None), None)


def list_names(names: Sequence[str], most: int = 4) -> str:
    """The names that are tried first, for an error message."""
    return ", ".join(names[:most])

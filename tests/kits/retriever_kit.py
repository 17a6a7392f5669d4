"""Questions of which some are near others."""

from __future__ import annotations

from errorbook.records import Example


def example(number: int, question: str) -> Example:
    return Example(id=str(number), task="t", split="train", question=question, answer="")


QUESTIONS = [
    "Calculate 47 + 38.",
    "Calculate 46 + 38.",
    "Which animal says meow?",
    "Which animal says woof?",
    "Convert three hours into minutes.",
]
EXAMPLES = [example(number, question) for number, question in enumerate(QUESTIONS)]

"""The words around a question: how options are listed, how an answer is asked for, and how one is written down.

What is asked for and what a training sample shows agree by construction, because both come from here.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

LETTERS = string.ascii_uppercase

NUMBER = 'Solve this step by step and be brief. End with a line "Answer: " and the number alone.'
LETTER = 'Think step by step and be brief. End with a line "Answer: " and the letter of the right option alone.'
WORDS = 'Think step by step and be brief. End with a line "Answer: " and the answer alone, or the letter of an option.'
PROGRAM = "Write this program in Python. Reply with one ```python block that holds all of it, imports included."


def list_choices(choices: Sequence[str]) -> str:
    """The options as lines "A. ..."."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def word_question(question: str, choices: Sequence[str], instruction: str) -> str:
    """Question, options and instruction as paragraphs."""
    options = list_choices(choices)
    return "\n\n".join(part for part in (f"{question}\n{options}" if options else question, instruction) if part)


def word_answer(solution: str, answer: str) -> str:
    """The worked solution, then the answer on a line of its own."""
    return f"{solution}\nAnswer: {answer}" if solution else f"Answer: {answer}"


def word_program(solution: str, answer: str) -> str:
    """What is to be said about the program, then the program itself in a block."""
    block = f"```python\n{answer.strip()}\n```"
    return f"{solution}\n\n{block}" if solution else block

"""Commands of LaTeX whose backslash JSON took for an escape: restored if that is sure, else found."""

from __future__ import annotations

import json

import msgspec
import pytest

from errorbook.adapters.instructors.replies import BlindAnswer, Worked, WorkedDrafts, restore
from errorbook.checks.eaten_backslashes import find_eaten, restore_commands
from errorbook.llm.records import InvalidReply


@pytest.mark.parametrize(
    "meant",
    [
        r"\frac{1}{2} \cdot \beta",
        r"\forall x: x \neq \bar{y}",
        r"3 \times 4, \theta_1, \tau",
        r"\binom{n}{k} \rightarrow \rho",
        r"\begin{cases} \text{ if } \boxed{7} \end{cases}",
        r"\nabla f, x \notin A, \nleq",
        r"\left( \tfrac{1}{2} \right)",
        r"$\rangle$ \therefore \triangle ABC",
    ],
)
def test_a_command_whose_backslash_was_read_away_is_restored(meant: str) -> None:
    # What a model writes into JSON that forgets to write the backslash twice: the escapes that JSON knows are eaten.
    read = meant
    for letter, sign in {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.items():
        read = read.replace(f"\\{letter}", sign)

    assert read != meant
    assert find_eaten(read)
    assert restore_commands(read) == meant


@pytest.mark.parametrize(
    "text",
    [
        "One.\nTwo.\n\nequal shares",
        "def f(x):\n\treturn x\n\tto = 3",
        "a\r\nb\r\n",
        "x\n  and\n\ttimes = 3",
        "a line\nextra\nnot\nu = 5",
        "name\tage\nAnn\t7",
    ],
)
def test_white_space_stays_white_space(text: str) -> None:
    assert restore_commands(text) == text
    assert not find_eaten(text)


@pytest.mark.parametrize("text", ["x\to 0", "a \tan b", "a\x00b", "page\f one", "bell\x07 1", "\x1b[1m"])
def test_what_may_be_something_else_is_found(text: str) -> None:
    assert find_eaten(restore_commands(text))


def test_a_reply_is_restored_in_every_part_and_refused_if_one_is_unsure() -> None:
    told = r'{"drafts": [{"question": "Halve \frac{a}{b} \times 2", "solution": "so \rho", "answer": "\theta"}]}'
    (draft,) = restore(msgspec.json.decode(told, type=WorkedDrafts)).drafts

    assert draft == Worked(question=r"Halve \frac{a}{b} \times 2", solution=r"so \rho", answer=r"\theta")
    with pytest.raises(InvalidReply, match="write each backslash of a command twice"):
        restore(msgspec.json.decode(told.replace(r"so \rho", r"x \ne 5"), type=WorkedDrafts))
    plain = BlindAnswer(reasoning="One.\nu = 5", answer=json.loads(r'"\\frac{1}{2}"'), sound=True)
    assert restore(plain) == plain

"""Commands of LaTeX whose backslash JSON took for an escape: restored if that is sure, else found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import errorbook
from errorbook.adapters.instructors.replies import BlindAnswer, Programmed, Worked, WorkedDrafts, restore
from errorbook.checks.eaten_backslashes import ESCAPES, find_doubtful, find_eaten, find_in_code, restore_commands
from errorbook.checks.latex_commands import COMMANDS, READABLE, RELATIONS
from errorbook.llm.records import InvalidReply


def eat(meant: str) -> str:
    """What is read of JSON whose writer forgot to write backslashes twice: the escapes that JSON knows are eaten."""
    for letter, sign in ESCAPES.items():
        meant = re.sub(rf"\\{letter}(?=[A-Za-z])", sign, meant)
    return meant


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
        r"{\rm kg} is \textnormal{mass} \tag{7}",
        r"\left\lvert 2y \right\rvert, {\tt y}",
        r"M^\top M, y \not= 8, \nrightarrow",
        r"\texttt{go} and \textsuperscript{2}",
    ],
)
def test_a_command_whose_backslash_was_read_away_is_restored(meant: str) -> None:
    read = eat(meant)

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
        "The two sides are these:\neq (3) gives y.",
        "y = 7\nu = 2\ni = 1",
        "while k:\n\tau = k\n\n\top = 2 * au",
        "word\tan\to\tend",
        "```\nw = 4 \nu = w\n\tan = 1\n```",
        "It cost $8 and we paid\ni think $3 back",
        r"$$\begin{aligned}" + "\nu &= 3 \\\\\ne &= 4\n" + r"\end{aligned}$$",
        "4 apples are more\nless than 4 are not",
    ],
)
def test_white_space_stays_white_space(text: str) -> None:
    assert restore_commands(text) == text
    assert not find_eaten(text)


@pytest.mark.parametrize("text", ["x\to 0", "a \tan b", "a\x00b", "page\f one", "bell\x07 1", "\x1b[1m"])
def test_what_may_be_something_else_is_found(text: str) -> None:
    assert find_eaten(restore_commands(text))


@pytest.mark.parametrize(
    "meant", [r"\tan y = 2", r"\to 8", r"\neg q", r"\nmid 7", r"y \ne 8", r"y\ne8", r"y \nsim z", r"is \nu = 7"]
)
def test_a_command_in_a_text_without_marks_is_found(meant: str) -> None:
    assert find_eaten(restore_commands(eat(meant)))


@pytest.mark.parametrize("text", ["one\rtwo", "\bnew 3", "\fx", "\textrange{y}".replace("\\t", "\t"), "c\nd\re"])
def test_what_begins_no_known_command_is_found(text: str) -> None:
    assert restore_commands(text) == text
    assert find_eaten(text)


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="".join(ESCAPES.values())), max_size=80))
def test_a_text_without_the_signs_of_escapes_is_left_alone(text: str) -> None:
    assert restore_commands(text) == text


@pytest.mark.parametrize(
    "text",
    [
        r"$y {} 8$",
        r"$z{} $",
        r"Let ${}$ be so.",
        r"First \(z_1 {0} (2 + w)\), then \({0} y\).",
        r"\[ 4 {} w \]",
        r"\[{} w\]",
        "Two lines,\nof which $x^2 {} y$ is one.",
        r"$$w = \sqrt{{4}} {} 5$$",
        r"costs \$4 if $q {} 1$",
    ],
)
def test_every_command_of_the_table_is_restored_in_mathematics(text: str) -> None:
    for command in sorted(COMMANDS):
        meant = text.format(f"\\{command}")
        assert restore_commands(eat(meant)) == meant
        assert not find_doubtful(meant)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(COMMANDS)), min_size=1, max_size=6), st.sampled_from(["$", "$$"]))
def test_several_commands_are_restored_together(commands: list[str], mark: str) -> None:
    meant = mark + " + ".join(f"y \\{command} 2" for command in commands) + mark
    assert restore_commands(eat(meant)) == meant


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["\n", "\t", "\r\n", "\n\n", " ", ". ", "The next one", "less", "parallel lines", "an apple", "mid"]
        )
        | st.text(alphabet="abcdxyz ,.", min_size=3)
    )
)
def test_prose_with_lines_and_tabs_is_left_alone(parts: list[str]) -> None:
    text = "".join(parts)
    assert restore_commands(text) == text


def test_programs_are_left_alone() -> None:
    for path in sorted(Path(errorbook.__file__).parent.glob("*.py")):
        program = re.sub(r"(?m)^(?: {4})+", lambda found: "\t" * (len(found.group()) // 4), path.read_text())
        assert restore_commands(program) == program, path
        assert not find_eaten(program), path


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*ESCAPES.values(), "imes", "abla", "au", "eq", " = 3", "x", '"', "rac"])))
def test_a_program_in_a_reply_is_never_changed(parts: list[str]) -> None:
    reply = Programmed(solution="It counts.", program="".join(parts))
    if "\b" in parts or find_in_code(reply.program):
        with pytest.raises(InvalidReply):
            restore(reply)
    else:
        assert restore(reply) == reply


def test_a_form_feed_stands_between_parts_of_a_program_and_not_within_a_line() -> None:
    assert not find_in_code("import os\n\f\ndef f():\n\treturn 1\r\n")
    assert find_in_code(eat(r"print('\frac')"))
    assert find_in_code(eat(r"re.findall('\bar', s)"))


def test_the_table_is_of_what_escapes_can_take() -> None:
    assert {command[0] for command in COMMANDS} == set(ESCAPES)
    assert RELATIONS < READABLE < COMMANDS
    assert {command[0] for command in READABLE} == {"n", "t"}


def test_a_reply_is_restored_in_every_part_and_refused_if_one_is_unsure() -> None:
    told = r'{"drafts": [{"question": "Halve \frac{a}{b} \times 2", "solution": "so \rho", "answer": "\theta"}]}'
    (draft,) = restore(msgspec.json.decode(told, type=WorkedDrafts)).drafts

    assert draft == Worked(question=r"Halve \frac{a}{b} \times 2", solution=r"so \rho", answer=r"\theta")
    with pytest.raises(InvalidReply, match="write each backslash of a command twice"):
        restore(msgspec.json.decode(told.replace(r"so \rho", r"x \ne 5"), type=WorkedDrafts))
    plain = BlindAnswer(reasoning="One.\nu = 5", answer=json.loads(r'"\\frac{1}{2}"'), sound=True)
    assert restore(plain) == plain

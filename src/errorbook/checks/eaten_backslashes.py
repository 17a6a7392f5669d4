r"""Finds LaTeX commands whose backslash was read as part of an escape: `\frac` in JSON is a form feed and "rac".

Such a text is valid and wrong. JSON knows five escapes that a command can begin with. A backspace, a form feed and a
carriage return alone stand for nothing else before the rest of a command. A tab and a line break mostly are meant:
there the neighbourhood decides, and a doubt is told rather than mended. Programs, and code within a text, stay as they
are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from errorbook.checks.latex_commands import COMMANDS, READABLE, RELATIONS

Verdict = Literal["command", "doubt", "white space"]

ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
"""The escapes of JSON that commands begin with; of the others none is a letter but \\u, which wants four digits."""
_LETTERS = {sign: letter for letter, sign in ESCAPES.items()}


def _rests(commands: Sequence[str]) -> str:
    """A pattern for what is left of these commands behind the sign that their first letter became."""
    by_sign = {sign: [command[1:] for command in commands if command[0] == letter] for letter, sign in ESCAPES.items()}
    return "|".join(f"{re.escape(sign)}(?:{'|'.join(rests)})" for sign, rests in by_sign.items() if rests)


_EATEN = re.compile(rf"(?:{_rests(sorted(COMMANDS))})(?![A-Za-z])")
_KEPT = re.compile(rf"(?<!\\)\\(?:{'|'.join(sorted(COMMANDS))})(?![A-Za-z])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\t(?=ext[a-z]*\s?\{)")
_IN_CODE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]|(?<=[^\n\f])\f")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
_MARK = re.compile(r"(?<!\\)\\[\[\]()]|(?<!\\)\$\$?|(?:\\b|\x08)egin\{[A-Za-z]+\*?\}|\\end\{[A-Za-z]+\*?\}|\n[ \t]*\n")
_CLOSES = {r"\[": r"\]", r"\(": r"\)", "$": "$", "$$": "$$", "begin": "end"}
_BLOCK = re.compile(r"\s*(?:async|def|class|for|while|if|elif|else|try|except|finally|with|match|case)\b.*:\s*(?:#.*)?")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_NAMED = re.compile(r"\{[A-Za-z .]+\}")
_GROUP = re.compile(r"\s?\{")
_MATH_AFTER = re.compile(r"[ ]?(?:\Z|[A-Za-z](?![A-Za-z])|[0-9\\{}()\[\]|_^=<>+\-*/,.;:!$&'])")
_OPERAND_AFTER = re.compile(r"[ ]?(?:[A-Za-z](?![A-Za-z])|[-0-9\\(\[{|])")
_MATH_BEFORE = re.compile(r"(?:\A|(?<![A-Za-z])[A-Za-z]|[0-9\\{}()\[\]|_^=<>+\-*/,;:!$&'])[ ]?\Z")
_OPERAND_BEFORE = re.compile(r"(?:(?<![A-Za-z])[A-Za-z]|[0-9)\]}|])[ ]?\Z")
_ODD_END = re.compile(r"(?:\A|[^\s\\][ ]|[(\[{=+<>^_])\Z")
"""How a line ends that was none: with one space, or in the middle of a formula."""
_NEAR = 200
"""Characters around a place that are looked at."""
_LONGEST = 500
"""Characters of a formula in a line of text; between marks that are further apart stands something else."""


class _Math(NamedTuple):
    start: int
    end: int
    display: bool


class _Scene(NamedTuple):
    """A text with what was found out about it: where its code and its mathematics are."""

    text: str
    code: Sequence[tuple[int, int]]
    math: Sequence[_Math]
    told: bool
    """Whether its writer is known to forget backslashes."""
    kept: bool
    """Whether commands that an escape could have taken stand in it whole."""


def restore_commands(text: str) -> str:
    """The text with the backslashes that were read away; where that is in doubt, as it is."""
    if not _EATEN.search(text):
        return text
    # What is beyond doubt first: it tells of the writer, and of the neighbourhood of the rest.
    certain = _mend(text, _look_at(text, told=False), _judge_alone)
    return _mend(certain, _look_at(certain, told=certain != text), _judge)


def find_eaten(text: str) -> str:
    """The place of a control character that stands for no white space, or of a command that lost its backslash.

    It is shown with escapes; empty if there is none.
    """
    return _find(text, told=False)


def find_doubtful(text: str) -> str:
    """As `find_eaten`, of a text that stands beside one whose commands were restored: there a line break may be one."""
    return _find(text, told=True)


def find_in_code(text: str) -> str:
    """As `find_eaten`, of a program: line breaks, tabs and the form feed that begins a line belong to it."""
    found = _IN_CODE.search(text)
    return "" if found is None else _show(text, found)


def _find(text: str, *, told: bool) -> str:
    found = _CONTROL.search(text)
    if found is None and _EATEN.search(text):
        scene = _look_at(text, told=told)
        found = next((match for match in _EATEN.finditer(text) if _judge(scene, match) != "white space"), None)
    return "" if found is None else _show(text, found)


def _show(text: str, found: re.Match[str]) -> str:
    return ascii(text[max(0, found.start() - 10) : found.end() + 10])[1:-1]


def _mend(text: str, scene: _Scene, judge: Callable[[_Scene, re.Match[str]], Verdict]) -> str:
    def restore(match: re.Match[str]) -> str:
        whole = match.group()
        return f"\\{_LETTERS[whole[0]]}{whole[1:]}" if judge(scene, match) == "command" else whole

    return _EATEN.sub(restore, text)


def _look_at(text: str, *, told: bool) -> _Scene:
    code = [match.span() for match in _CODE.finditer(text)] if "`" in text else []
    return _Scene(text, code, list(_find_math(text)), told, kept=_KEPT.search(text) is not None)


def _find_math(text: str) -> Iterator[_Math]:
    """The stretches between two marks of mathematics; a blank line ends one that belongs into a line of text."""
    opened, start, depth = "", 0, 0
    for match in _MARK.finditer(text):
        mark = match.group()
        name = "begin" if "egin{" in mark else "end" if mark.startswith(r"\end") else mark
        if not opened:
            if name in _CLOSES:
                opened, start, depth = name, match.end(), 1
        elif name == _CLOSES[opened]:
            depth -= 1
            if not depth:
                yield _Math(start, match.start(), opened not in {"$", r"\("})
                opened = ""
        elif name == opened == "begin":
            depth += 1
        elif not mark.strip() and opened in {"$", r"\("}:
            opened = ""


def _around(spans: Sequence[tuple[int, ...]], place: int) -> int | None:
    """Which of the stretches, in their order, holds this place."""
    at = bisect_right(spans, place, key=lambda span: span[0]) - 1
    return at if at >= 0 and place < spans[at][1] else None


def _judge_alone(scene: _Scene, match: re.Match[str]) -> Verdict:
    """What is certain by the sign and the rest of the command, or by mathematics around them."""
    text, place, sign = scene.text, match.start(), match.group()[0]
    if _around(scene.code, place) is not None or (sign == "\t" and _is_indented_code(text, place)):
        return "white space"
    command = f"{_LETTERS[sign]}{match.group()[1:]}"
    if sign in "\b\f\r" or command not in READABLE or text[place - 1 : place] in {"^", "_"}:
        return "command"
    if sign == "\t" and (text[place - 1 : place] == "{" or _GROUP.match(text, match.end())):
        return "command"
    return _judge_in_math(scene, match, command)


def _judge_in_math(scene: _Scene, match: re.Match[str], command: str) -> Verdict:
    """Within a line of text mathematics has no lines of its own; on display it may have."""
    text, place = scene.text, match.start()
    at = _around(scene.math, place)
    if at is None:
        return "doubt"
    start, end, display = scene.math[at]
    before = text[max(start, place - _NEAR) : place]
    if not display:
        certain = end - start <= _LONGEST and _is_formula(text[start:end])
    elif text[place] == "\t":
        certain = "\n" not in before or bool(before.rpartition("\n")[2].strip())
    elif before.strip():
        certain = _ODD_END.search(before) is not None or _stands_between(before, command, match)
    else:  # who begins a line behind the mark has the other mark on a line of its own too
        certain = end - start <= _LONGEST and "\n" not in _EATEN.sub(" ", text[start:end])
    return "command" if certain else "doubt"


def _judge(scene: _Scene, match: re.Match[str]) -> Verdict:
    """The same, and what is left is decided by what stands before and behind."""
    verdict = _judge_alone(scene, match)
    if verdict != "doubt":
        return verdict
    text, place, is_line = scene.text, match.start(), match.group()[0] == "\n"
    at = _around(scene.math, place)
    if at is not None and scene.math[at].display:
        return "white space" if scene.kept and not scene.told else "doubt"
    if not _MATH_AFTER.match(text, match.end()) or (not is_line and not scene.told and _is_row(text, place)):
        return "white space"
    before = text[max(0, place - _NEAR) : place]
    if _ODD_END.search(before) if is_line else not before.endswith("\n"):
        return "command" if scene.told and _MATH_BEFORE.search(before) else "doubt"
    if not is_line or scene.told or _stands_between(before, f"n{match.group()[1:]}", match):
        return "doubt"
    return "white space"


def _stands_between(before: str, command: str, match: re.Match[str]) -> bool:
    """Whether it would be a relation between two operands, as a line hardly begins."""
    follows = _OPERAND_AFTER.match(match.string, match.end())
    return command in RELATIONS and _OPERAND_BEFORE.search(before) is not None and follows is not None


def _is_formula(text: str) -> bool:
    """Whether what stands between two dollars is one: it may be two prices with words and lines between them."""
    bare = _EATEN.sub(" ", _NAMED.sub(" ", text))
    return "\n" not in bare and not _WORD.search(bare)


def _is_row(text: str, place: int) -> bool:
    """Whether another tab of the line is one, as in a table."""
    start = max(text.rfind("\n", 0, place) + 1, place - _NEAR)
    end = text.find("\n", place, place + _NEAR)
    tabs = re.finditer("\t", text[start : end if end >= 0 else place + _NEAR])
    return any(start + tab.start() != place and not _EATEN.match(text, start + tab.start()) for tab in tabs)


def _is_indented_code(text: str, place: int) -> bool:
    """Whether a tab begins its line, and the line of text above it begins with one or opens a block of Python."""
    end = text.rfind("\n", 0, place)
    if end < 0 or text[max(end + 1, place - _NEAR) : place].strip(" \t"):
        return False
    above = text[max(0, end - _NEAR) : end].rstrip().rpartition("\n")[2]
    return above.startswith("\t") or _BLOCK.fullmatch(above) is not None

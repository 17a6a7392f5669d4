"""Cuts the fenced blocks of code out of a response.

A fence ends at a line of at least as many of the same marks, no further in than three columns from where it began
(CommonMark 0.31, section 4.5). If the block does not parse up to there but does up to another such line, that one ends
it: models put fences into docstrings, and indent the last one. A model whose answer was begun for it closes a fence
that it never opened: the code before it is the block.
"""

from __future__ import annotations

import re
import textwrap
from itertools import islice

from errorbook.sandbox.parsing import parse_program

Fence = tuple[int, re.Match[str]]
"""The number of a line, and what it says."""

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>.*)")
_STATEMENT = re.compile(r"^\s*(?:def|class|return|import|from|for|while|if) |^\s*\w+ ?=", re.MULTILINE)
_INDENT = 3
_TRIES = 10
"""How often the end of a block that does not parse is looked for at a later fence."""
_MOST = 100
"""Fences at which that is done."""


def find_fenced(text: str) -> list[str]:
    """Contents of the fenced code blocks; one that is not closed runs to the end. Blocks of other languages count."""
    lines = text.split("\n")
    fences = [(number, found) for number, line in enumerate(lines) if (found := _FENCE.fullmatch(line))]
    begun = _find_begun(lines, fences)
    blocks, done = (["\n".join(lines[:begun]) + "\n"], begun + 1) if begun else ([], 0)
    for place, (number, opening) in enumerate(fences):
        if number < done:
            continue
        if inside := _on_one_line(opening):
            blocks.append(_tidy([inside]))
            continue
        end = _find_end(lines, fences, place)
        blocks.append(_tidy(lines[number + 1 : end]))
        done = end + 1
    return [block for block in blocks if block.strip()]


def _find_begun(lines: list[str], fences: list[Fence]) -> int:
    """The line of a first fence that ends code which no fence began; 0 if there is none."""
    pairs = sum(not _on_one_line(fence) for _, fence in fences)
    if pairs % 2 == 0 or fences[0][1]["info"].strip():
        return 0
    return fences[0][0] if _is_code("\n".join(lines[: fences[0][0]])) else 0


def _find_end(lines: list[str], fences: list[Fence], place: int) -> int:
    """The line of the fence that ends a block: the first with which it parses, else the first that ends it by rule."""
    start, opening = fences[place]
    later = (fences[other] for other in range(place + 1, len(fences)))
    ends = list(islice((fence for fence in later if _is_end(fence[1], opening)), _TRIES))
    for end, _ in ends if len(ends) > 1 and place < _MOST else ():
        if parse_program(_tidy(lines[start + 1 : end])) is not None:
            return end
    by_rule = (end for end, fence in ends if _width(fence) <= _width(opening) + _INDENT)
    return next(by_rule, ends[0][0] if ends else len(lines))


def _is_end(fence: re.Match[str], opening: re.Match[str]) -> bool:
    return fence["mark"].startswith(opening["mark"]) and not fence["info"].strip()


def _width(fence: re.Match[str]) -> int:
    return len(fence["indent"].expandtabs(4))


def _on_one_line(opening: re.Match[str]) -> str:
    """The content of a block that is opened and closed on one line."""
    info = opening["info"].rstrip()
    return info.removesuffix(opening["mark"]) if info.endswith(opening["mark"]) else ""


def _is_code(text: str) -> bool:
    """Whether a text is a program or the body of a function, and not prose."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    code = textwrap.dedent(text)
    tree = parse_program(f"def body():\n{textwrap.indent(code, '    ')}")
    return tree is not None and (first.startswith((" ", "\t")) or _STATEMENT.search(code) is not None)


def _tidy(lines: list[str]) -> str:
    code = textwrap.dedent("\n".join(lines).expandtabs(8) if any("\t" in line for line in lines) else "\n".join(lines))
    return code if code.endswith("\n") else code + "\n"

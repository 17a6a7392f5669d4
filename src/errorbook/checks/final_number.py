"""The number that a worked solution comes to, if its last calculation and its closing words agree.

"She pays $48 for the 120 packets" closes with two numbers; the last equation of the solution says which one is the
answer. If they do not agree, nothing is returned, and a scorer has to read the text as it would a response.
"""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.checks.expressions import Number, Token, parse_expression, tokenize

_LINES = 12


def find_conclusion(solution: str) -> str:
    """The result of the last calculation, as written, if the last line has it; else an empty string."""
    lines = [tokenize(line[:2_000]) for line in solution.rstrip().split("\n")[-_LINES:] if line.strip()]
    last = next((found for line in reversed(lines) if (found := _find_last_result(line)) is not None), None)
    if last is None:
        return ""
    closing = [token.value.value for token in lines[-1] if isinstance(token.value, Number)]
    return last.text if isinstance(last.value, Number) and last.value.value in closing else ""


def _find_last_result(line: Sequence[Token]) -> Token | None:
    """What stands right of the last equals sign of a line that has one; it has no value if that is no plain number."""
    places = [place for place, token in enumerate(line[:-1]) if token.kind == "equals"]
    if not places:
        return None
    read = parse_expression(line, places[-1] + 1)
    plain = read is not None and isinstance(read.tree, Number)
    return line[places[-1] + 1] if plain else line[places[-1]]

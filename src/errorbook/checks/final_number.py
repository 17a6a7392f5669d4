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
    results = [token for line in lines for token in _results(line)]
    if not results:
        return ""
    closing = [token.value.value for token in lines[-1] if isinstance(token.value, Number)]
    last = results[-1]
    return last.text if isinstance(last.value, Number) and last.value.value in closing else ""


def _results(line: Sequence[Token]) -> list[Token]:
    """The plain numbers that stand right of an equals sign."""
    found = []
    for place, token in enumerate(line[:-1]):
        read = parse_expression(line, place + 1) if token.kind == "equals" else None
        if read is not None and isinstance(read.tree, Number):
            found.append(line[place + 1])
    return found

r"""Whether a number is only a part of what stands there: "4\sqrt{2}", "3x", "\pm 5", "x > 4", "(4, 5)", "\log 8".

Such an expression is not the number, so the number must not be taken for it. Units are no part of an expression:
"42 m", "42\text{ cm}^2". It does no algebra, and it does not know what an expression is worth.
"""

from __future__ import annotations

import re

from errorbook.adapters.scorers.numbers import Reading

_COMMANDS = (
    r"sqrt|pi|theta|alpha|beta|gamma|lambda|phi|omega|sigma|tau|delta|epsilon|infty|binom|ln|log|sin|cos|tan|cot"
    r"|sec|csc|exp|pm|mp|cup|cap|sum|int|[dtc]?frac|over"
)
_UNKNOWN = r"[abcefijknpqrtuvwxyz]"
"""Letters that stand for an unknown where they are glued to a number; m, g, s, h, l and d may be units."""
_SIGNS = r"\u221a\u03c0\u00b1\u2213"
_AFTER = re.compile(
    rf"[{{}})]* ?(?:[-+*/] ?)?[({{]?(?:\\(?:{_COMMANDS})(?![a-z])|[{_SIGNS}]|pi\b|(?:sqrt|log|ln|sin|cos|tan|exp)\b)"
    rf"|[{{}})]*!(?=[\s}}$.]|\Z)|{_UNKNOWN}(?![\w-])|(?:ab|bc|ac|abc|xy|yz|xz|xyz|pq|mn)(?!\w)|_\{{?[0-9]"
    r"| ?[-+*/] ?\(?(?:[b-hj-z]|[ai](?! [a-z]))(?:\^|(?![\w./]))| (?:[xyz]|[a-z]\^)(?=[\s}$.]*\Z)"
    r"|,? (?:and )?[a-z](?:_\{?\w\}?)? ?= ?[-0-9$(]|, ?[a-z](?:_\{?\w\}?)? ?= ?[-0-9$(]"
)
_FUNCTION = r"\\?(?:log|ln|sin|cos|tan|cot|sec|csc|exp)(?:_\{?\w+\}?)? ?[({]?|\bsqrt ?[({]"
_BEFORE = re.compile(
    rf"(?:\\pm|\u00b1|\\binom ?\{{|\\sqrt ?\{{?|\u221a|(?<![a-z]){_FUNCTION}|\\[dtc]?frac ?\{{[^{{}}]*) ?\$?\Z"
)
_BOUND = re.compile(
    r"(?<![</])\b[a-z] ?(?:[<>\u2264\u2265\u2260]=?|\\(?:g|l)(?:eq?|t|eqslant)(?![a-z])|\\neq?(?![a-z])) ?\$?\Z"
)
_PAIR = re.compile(r" ?, ?(?:-?[0-9.]+|-?\\infty) ?[)\]]")
_REACH = 60


def is_part(text: str, number: Reading) -> bool:
    """Whether a number of a normalized text is only a part of an expression."""
    before, after = text[max(0, number.start - _REACH) : number.start], text[number.end : number.end + _REACH]
    return bool(_AFTER.match(after) or _BEFORE.search(before)) or (
        before.rstrip(" $")[-1:] in {"(", "["} and _PAIR.match(after) is not None
    )


def is_bound(text: str, number: Reading) -> bool:
    """Whether a number is only the bound of an unknown: the 4 of "x > 4"."""
    return bool(_BOUND.search(text[max(0, number.start - _REACH) : number.start]))

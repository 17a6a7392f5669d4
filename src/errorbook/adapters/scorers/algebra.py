r"""The worker process of the `symbolic` scorer: reads questions as JSON lines, answers each with one line.

math-verify and SymPy may compute for ever or eat all memory on a hostile expression, and math-verify's own timeouts
work on the main thread only (SIGALRM). So they run here, without them, in a process that may be killed: by its parent,
by the alarm below should the parent be gone, or by its memory limit. It trusts its parent and nothing else.
"""

from __future__ import annotations

import logging
import re
import signal
import sys
from contextlib import redirect_stdout
from typing import Any, Literal, TextIO

import msgspec

_MEMORY = 4 * 2**30
_GRACE_S = 5
_DIGITS = 12
_TINY = 1e-6
_SAME = 1e-9
_WORD = re.compile(r"(?<![a-z\\{])(?!sqrt|sin|cos|tan|log|exp)[a-z]{3}", re.IGNORECASE)


class Pair(msgspec.Struct, frozen=True):
    """A gold answer and a given one, as written."""

    gold: str
    given: str
    limit_s: float


class Reply(msgspec.Struct, frozen=True):
    """Whether the two are equal, or which of them could not be read."""

    outcome: Literal["equal", "different", "gold unread", "given unread"]


def serve(lines: TextIO, out: TextIO) -> None:
    """Answer every line of `lines` until it ends."""
    from math_verify import parse, verify  # type: ignore[import-untyped,unused-ignore]

    logging.disable()
    _limit_memory()
    alarm = getattr(signal, "alarm", None)
    print("ready", file=out, flush=True)
    for line in lines:
        pair = msgspec.json.decode(line, type=Pair)
        if alarm:
            alarm(int(pair.limit_s) + _GRACE_S)
        with redirect_stdout(sys.stderr):
            reply = _compare(pair, parse, verify)
        if alarm:
            alarm(0)
        print(msgspec.json.encode(reply).decode(), file=out, flush=True)


def _compare(pair: Pair, parse: Any, verify: Any) -> Reply:
    try:
        gold = parse(_as_math(pair.gold), parsing_timeout=None)
        if not gold:
            return Reply("gold unread")
        given = parse(_as_math(pair.given), parsing_timeout=None)
        if not given:
            return Reply("given unread")
        equal = verify(gold, given, float_rounding=_DIGITS, timeout_seconds=None)
        equal = equal and not _differ_if_tiny(gold[0], given[0])
    except Exception:  # SymPy raises anything on odd input; whatever it is, this pair could not be read
        return Reply("given unread")
    return Reply("equal" if equal else "different")


def _differ_if_tiny(gold: Any, given: Any) -> bool:
    """Whether two amounts that are called equal are tiny and differ: math-verify compares digits behind the point.

    Of expressions with unknowns one value is looked at, of pairs, sets and intervals each part.
    """
    from sympy import Expr, FiniteSet, Interval, Tuple  # type: ignore[import-untyped,unused-ignore]

    if isinstance(gold, Expr) and isinstance(given, Expr):
        sizes = [_evaluate(gold), _evaluate(given)]
        largest = max(map(abs, sizes))
        return 0 < largest < _TINY and abs(sizes[0] - sizes[1]) > _SAME * largest
    if isinstance(gold, Tuple | FiniteSet | Interval) and gold.func == given.func and len(gold.args) == len(given.args):
        parts = [sorted(item.args, key=_size) if isinstance(item, FiniteSet) else item.args for item in (gold, given)]
        return any(_differ_if_tiny(*pair) for pair in zip(*parts, strict=True))
    return False


def _size(expression: Any) -> float:
    return abs(_evaluate(expression))


def _evaluate(expression: Any) -> complex:
    """The value of an expression, its unknowns set to fixed numbers by their names."""
    unknown = sorted(expression.free_symbols, key=str)
    chosen = {symbol: 1 + sum(map(ord, str(symbol))) % 97 / 100 for symbol in unknown}
    try:
        return complex(expression.subs(chosen).evalf())
    except (TypeError, ValueError, OverflowError):
        return complex(1)


def _as_math(text: str) -> str:
    """`text` marked as mathematics if it is nothing else; prose is left to math-verify's own search."""
    return text if "$" in text or "\\(" in text or "\\[" in text or _WORD.search(text) else f"${text}$"


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)

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
    except Exception:  # SymPy raises anything on odd input; whatever it is, this pair could not be read
        return Reply("given unread")
    return Reply("equal" if equal else "different")


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

r"""Gold answers that are no plain number, such as \sqrt{2}, x+1 or an interval: equality through math-verify.

`numeric` hands such examples over; nothing else comes here. The comparison runs in a worker process (see `algebra`)
that is killed when its time is up, so it works from any thread and cannot hang a run; one pair that takes too long is
`unscorable`. Needs the extra `math`; without it every such response is `unscorable` and its evidence names the
command. Not covered: choosing among several expressions of an unmarked text (its last line is compared), sets of
answers in words, proofs.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import subprocess
import sys
import threading

import msgspec

from errorbook.adapters.scorers.algebra import Pair, Reply
from errorbook.adapters.scorers.markers import cut_next_question, find_boxed, find_marked, tidy
from errorbook.adapters.scorers.numbers import Reading
from errorbook.adapters.scorers.replies import cut_reply
from errorbook.errors import UserError
from errorbook.records import Example, Score

LIMIT_S = 10.0
_START_S = 120.0
_LONGEST = 1_000
_SHOWN = 120
_LETTER = r"(?-i:[abcijknpqrtuvwxyz])"
_SYMBOL = re.compile(
    r"\\(?:sqrt|pi|infty|cup|cap|in|log|ln|sin|cos|tan|cot|sec|arc\w+|exp|theta|alpha|beta|lambda|phi|omega|binom|begin"
    r"|leq?|geq?|neq|pm|emptyset|varnothing|mathbb|sum|int)(?![a-z])|[\u03c0\u221a\u221e\u2264\u2265\u222a]"
    rf"|(?<![a-z])[0-9]*{_LETTER}(?:\^[0-9{{]+\}}?)? ?[-+*^<>] ?[0-9a-z(\\]"
    rf"|[0-9)}}a-z] ?[-+*<>] ?[0-9]*{_LETTER}(?![a-z])"
    rf"|^\$?[0-9]+{_LETTER}\$?$|[0-9)}}]!|[0-9]_\{{?[0-9]",
    re.IGNORECASE,
)
_EXPRESSION = re.compile(r"\^|^\$?[\[(][^()\[\]]*,[^()\[\]]*[\])]\$?$|^\$?\\?\{.*,.*\\?\}\$?$", re.DOTALL)
_BASE = re.compile(r"[0-9]_\{?[0-9]")
_MISSING = "The gold answer is symbolic; install what compares it: pip install 'errorbook[math]'."


def is_symbolic(answer: str, number: Reading | None) -> bool:
    """Whether a gold answer needs algebra; `number` is the one number that it holds, if any."""
    answer = answer.strip()
    if len(answer) > _LONGEST:
        return False
    plain = number is not None and number.quantity is not None
    return bool(_SYMBOL.search(answer)) or (
        not plain and any(map(str.isdigit, answer)) and bool(_EXPRESSION.search(answer))
    )


def score(example: Example, text: str) -> Score:
    """Judge one response to an example whose gold answer is symbolic."""
    method, given = _given(text)
    if not given:
        return Score(verdict="unscorable", method="none", evidence="The response holds no expression.")
    if _BASE.search(example.answer):  # math-verify takes "2516_8" for a name and drops the base
        wanted = _plain(example.answer)
        same = _plain(given) in {wanted, wanted.partition("_")[0]}  # the question says in which base the answer is
        return Score(verdict="right" if same else "wrong", extracted=given[:_SHOWN], method=f"{method}, as written")
    if not _installed():
        return Score(verdict="unscorable", method=method, evidence=_MISSING)
    reply = _WORKER.ask(Pair(example.answer.strip(), given[:_LONGEST], LIMIT_S))
    if reply is None:
        evidence = f"Comparing it with the gold answer took longer than {LIMIT_S:.0f} s: {given[:_SHOWN]}"
        return Score(verdict="unscorable", method=method, evidence=evidence)
    if reply.outcome in {"gold unread", "given unread"}:
        which = "gold answer" if reply.outcome == "gold unread" else "response"
        return Score(verdict="unscorable", method=method, evidence=f"The {which} is no expression: {given[:_SHOWN]}")
    return Score(
        verdict="right" if reply.outcome == "equal" else "wrong",
        extracted=given[:_SHOWN],
        method=f"{method}, symbolic",
    )


def _plain(text: str) -> str:
    return re.sub(r"(?:in)?base-?", "_", re.sub(r"[\s{}$\\()]|\btext", "", text))


def _installed() -> bool:
    try:
        return importlib.util.find_spec("math_verify") is not None
    except ValueError:  # it is barred from being imported
        return False


def _given(text: str) -> tuple[str, str]:
    """Where the response's expression stands, in the order of `numeric`: after a marker, in a box, at the end."""
    clean = cut_next_question(tidy(cut_reply(text)))
    for place in find_marked(clean):
        if place:
            return "marker", next(find_boxed(place), "") or place.rstrip(" .")
    for box in find_boxed(clean):
        if box:
            return "boxed", box
    lines = [line for line in clean[-20 * _LONGEST :].split("\n") if line]
    return "last line", lines[-1].rstrip(" .") if lines else ""


class _Worker:
    """One worker process, started at the first question, replaced when it had to be killed. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, pair: Pair) -> Reply | None:
        """The worker's reply, or None if it was not there in time."""
        with self._lock:
            process = self._started()
            line = self._exchange(process, msgspec.json.encode(pair).decode(), pair.limit_s)
            if not line:
                self._stop()
                return None
            return msgspec.json.decode(line, type=Reply)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _started(self) -> subprocess.Popen[str]:
        if self._process and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self._stop()
        # -P: a file called sympy.py in the working folder must not be imported
        command = [sys.executable, "-P", "-m", "errorbook.adapters.scorers.algebra"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)  # noqa: S603  (our own module)
        self._owner = os.getpid()
        if self._exchange(self._process, "", _START_S) != "ready\n":
            self._stop()
            raise UserError("math-verify does not start; reinstall it: pip install --upgrade 'errorbook[math]'.")
        return self._process

    @staticmethod
    def _exchange(process: subprocess.Popen[str], line: str, limit_s: float) -> str:
        """Send a line and wait for one; empty if the process died or was killed because its time was up."""
        if process.stdin is None or process.stdout is None:
            return ""
        timer = threading.Timer(limit_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            if line:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            return process.stdout.readline()
        except BrokenPipeError:
            return ""
        finally:
            timer.cancel()
            timer.join()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.communicate()


def close() -> None:
    """End the worker process, if there is one; the next question starts another."""
    _WORKER.close()


_WORKER = _Worker()
atexit.register(close)

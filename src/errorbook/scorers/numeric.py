r"""The `numeric` scorer: is the number that the response gives exactly the gold number?

Where the number is looked for, first match wins:

1. `marker`: after the last "Answer:", "#### ", "the answer is" or "final answer";
2. `boxed`: in the last \boxed{...};
3. `last number`: the last number of the response, list numbering and ordinals aside.

A marker or box with nothing readable after it gives way to an earlier one and to a box, but never to the last number:
a model that announces an answer and does not give it has not answered, and any other number of its text is a step on
the way. Of a chain of equalities ("3 + 4 = 7") the last part is the answer. An operation without a result ("3 + 4"), a
range, a choice ("3 or 4") or a number with two readings ("3,5") is refused as `unscorable`, not guessed. Equality is
exact, in rational numbers; units, currency and percent signs are not compared. Symbolic answers are not covered.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from errorbook.records import Example, Score, Verdict
from errorbook.scorers.markers import boxed, marked, tidy
from errorbook.scorers.numbers import Quantity, Reading, plain, quantity, readings

_WINDOW = 20_000
_SHOWN = 120
_UNIT = r"(?: ?[a-z%\u00b0/]{1,15})?(?: [a-z%\u00b0/]{1,15})?"
_OPERATION = re.compile(
    rf"{_UNIT} ?(?:[+*]|\*\*) ?[($]*|{_UNIT} - |\)? ?[-/^x] ?[($]*"
    r"| ?(?:plus|minus|times|divided by|or|and|to|through|&) ",
    re.IGNORECASE,
)
_LIST = re.compile(r" ?,? ")
_EQUALS = re.compile(rf"[$)]?{_UNIT}(?: [a-z]{{1,15}})?[$)]? ?= ?[($]*(?:[a-z]{{1,15}} ){{0,3}}[($]*", re.IGNORECASE)
_NUMBERING = re.compile(r"^(?:[#>*-]{1,6} ?)?(?P<n>[0-9]{1,3})[.):](?= \S|\Z)", re.MULTILINE)
_STEP = re.compile(r"\bstep [0-9]{1,3}\b", re.IGNORECASE)


class Numeric:
    """Right where the response's number equals the gold number exactly."""

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "numeric"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` where no number can be read, or the gold answer is not one number."""
        gold = quantity(example.answer)
        if gold is None:
            return Score(verdict="unscorable", method="none", evidence="The gold answer is not one number.")
        found = extract(text)
        if found.quantity is None:
            return Score(verdict="unscorable", method=found.method, evidence=found.evidence)
        verdict: Verdict = "right" if found.quantity == gold else "wrong"
        return Score(verdict=verdict, extracted=found.text, method=found.method, evidence=found.evidence)


class Extraction(NamedTuple):
    """The number found in a response (None where none could be read), as written, by which method, in which words."""

    quantity: Quantity | None
    text: str
    method: str
    evidence: str


def extract(text: str) -> Extraction:
    """The number that a response gives as its answer. Never raises; time is linear in the length of the text."""
    clean = tidy(plain(text))
    announced = ""
    for method, places in (("marker", marked(clean)), ("boxed", boxed(clean))):
        for place in places:
            announced = announced or method
            if (reading := _first(place)) is not None:
                return Extraction(reading.quantity, reading.text, method, place[:_SHOWN])
    if announced:
        return Extraction(None, "", announced, "An answer is announced but none can be read.")
    return _last(clean)


def _first(place: str) -> Reading | None:
    """The answer in the words after a marker: the first number, or what the equalities it begins end in."""
    found = readings(place)
    if not found:
        return None
    answer, complete = found[0], True
    for before, after in pairwise(found):
        gap = place[before.end : after.start]
        if _EQUALS.fullmatch(gap):
            answer, complete = after, True
        elif _OPERATION.fullmatch(gap) or _LIST.fullmatch(gap):
            complete = False
        else:
            break
    return answer if complete else answer._replace(quantity=None)


def _last(clean: str) -> Extraction:
    """The last number of a response without marker or box, unless it is only part of an unfinished operation."""
    window = clean[-_WINDOW:]
    skipped = _numbering(window) | {match.end() for match in _STEP.finditer(window)}
    found = [reading for reading in readings(window) if not skipped & {reading.start, reading.end}]
    digits = [reading for reading in found if any(map(str.isdigit, reading.text))]
    found = digits or [reading for reading in found if reading.start == 0 or reading.text.lower() != "one"]
    if not found:
        return Extraction(None, "", "none", "The response holds no number.")
    answer = found[-1]
    line = window[: answer.end].rpartition("\n")[2][-_SHOWN:]
    if len(found) > 1 and _OPERATION.fullmatch(window[found[-2].end : answer.start]):
        return Extraction(None, "", "last number", f"Not one number: {line}")
    return Extraction(answer.quantity, answer.text, "last number", line)


def _numbering(window: str) -> set[int]:
    """Where list numbers start: 1, and then each that follows on an earlier one, so that "42. Done" is an answer."""
    counted, places = {0}, set()
    for match in _NUMBERING.finditer(window):
        n = int(match["n"])
        cut_off = match.end() == len(window)
        if n - 1 in counted and (n > 1 or not cut_off):
            counted.add(n)
            places.add(match.start("n"))
    return places

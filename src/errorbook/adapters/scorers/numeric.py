r"""The `numeric` scorer: is the number that the response gives exactly the gold number?

Where the number is looked for, first match wins:

1. `marker`: after the last "Answer:", "#### ", "the answer is" or "<answer>" (see `markers`);
2. `find_boxed`: in the last \boxed{...};
3. `abstains`: the response ends by saying that no answer can be given, or rejects the number that it found;
4. `last number`: the last number of the response that can be an answer (see `read_closing`).

A number that stands directly after its marker goes before one in a clause behind it. If only an unfinished step
follows a marker ("Answer: 30 - 2"), the text from there to the next marker is read like a response of its own. A
marker or box with nothing readable after it gives way to an earlier one and to a box, but never to numbers before it: a
model that announces an answer and does not give it has not answered, and any other number is a step on the way.

Equality is exact, in rational numbers; units and currency are not compared. "25%" equals 25 and 0.25; "26 billion"
equals 26 if the question asks how many billions. The gold answer "None" (no answer can be given) is met by a
response that says so. A gold answer in symbols goes to `symbolic`, several numbers ("3, 5, 7") go to `several`. What
has several readings (a range, a choice, an operation without its result, "5 hours and 30 minutes", "3,5") is refused as
`unscorable`, not guessed. A response that ends by saying that the answer cannot be determined has been read, and is
wrong. Not covered: unit conversion, rounding ("0.333" is not 1/3).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from errorbook.adapters.scorers import symbolic
from errorbook.adapters.scorers.abstaining import find_abstention, find_decline
from errorbook.adapters.scorers.accepted import score_accepted
from errorbook.adapters.scorers.announcements import translate
from errorbook.adapters.scorers.closing import Closing, read_closing, read_opening
from errorbook.adapters.scorers.expressions import is_bound, is_part
from errorbook.adapters.scorers.markers import cut_next_question, find_boxed, find_marked, find_regions, tidy
from errorbook.adapters.scorers.notations import write_numbers
from errorbook.adapters.scorers.numbers import SCALES, Quantity, Reading, normalize_numbers, read_single
from errorbook.adapters.scorers.replies import cut_reply
from errorbook.adapters.scorers.several import gold_numbers, score_numbers
from errorbook.checks.endings import is_cut_off
from errorbook.records import Example, Score, Verdict

_SHOWN = 120
_NEAR = 6
_NONE = {"none", "n/a", "no answer", "unknown", "undetermined", "cannot be determined"}
_ASKED_SCALE = re.compile(
    rf"\b(?:how many|how much|in|number of)\b[^.?]{{0,40}}?\b({'|'.join(SCALES)})s?\b", re.IGNORECASE
)
_DENIED = re.compile(r"(?:not|definitely not|certainly not|clearly not)\b", re.IGNORECASE)
_EQUALS = re.compile(r"[^=,;\n]{1,80}= ?")


class Numeric:
    """Right if the response's number equals the gold number exactly. `markers` announce an answer, too."""

    def __init__(self, markers: tuple[str, ...] = ()) -> None:
        self._markers = markers

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "numeric"

    def is_marked(self, score: Score) -> bool:
        """Whether the response marked the number as its answer; else it is the one that its end suggests."""
        return score.method in {"marker", "boxed"}

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` if no number can be read, or the gold answer is none.

        A text that writes its numbers as another language does is read both ways, and is right if one of them is.
        """
        forms = write_numbers(translate(cut_reply(text), self._markers))
        scores = [score_accepted(_score, example, form) for form in forms]
        return next((score for score in scores if score.verdict == "right"), scores[0])


def _score(example: Example, text: str) -> Score:
    """Judge one text in English, or with its announcements in English."""
    if example.answer.strip().lower() == "none":
        return _abstention(text, example.question)
    gold = read_single(example.answer)
    if symbolic.is_symbolic(example.answer, gold):
        return symbolic.score(example, text)
    if gold is None or gold.quantity is None:
        if several := gold_numbers(example.answer):
            return score_numbers(several, text)
        return Score(verdict="unscorable", method="none", evidence="The gold answer is not one number.")
    found = extract(text, example.question)
    if found.reading is None:
        says = found.method == "abstains"
        verdict: Verdict = "wrong" if says else "unscorable"
        return Score(verdict=verdict, extracted="None" if says else "", method=found.method, evidence=found.evidence)
    verdict = "right" if _equal(gold, found.reading, example.question) else "wrong"
    return Score(verdict=verdict, extracted=found.reading.text, method=found.method, evidence=found.evidence)


class Extraction(NamedTuple):
    """The number found in a response (None if none could be read), by which method, in which words."""

    reading: Reading | None
    method: str
    evidence: str

    @property
    def text(self) -> str:
        """The number as written; empty if there is none."""
        return self.reading.text if self.reading else ""

    @property
    def quantity(self) -> Quantity | None:
        """The number's exact value."""
        return self.reading.quantity if self.reading else None


def extract(text: str, question: str = "") -> Extraction:
    """The number that a response gives as its answer. Never raises; time is linear in the length of the text.

    `question` tells the numbers that a closing sentence only repeats from the one that answers.
    """
    clean = _clean(text)
    places, boxes = list(find_regions(clean)), list(find_boxed(clean))
    if places or boxes:
        return _announced(places, boxes, question)
    if says := find_abstention(clean):
        return Extraction(None, "abstains", says)
    if is_cut_off(clean):
        return Extraction(None, "cut off", f"The response is cut off: {clean.rstrip()[-_SHOWN:]}")
    return _found(read_closing(clean, question), "last number", "The response holds no number.")


def _clean(text: str) -> str:
    return cut_next_question(tidy(normalize_numbers(cut_reply(text))))


def _announced(places: list[tuple[str, str]], boxes: list[str], question: str) -> Extraction:
    """The number at a marker or in a box, with the regions that follow the markers as a second chance."""
    said = [(place, region) for place, region in places if not _DENIED.match(place)]
    for place, region in said:
        reading = read_opening(place, _NEAR, question)
        if reading is not None and reading.quantity is None:
            return _found(read_closing(region.partition(place)[2], question), "marker", place)
        if reading is not None:
            return Extraction(_whole(place, reading), "marker", place[:_SHOWN])
    for box in boxes:
        if (reading := read_opening(box)) is not None:
            return _found(Closing(_whole(box, reading), box), "boxed", box)
    for _, region in said:
        closing = read_closing(region, question)
        if closing.evidence:
            return _found(closing, "marker", closing.evidence)
    method = "marker" if places else "boxed"
    return Extraction(None, method, "An answer is announced but none can be read.")


def _whole(place: str, number: Reading) -> Reading | None:
    """The number that is announced; of an expression with one in it what it equals ("2 * x + 20 = 36"), or None."""
    if is_bound(place, number):
        return None
    if not is_part(place, number):
        return number
    equals = _EQUALS.match(place, number.end)
    result = read_opening(place[equals.end() :], 1) if equals else None
    return None if equals is None or result is None or is_part(place[equals.end() :], result) else result


def _found(closing: Closing, method: str, otherwise: str) -> Extraction:
    reading, evidence = closing.reading, closing.evidence or otherwise
    if closing.rejected:
        return Extraction(None, "abstains", evidence[-_SHOWN:])
    if not closing.evidence and method == "last number":
        return Extraction(None, "none", otherwise)
    if reading is None or reading.quantity is None:
        return Extraction(None, method, f"Not one number: {evidence[-_SHOWN:]}")
    return Extraction(reading, method, evidence[-_SHOWN:])


def _equal(gold: Reading, given: Reading, question: str) -> bool:
    """Whether two readings are the same number, a percent sign and the question's "how many millions" considered."""
    left, right = gold.quantity, given.quantity
    if left is None or right is None or left == right:
        return left is not None and left == right
    if left in given.also:
        return True
    if left.remainder or right.remainder:
        return False
    if gold.percent != given.percent:
        part = Fraction(1, 100)
        return left.value * (part if gold.percent else 1) == right.value * (part if given.percent else 1)
    asked = {SCALES[word.lower()] for word in _ASKED_SCALE.findall(question)}
    return given.scale in asked and gold.scale == 1 and left.value == right.value / given.scale


def _abstention(text: str, question: str) -> Score:
    """Judge a response to a question that has no answer: right if it says so, wrong if it gives a number."""
    clean = _clean(text)
    for place in (*find_marked(clean), *find_boxed(clean)):
        if place.strip(" .*$").lower() in _NONE:
            return Score(verdict="right", extracted="None", method="marker", evidence=place[:_SHOWN])
    found = extract(text, question)
    says = found.evidence if found.method == "abstains" else find_decline(clean)
    announced = found.method in {"marker", "boxed"}
    if found.reading is not None and (announced or not says):
        return Score(verdict="wrong", extracted=found.reading.text, method=found.method, evidence=found.evidence)
    if says:
        return Score(verdict="right", extracted="None", method="abstains", evidence=says)
    return Score(verdict="unscorable", method=found.method, evidence=found.evidence)

r"""Which number of a text is its answer: the first after a marker (`read_opening`), or the last (`read_closing`).

`read_opening` follows a chain of equalities to its end ("3 + 4 = 7" is 7) and refuses what has no one value.
`read_closing` takes the last number that ends a thought: it leaves out list numbering, the step's number, numbers in an
aside ("he has $72 left ($144 - $72)", "6 instead of 9") and the circumstances that a closing sentence repeats from the
question ("Claire eats 7 dozen eggs in 4 weeks" after a question about 4 weeks). It does not know grammar: of
two answers in one sentence it takes the last.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise

from errorbook.adapters.scorers.numbers import Quantity, Reading, find_ordinals, find_readings, normalize_numbers

_WINDOW = 20_000
_TAIL = 1_000
_SHOWN = 120
_BEFORE = 60
_MOST = 40
_UNIT = r"(?: ?[a-z%\u00b0/]{1,15})?(?: [a-z%\u00b0/]{1,15})?"
_OPERATION = re.compile(
    rf"{_UNIT} ?(?:[+*]|\*\*) ?[($]*|{_UNIT} - |\)? ?[-/^x] ?[($]*"
    r"| ?(?:plus|minus|times|divided by|and|to|through|&) ",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    rf"(?P<unit>{_UNIT}),? \(?or (?:about |approximately |around |roughly |just )?[($]*", re.IGNORECASE
)
_LIST = re.compile(r" ?,? ")
_LIST_END = re.compile(rf"{_UNIT} ?(?:[.!](?:\s|\Z)|\n|\Z)", re.IGNORECASE)
_LIST_GOES_ON = re.compile(r" ?,? \$?[0-9]")
_DENOMINATION = re.compile(r"-?[a-z]| [a-z]", re.IGNORECASE)
_EQUALS = re.compile(
    rf"[$)]?{_UNIT}(?: [a-z]{{1,15}})?[$)]? ?[=\u2248] ?[($]*(?:[a-z]{{1,15}} ){{0,3}}[($]*", re.IGNORECASE
)
_REMARK = re.compile(r"(?<=\w) ?\([^()0-9=]{1,120}\)")
_SMALLER = {"hour": "minute", "minute": "second", "foot": "inch", "pound": "ounce", "dollar": "cent", "year": "month"}
_SMALLER |= {"week": "day", "day": "hour", "month": "week"}
_PLURAL = {"feet": "foot", "inches": "inch", "hrs": "hour", "hr": "hour", "mins": "minute", "min": "minute"}
_COMPOUND = re.compile(r"-? ?(?P<unit>[a-z]{2,8}),?(?: and)? ", re.IGNORECASE)
_NEXT_WORD = re.compile(r"-? ?(?P<unit>[a-z]{2,8})\b", re.IGNORECASE)
_NUMBERING = re.compile(r"^(?:[#>*-]{1,6} ?)?(?P<n>[0-9]{1,3})[.):](?= \S|\Z)", re.MULTILINE)
_STEP = re.compile(r"\bstep [0-9]{1,3}\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_CONCLUSION = re.compile(r"\s*(?:so|therefore|thus|hence|in conclusion|finally)\b", re.IGNORECASE)
_CONTRAST = re.compile(r"\b(?:instead of|rather than|as opposed to|, not|but not)(?: [a-z]+){0,3} \$?\Z", re.IGNORECASE)
_CIRCUMSTANCE = re.compile(
    r"\b(?:in|after|by|for|(?<!total )(?<!sum )of|from|to|with|during|within|over|at|every|each|per|when|if|than|until"
    r"|using|between|through|before|selling|buying)(?: [a-z'-]+){0,2} \$?\Z",
    re.IGNORECASE,
)
_BEFORE_REMARK = re.compile(r"[\w.] \((?!or )")
_ASKED = re.compile(r"\bhow (?:many|much)((?: [a-z'-]+){1,3})", re.IGNORECASE)
_COORDINATE = re.compile(r"(?:\band|,)(?: [a-z'-]+){0,2} \$?\Z", re.IGNORECASE)


def read_opening(place: str, near: int | None = None) -> Reading | None:
    """The answer in the words after a marker: the first number, or what the equalities that it begins end in.

    None if there is no number, or none among the first `near` words. The reading has no quantity if the number
    is only part of an operation, a range, a choice or a list.
    """
    place = _REMARK.sub("", place)
    found = find_readings(place) or find_ordinals(place)
    if not found or (near is not None and len(place[: found[0].start].split()) > near):
        return None
    answer, complete = found[0], True
    for before, after in pairwise(found):
        link = _link(place, before, after)
        if link == "equals":
            answer, complete = after, True
        elif link == "open":
            complete = False
        else:
            break
    return answer if complete else answer._replace(quantity=None)


def read_closing(text: str, question: str = "") -> tuple[Reading | None, str]:
    """The last number of `text` that can be an answer, with the words before it.

    The reading is None and the words say why if the text ends in an operation without its result or in a choice;
    both are empty if it holds no number.
    """
    window = text[-_WINDOW:]
    cut = window.find(" ", max(0, len(window) - _TAIL)) + 1 if len(window) > _TAIL else 0
    tail = window[cut:]
    numbered = _numbering(window)
    return _closing(tail, numbered, cut, question) or _closing(window, numbered, 0, question) or (None, "")


def _closing(window: str, numbered: set[int], shift: int, question: str) -> tuple[Reading | None, str] | None:
    """`read_closing` for the part of the text from `shift`; None if it holds no number."""
    steps = {match.end() for match in _STEP.finditer(window)}
    found = [found for found in find_readings(window) if found.start + shift not in numbered and found.end not in steps]
    digits = [reading for reading in found if any(map(str.isdigit, reading.text))]
    found = digits or [reading for reading in found if reading.start == 0 or reading.text.lower() != "one"]
    if ordinal := _ordinal(window, found):
        return ordinal, window[: ordinal.end][-_SHOWN:]
    if not found:
        return None
    start = max((match.end() for match in _SENTENCE_END.finditer(window, 0, found[-1].start)), default=0)
    last = _answer(window, start, found, question)
    answer = found[last]
    line = window[start : answer.end][-_SHOWN:]
    if last and _link(window, found[last - 1], answer) == "open":
        return None, line
    return answer, line


def _link(text: str, before: Reading, after: Reading) -> str:
    """How two neighbouring numbers hang together: "equals", "open" (no one value) or "" (they are separate)."""
    gap = text[before.end : after.start]
    if _EQUALS.fullmatch(gap):
        return "equals"
    if choice := _CHOICE.fullmatch(gap):
        return _chosen(before, after, choice["unit"].strip(), text[after.end : after.end + 20])
    if _OPERATION.fullmatch(gap) or _compound(gap, text[after.end : after.end + 20]):
        return "open"
    if _LIST.fullmatch(gap):
        rest = text[after.end : after.end + 40]
        alone = _LIST_END.match(rest) or _LIST_GOES_ON.match(rest)
        return "open" if alone and not (gap == " " and _DENOMINATION.match(rest)) else ""
    return ""


def _chosen(before: Reading, after: Reading, unit: str, rest: str) -> str:
    """How numbers around "or" relate: "3 or 4" (open), "1.995 or 2" (the second), "2 weeks or 14 days" (separate)."""
    word = _NEXT_WORD.match(rest)
    units = [unit.lower() or before.text[:1], word["unit"].lower() if word else after.text[:1]]
    if units[0] != units[1] and not any(unit.isdigit() for unit in units):
        return ""
    if before.quantity and after.quantity:
        first, second = before.quantity.value, after.quantity.value
        first = first / 100 if before.percent and not after.percent else first
        if first == second or (second.denominator == 1 and first != second == Fraction(round(first))):
            return "equals"
    return "open"


def _compound(gap: str, rest: str) -> bool:
    """Whether "5 hours and 30 minutes" is one quantity in two units."""
    large, small = _COMPOUND.fullmatch(gap), _NEXT_WORD.match(rest)
    return large is not None and small is not None and _SMALLER.get(_unit(large["unit"])) == _unit(small["unit"])


def _unit(word: str) -> str:
    word = word.lower()
    return _PLURAL.get(word, word.removesuffix("s"))


def _ordinal(window: str, found: list[Reading]) -> Reading | None:
    """The "4th" of a concluding sentence that holds no other number: "So, she was hurt in the 4th week"."""
    since = found[-1].end if found else 0
    start = max((match.end() for match in _SENTENCE_END.finditer(window, since)), default=0)
    places = find_ordinals(window[start:]) if _CONCLUSION.match(window, start) else []
    if not places:
        return None
    return places[-1]._replace(start=places[-1].start + start, end=places[-1].end + start)


def _answer(window: str, start: int, found: list[Reading], question: str) -> int:
    """Which of the numbers of the sentence from `start` answers: the last that is no aside and no circumstance."""
    mates = [place for place, reading in enumerate(found) if reading.start >= start][-_MOST:]
    if len(mates) == 1:
        return mates[0]
    inside = _brackets(window, start)
    spoken = [place for place in mates if not _is_aside(window, found[place], inside)] or mates
    known = {reading.quantity for reading in find_readings(normalize_numbers(question))}
    given = _circumstances(window, start, [found[place] for place in spoken], known)
    kept = [place for place in spoken if found[place] not in given]
    if not kept or found[kept[-1]].quantity in known:
        kept = spoken
    if len(kept) > 1 and _is_first_asked(window, found[kept[-2]], found[kept[-1]], question):
        return kept[-2]
    return kept[-1]


def _circumstances(window: str, start: int, spoken: list[Reading], known: set[Quantity | None]) -> list[Reading]:
    """Numbers that a sentence only repeats from the question: the 3 and the 2 of "18 eggs in 3 days and 2 nights"."""
    given: list[Reading] = []
    aside = False
    for reading in spoken:
        before = window[max(start, reading.start - _BEFORE) : reading.start]
        circumstance = _CIRCUMSTANCE.search(before) or window.startswith("-", reading.end)
        aside = reading.quantity in known and bool(circumstance or (aside and _COORDINATE.search(before)))
        if aside:
            given.append(reading)
    return given


def _is_first_asked(window: str, first: Reading, second: Reading, question: str) -> bool:
    """Whether of two numbers around "or" only the first is in a unit that is asked for: "14 days or 2 weeks"."""
    if not _CHOICE.fullmatch(window, first.end, second.start):
        return False
    asked = {_unit(word) for words in _ASKED.findall(question) for word in words.split()}
    units = [_NEXT_WORD.match(window, reading.end) for reading in (first, second)]
    return [unit is not None and _unit(unit["unit"]) in asked for unit in units] == [True, False]


def _is_aside(window: str, reading: Reading, inside: list[tuple[int, int]]) -> bool:
    bracketed = any(left < reading.start < right for left, right in inside)
    return bracketed or bool(_CONTRAST.search(window[max(0, reading.start - _BEFORE) : reading.start]))


def _brackets(window: str, start: int) -> list[tuple[int, int]]:
    """The spans of remarks in brackets after a word, such as "(15 + 10)"; of nested ones the outer."""
    spans, depth, left = [], 0, 0
    for place in range(start, len(window)):
        if window[place] == "(":
            left = left if depth else place
            depth += 1
        elif window[place] == ")" and depth:
            depth -= 1
            if not depth and _BEFORE_REMARK.search(window[max(0, left - 3) : left + 4]):
                spans.append((left, place))
    return spans[-_MOST:]


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

r"""Which number of a text is its answer: the first after a marker (`read_opening`), or the last (`read_closing`).

`read_opening` follows a chain of equalities to its end ("3 + 4 = 7" is 7) and refuses what has no one value.
`read_closing` takes the last number that ends a thought: it leaves out list numbering, the step's number, numbers in an
aside ("he has $72 left ($144 - $72)", "6 instead of 9") or a reason, denominations ("6 $2 coins"), what the text itself
rejects, and the circumstances that a closing sentence repeats from the question (see `circumstances`). It does not know
grammar: of two answers in one sentence it takes the last.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from errorbook.adapters.scorers.abstaining import is_rejected
from errorbook.adapters.scorers.circumstances import (
    find_circumstances,
    find_reasons,
    known_numbers,
    opens_with_circumstance,
)
from errorbook.adapters.scorers.doubles import asked_units, join_doubles, read_unit
from errorbook.adapters.scorers.expressions import is_part
from errorbook.adapters.scorers.numbers import Reading, find_ordinals, find_readings

_WINDOW = 20_000
_TAIL = 1_000
_SHOWN = 120
_BEFORE = 60
_MOST = 40
_LAST = 12
_UNIT = r"(?: ?[a-z%\u00b0/]{1,15})?(?: [a-z%\u00b0/]{1,15})?"
_OPERATION = re.compile(
    rf"{_UNIT} ?(?:[+*]|\*\*) ?[($]*|{_UNIT} - |{_UNIT} [/x] [($]*|\)? ?[-/^x] ?[($]*"
    r"| ?(?:plus|minus|times|divided by|and|to|through|&) ",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    rf"(?P<unit>{_UNIT}),? \(?or (?:about |approximately |around |roughly |just )?[($]*", re.IGNORECASE
)
_OTHER = re.compile(r"\$?,? ?(?:and|or)(?: \$?[a-z] ?=)? ?\$?", re.IGNORECASE)
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
_COMPOUND = re.compile(r"-? ?(?P<unit>[a-z]{2,8}),?(?: and)? ", re.IGNORECASE)
_NEXT_WORD = re.compile(r"-? ?(?P<unit>[a-z]{2,8})\b", re.IGNORECASE)
_NUMBERING = re.compile(r"^(?:[#>*-]{1,6} ?)?(?P<n>[0-9]{1,3})[.):](?= \S|\Z)", re.MULTILINE)
_STEP = re.compile(r"\bstep [0-9]{1,3}\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_CONCLUSION = re.compile(r"\s*(?:so|therefore|thus|hence|in conclusion|finally)\b", re.IGNORECASE)
_CONTRAST = re.compile(r"\b(?:instead of|rather than|as opposed to|, not|but not)(?: [a-z]+){0,3} \$?\Z", re.IGNORECASE)
_RESTATED = re.compile(
    r" ?[+*] ?(?:\.\.\.|\u2026) ?[=\u2248] ?[($]*|(?: [a-z'\u2019-]+){1,14} ?[=:] ?[($]*", re.IGNORECASE
)
_FOLLOWING = re.compile(r"(?: (?:more|additional|extra|other|of|the|[a-z]{3,15})){1,2}", re.IGNORECASE)
_RANK_ASKED = re.compile(
    r"\b(?:what|which) (?:\w+ )?(?:floor|stor(?:y|ey)|place|position|rank|day|week|month|year|grade|row|seat"
    r"|century|round|lap"
    r"|page|chapter|level|house|car|stop|station|month|quarter|term|inning|hole|step|attempt|try|number)\b",
    re.IGNORECASE,
)
_PLANNED = re.compile(
    r"\b(?:we|you|let's|let us)(?: (?:can|must|should|will|would|could|then|simply|just|first|have to|need to"
    r"|next)){0,3}"
    r" (?:multiply|divide|add|subtract)\b(?![^\n]{0,600}(?:=|\b(?:is|are|gives?|giving|gets?|equals?|has|have|makes?)\b"
    r"|\bto (?:get|find|obtain|reach) \$?[0-9]))",
    re.IGNORECASE,
)
_BEFORE_REMARK = re.compile(r"[\w.] \((?!or )")


def read_opening(place: str, near: int | None = None, question: str = "") -> Reading | None:
    """The answer in the words after a marker: the first number, or what the equalities that it begins end in.

    None if there is no number, or none among the first `near` words. The reading has no quantity if the number
    is only part of an operation, a range, a choice or a list.
    """
    place = _REMARK.sub("", place)
    found = join_doubles(place, find_readings(place), question) or find_ordinals(place)
    if not found or (near is not None and len(place[: found[0].start].split()) > near):
        return None
    if opens_with_circumstance(place, found, question):
        return read_closing(_SENTENCE_END.split(place, maxsplit=1)[0], question).reading
    answer, complete = found[0], True
    for before, after in pairwise(found):
        link = _link(place, before, after)
        if link == "equals" or _RESTATED.fullmatch(place, before.end, after.start):
            answer, complete = _with_exact(answer, after) if complete else after, True
        elif link == "open":
            complete = False
        else:
            break
    return answer if complete else answer._replace(quantity=None)


def _with_exact(exact: Reading, rounded: Reading) -> Reading:
    """The second of two equal numbers, with the first as the same amount if it is a fraction: "2/3 = 0.667"."""
    if exact.quantity is None or rounded.quantity is None or "/" not in exact.text:
        return rounded
    places = len(rounded.text.partition(".")[2].rstrip("% "))
    same = abs(exact.quantity.value - rounded.quantity.value) * 2 * 10**places <= 1
    return rounded._replace(also=(*rounded.also, exact.quantity)) if same and places < _LAST else rounded


class Closing(NamedTuple):
    """The number that a text ends in and the words before it.

    No reading and some words: the text ends in an operation without its result, in a choice or, if `rejected`, in
    saying that its number is not the answer. Both are empty if it holds no number.
    """

    reading: Reading | None = None
    evidence: str = ""
    rejected: bool = False


def read_closing(text: str, question: str = "") -> Closing:
    """The last number of `text` that can be an answer, with the words before it."""
    window = text[-_WINDOW:]
    cut = window.find(" ", max(0, len(window) - _TAIL)) + 1 if len(window) > _TAIL else 0
    tail = window[cut:]
    numbered = _numbering(window)
    return _closing(tail, numbered, cut, question) or _closing(window, numbered, 0, question) or Closing()


def _closing(window: str, numbered: set[int], shift: int, question: str) -> Closing | None:
    """`read_closing` for the part of the text from `shift`; None if it holds no number."""
    found = _candidates(window, numbered, shift, question)
    since = found[-1].end if found else 0
    ordinal = _ordinal(window, since)
    if ordinal and (_CONCLUSION.match(window, _sentence_start(window, ordinal.start)) or _RANK_ASKED.search(question)):
        return Closing(ordinal, window[: ordinal.end][-_SHOWN:])
    kept = _without_rejected(window, found)
    if found and not kept:
        return Closing(None, window[: found[-1].end][-_SHOWN:], rejected=True)
    if not kept:
        return None
    start = _sentence_start(window, kept[-1].start)
    last = _answer(window, start, kept, question)
    answer = kept[last]
    line = window[start : answer.end][-_SHOWN:]
    if is_rejected(window, answer):
        return Closing(None, line, rejected=True)
    if _PLANNED.search(window, start) or "open" in _links(window, kept, last):
        return Closing(ordinal, window[: ordinal.end][-_SHOWN:]) if ordinal else Closing(None, line)
    return Closing(None if is_part(window, answer) else answer, line)


def _links(window: str, found: list[Reading], at: int) -> list[str]:
    """How a number hangs together with the one before it and the one after it."""
    return [_link(window, found[place], found[place + 1]) for place in (at - 1, at) if 0 <= place < len(found) - 1]


def _candidates(window: str, numbered: set[int], shift: int, question: str) -> list[Reading]:
    """The numbers that may answer: no list number, no number of a step, and no words beside digits."""
    steps = {match.end() for match in _STEP.finditer(window)}
    found = [found for found in find_readings(window) if found.start + shift not in numbered and found.end not in steps]
    digits = [reading for reading in found if any(map(str.isdigit, reading.text))]
    plain = digits or [reading for reading in found if reading.start == 0 or reading.text.lower() != "one"]
    return [*plain[:-_LAST], *join_doubles(window, plain[-_LAST:], question)]


def _without_rejected(window: str, found: list[Reading]) -> list[Reading]:
    """`found` without last numbers that the text says are not the answer; empty if it takes back its own result."""
    kept = list(found)
    while kept and is_rejected(window, kept[-1]):
        rejected = kept.pop()
        if kept and kept[-1].quantity == rejected.quantity:
            if len(kept) < 2 or not _OTHER.fullmatch(window, kept[-2].end, kept[-1].start):
                return []
            kept.pop()  # one of two solutions, of which the other is kept: "n = 6 or n = -2. We discard n = -2"
    return kept


def _sentence_start(window: str, at: int) -> int:
    return max((match.end() for match in _SENTENCE_END.finditer(window, 0, at)), default=0)


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
    return (
        large is not None and small is not None and _SMALLER.get(read_unit(large["unit"])) == read_unit(small["unit"])
    )


def _ordinal(window: str, since: int) -> Reading | None:
    """The "4th" of a sentence behind all other numbers: "So, she was hurt in the 4th week"."""
    start = max((match.end() for match in _SENTENCE_END.finditer(window, since)), default=0)
    places = find_ordinals(window[start:]) if start or not since else []
    if not places:
        return None
    return places[-1]._replace(start=places[-1].start + start, end=places[-1].end + start)


def _answer(window: str, start: int, found: list[Reading], question: str) -> int:
    """Which of the numbers of the sentence from `start` answers: the last that is no aside and no circumstance."""
    mates = [place for place, reading in enumerate(found) if reading.start >= start][-_MOST:]
    if len(mates) == 1:
        return mates[0]
    inside = _brackets(window, start)
    reasons = find_reasons(window, found[mates[0]].end, found[mates[-1]].end)
    asides = [place for place in mates if _is_aside(window, found, place, [*inside, *reasons])]
    spoken = [place for place in mates if place not in asides] or mates
    known = known_numbers(question)
    given = find_circumstances(window, start, [found[place] for place in spoken], known)
    kept = [place for place in spoken if found[place] not in given]
    if not kept or (found[kept[-1]].quantity in known and kept[-1] != spoken[-1]):
        followed = _asked_for(window, found, spoken, question)
        kept = kept if set(kept[-1:]) & set(followed) else followed or kept or spoken
    if len(kept) > 1 and _is_first_asked(window, found[kept[-2]], found[kept[-1]], question):
        return kept[-2]
    return kept[-1]


def _asked_for(window: str, found: list[Reading], spoken: list[int], question: str) -> list[int]:
    """The numbers that are followed by what the question asks for: the 10 of "50 inches tall after 10 months"."""
    asked = asked_units(question)
    return [place for place in spoken if asked & set(_following(window, found[place].end))]


def _following(window: str, end: int) -> list[str]:
    """The nouns, or other words, that follow a number."""
    words = _FOLLOWING.match(window, end)
    return [read_unit(word) for word in words[0].split()] if words else []


def _is_first_asked(window: str, first: Reading, second: Reading, question: str) -> bool:
    """Whether of two numbers around "or" only the first is in a unit that is asked for: "14 days or 2 weeks"."""
    if not _CHOICE.fullmatch(window, first.end, second.start):
        return False
    asked = asked_units(question)
    units = [_NEXT_WORD.match(window, reading.end) for reading in (first, second)]
    return [unit is not None and read_unit(unit["unit"]) in asked for unit in units] == [True, False]


def _is_aside(window: str, found: list[Reading], place: int, inside: list[tuple[int, int]]) -> bool:
    """Whether a number stands in a remark in brackets, in a contrast, or names the things counted before it."""
    reading = found[place]
    if any(left < reading.start < right for left, right in inside):
        return True
    if place and window[found[place - 1].end : reading.start] == " " and _DENOMINATION.match(window, reading.end):
        return True
    return bool(_CONTRAST.search(window[max(0, reading.start - _BEFORE) : reading.start]))


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

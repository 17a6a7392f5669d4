"""Gold answers that ask for several things: all of some options ("A, C"), or all of some numbers ("3, 5 and 7").

A response is right if it gives all of them and no others, in any order. Which options or numbers it gives is read
where it announces them, else in its one line, its last lines or its last sentence. Not covered: part marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from errorbook.adapters.scorers.letters import (
    ITEM,
    Options,
    find_mentioned,
    item_end,
    letter,
    read_item,
    read_option,
)
from errorbook.adapters.scorers.markers import cut_next_question, find_boxed, find_regions, tidy
from errorbook.adapters.scorers.numbers import Quantity, Reading, find_readings, normalize_numbers
from errorbook.adapters.scorers.statements import cut_relevant, find_places, find_statement
from errorbook.records import Score, Verdict

_GOLD = re.compile(
    r"[(\[]?[A-Z][)\]]?[.:]?(?:\s*(?:,|;|/|&|\band\b|,\s*and\b|\s)\s*[(\[]?[A-Z][)\]]?[.:]?)+|[A-Z]{2,10}"
)
_ITEM = re.compile(ITEM, re.IGNORECASE)
_RUN = re.compile(r"(?<![\w'\u2019])[A-Z]{2,10}(?![\w'\u2019])")
_LEAD = re.compile(
    r"[\s:=>*\u2014-]*(?:(?:both|all of|options?|choices?|letters?|the|are|is|in)\b[\s:]*)*(?:1[.)] )?", re.IGNORECASE
)
_NEXT = re.compile(
    r"\s*(?:(?P<either>\b(?:or|either)\b)|[,;.&/+]+\s*(?:and\b|&)?|\band\b|\n+\s*(?:[-*\u2022]|[0-9]{1,2}[.)])?|(?=\())\s*"
    r"(?:(?:option|choice|letter)s? )?",
    re.IGNORECASE,
)
_LATER = re.compile(r"(?:[,;.\n]|\band\b)\s*(?:[-*\u2022] ?)?(?=\(?[A-Z][).:])")
_STOPS = re.compile(r"\b(?:not|n't|but|because|since|whereas|while|except|unlike|incorrect|wrong)\b", re.IGNORECASE)
_NUMBERS_JOIN = re.compile(
    r"\$?(?:\s?[a-z%\u00b0]{1,12})?\s*(?:[,;&/]|,?\s*\b(?:and|or)\b)\s*\$?(?:[a-z](?:_?\{?\w\}?)?\s*=\s*)?[$\u20ac\u00a3]?",
    re.IGNORECASE,
)
_GLUED = re.compile(r"(?<=[0-9}]),(?=-?[0-9]{1,2}(?![0-9]))")
"""The commas of "3,5,7" where several numbers are asked for; "1,234" is one."""
_DENIED = re.compile(r"\b(?:not|n't|but|whereas|while|except|unlike|incorrect|wrong)\b", re.IGNORECASE)
_REJECTED = re.compile(r"[^.;\n]{0,60}\b(?:not|wrong|incorrect|false|no)\b", re.IGNORECASE)
_FIRST = re.compile(r"\W*(?:[a-z]\w?\s*=\s*)?\W*", re.IGNORECASE)
_UNBOXED = re.compile(r"\\(?:boxed|fbox) ?\{([^{}]*)\}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_REACH = 1500
_SHOWN = 160


class Given(NamedTuple):
    """The options that a response gives (no order), where, and whether it leaves open which ("A or C")."""

    options: frozenset[int]
    method: str
    evidence: str
    refused: bool = False


def gold_options(answer: str, known: Options) -> frozenset[int]:
    """The options that a gold answer asks for if it asks for several; empty if it does not."""
    if not _GOLD.fullmatch(answer.strip()):
        return frozenset()
    letters = re.findall(r"[A-Z]", answer)
    places = {place for name in letters if (place := known.place(name)) is not None}
    return frozenset(places) if len(places) == len(letters) > 1 else frozenset()


def score_options(wanted: frozenset[int], text: str, known: Options) -> Score:
    """Judge a cleaned response by the options that are asked for."""
    given = find_options(cut_relevant(text), known)
    if given is None:
        return Score(verdict="unscorable", method="none", evidence="The response names no option.")
    if given.refused:
        return Score(verdict="unscorable", method=given.method, evidence=given.evidence)
    verdict: Verdict = "right" if given.options == wanted else "wrong"
    named = ", ".join(letter(index) for index in sorted(given.options)) or "none of them"
    return Score(verdict=verdict, extracted=named, method=given.method, evidence=given.evidence)


def find_options(text: str, known: Options) -> Given | None:
    """The options that a response settles on; None if it names none."""
    for place in find_places(text):
        if given := _read_place(place, "announced", known):
            return given
    said = find_statement(text, known)
    if said is not None and said.several:
        return Given(frozenset(said.several), said.method, said.evidence)
    if given := _read_place(text.lstrip(), "opening", known):
        return given
    lines = [line for line in text.split("\n") if line.strip()]
    if lines and (given := _read_place(lines[-1], "last line", known)):
        return given
    if said is not None:
        options = frozenset() if said.option is None else frozenset({said.option})
        return Given(options, said.method, said.evidence, said.refused)
    return None


def _read_place(place: str, method: str, known: Options) -> Given | None:
    """The options that the beginning of a text lists, by letter or by their texts."""
    place = _RUN.sub(lambda run: _spread(run[0], known), place[:_REACH])
    named, either = _list_options(place, known)
    if not named and method == "announced":
        sentence = _STOPS.split(_SENTENCE.split(place.strip(), maxsplit=1)[0], maxsplit=1)[0]
        named = find_mentioned(sentence, known)
    if not named:
        return None
    return Given(frozenset(named), method, place.strip()[:_SHOWN], refused=either)


def _list_options(place: str, known: Options) -> tuple[tuple[int, ...], bool]:
    """The options that a text begins to list, and whether "or" stands between two of them."""
    found: list[int] = []
    lead = _LEAD.match(place)
    at, either = lead.end() if lead else 0, False
    while (read := _read_one(place, at, known)) is not None:
        found.append(read[0])
        at = read[1]
        join = _NEXT.match(place, at)
        if join and _read_one(place, join.end(), known):
            at, either = join.end(), either or bool(join["either"])
            continue
        later = _LATER.search(place, at)
        if later is None or _DENIED.search(place, at, later.start()) or "\n\n" in place[at : later.start()]:
            break
        if (one := _read_one(place, later.end(), known)) is None or _REJECTED.match(place, one[1]):
            break
        at = later.end()
    return tuple(dict.fromkeys(found)), either


def _read_one(place: str, at: int, known: Options) -> tuple[int, int] | None:
    """The option that is named at a place, with the end of its letter or of its text."""
    rest = place[at:]
    match = _ITEM.match(rest)
    index = read_item(match, known) if match else None
    if match is None or index is None:
        return None
    end = item_end(match)
    return index, at + end + read_option(rest[end:], index, known)


def _spread(run: str, known: Options) -> str:
    """The run "AC" as "A, C", if these are options in their order."""
    places = [known.place(name) for name in run]
    if None in places or sorted(set(run)) != list(run):
        return run
    return ", ".join(run)


def gold_numbers(answer: str) -> tuple[Quantity, ...]:
    """The numbers that a gold answer asks for if it asks for several; empty if it does not."""
    line = normalize_numbers(" ".join(answer.split()))
    runs = list(_runs(line))
    if (
        len(runs) != 1
        or len(runs[0]) < 2
        or re.search(r"\bor\b|/\s", line)
        or not _FIRST.fullmatch(line[: runs[0][0].start])
    ):
        return ()
    found = tuple(reading.quantity for reading in runs[0] if reading.quantity is not None)
    return found if len(found) == len(runs[0]) else ()


def score_numbers(wanted: tuple[Quantity, ...], text: str) -> Score:
    """Judge a response by the numbers that are asked for, in any order."""
    spread = _GLUED.sub(", ", text.replace("\\{", "(").replace("\\}", ")"))
    clean = cut_next_question(tidy(normalize_numbers(spread)))
    for method, line in _number_places(clean):
        runs = list(_runs(_UNBOXED.sub(r" \1 ", line)))
        if not runs:
            continue
        run = next((run for run in reversed(runs) if len(run) > 1), runs[-1])
        if any(reading.quantity is None for reading in run):
            return Score(verdict="unscorable", method=method, evidence=f"Not all are one number: {line[:_SHOWN]}")
        right = {reading.quantity for reading in run} == set(wanted)
        shown = ", ".join(reading.text for reading in run)
        return Score(
            verdict="right" if right else "wrong", extracted=shown[:_SHOWN], method=method, evidence=line[:_SHOWN]
        )
    return Score(verdict="unscorable", method="none", evidence="The response holds no number.")


def _number_places(clean: str) -> Iterator[tuple[str, str]]:
    """Where the numbers may stand: after a marker, in boxes that stand together, in the last sentence with a number."""
    for place, _ in find_regions(clean):
        yield "marker", place
    last = next(find_boxed(clean), None)
    if last is not None:
        boxed = [line for line in clean.split("\n") if _UNBOXED.search(line)]
        yield "boxed", boxed[-1] if boxed else last
    yield from (("last number", sentence) for sentence in reversed(_SENTENCE.split(clean.strip())))


def _runs(line: str) -> Iterator[list[Reading]]:
    """The numbers of a line, those together that are joined by commas and "and"."""
    found = find_readings(line)
    run = found[:1]
    for before, after in pairwise(found):
        if _NUMBERS_JOIN.fullmatch(line, before.end, after.start):
            run.append(after)
        else:
            yield run
            run = [after]
    if run:
        yield run

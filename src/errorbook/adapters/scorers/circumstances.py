"""Numbers of a closing sentence that do not answer: what it only repeats from the question, and names of things.

"150 bugs are left after attracting 15 birds" answers 150 if the question speaks of 15 birds. A number counts as
repeated only if the question has it too and a word before it makes it a circumstance (`after`, `by`, `where ... is`).
It does not know grammar.
"""

from __future__ import annotations

import re

from errorbook.adapters.scorers.numbers import Quantity, Reading, find_readings, normalize_numbers

_BEFORE = 80
_CIRCUMSTANCE = re.compile(
    r"\b(?:in|after|by|for|(?<!total )(?<!sum )of|from|to|with|during|within|over|at|every|each|per|when|if|than|until"
    r"|using|between|through|before|selling|buying|all|both|on|without|around|across|despite)(?: [a-z'-]+){0,2} \$?\Z"
    r"|\b(?:after|by|before|when|while|for|of|from|without|and|or)(?: [a-z]+ly| not)?"
    r" (?!making|leaving|giving|bringing|total|remaining|result|costing|earning|getting|having|spending|saving"
    r"|paying)[a-z]{2,14}ing"
    r"(?: [a-z'-]+){0,4} \$?\Z"
    r"|\b(?:where|who|whose|which|since|because|as|while|considering|given|assuming|once"
    r"|whenever)(?: [a-z'-]+){0,5} \$?\Z"
    r"|\b(?:the|a|an|each|every|any) [a-z'-]+ that (?:has|have|had|is|are|was|costs?|holds?|weighs?|contains?)"
    r"(?: [a-z'-]+)? \$?\Z"
    r"|(?<!needs )(?<!need )(?<!has )(?<!have )(?<!had )(?<!able )(?<!wants )(?<!going )(?<!equal )(?<!comes )(?<!up )"
    r"\bto [a-z]+(?: and [a-z]+)?(?: [a-z'-]+){0,4} \$?\Z"
    r"|\b(?:working|running|driving|walking|reading|cycling|eating|using|holding|weighing|measuring) \$?\Z",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:since|because)\b(?:[^.,;=\n]|[.,](?=[0-9])){0,200}(?![^.,;\n]{0,100}=)", re.IGNORECASE)
_COORDINATE = re.compile(r"(?:\band|,)(?: [a-z'-]+){0,2} \$?\Z", re.IGNORECASE)
_LEADS = re.compile(
    r"(?:(?:that|:|,)? ?)?(?:in|after|for|with|on|over|during|within|by|at|from|out of|of|if|when|given|because"
    r"|since|as"
    r"|once|before|using|to|every|per)\b[^.\n]{0,60}\Z",
    re.IGNORECASE,
)


def known_numbers(question: str) -> set[Quantity | None]:
    """The numbers of a question."""
    return {reading.quantity for reading in find_readings(normalize_numbers(question))}


def find_circumstances(window: str, start: int, spoken: list[Reading], known: set[Quantity | None]) -> list[Reading]:
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


def find_reasons(window: str, start: int, end: int) -> list[tuple[int, int]]:
    """The spans of the clauses that give a reason for what a sentence has said: "she needs 5, because 4 are lost".

    A calculation is no mere reason: its result is the answer once more.
    """
    return [reason.span() for reason in _REASON.finditer(window, start, end)]


def opens_with_circumstance(place: str, found: list[Reading], question: str) -> bool:
    """Whether an announcement's first number is a circumstance of the question: "it is: in 5 days he has 40"."""
    first = found[0]
    if len(found) < 2 or not _LEADS.fullmatch(place[: first.start].rstrip("$ ")):
        return False
    known = known_numbers(question)
    return first.quantity in known and any(reading.quantity not in known for reading in found[1:])

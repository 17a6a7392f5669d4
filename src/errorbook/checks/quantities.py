"""Answers that are no amount of what the question asks for: 6.4 boys, minutes for hours, the other person's share.

Reads the sentence that asks, the answer, and the last words of the solution. People, animals and single things come in
whole numbers: a fraction of them, or one that is rounded though nothing is bought, filled or fitted, shows that the
question's numbers do not go together. It knows the nouns and units of its lists, not whether the amount is right.
"""

from __future__ import annotations

import re
from fractions import Fraction

_WHOLE = frozenset(
    "person people student child kid boy girl man woman adult guest friend player teacher worker employee"  # noqa: SIM905
    " customer passenger participant member visitor volunteer runner swimmer dancer singer sailor soldier neighbor"
    " neighbour sibling brother sister cousin attendee resident tourist fan classmate camper scout contestant"
    " voter patient nurse doctor farmer artist athlete spectator musician graduate senior freshman sophomore"
    " junior parent baby toddler animal dog cat puppy kitten bird fish horse cow pig sheep goat chicken hen duck"
    " goose turkey rabbit bunny hamster mouse rat frog turtle snake lion tiger bear elephant monkey butterfly bee"
    " ant beetle insect spider whale dolphin shark penguin owl deer fox wolf calf lamb pony parrot goldfish lizard"
    " ladybug caterpillar crab bug pet book novel magazine coin bill quarter dime nickel penny car truck bus"
    " bicycle bike scooter motorcycle boat balloon ticket sticker stamp card marble pencil pen crayon marker"
    " notebook eraser toy doll game puzzle shirt hat sock shoe jacket dress ball chair table desk bench lamp"
    " window door phone computer laptop camera photo picture letter envelope postcard plate bowl button bead shell"
    " seashell stone rock pebble flower rose tulip plant tree bush seed vase candle house seat room locker trophy"
    " medal ribbon badge token key brick tile".split()
)
_PLURALS = {"children": "child", "men": "man", "women": "woman", "mice": "mouse", "geese": "goose", "wolves": "wolf"}
_PLURALS |= {"calves": "calf", "babies": "baby", "puppies": "puppy", "bunnies": "bunny", "pennies": "penny"}
_PLURALS |= {"butterflies": "butterfly", "boxes": "box", "foxes": "fox", "benches": "bench", "ponies": "pony"}
_PLURALS |= {"trophies": "trophy", "dresses": "dress", "rushes": "rush", "bushes": "bush", "classmates": "classmate"}
_FAMILIES = (
    ("second", "minute", "hour", "day", "week", "month", "year"),
    ("inch", "foot", "yard", "mile", "centimeter", "meter", "kilometer"),
    ("ounce", "pound", "ton", "gram", "kilogram"),
    ("milliliter", "liter", "pint", "quart", "gallon"),
)
_FAMILY = {unit: place for place, units in enumerate(_FAMILIES) for unit in units}
_UNITS = {"feet": "foot", "inches": "inch"}
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_ASKED = re.compile(r"\bhow many((?: [$a-z0-9'-]+){1,5})", re.IGNORECASE)
_STOPS = frozenset(
    "does do did will would is are can could was were has have had should must in of for per to on".split()  # noqa: SIM905
)
_AVERAGE = re.compile(r"\b(?:average|mean|per|each|every|fraction|percent|ratio|times|rate)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?P<whole>[0-9][0-9,]*)(?:\.(?P<part>[0-9]+))?(?: ?/ ?(?P<under>[0-9]+))?")
_ROUNDS = re.compile(
    r"\b(?:can(?:'t|not| not)|isn't possible to|impossible to|not possible to) (?:\w+ ){0,3}?"
    r"(?:half|a fraction|fractions|a part|partial|a decimal|decimals)(?: of)?(?: an?)? (?P<thing>[a-z]+)"
    r"|\bround(?:ed|ing|s)?(?: (?:it|this|that|up|down|off|to))* (?:to )?(?:the )?(?:nearest )?(?:whole )?"
    r"(?:[0-9]+ )?(?P<rounded>[a-z]+)",
    re.IGNORECASE,
)
_FITS = re.compile(
    r"\b(?:round\w*|nearest|at (?:least|most)|enough|needs?|needed|buys?|purchase|requir\w+|max\w*|min\w*|most"
    r"|fewest|least"
    r"|fully?|whole|complete\w*|can|could|fits?|holds?|afford|approx\w*|about|estimate\w*|exchange|trips?|leftover"
    r"|left over|remainder|average|how long|until|order|reach|goal|must|uses?)\b",
    re.IGNORECASE,
)


def find_misfit(question: str, solution: str, answer: str) -> str:
    """What does not fit the question, in words; empty if nothing is seen."""
    asking = _asking(question)
    things = _things(asking)
    found = _fraction(asking, things, answer) or _rounded(question, solution)
    return found or _other_unit(things, solution, answer)


def _asking(question: str) -> str:
    """The last sentence that asks, or the last one."""
    sentences = [sentence for sentence in _SENTENCE.split(question[-2_000:]) if sentence.strip()]
    return next((one for one in reversed(sentences) if "?" in one), sentences[-1] if sentences else "")


def _things(asking: str) -> list[str]:
    """The words after the last "how many", up to its verb, in the singular."""
    asked = list(_ASKED.finditer(asking))
    things: list[str] = []
    for word in asked[-1][1].lower().split() if asked else []:
        if word in _STOPS:
            break
        things.append(_singular(word))
    return things


def _singular(word: str) -> str:
    word = word.lower()
    return _PLURALS.get(word) or _UNITS.get(word) or (word.removesuffix("s") if len(word) > 3 else word)


def _value(answer: str) -> Fraction | None:
    found = _NUMBER.fullmatch(answer.strip().strip("$ ").split(" ")[0].rstrip("."))
    if found is None or len(answer) > 40:
        return None
    value = Fraction(f"{found['whole'].replace(',', '')}.{found['part'] or 0}")
    return value / int(found["under"]) if found["under"] and int(found["under"]) else value


def _fraction(asking: str, things: list[str], answer: str) -> str:
    value = _value(answer)
    counted = next((thing for thing in things if thing in _WHOLE), "")
    if value is None or value.denominator == 1 or not counted or _AVERAGE.search(asking) or "%" in answer:
        return ""
    return f"the answer is {answer}, and a {counted} comes whole"


def _rounded(question: str, solution: str) -> str:
    if _FITS.search(question):
        return ""
    for found in _ROUNDS.finditer(solution.replace("\u2019", "'")):
        if _singular(found["thing"] or found["rounded"]) in _WHOLE:
            return f"rounded without being asked: '{found[0][:80]}'"
    return ""


def _other_unit(things: list[str], solution: str, answer: str) -> str:
    """The unit that the answer has in the last words of the solution, if the question asks for another of its kind."""
    asked = next((thing for thing in things if thing in _FAMILY), "")
    if not asked or not answer:
        return ""
    last = [sentence for sentence in _SENTENCE.split(solution[-1_000:]) if sentence.strip()][-1:]
    stated = re.findall(rf"(?<![\d.,/]){re.escape(answer.strip())} ([A-Za-z]{{3,12}})\b", last[0]) if last else []
    units = {unit for word in stated if (unit := _singular(word)) in _FAMILY and _FAMILY[unit] == _FAMILY[asked]}
    if units and asked not in units:
        return f"{asked}s are asked for, and the solution ends in {answer} {min(units)}s"
    return ""

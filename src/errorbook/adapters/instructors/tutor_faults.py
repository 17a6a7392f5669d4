"""Names the fault in a wrong arithmetic response: its kind, the step that shows it, and what it means.

A fault is looked for in the order in which the response was written, so that the first wrong step is found and not
its consequences. What separates a mistake from right answers is `tutor_border`'s; what to practise `tutor_writing`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations

import msgspec

from errorbook.adapters.instructors.tutor_reading import (
    EquationStep,
    find_longest_expression,
    read_number,
    read_numbers,
    read_steps,
    work_from_left,
)
from errorbook.records import Example, Response

MEANINGS = {
    "dropped_carry": "It adds or multiplies digit by digit but leaves out what was carried.",
    "dropped_borrow": "It subtracts digit by digit without paying back what was borrowed.",
    "wrong_operation": "It uses another operation than the question asks for.",
    "wrong_order": "It works from left to right where multiplication and division come first.",
    "stopped_early": "It gives a correct intermediate result as the answer and leaves out the last step.",
    "answer_not_stated": "It does not state its result as the answer in the form that was asked for.",
    "miscalculated": "It chooses the right step but gets the arithmetic fact wrong.",
    "copied_wrong_number": "It calculates with a number that is not in the question.",
    "place_value": "It loses, adds or swaps a digit, so that the result has the wrong size.",
    "remainder_dropped": "It gives the quotient without the remainder.",
    "ignored_fraction": "It treats the parts of a fraction as separate whole numbers.",
    "ignored_percent": "It treats a percentage as a plain number and does not divide by 100.",
    "ignored_unit_factor": "It converts between units without the right factor, or the wrong way round.",
    "off_track": "It shows no working that leads towards the answer.",
}
"""Every kind of fault with its sentence; `Diagnosis.error_kind` is one of these words."""

_IDEAS = {
    "fractions": "ignored_fraction",
    "percentages": "ignored_percent",
    "unit_conversion": "ignored_unit_factor",
}
_ANSWER = re.compile(r"(?:answer\s*(?:is\s*)?[:=]?|####|\\boxed\{)\s*\**\s*(-?\$?\d[^\n]{0,30})", re.IGNORECASE)
_REMAINDER = re.compile(r"(-?\d{1,12})\s*(?:,?\s*(?:r|rem|remainder)\.?\s*(\d{1,12}))?\s*$", re.IGNORECASE)


class SpottedMistake(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: `kind` of `MEANINGS`, the exact `step` that shows it, and a sentence that explains it."""

    kind: str
    step: str
    meaning: str


class _Case(msgspec.Struct, frozen=True, kw_only=True):
    """A wrong response next to its gold solution, both read once."""

    example: Example
    text: str
    steps: tuple[EquationStep, ...]
    gold: tuple[EquationStep, ...]
    given: tuple[Fraction, ...]
    explicit: str
    implied: str


def spot_mistake(example: Example, response: Response) -> SpottedMistake:
    """The first fault of a wrong response. Never raises; the step is a substring of the response, or empty."""
    text = response.text
    stated = list(_ANSWER.finditer(text))
    case = _Case(
        example=example,
        text=text,
        steps=tuple(read_steps(text)),
        gold=tuple(read_steps(example.solution)),
        given=tuple(read_numbers(example.question)),
        explicit=stated[-1].group(1) if stated else "",
        implied="" if response.truncated else response.score.extracted,
    )
    # In the order of the text: what follows a wrong step is its consequence and no fault of its own.
    for index, step in enumerate(case.steps):
        kind = _step_fault(case, index)
        if kind:
            return _fault(case, kind, step.text)
    kind, quote = _ending_fault(case)
    return _fault(case, kind, quote)


def carry_places(a: int, b: int) -> tuple[int, ...]:
    """The columns of a + b, counted from the right, that carry into the next."""
    places, carry = [], 0
    for place in range(max(len(str(a)), len(str(b)))):
        carry = int(a // 10**place % 10 + b // 10**place % 10 + carry > 9)
        if carry:
            places.append(place)
    return tuple(places)


def borrow_places(a: int, b: int) -> tuple[int, ...]:
    """The columns of a - b (a >= b), counted from the right, that borrow from the next."""
    return carry_places(a - b, b) if a >= b else ()


def name_slip(step: EquationStep) -> str:
    """The kind of fault in an equation that does not hold."""
    if step.remainder is None and step.stated == step.value and not step.columns_hold:
        return "dropped_carry"
    return _long_slip(step) if len(step.operators) > 1 else _short_slip(step)


def _short_slip(step: EquationStep) -> str:
    """A slip in an expression of one operator."""
    operator, (a, b), stated = step.operators[0], step.numbers, step.stated
    if operator == "/" and step.remainder is None and stated == step.value // 1:
        return "remainder_dropped"
    if operator in "+*" and stated in _without_carries(operator, a, b):
        return "dropped_carry"
    if operator == "-" and stated in _without_borrows(a, b):
        return "dropped_borrow"
    others = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else a}
    if stated in (value for name, value in others.items() if name != operator) and max(a, b) > 2:
        return "wrong_operation"
    return "place_value" if _digits_lost(stated, step.value) else "miscalculated"


def _long_slip(step: EquationStep) -> str:
    """A slip in an expression of several operators: fractions, a carried 1 left out, or the order ignored."""
    if _adds_tops_and_bottoms(step):
        return "ignored_fraction"
    if step.flat != step.value and step.stated == step.flat:
        return "wrong_order"
    dropped = _dropped_one(step)
    if dropped:
        return dropped
    return "place_value" if _digits_lost(step.stated, step.value) else "miscalculated"


def _adds_tops_and_bottoms(step: EquationStep) -> bool:
    """Whether fractions were added as whole numbers: "1/2 + 1/3 = 2/5", or with one bottom kept: "2/3"."""
    divisions, between = step.operators[::2], step.operators[1::2]
    tops, bottoms = step.numbers[::2], step.numbers[1::2]
    if set(divisions) != {"/"} or not set(between) <= {"+", "-"} or len(tops) != len(bottoms):
        return False
    top, bottom = (work_from_left(parts, between) for parts in (tops, bottoms))
    return top is not None and step.stated in {top, *(top / other for other in (bottom, *bottoms) if other)}


def _dropped_one(step: EquationStep) -> str:
    """The kind of fault in a column that leaves out its last 1: "4 + 3 + 1 = 7", "5 - 1 - 1 = 4"."""
    if step.numbers[-1] != 1 or max(step.numbers) >= 20:
        return ""
    if set(step.operators) == {"+"} and step.stated == step.value - 1:
        return "dropped_carry"
    if set(step.operators) == {"-"} and step.stated == step.value + 1:
        return "dropped_borrow"
    return ""


def _without_carries(operator: str, a: Fraction, b: Fraction) -> set[Fraction]:
    """What a + b, or a * b for one digit b, comes to when some of its carries are left out."""
    if a.denominator != 1 or b.denominator != 1 or min(a, b) < 0:
        return set()
    if operator == "+":
        lost = [10 ** (place + 1) for place in carry_places(int(a), int(b))]
        return {a + b - dropped for dropped in _sums(lost)}
    large, small = (int(a), int(b)) if b < 10 else (int(b), int(a))
    if small > 9 or large < 10:
        return set()
    lost, carry = [], 0
    for place in range(len(str(large)) - 1):
        carry = (large // 10**place % 10 * small + carry) // 10
        lost.append(carry * 10 ** (place + 1))
    return {a * b - dropped for dropped in _sums([value for value in lost if value])}


def _without_borrows(a: Fraction, b: Fraction) -> set[Fraction]:
    """What a - b comes to when some borrows are not paid back, or each column takes the smaller from the larger."""
    if a.denominator != 1 or b.denominator != 1 or min(a, b) < 0:
        return set()
    if a < b:
        return {b - a} if a < 10 and b < 10 else set()
    places = borrow_places(int(a), int(b))
    columns = sum(abs(int(a) // 10**p % 10 - int(b) // 10**p % 10) * 10**p for p in range(len(str(int(a)))))
    return {a - b + dropped for dropped in _sums([10 ** (place + 1) for place in places])} | (
        {Fraction(columns)} if places else set()
    )


def _sums(values: Sequence[int]) -> Iterable[int]:
    return (sum(chosen) for size in range(1, len(values) + 1) for chosen in combinations(values[:12], size))


def _digits_lost(stated: Fraction, true: Fraction) -> bool:
    """Whether one digit was dropped, inserted or swapped with its neighbour, or zeros were."""
    if stated.denominator != 1 or true.denominator != 1 or min(stated, true) < 1:
        return False
    one, other = str(stated), str(true)
    if one.rstrip("0") == other.rstrip("0") and one != other:
        return True
    short, long = sorted((one, other), key=len)
    if len(short) == len(long):
        return any(short[:i] + short[i + 1] + short[i] + short[i + 2 :] == long for i in range(len(short) - 1))
    return len(long) > 2 and any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def _step_fault(case: _Case, index: int) -> str:
    """The kind of fault in the response's step number `index`, or nothing if it is sound."""
    step = case.steps[index]
    idea = _IDEAS.get(case.example.skill, "")
    if not step.holds:
        kind = "wrong_operation" if _turned(case, step) else name_slip(step)
        return idea if idea and _ignores_idea(case, step.stated) else kind
    if any(_same(step, gold) for gold in case.gold):
        return ""
    if _against_precedence(case, step):
        return "wrong_order"
    left_out = _left_out(case, step)
    if left_out:
        return left_out
    if _turned(case, step):
        return idea or "wrong_operation"
    stranger = any(value not in _known(case, index) for value in step.numbers)
    unknown = idea if idea == "ignored_unit_factor" else "copied_wrong_number"
    return unknown if stranger else ""


def _left_out(case: _Case, step: EquationStep) -> str:
    """The kind of fault of a true column that leaves out the 1 which the gold column carries or borrows."""
    for gold in case.gold:
        extra = Counter(gold.numbers)
        extra.subtract(Counter(step.numbers))
        if list((+extra).elements()) == [1] and not -extra and set(gold.operators) == set(step.operators):
            return {"+": "dropped_carry", "-": "dropped_borrow"}.get(gold.operators[0], "")
    return ""


def _turned(case: _Case, step: EquationStep) -> bool:
    """Whether the gold solution takes the very same numbers with another operation, and never with this one."""
    same = [gold.operators for gold in case.gold if sorted(gold.numbers) == sorted(step.numbers)]
    return bool(same) and step.operators not in same


def _same(step: EquationStep, gold: EquationStep) -> bool:
    return step.value == gold.value and sorted(step.numbers) == sorted(gold.numbers)


def _against_precedence(case: _Case, step: EquationStep) -> bool:
    """Whether a true step joins two neighbours of the question's expression that a stronger operator keeps apart."""
    numbers, operators = find_longest_expression(case.example.question)
    if len({operator in "*/" for operator in operators}) < 2 or len(step.operators) != 1:
        return False
    for place, operator in enumerate(operators):
        pair = numbers[place : place + 2]
        if operator in "+-" and pair == step.numbers and step.operators == (operator,):
            around = operators[max(place - 1, 0) : place] + operators[place + 1 : place + 2]
            return any(other in "*/" for other in around)
    return False


def _known(case: _Case, index: int) -> set[Fraction]:
    """Numbers that a sound response may use at a step: given, found before, their digits and place values."""
    constants = (0, 1, 2) if case.example.skill == "unit_conversion" else (0, 1, 2, 10, 100, 1000)
    known = {Fraction(value) for value in constants}
    sources = [*case.given, *(value for gold in case.gold for value in gold.numbers)]
    sources += [gold.stated for gold in case.gold[:-1]]
    for step in case.steps[:index]:
        sources += [step.stated, *step.numbers]
    borrows = any("-" in gold.operators for gold in case.gold)
    for value in sources:
        known |= {value, Fraction(value.numerator), Fraction(value.denominator)}
        if case.example.skill == "percentages":
            known |= {value / 100, value * 100}
        if value.denominator == 1:
            known |= _parts(abs(value.numerator), borrows)
    return known


def _parts(value: int, borrows: bool) -> set[Fraction]:
    """The numbers that working with a whole number meets: its digits, its place values, where it is cut in two."""
    digits = str(value)
    parts = {int(digits[i:]) for i in range(len(digits))} | {int(digits[:i]) for i in range(1, len(digits))}
    for place, digit in enumerate(reversed(digits)):
        parts |= {int(digit), int(digit) * 10**place}
        if borrows and len(digits) > 1:
            parts |= {int(digit) + 10, int(digit) - 1}
    return {Fraction(part) for part in parts}


def _ending_fault(case: _Case) -> tuple[str, str]:
    """The fault of a response whose every step is sound, with the words that show it."""
    gold = _worth(case.example.answer)
    found = {step.stated for step in case.steps}
    quote = _answer_line(case.text)
    stated = _worth(case.explicit)
    if stated is None and case.steps and gold not in found:
        stated = _worth(case.implied)
    if stated is None or stated == gold:
        return ("answer_not_stated" if case.steps or stated is not None else "off_track"), quote
    idea = _IDEAS.get(case.example.skill, "")
    if "remainder" in case.example.answer and stated == _worth(case.example.answer.split()[0]):
        return "remainder_dropped", quote
    if idea and _ignores_idea(case, stated):
        return idea, quote
    return _wrong_result(case, stated, quote) if case.steps else (_bare_answer(case, stated), quote)


def _wrong_result(case: _Case, stated: Fraction, quote: str) -> tuple[str, str]:
    """The fault of sound steps that end in a wrong answer."""
    gold = _worth(case.example.answer)
    found = {step.stated for step in case.steps}
    if stated in found or stated in {step.stated for step in case.gold}:
        stray = next((step for step in case.steps if not any(_same(step, other) for other in case.gold)), None)
        return ("stopped_early", quote) if stray is None else (_stray_kind(case, stray), stray.text)
    if gold is not None and _digits_lost(stated, gold):
        return "place_value", quote
    missing = [step for step in case.gold if not any(_same(done, step) for done in case.steps)]
    if gold in found or not missing:
        return "copied_wrong_number", quote
    if missing == [case.gold[-1]]:
        return name_slip(msgspec.structs.replace(missing[0], stated=stated, remainder=None, written=None)), quote
    return "off_track", quote


def _stray_kind(case: _Case, stray: EquationStep) -> str:
    """A true step that the gold solution does not have: another operation, or a fragment before stopping."""
    asked = {operator for step in case.gold for operator in step.operators}
    reached = stray.stated in {step.stated for step in case.gold}
    return "stopped_early" if reached or (asked and set(stray.operators) <= asked) else "wrong_operation"


def _bare_answer(case: _Case, stated: Fraction) -> str:
    """The likeliest fault behind a wrong answer that came without any working."""
    numbers, operators = find_longest_expression(case.example.question)
    closing = case.gold[-1] if case.gold else None
    if len(numbers) > 2 and len(numbers) == len(operators) + 1:
        joined = " ".join(f"{value} {operator}" for value, operator in zip(numbers, operators, strict=False))
        flat = read_steps(f"{joined} {numbers[-1]} = {stated}")
        if flat and flat[0].flat == stated != flat[0].value:
            return "wrong_order"
    if closing is None or not set(closing.numbers) <= set(case.given):
        return "off_track"
    kind = name_slip(msgspec.structs.replace(closing, stated=stated, remainder=None, written=None, carried=None))
    return "off_track" if kind == "miscalculated" else kind


def _ignores_idea(case: _Case, stated: Fraction) -> bool:
    """Whether a result is what comes of treating the percentage, the fraction or the unit as a plain number."""
    gold = _worth(case.example.answer)
    if gold is None or stated == gold or not case.given:
        return False
    return stated in _WITHOUT_IDEA[case.example.skill](case, gold)


def _without_percent(case: _Case, gold: Fraction) -> set[Fraction]:
    """Results without the hundredth: for 10% of 60, 600 and 50 and 70."""
    given = case.given
    part = next((step.stated for step in case.gold if step.operators == ("/",)), gold)
    plain = {value for a, b in combinations(given, 2) for value in (a + b, abs(a - b), a * b)}
    return plain | {part * 100, part * 10, given[0]}


def _without_fraction(case: _Case, gold: Fraction) -> set[Fraction]:
    """Results of a fraction's parts as whole numbers: for 1/2 + 1/3, 2 and 2/5; for 2/3 of 9, 18 and 3."""
    given = case.given
    bottoms, top, bottom = given[1::2], _sum(given[0::2]), _sum(given[1::2])
    apart = {top, abs(given[0] - given[-1])} | {a * b for a, b in combinations(given, 2)}
    if len(given) == 4 and bottom:
        apart |= {top / other for other in (bottom, *bottoms) if other}
    if len(given) == 3 and given[1]:
        apart.add(given[2] / given[1])
    return apart


def _without_factor(case: _Case, gold: Fraction) -> set[Fraction]:
    """Results without the units' factor, or with it turned round: for 4 hours in minutes, 4 and 1/15."""
    given = case.given
    factors = {value for step in case.gold for value in step.numbers if value not in given and value > 1}
    turned = {value / factor for value in given for factor in factors} | {given[0] * factor for factor in factors}
    return set(given) | turned | {_sum(given)}


_WITHOUT_IDEA: dict[str, Callable[[_Case, Fraction], set[Fraction]]] = {
    "percentages": _without_percent,
    "fractions": _without_fraction,
    "unit_conversion": _without_factor,
}


def _sum(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0))


def _worth(answer: str) -> Fraction | None:
    """A stated answer as a number; "7 remainder 5" as seven and a millionth part for each of five, never an integer."""
    found = _REMAINDER.match(answer.strip().rstrip(".*} "))
    if found and found.group(2):
        return int(found.group(1)) + Fraction(int(found.group(2)), 1_000_003)
    first = re.match(r"-?\$?[\d,]+(?:\.\d+)?(?:\s*/\s*\d+)?", answer.strip())
    return read_number(first.group().rstrip(",")) if first else None


def _answer_line(text: str) -> str:
    """The words that state the answer, else the last line that is not blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    stated = [match.group().strip() for match in _ANSWER.finditer(text)]
    return (stated or lines or [""])[-1]


def _fault(case: _Case, kind: str, step: str) -> SpottedMistake:
    wrong = next((other for other in case.steps if other.text == step and other.value != other.stated), None)
    truth = f" It wrote '{step}'; the left side is {wrong.value}." if wrong else ""
    return SpottedMistake(kind=kind, step=step, meaning=MEANINGS[kind] + truth)

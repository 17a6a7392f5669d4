r"""Numbers as people and models write them, read exactly: no floating point, no guessing.

Understood: thousands separators, currency, signs, decimals, fractions and mixed numbers, scientific notation, percent,
units (ignored), number words below a million, "million" and its kin, full hours ("2:00 pm"), "7 remainder 3", LaTeX
such as \frac{3}{4}, and calculator annotations ("<<16-3=13>>13"). What has more than one reading ("3,5", "12:30",
"1.2.3") is found but has no value, so that the caller can refuse it instead of taking a part of it for the whole. Not
covered: unit conversion, roots, powers, symbols, evaluating "3 + 4".
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from errorbook.adapters.scorers.scripts import write_plainly

_LONGEST = 1000
_LARGEST_EXPONENT = 400
_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: n for n, word in enumerate(_UNITS + _TEENS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES |= {"lakh": 10**5, "crore": 10**7}
_LETTERS = {"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4}
_FINER = {"fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12}
_PARTS |= _FINER | {f"{part}s": size for part, size in _FINER.items()}

_CURRENCY = r"(?:US\$|[$\u20ac\u00a3\u00a5\u20b9]|\b(?:USD|EUR|GBP|INR|Rs\.?|Rp\.?))"
_SIGN = r"(?<![\w)\]}%.])(?<![0-9)%] )[-+]"
_RUN = r"(?:[0-9]+(?:[.,:][0-9]+)*|(?<![0-9])\.[0-9]+)"
_DIGITS = re.compile(
    r"(?=[-+.0-9$\u20ac\u00a3\u00a5\u20b9UEGIR])"  # what a number can begin with: this alone makes the search quick
    rf"(?P<sign>{_SIGN})?(?:(?P<money>{_CURRENCY}) ?(?P<inner>[-+])?)?(?P<run>{_RUN})"
    r"(?:[eE](?P<exp>[-+]?[0-9]{1,4})(?!\w)| ?[x\u00d7*] ?10 ?\^ ?[{(]?(?P<pow>[-+]?[0-9]{1,4})[})]?)?"
    rf"(?:(?: and)? (?P<top>[0-9]{{1,9}})/(?P<bottom>[0-9]{{1,9}})(?![\w/])| ?/ ?(?P<under>{_RUN}))?"
)
_SMALLS = "|".join(sorted(_SMALL, key=len, reverse=True))
_WORDS = re.compile(
    rf"(?<![\w-])(?=[eFfNnOoSsTtZzE])(?P<words>(?:{_SMALLS})\b(?:(?:[ -]| and )(?:{_SMALLS}|hundred"
    rf"|thousand)\b)*)(?! of the\b)",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"\bnegative \Z|(?:^|[^\w)%] ?|\b(?:is|was|equals|to) )(?P<minus>minus \Z)", re.IGNORECASE)
_SCALE = re.compile(rf"[ -](?P<scale>{'|'.join(SCALES)})\b", re.IGNORECASE)
_LETTER = re.compile(r"(?P<letter>k|mn?|bn?)\b", re.IGNORECASE)
_PERCENT = re.compile(r" ?(?:%|per ?cent\b)", re.IGNORECASE)
_HOUR = re.compile(r"([0-9]{1,2}):00")
_AND_PART = re.compile(r" and (?:a|one)[ -](?P<part>half|third|quarter)\b", re.IGNORECASE)
_PARTS_OF = re.compile(
    rf"[ -](?P<part>half|halves|thirds?|quarters?|(?:{'|'.join(_FINER)})s|(?<=\bone.)(?:{'|'.join(_FINER)}))\b"
    r"(?! (?:graders?|grade|floor|place|year|row)\b)",
    re.IGNORECASE,
)
_REMAINDER = re.compile(
    r"(?: ?[a-z]{1,15})?(?: [a-z]{1,15})?[.,;\n]? ?\(?(?:and |with )?(?:a |the )?"
    r"(?:remainder|rem\.?)(?: of| is| ?[=:])* ?"
    r"| ?r\.? ?(?=[0-9])",
    re.IGNORECASE,
)
_POWER = re.compile(r" ?\^")
_POWER_OF_TEN = re.compile(r"10 ?\^ ?(?:\{ ?(?P<braced>[-+]?[0-9]{1,3}) ?\}|(?P<bare>[-+]?[0-9]{1,3}))(?!\w|\.[0-9])")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_RANK = re.compile(r"(?:st|nd|rd|th) (?:place|position)\b", re.IGNORECASE)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?")

_POINTED = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}")


def _write_fraction(said: re.Match[str]) -> str:
    r"""\frac{1}{2} as "1/2", apart from a whole number before it but not from its sign."""
    return f"{_space(said)}{said[1]}/{said[2]} "


def _write_part(said: re.Match[str]) -> str:
    """A fraction that is one letter, such as U+00BD, likewise."""
    return _space(said) + unicodedata.normalize("NFKC", said["part"]).replace("\u2044", "/")


def _space(said: re.Match[str]) -> str:
    return "" if said.string[said.start() - 1 : said.start()] in {"-", "+", "\u2212", "\u2013"} else " "


_FRAC = r"\\[dtc]?frac ?"
_FRACTIONS = [
    re.compile(form)
    for form in (
        r"\{ ?([0-9]{1,9}) ?\\over ?([0-9]{1,9}) ?\}",
        rf"{_FRAC}([0-9]) ?([0-9])(?![0-9])",
        rf"{_FRAC}\{{([0-9]{{1,9}})\}} ?([0-9])(?![0-9])",
        rf"{_FRAC}\{{([^{{}}]{{1,60}})\}} ?\{{([^{{}}]{{1,60}})\}}",
    )
]
_LATEX = [
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf) ?\{([^{}]{0,60})\}"), r" \1 "),
    (re.compile(r"\^ ?\{? ?\\circ ?\}?"), " degrees "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\{,\}|(?<=[0-9])\\,(?=[0-9]{3})"), ","),
    (re.compile(r"\\([$%#&])"), r"\1"),
    (re.compile(r"\\(?:left|right)(?![a-z])|\\[()\[\],;: ]|\\(?:quad|approx)\b"), " "),
]
_ANNOTATION = re.compile(r"<<(?P<inside>[^<>\n]{0,300})>>(?P<after> ?\$? ?[-+.]?[0-9])?")
_UNFINISHED = re.compile(r"<<[^<>\n]{0,300}\Z")
_SPACED = re.compile(
    rf"(?P<money>{_CURRENCY} ?)?(?<![0-9.,/:])(?<![0-9] )"
    r"[0-9]{1,3}(?P<groups>(?: [0-9]{3}){1,4})(?![0-9/:]| [0-9])"
)
_MAYBE_SPACED = re.compile(r"[0-9] [0-9]{3}(?![0-9])")
_THIN_SPACE = re.compile(r"(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3})")
_APOSTROPHE = re.compile(r"(?<=[0-9])['\u2019](?=[0-9]{3}(?![0-9]))")
_RAISED = re.compile("[\u207a\u207b\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_LOWERED = str.maketrans("\u207a\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "+-0123456789")
_VULGAR = re.compile("(?P<part>[\u00bc-\u00be\u2150-\u215e])")
_TYPOGRAPHIC = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\ufe63": "-", "\uff0d": "-", "\u2044": "/", "\u00f7": "/", "\uff04": "$"}
    | {"\u066c": ",", "\uff0c": ",", "\uff0e": ".", "\uff05": "%", "\u00d7": "*", "\u00b7": "*"}
)
_SIGN_APART = re.compile(r"(?:(?<=[={(\[$])|(?<=[={(\[$] )|(?<=\bequals ))- (?=\.?[0-9])")
"""A sign that stands apart from its number: "x = - 7", "{- 7}"."""


class Quantity(NamedTuple):
    """An exact number; `remainder` is not zero only in answers such as "7 remainder 3"."""

    value: Fraction
    remainder: Fraction = Fraction(0)


class Reading(NamedTuple):
    """One number found in a text, at text[start:end]; `quantity` is None if it can be read in two ways.

    `scale` is what "million" and its kin multiplied it by; `percent` whether a percent sign followed (not applied);
    `also` the same amount in another unit, if the text gives it so, too.
    """

    quantity: Quantity | None
    text: str
    start: int
    end: int
    scale: int = 1
    percent: bool = False
    also: tuple[Quantity, ...] = ()


def normalize_numbers(text: str) -> str:
    """`text` with typographic and LaTeX forms of numbers written in ASCII, and calculator annotations taken out."""
    if "<<" in text:
        text = _UNFINISHED.sub("", _ANNOTATION.sub(_result, text))
    if not text.isascii():
        text = _THIN_SPACE.sub("", write_plainly(text))
        text = _RAISED.sub(lambda power: f"^{power[0].translate(_LOWERED)}", text)
        text = _VULGAR.sub(_write_part, text).translate(_TYPOGRAPHIC)
        text = "".join(_digit(letter) for letter in text)
    text = _APOSTROPHE.sub(",", text)
    if "\\" in text or "{,}" in text:
        for fraction in _FRACTIONS:
            text = fraction.sub(_write_fraction, text)
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    text = re.sub(r" {2,}", " ", text)
    text = _SIGN_APART.sub("-", text) if "- " in text else text
    return _SPACED.sub(_joined, text) if _MAYBE_SPACED.search(text) else text


def read_single(text: str) -> Reading | None:
    """The one number in a short text such as a gold answer, units aside; None if there is none, or more than one."""
    line = normalize_numbers(" ".join(text.split()))
    found = find_readings(line) or find_ordinals(line)
    return found[0] if len(found) == 1 else None


def read_quantity(text: str) -> Quantity | None:
    """The exact value of `read_single`, percent signs ignored; None if it has more than one reading."""
    found = read_single(text)
    return found.quantity if found else None


def find_readings(text: str) -> list[Reading]:
    """Every number of a normalized text in order, digits and words; without powers, ordinals and identifiers (x2)."""
    matches = sorted([*_WORDS.finditer(text), *filter(_is_number, _DIGITS.finditer(text))], key=re.Match.start)
    found: list[Reading] = []
    for match in matches:
        if not found or match.start() >= found[-1].end:
            found.append(_with_remainder(text, _reading(match)))
    return found


def find_ordinals(text: str) -> list[Reading]:
    """Every "6th" of a normalized text as the number 6: an answer if nothing else is, as in "the 6th week"."""
    places = (match for match in _DIGITS.finditer(text) if _ORDINAL.match(text, match.end()))
    return [_reading(match) for match in places if match["run"].isdigit()]


def _result(annotation: re.Match[str]) -> str:
    """What a calculator annotation stands for: nothing if the result is written beside it, else its result."""
    before = annotation.string[max(0, annotation.start() - 1) : annotation.start()]
    _, equals, result = annotation["inside"].rpartition("=")
    if annotation["after"] or before.isdigit() or not equals:
        return annotation["after"] or ""
    return result


def _joined(spaced: re.Match[str]) -> str:
    """Join "118 000" to one number; "118 250" only after a currency, because it may also be two numbers."""
    if spaced["money"] or " 0" in spaced["groups"]:
        return spaced[0][: len(spaced[0]) - len(spaced["groups"])] + spaced["groups"].replace(" ", ",")
    return spaced[0]


def _digit(letter: str) -> str:
    if letter.isascii() or not letter.isdecimal():
        return letter
    return str(unicodedata.decimal(letter))


def _is_number(match: re.Match[str]) -> bool:
    """Whether digits stand for a number: not in a name (x2), a power (m^2) or an ordinal (3rd)."""
    at = match.start("run")
    before = match.string[max(0, at - 2) : at]
    if not match["money"] and (before[-1:].isalpha() or before.endswith(("_", "^", "^{"))):
        return False
    return not _ORDINAL.match(match.string, match.end()) or bool(_RANK.match(match.string, match.end()))


def _reading(match: re.Match[str]) -> Reading:
    """The reading of a match of _DIGITS or _WORDS, with its sign and what may follow it ("million", "and a half")."""
    text, start, end = match.string, match.start(), match.end()
    spelt = match.re is _WORDS
    value = _spelt(match["words"].lower()) if spelt else _value(match)
    if _POWER.match(text, end):
        power = _POWER_OF_TEN.match(text, start) if match.re is _DIGITS and match["run"] == "10" else None
        value, end = (Fraction(10) ** int(power["braced"] or power["bare"]), power.end()) if power else (None, end)
    scale, end = _scale(match)
    value = value * scale if value and scale > 1 else value
    if part := _AND_PART.match(text, end):
        end = part.end()
        value = value and value + Fraction(1 if value > 0 else -1, _PARTS[part["part"].lower()])
        if scale == 1 and (large := _SCALE.match(text, end)):
            scale, end = SCALES[large["scale"].lower()], large.end()
            value = value and value * scale
    elif spelt and (part := _PARTS_OF.match(text, end)):
        end = part.end()
        value = value and value / _PARTS[part["part"].lower()]
    if negative := _NEGATIVE.search(text[max(0, start - 20) : start]):
        start -= len("minus " if negative["minus"] else "negative ")
        value = value and -value
    percent = _PERCENT.match(text, end)
    end = percent.end() if percent else end
    found = None if value is None else Quantity(value)
    return Reading(found, " ".join(text[start:end].split()), start, end, scale, bool(percent))


def _scale(match: re.Match[str]) -> tuple[int, int]:
    """What "million" and its kin, or the M of "$5M", multiply a number by, and where they end."""
    if word := _SCALE.match(match.string, match.end()):
        return SCALES[word["scale"].lower()], word.end()
    letter = match.re is _DIGITS and match["money"] and _LETTER.match(match.string, match.end())
    return (_LETTERS[letter["letter"].lower()], letter.end()) if letter else (1, match.end())


def _value(match: re.Match[str]) -> Fraction | None:
    """The number that one match of _DIGITS spells, None if it has more than one reading or is out of range."""
    value = _decimal(match["run"])
    exponent = int(match["exp"] or match["pow"] or 0)
    if value is None or abs(exponent) > _LARGEST_EXPONENT:
        return None
    if exponent:
        value *= Fraction(10) ** exponent
    for whole, top, bottom in ((value, match["top"], match["bottom"]), (Fraction(0), None, match["under"])):
        if bottom:
            under = _decimal(bottom)
            if not under:
                return None
            value = whole + Fraction(int(top)) / under if top else value / under
    return -value if "-" in {match["sign"], match["inner"]} else value


def _decimal(run: str) -> Fraction | None:
    if len(run) > _LONGEST:
        return None
    if _PLAIN.fullmatch(run):
        return Fraction(run)
    if hour := _HOUR.fullmatch(run):
        return Fraction(hour[1])
    if _POINTED.fullmatch(run):  # 1.234.567 and 1.234,56 have one reading, unlike 1.234
        return Fraction(run.replace(".", "").replace(",", "."))
    return Fraction(run.replace(",", "")) if _GROUPED.fullmatch(run) else None


def _spelt(phrase: str) -> Fraction | None:
    """The value of "two hundred and five", or None for what is not one number ("two three")."""
    total, group, last = 0, 0, 10**9
    for word in re.split(r"[ -]", phrase):
        if word == "and":
            continue
        if word == "thousand":
            if total or not group:
                return None
            total, group, last = group * 1000, 0, 10**9
        elif word == "hundred":
            if not 0 < group < 20 or group == 10:
                return None
            group, last = group * 100, 100
        else:
            size = _SMALL[word]
            if last < 20 or size >= last or (last < 100 and not 0 < size < 10):
                return None
            group, last = group + size, size
    return Fraction(total + group)


def _with_remainder(text: str, whole: Reading) -> Reading:
    """`whole` joined to the number after "remainder", if there is one."""
    link = _REMAINDER.match(text, whole.end)
    match = link and (_DIGITS.match(text, link.end()) or _WORDS.match(text, link.end()))
    if not match:
        return whole
    rest = _reading(match)
    both = None
    if whole.quantity is not None and rest.quantity is not None:
        both = Quantity(whole.quantity.value, rest.quantity.value)
    return whole._replace(quantity=both, text=" ".join(text[whole.start : rest.end].split()), end=rest.end)

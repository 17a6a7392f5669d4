r"""Which option a piece of text names: by its letter, in the forms that models use, or by its own words.

A letter counts if it stands alone: "B", "(b)", "B.", "$B$", "\text{B}", "option B". The article "a", the pronoun
"I", "C++", "vitamin B12" and "D-xylose" are not letters. Two letters joined ("A and B") are both named, unless one
option says just that. Where in a response the answer stands is `statements`' business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from errorbook.adapters.scorers.markers import tidy
from errorbook.adapters.scorers.scripts import write_plainly
from errorbook.adapters.scorers.words import words

ITEM = (
    r"(?P<word>\b(?:options?|choices?|letters?|alternatives?|statements?|answers?|situations?|scenarios?|methods?) )?"
    r"(?P<open>[\"'\u201c\u2018(\[{<]{0,4})(?<![\w'\u2019.+^_/\\-])(?P<letter>[A-Za-z])(?P<close>[\"'\u201d\u2019)"
    r"\]}>]{0,4})"
    r"(?P<dot>[.:](?![\w=]))?(?![\w+^_*=(\[\\-]|['\u2019]\w)"
)
_ITEM = re.compile(ITEM, re.IGNORECASE)
_JOIN = re.compile(r" ?(?:,? ?\b(?:and/or|and|or|nor)\b|[,/&;]|,) ?(?:both |either )?", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:[\s:=>\u2014*]+|[-\u2013](?![0-9.])|(?:(?:that|as follows|likely|probably|definitely|clearly|indeed|simply"
    r"|most likely|either|both|therefore|thus|then|also|in|by|given by|represented by|considered to be)(?: ?[:,]| ))+"
    r")*",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\s+(?:because|as|since|which|that|and|or|but|for|due|with|while|where|if|given|based|is|was|by|from|in|on|rather"
    r"|however|so|although|though|not|who|the)\b|\s*[^\w\s]|\s*\Z|\s*\n",
    re.IGNORECASE,
)
_ENDS = re.compile(r"\s*(?:[,;.!?)\]}]|\Z|\n)")
_LATEX = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf|textsf|bf|rm) ?\{ ?([^{}]{0,200}?) ?\}")
_MATH = re.compile(r"\$\$? ?([(\[]?[A-Za-z][)\]]?\.?) ?\$\$?|\\[(\[] ?([(\[]?[A-Za-z][)\]]?\.?) ?\\[)\]]")
_PLACEHOLDER = re.compile(r"(?<=[:=] )\$([A-Z])(?![\w$])")
_ARTICLE = frozenset({"a", "an", "the"})
_FILLER = frozenset({"both", "and", "or", "option", "options", "only", "either", "neither", "nor"})
_ALL = re.compile(r"\ball (?:of )?(?:the|these|of|them|above)\b", re.IGNORECASE)
_DENIES = re.compile(r"\b(?:not|except|least|never|cannot|false|incorrect|untrue|isn't|doesn't)\b", re.IGNORECASE)
_SIGN_OR_WORD = re.compile(
    r"(?:(?<!\w)-)?[0-9]+(?:[.,:/][0-9]+)*%?(?!\w)|\w+|[^\w\s.,;:!?$\"'\u2018\u2019\u201c\u201d]"
)
_STOP = re.compile(r"[.!?](?=\s|$)|\n")


class Options(NamedTuple):
    """The options of one example: their texts, the words of each, and whether the question asks what is not so."""

    texts: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    denied: bool = False
    signs: bool = False

    def read(self, text: str) -> tuple[str, ...]:
        """The words of `text`, with the signs between them if the options differ in nothing else."""
        return _with_signs(text) if self.signs else words(text)

    def place(self, letter: str) -> int | None:
        """The place of the option called `letter`, None if there is no such option."""
        place = ord(letter.upper()) - ord("A")
        return place if 0 <= place < len(self.texts) else None


class Named(NamedTuple):
    """The options that a text names (by index, in order), where that ends, and whether by letter or by text."""

    indices: tuple[int, ...]
    end: int
    by: str

    @property
    def only(self) -> int | None:
        """The option, if just one is named."""
        return self.indices[0] if len(self.indices) == 1 else None


def make_options(texts: Sequence[str], question: str = "") -> Options:
    """The options of an example with these texts and this question."""
    denied, plain = bool(_DENIES.search(question)), [clean_text(text) for text in texts]
    read = tuple(words(text) for text in plain)
    if len(set(read)) == len(read):
        return Options(tuple(texts), read, denied)
    return Options(tuple(texts), tuple(_with_signs(text) for text in plain), denied, signs=True)


def _with_signs(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").casefold()
    return tuple(_SIGN_OR_WORD.findall(plain))


def clean_text(text: str) -> str:
    r"""`text` without Markdown emphasis and without the LaTeX around words and single letters, in plain signs."""
    text = write_plainly(text)
    if "\\" in text or "$" in text:
        text = _PLACEHOLDER.sub(r"\1", _LATEX.sub(r"\1", text))
        text = _MATH.sub(lambda match: match[1] or match[2], text)
    return tidy(text)


def letter(index: int) -> str:
    """The letter of an option."""
    return chr(ord("A") + index)


def read_item(match: re.Match[str], known: Options) -> int | None:
    """The option that a match of `ITEM` names; None if its letter is a word ("a", "I") or no option's."""
    index = known.place(match["letter"])
    if index is None:
        return None
    text, end = match.string, item_end(match)
    closed = ")" in match["close"] or bool(match["open"] and match["close"])
    if match["letter"].islower():
        return index if closed or (match["dot"] != ":" and _ENDS.match(text, end)) else None
    if match["letter"] in "AI" and not (closed or match["word"] or match["dot"]):
        return index if _GOES_ON.match(text, end) else None
    return index


def item_end(match: re.Match[str]) -> int:
    """Where the letter of a match that begins with `ITEM` ends, its brackets and full stop included."""
    return max(match.end("letter"), match.end("close"), match.end("dot"))


def read_named(place: str, known: Options) -> Named | None:
    """The options that the beginning of `place` names, None if it names none."""
    lead = _LEAD.match(place)
    start = lead.end() if lead else 0
    begun = read_leading(place[start:], known)[0]
    text = None if begun is None else Named((begun,), start, "text")
    first = _ITEM.match(place, start)
    index = read_item(first, known) if first else None
    if first is None or index is None:
        return text
    bare = not (first["dot"] or first["close"] or first["word"])
    if text and bare and text.only != index and len(known.words[text.indices[0]]) > 1:
        return text
    return _joined(place, start, (index, first.end()), known)


def _joined(place: str, start: int, first: tuple[int, int], known: Options) -> Named:
    """The letter that was found, with those that are joined to it by "and", "or" or a comma."""
    indices, end = [first[0]], first[1]
    while join := _JOIN.match(place, end):
        match = _ITEM.match(place[join.end() :])  # cut, so that the second letter of "B/C" does not see its slash
        index = read_item(match, known) if match and (match["letter"].isupper() or match["close"]) else None
        if match is None or index is None:
            break
        indices, end = [*indices, index], join.end() + match.end()
    distinct = tuple(dict.fromkeys(indices))
    if len(distinct) > 1 and (meant := _combination(known.read(place[start:end]), distinct, known)) is not None:
        return Named((meant,), end, "letter")
    return Named(distinct, end, "letter")


def _combination(said: Sequence[str], indices: Sequence[int], known: Options) -> int | None:
    """The option that stands for several others ("Both A and B", "All of the above"), if there is one."""
    wanted = [word for word in said if word not in _FILLER]
    for index, option in enumerate(known.words):
        if index not in indices and [word for word in option if word not in _FILLER] == wanted:
            return index
    others = set(range(len(known.texts))) - set(indices)
    if len(others) == 1 and _ALL.match(known.texts[min(others)]):
        return min(others)
    return None


def read_leading(place: str, known: Options) -> tuple[int | None, tuple[str, ...]]:
    """The option whose whole text `place` begins with (articles aside; the longest, if several), and two words more."""
    said = _without_article(known.read(place[:1000]))
    wanted = [_without_article(option) for option in known.words]
    found = [index for index, option in enumerate(wanted) if option and said[: len(option)] == option]
    if not found:
        return None, ()
    best = max(found, key=lambda index: len(wanted[index]))
    return best, said[len(wanted[best]) : len(wanted[best]) + 2]


def _without_article(said: tuple[str, ...]) -> tuple[str, ...]:
    return said[1:] if len(said) > 1 and said[0] in _ARTICLE else said


def read_option(place: str, index: int, known: Options) -> int:
    """How many characters of the beginning of `place` are the text of option `index`; 0 if it does not begin so."""
    plain = clean_text(known.texts[index])
    start = re.match(r"[\s:.,)\]-]*", place)
    begun = start.end() if start else 0
    same = plain and place[begun : begun + len(plain)].casefold() == plain.casefold()
    return begun + len(plain) if same else 0


def find_contradiction(place: str, index: int, known: Options) -> int | None:
    """The other option whose text, and nothing else, follows the letter of option `index`; None as a rule."""
    rest = place.split("\n", 1)[0]
    said = known.read(rest)
    sentence = known.read(_STOP.split(rest, maxsplit=1)[0])
    if not said or said[: len(known.words[index])] == known.words[index]:
        return None
    for other, option in enumerate(known.words):
        if other != index and option and option in (said, sentence):
            return other
    return None


def find_mentioned(text: str, known: Options) -> tuple[int, ...]:
    """The options whose whole text occurs in `text`, those aside that occur only inside a longer option's."""
    said = known.read(text)
    wanted = [_without_article(option) for option in known.words]
    taken: dict[int, int] = {}  # the size of the longest option that covers a word, by the word's place
    found: list[int] = []
    for index in sorted(range(len(wanted)), key=lambda index: -len(wanted[index])):
        size = len(wanted[index])
        starts = [at for at in range(len(said) - size + 1) if size and said[at : at + size] == wanted[index]]
        spots = [range(at, at + size) for at in starts]
        if any(taken.get(place, size) <= size for spot in spots for place in spot):
            found.append(index)
        for spot in spots:
            taken.update((place, max(size, taken.get(place, 0))) for place in spot)
    return tuple(sorted(found))


def lists_options(lines: list[str], known: Options) -> bool:
    """Whether a response is nothing but lines with a letter or an option each, and not always the same."""
    if not 1 < len(lines) <= len(known.texts):
        return False
    seen = [read_named(line, known) for line in lines]
    places = {named.only for named in seen if named is not None and named.only is not None}
    bare = all(
        named is not None
        and named.by == "letter"
        and (not any(map(str.isalnum, line[named.end :])) or known.read(line[named.end :]) in known.words)
        for line, named in zip(lines, seen, strict=True)
    )
    return bare and len(places) == len(lines)

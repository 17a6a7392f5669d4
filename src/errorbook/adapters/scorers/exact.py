"""The `exact` scorer: the announced answer as words, a number or signs, compared whole.

What counts as the same depends on the gold answer: one of the example's options is judged as `choice`, a number by its
value, yes or no (and their kin) by the word, signs such as a bracket sequence one by one without spaces, and all else
by its words in order. The answer stands after "the answer is" and its kin, else it is the whole response, its first or
its last line. A long response that announces nothing is `unscorable`. No synonyms and no extra words: use `contains`
if a sentence around the answer is fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from errorbook.adapters.scorers.accepted import score_accepted
from errorbook.adapters.scorers.announcements import translate
from errorbook.adapters.scorers.choice import Choice, gold_index, list_choices
from errorbook.adapters.scorers.letters import Options, clean_text, make_options
from errorbook.adapters.scorers.markers import find_boxed
from errorbook.adapters.scorers.notations import write_numbers
from errorbook.adapters.scorers.numbers import read_quantity
from errorbook.adapters.scorers.numeric import extract
from errorbook.adapters.scorers.replies import cut_reply
from errorbook.adapters.scorers.scripts import write_plainly
from errorbook.adapters.scorers.several import gold_options, score_options
from errorbook.adapters.scorers.statements import cut_relevant
from errorbook.adapters.scorers.words import words
from errorbook.checks.endings import is_cut_off, is_unfinished
from errorbook.records import Example, Score, Verdict

_PAIRS = (("yes", "no"), ("true", "false"), ("valid", "invalid"))
_MARKER = re.compile(
    r"####|\\(?:boxed|fbox) ?\{|<answer>|\bfinal answer\b(?: ?(?:is\b|[:=]))*"
    r"|\banswers?\b[\"']?(?: ?\([^()\n]{0,40}\))?(?:[:=]| [^.\n:=]{0,80}?\b(?:is|are|was|would be)\b ?:?)[ :]*",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+\u2212]?[0-9][0-9,]*(?:\.[0-9]+)?(?:/[0-9]+)?")
_SIGNS = re.compile(r"[^\w\n]+")
_QUOTES = " \"'\u201c\u201d\u2018\u2019.`:"
_CUTS = (re.compile(r"[.!?;](?:\s|\Z)"), re.compile(r"[,.!?;]? (?:because|since|as|which|so|not)\b|[,.!?;](?:\s|\Z)"))
_BULLET = re.compile(r"^(?:[0-9]{1,3}[.)]|[-*\u2022]) ", re.MULTILINE)
_TAIL = re.compile(r"(?:</answer>.*|\$)[.\s]*\Z|\A\$+")
_LETTERS = Options(texts=("",) * 8, words=((),) * 8)
"""The options of a question that does not list them."""
_REACH = 2000
_MOST = 50
_LONG = 40
_SENTENCE = 12
_FEW = 1
_WORKING = re.compile(r"[<>=\[\](){}0-9]|:\s")
_SHOWN = 160


class AnswerPlace(NamedTuple):
    """Where an answer may stand, and how it was found; `rest` is what follows on later lines."""

    method: str
    line: str
    rest: str = ""

    @property
    def announced(self) -> bool:
        """Whether the response itself says that its answer stands here."""
        return self.method in {"marker", "boxed"}


class Exact:
    """Right if the response's answer is the gold answer, case, spacing and punctuation aside.

    `markers` are words that announce an answer, besides those that are known.
    """

    def __init__(self, markers: tuple[str, ...] = ()) -> None:
        self._markers = markers

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "exact"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` if no answer can be read in it."""
        return score_accepted(self._score, example, text)

    def _score(self, example: Example, text: str) -> Score:
        known = make_options(list_choices(example))
        if gold_index(example.answer, known) is not None or gold_options(example.answer, known):
            return Choice(self._markers).score(example, text)
        translated = translate(cut_reply(text), self._markers)
        gold, plain = write_plainly(example.answer.strip()), clean_text(cut_relevant(translated.text))
        if several := gold_options(gold, _LETTERS):
            return score_options(several, plain, _LETTERS)
        if not words(gold):
            return _signs(gold, plain)
        if pair := next((pair for pair in _PAIRS if gold.casefold() in pair), None):
            return _either(gold.casefold(), pair, plain)
        if not _NUMBER.fullmatch(gold):
            return _words(gold, plain)
        scores = [_number(gold, clean_text(cut_relevant(form))) for form in write_numbers(translated)]
        return next((score for score in scores if score.verdict == "right"), scores[0])


def _places(text: str) -> list[AnswerPlace]:
    """The last announced answer alone if there is one, else the whole text, its first and its last line."""
    for place in _announced(text):
        line = next(find_boxed(f"\\boxed{{{place.line}")) if place.method == "boxed" else _TAIL.sub("", place.line)
        if words(line):
            return [place._replace(line=line)]
    lines = [line for line in text.split("\n") if line]
    if not lines:
        return []
    return [
        AnswerPlace("whole", "\n".join(lines)),
        AnswerPlace("first line", lines[0]),
        AnswerPlace("last line", lines[-1]),
    ]


def _announced(text: str) -> Iterator[AnswerPlace]:
    """What follows each marker, the last first: its first line that is not empty, and the rest of its paragraph."""
    end = len(text)
    for marker in reversed(list(_MARKER.finditer(text))[-_MOST:]):
        reach = text[marker.end() : min(end, marker.end() + _REACH)].strip()
        end = marker.start()
        line, _, rest = reach.partition("\n")
        method = "boxed" if marker.group().startswith("\\") else "marker"
        yield AnswerPlace(method, line, rest.partition("\n\n")[0])


def _forms(place: AnswerPlace) -> Iterator[str]:
    """What may be the answer at a place: the line, then less of it, then the paragraph as a list."""
    yield place.line
    for cut in _CUTS:
        yield cut.split(place.line, maxsplit=1)[0]
    if "\n" in place.line:
        yield _BULLET.sub("", place.line)
    if place.rest:
        yield _BULLET.sub("", f"{place.line}\n{place.rest}")


def _words(gold: str, text: str) -> Score:
    wanted, places = words(gold), _places(text)
    for place in places:
        for form in _forms(place):
            if words(form) == wanted:
                return _score("right", form, place)
    said = [place for place in places if words(place.line)]
    if not said or not (said[-1].announced or _is_answer(said[-1].line, text, len(wanted))):
        return Score(verdict="unscorable", method="none", evidence="The response announces no answer.")
    return _score("wrong", said[-1].line, said[-1])


def _is_answer(last: str, text: str, size: int) -> bool:
    """Whether the last line of a response that announces nothing is an answer of about `size` words, if a wrong one.

    The only line may be a sentence. Behind others it is the bare answer or a plain sentence with it: a line of working
    ("we now have: (1) barn < (4) dot"), or one that stops in the middle, answers nothing.
    """
    said = len(words(last))
    if text.strip() == last:
        return said <= size + _LONG and (said <= size or not is_cut_off(text))
    if is_unfinished(text) and said > size:
        return False
    return said <= size + _FEW or (said <= size + _SENTENCE and not _WORKING.search(last))


def _number(gold: str, text: str) -> Score:
    """By value: "24" is "24.0". Without a marker only a short line with one number in it counts."""
    wanted = read_quantity(gold)
    for place in _places(text):
        line = place.line[:_SHOWN]
        found = extract(f"Answer: {line}").quantity if place.announced else read_quantity(line)
        short = line == place.line and len(words(line)) <= 4 and not (place.method == "last line" and is_cut_off(text))
        if found is not None and (place.announced or short):
            return _score("right" if found == wanted else "wrong", place.line, place)
    return Score(verdict="unscorable", method="none", evidence="No number is announced.")


def _either(gold: str, pair: tuple[str, str], text: str) -> Score:
    """By the word of a pair that is announced, begins the response, or alone stands in its last full sentence."""
    for place in _places(text):
        said = words(place.line)
        if place.method == "whole" and len(said) > 1:
            continue
        if said and said[0] in pair and not _names_both(said, pair):
            return _score("right" if said[0] == gold else "wrong", said[0], place)
        if place.announced and (word := _only(_CUTS[0].split(place.line, maxsplit=1)[0], pair)):
            return _score("right" if word == gold else "wrong", word, place)
    last = re.split(r"(?<=[.!?])\s+", text.rstrip())[-1]
    if last.endswith((".", "!")) and "=" not in last and (word := _only(last, pair)):
        return _score("right" if word == gold else "wrong", word, AnswerPlace("last sentence", last))
    return Score(verdict="unscorable", method="none", evidence=f"Neither {pair[0]} nor {pair[1]} is announced.")


def _names_both(said: Sequence[str], pair: tuple[str, str]) -> bool:
    """Whether words begin with both of a pair: "yes or no", "yes and no", "Yes/No" and nothing behind."""
    joined = len(said) > 2 and said[1] in {"or", "and"} and said[2] in pair
    return joined or (len(said) == 2 and set(said) == set(pair))


def _only(sentence: str, pair: tuple[str, str]) -> str:
    """The one word of the pair in a sentence, turned round after "not"; empty for both or neither."""
    said = words(sentence)
    found = {(word, "not" in said[max(0, at - 2) : at]) for at, word in enumerate(said) if word in pair}
    if len(found) != 1:
        return ""
    [(word, turned)] = found
    if not turned:
        return "" if pair == ("yes", "no") and len(said) > 6 else word
    return pair[1 - pair.index(word)] if pair == ("valid", "invalid") else ""


def _signs(gold: str, text: str) -> Score:
    """By the signs in their order, spaces, quotes and a final full stop aside; announced words are no signs."""
    wanted = _bare(gold)
    for place in [*_announced(text), AnswerPlace("whole", text)] if wanted else []:
        line = place.line.rpartition("}")[0] if place.method == "boxed" else place.line.strip()
        found = _SIGNS.match(line)
        signs = found.group() if found else ""
        if _bare(signs) and (place.announced or signs == line):
            return _score("right" if _bare(signs) == wanted else "wrong", signs.strip(), place)
        if place.announced and words(line):
            return _score("wrong", line, place)
    return Score(verdict="unscorable", method="none", evidence="The response announces no signs.")


def _bare(signs: str) -> str:
    return "".join(signs.split()).strip(_QUOTES) if len(signs.strip()) > 1 else signs.strip()


def _score(verdict: Verdict, extracted: str, place: AnswerPlace) -> Score:
    return Score(verdict=verdict, extracted=extracted[:_SHOWN], method=place.method, evidence=place.line[:_SHOWN])

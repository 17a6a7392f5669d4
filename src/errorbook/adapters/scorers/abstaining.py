"""Responses that give no answer: they say that none can be given, or reject the only number that they found.

`find_abstention` reads the end of a response, so that a model that doubts and then answers has answered.
`declines` is wider and meant for questions that have no answer: there "the price isn't given" is an answer.
"""

from __future__ import annotations

import re

from errorbook.adapters.scorers.numbers import Reading, find_readings

_ENDING = 400
_LONGEST = 300
_SENTENCE = re.compile(r"[.!?]\s|\n")
_TURN = re.compile(
    r"[,;]? ?\b(?:but|however|although|though|so|therefore|thus|yet|still|nevertheless)\b", re.IGNORECASE
)
_UNABLE = (
    r"(?:\b(?:cannot|can ?not|could not|unable to|not able to|(?:im|not )possible to|no way (?:to|of)|no means of)"
    r"|\bcan't|\bcouldn't)"
)
_ADVERBS = r"(?: (?:be|accurately|exactly|directly|definitively|definitely|precisely|really|even|possibly|uniquely))*"
_FACTS = r"(?:information|info|data|details|facts|context)"
_ANSWER = r"(?:answer|solution|value|number|amount|result|conclusion|figure)"
_ABSTAINS = re.compile(
    rf"{_UNABLE}{_ADVERBS} (?:determin|calculat|comput|deduc|establish|inferr?|work(?:ed)? out|figured? out)\w*"
    rf"|{_UNABLE} be{_ADVERBS} (?:answered|known|solved|found|said|told|given|stated|concluded)\b"
    r"|\b(?:impossible|not possible|no way) to (?:answer|know|say|tell|find|solve)\b"
    rf"|{_UNABLE}{_ADVERBS} (?:answer|solve) (?:this|the|that|it)\b"
    rf"|(?:\bnot|n't)(?: (?:have|has|been|given|provided?|with|is|are|there|us|me|contain|include)){{0,3}}"
    rf" (?:enough|sufficient|adequate)(?: [a-z]+)? {_FACTS}"
    rf"|\b(?:insufficient|inadequate|(?:too|not much) little|missing (?:necessary )?|not enough) ?{_FACTS}"
    rf"|\b(?:without|need|needs|requires?) (?:any )?(?:more|further|additional) {_FACTS}"
    rf"|\b(?:more|further|additional) {_FACTS} (?:is|are|would be) (?:needed|required|necessary)"
    rf"|\b{_FACTS} (?:is|are) (?:insufficient|incomplete|missing|lacking|not (?:enough|sufficient|given|provided))"
    rf"|\bno (?:exact|definite|definitive|single|unique|specific|precise|certain|numerical|clear) {_ANSWER} "
    rf"(?:is possible|exists|can be|could be)|\b(?:lacks?|lacking) (?:the )?(?:necessary |required |enough )?{_FACTS}",
    re.IGNORECASE,
)
_HINTS = re.compile(
    r"[Cc]an(?:no|')t|an not|n't|[Nn]ot |possible|[Nn]o |nable|nformation|info|data|etails|acts|ontext|ithout"
)
_DECLINES = re.compile(
    rf"{_ABSTAINS.pattern}"
    rf"|{_UNABLE}(?: be)?{_ADVERBS} (?:answer(?:ed)?|known?|solved?|say|tell|find|found)\b"
    r"|(?:\bnot|n't|\bnever)(?: \w+){0,2}? (?:provided?|specif(?:y|ied)|mention(?:ed)?|known?|stated?|given|told"
    r"|said|say"
    r"|listed|disclosed|included?)\b"
    r"|\bmissing (?:necessary )?information|\bno way to\b|\bnone\b|\bunknown\b|\bunspecified\b|\bundefined\b",
    re.IGNORECASE,
)
_NUMBER_IS_NOT = re.compile(
    r"\b(?:(?:cannot|can ?not|could not|can't|couldn't) (?:really |possibly |actually )?be|(?:is|was|are"
    r"|were) (?:clearly "
    r"|certainly |obviously )?not|isn't|wasn't|aren't) (?:the answer|right|correct|exactly )?(?:equal to )?"
    r"(?:just |only |simply )?\$?\Z"
    r"|\b(?:reject|discard|exclude|dismiss|rule out)(?:s|ed|ing)? (?:the )?(?:(?:solution|value|root|case) )?"
    r"(?:\$?[a-z] ?= ?)?\$?\Z",
    re.IGNORECASE,
)
_IS_REJECTED = re.compile(
    r"(?:[^.!?\n,;]{0,40}?|,? (?:but|yet|which|and) [^.!?\n,;]{0,20}?)"
    r"(?:\b(?:is|was|are|would be|seems|must be) (?:clearly |obviously |therefore |also |an? )?"
    r"(?:impossible|wrong|incorrect|nonsens\w*|absurd|not possible|not (?:a )?(?:correct|right|valid|sensible"
    r"|realistic)"
    r"|inconsistent|invalid|unreasonable|contradict\w*)"
    r"|\b(?:cannot|can't|can not|could not|couldn't) be (?:right|correct|true|the (?:correct |right )?answer)"
    r"|\b(?:does not|doesn't|makes no|do not|don't|did not|didn't) (?:make (?:any )?)?(?:sense|fit|work))",
    re.IGNORECASE,
)


def find_abstention(clean: str) -> str:
    """The sentence in which a tidied response says that no answer can be given, if no number comes after it."""
    end = clean[-_ENDING:].replace("\u2019", "'")
    if not _HINTS.search(end):
        return ""
    clean = clean[-_ENDING:]
    for says in reversed(list(_ABSTAINS.finditer(end))):
        rest = _SENTENCE.split(clean[says.start() :], maxsplit=1)
        if len(rest) > 1 and find_readings(rest[1]):
            return ""
        turn = _TURN.search(rest[0], says.end() - says.start())
        return "" if turn and find_readings(rest[0][turn.end() :]) else rest[0]
    return ""


def find_decline(clean: str) -> str:
    """The words in which the end of a response says, or hints, that its question cannot be answered."""
    says = _DECLINES.search(clean[-_ENDING:].replace("\u2019", "'"))
    return says[0] if says else ""


def is_rejected(text: str, number: Reading) -> bool:
    """Whether the sentence of a number says that this is not the answer: "The price cannot be $11"."""
    before = text[max(0, number.start - 60) : number.start].replace("\u2019", "'")
    before = before.rpartition("\n")[2]
    if _NUMBER_IS_NOT.search(before):
        return True
    after = text[number.end : number.end + _LONGEST].replace("\u2019", "'").partition("\n")[0]
    return bool(_IS_REJECTED.match(after))

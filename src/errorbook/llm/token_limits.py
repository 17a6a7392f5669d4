"""How many tokens a reply may take, out of the words with which a server has refused a request for more.

Every provider says it in its own words, with the numbers of other things beside it: of the model's name, of what was
asked for, of the prompt, of the context. Pure: it reads a sentence.
"""

from __future__ import annotations

import re

from errorbook.llm.refusals import Complaint

_MODEL = re.compile(r"\b[a-z][\w.]*(?:[-/][\w.]+)+")
"""A name with a hyphen or a slash, as models have: its numbers are none of tokens."""
_NUMBER = (
    r"(?<![\w.#])(?:(?<![\[(])\d{1,3}(?:[,_\u202f]\d{3})+|\d+)(?:\.0+)?(?:\s?k)?"
    r"(?![\w\-]|\.\d|,\d{3}\b| thousand)"
)
_ABOUT = re.compile(r"tokens\b|context|n_ctx")
_UPPER = re.compile(
    r"(?:at most|up to|maximum|\bmax\b|less than or equal to|<=|\u2264|no more than|(?:not|cannot|can't) exceed"
    r"|limit(?:ed)?|between|range|supports?|(?:must|should|has to) be|less than|smaller than|lower than|below|under|<|>"
    r"|larger than|greater than|exceeds)"
    rf"(?:[^\d.;]|\.(?!\s)){{0,60}}?({_NUMBER})(?:\s?(?:\(inclusive\)\s?)?(?:and|to|,|-|\u2013|\.\.+)\s?({_NUMBER}))?"
)
"""An upper limit, or a range with one."""
_BELOW = re.compile(r"(?:less|smaller|lower) than(?! or equal)|\bbelow\b|\bunder\b|(?<![<>=])<(?!=)|\(exclusive\)")
_CONTEXT = re.compile(
    rf"(?:context|n_ctx|total (?:tokens|length)|sequence length)[^\d.;]{{0,60}}?({_NUMBER})"
    rf"|({_NUMBER})[- ]?(?:tokens? )?context|\+ `?max_new_tokens[^\d.;]{{0,30}}?({_NUMBER})"
)
_SUMS = (
    re.compile(rf"({_NUMBER})\s*>\s*(?P<whole>{_NUMBER})\s*-\s*(?P<read>{_NUMBER})"),
    re.compile(rf"(?P<read>{_NUMBER})\s*\+\s*({_NUMBER})\s*>\s*(?P<whole>{_NUMBER})"),
)
_READ = re.compile(
    rf"({_NUMBER})(?: tokens?)? (?:in|from|of|for) (?:the |your )?(?:messages?|prompt|text|inputs?)\b"
    rf"|({_NUMBER}) `?(?:input|prompt|inputs|message)`?(?: tokens?)?\b"
    rf"|(?:input|prompt|messages?)\b(?: \w+){{0,3}}(?: \(| of| is| has|:|=| contains?| resulted in| with)* ?({_NUMBER})"
)
_WANTED = re.compile(rf"(?:request(?:ed|s)?|total|sum|need\w*|asks? for)[^\d.;]{{0,40}}?({_NUMBER})")


def read_most(complaint: Complaint, sent: int, prompt_bytes: int) -> int:
    """The most tokens of a reply that a refusal of `sent` tokens leaves room for; 0 if it tells no lower limit.

    If it tells the length of the context, what the prompt takes of it is subtracted, and a little more, since the next
    prompt may be longer. A room that is too little for a reply is none: then this one prompt is too long.
    """
    said = _MODEL.sub(" ", complaint.words.lower())
    if not _ABOUT.search(said):
        return 0
    room = _read_room(said, sent, prompt_bytes)
    if room:
        room -= room // 16
        return room if sent // 16 < room < sent else 0
    for found in _UPPER.finditer(said):
        told = [_number(one) for one in found.groups() if one]
        exclusive = _BELOW.search(found[0]) or said[found.end() :].lstrip().startswith("(exclusive)")
        most = max(told) - bool(exclusive)
        if 16 <= most < sent:
            return most
    return 0


def _read_room(said: str, sent: int, prompt_bytes: int) -> int:
    """What a context leaves for a reply; 0 if none is told, or if the prompt fills it."""
    for form in _SUMS:
        if found := form.search(said):
            return max(0, _number(found["whole"]) - _number(found["read"]))
    context = max((_number(one[1] or one[2] or one[3]) for one in _CONTEXT.finditer(said)), default=0)
    if not context:
        return 0
    read = next((_number(next(filter(None, one.groups()))) for one in _READ.finditer(said)), 0)
    if read > 0 and read != sent:
        return max(0, context - read)
    wanted = max((_number(one[1]) for one in _WANTED.finditer(said)), default=0)
    if wanted > max(context, sent):
        return max(0, sent - (wanted - context))
    return max(0, context - 64 - prompt_bytes // 3)


def _number(text: str) -> int:
    """`16,384`, `16_384`, `16384.0` and `32k` as numbers; a k is taken for 1,000, which is never too many."""
    thousands = text.rstrip().endswith("k")
    digits = re.sub(r"\D", "", text.partition(".")[0])
    return int(digits) * (1000 if thousands else 1)

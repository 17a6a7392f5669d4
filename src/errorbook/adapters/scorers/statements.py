r"""Where a response commits itself to an option: "the answer is B", "\boxed{B}", "option B is correct", "B. Paris".

The forms are tried in the order of how plainly they announce an answer, and within one form the last statement counts,
since a model that corrects itself does so later; a letter is never taken because it comes first. A statement of two
options is an answer to neither. Patterns are bounded, and of a long text only the beginning and the end are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from errorbook.adapters.scorers.letters import (
    ITEM,
    Options,
    find_contradiction,
    find_mentioned,
    lists_options,
    read_item,
    read_leading,
    read_named,
)
from errorbook.checks.endings import is_unfinished, is_waiting, last_piece

_IS = r"(?:is|are|was|would be|will be|should be|must be|could be|can be|has to be|seems to be|appears to be|being)\b"
_GAP = r"(?:[^.\n:=]|\.(?=[0-9]))"
_GOOD = r"(?:correct|right|best|closest|(?:most|least) \w+(?: \w+)?|only(?: \w+)?)"
_THING = r"(?:answer|option|choice|statement|alternative|response|one|match|fit)s?"
_ANNOUNCED = re.compile(
    rf"####|\\(?:boxed|fbox) ?\{{|\[\[|<answer>|\bfinal answer\b(?: ?(?:{_IS}|[:=])+)?"
    rf"|\banswers?\b[\"')]*{_GAP}{{0,160}}?(?:\b{_IS}(?: thus| therefore| clearly)?[ :]*|[:=\u2192]|->)"
    rf"|\b(?:the|my|final) answer(?= \(?[A-Z]\)?[.,]?(?:\s|\Z))"
    rf"|\b{_GOOD} {_THING}\b(?:{_GAP}{{0,160}}?\b{_IS}[ :]*| ?(?:[:=\u2192]|->))"
    r"|\b(?:my|the) (?:final )?(?:choice|pick|selection|letter)\b ?(?:is\b|:)"
    r"|\b(?:I|we)(?: would| will|'d|'ll| must| should)? (?:choose|select|pick|go with|answer|suggest|guess|say)\b:?",
    re.IGNORECASE,
)
_LIKELY = r"likely|probable|plausible|reasonable|fitting|appropriate|suitable|accurate|logical"
_PRAISE = re.compile(
    r"(?P<verb>,? (?:is|are|was|would be|would also be|can be considered|must be|should be|seems|appears|could be"
    r"|might be"
    r"|may be))\b"
    r"(?: (?:also|likely|probably|therefore|thus|indeed|definitely|clearly|generally|considered|be|to)){0,4} "
    rf"(?P<not>not |n't )?(?:the |a |an |our |my )?"
    rf"(?:(?P<thing>{_GOOD} (?:and \w+ \w+ )?{_THING})\b|(?:correct|right|answer)\b"
    rf"|(?P<best>(?:more|most|best) (?:{_LIKELY})|best (?:guess|bet|fit|match|choice)|safest\b))",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"(?:\b(?:is|are|be|was|were|=|called|known as)|=|:)"
    r"(?: (?:most|more|very|likely|probably|called|known as|the term))*[ \"'\u201c]+",
    re.IGNORECASE,
)
_VERBS = frozenset({"is", "are", "was", "were", "would", "does", "do", "did", "can", "has", "have"})
_FORMULA = re.compile(r"[=/*^+]")
_DENIAL = re.compile(r"\b(?:not|no|never|cannot|neither|nor)\b|n't\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[.!?;]\s|\b(?:is|are|not|because|while|but)\b")
_OPTION = re.compile(r"option|choice|answer|letter|alternative", re.IGNORECASE)
_START = re.compile(r"\W*(?:(?:therefore|thus|hence|so|and|then|only|that|clearly)\b\W*)*", re.IGNORECASE)
_NONE_OF = re.compile(r"\b(?:none|neither|no one) (?:of )?(?:the |these )?(?:\w+ ){0,4}[(:]{0,2} ?\Z", re.IGNORECASE)
_IF = re.compile(r"\b(?:if|unless|suppos(?:e|ing)|assuming|in case|otherwise|in that case|were|had)\b", re.IGNORECASE)
_WOULD = re.compile(r"\b(?:would|could|might)\b", re.IGNORECASE)
_LETTER_LAST = re.compile(r"(?:\(|\b(?:option|choice|is) )[A-Z]\)?\Z")
_STEP = re.compile(r"^\(?[0-9]{1,2}[.)] [^\n]*\n?", re.MULTILINE)
_NOT_OFFERED = re.compile(
    r"[\s\"':*]*(?:(?P<word>option|choice|letter) )?(?:(?P<open>[(\[])(?P<inside>[A-Z])[)\]]"
    r"|(?P<bare>[A-HJ])(?=[.,;!)}]{0,3}\$?\s*(?:\Z|\n)))"
)
_HYPOTHETICAL = re.compile(
    r"\b(?:if|whether|why|unless|suppose|assuming|wrong|incorrect|might think|may think|not the|isn't the|not an"
    r"|another|reason for this|for this|each|that the)\b[^.\n,;]{0,25}\Z"
    r"|\bif (?:it|this|that|the \w+) (?:were|was|had|is|are)\b[^.\n;]{0,60}\Z",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\W*(?:not|n't|never|neither|no longer|cannot|incorrect|wrong|unclear|unknown)\b", re.IGNORECASE)
_NONE = re.compile(
    r"\W*(?:none\b|not (?:\w+ )?(?:among|provided|listed|included|present|given|available|any|in|one of|found)\b"
    r"|no (?:\w+ )?(?:correct |right |suitable )?(?:answer|option|choice)\b)",
    re.IGNORECASE,
)
_NO_OPTION = re.compile(
    r"\bnone of (?:the|these|those|them|your)\b(?: \w+)? ?(?:options?|choices?|answers?|above|alternatives|statements)?"
    r"|\b(?:options?|choices?|answers?)\b[^.\n]{0,60} (?:do(?:es)? not|don't|doesn't) (?:include|match|contain)"
    r"|\b(?:no|not)(?! (?:known|clear|possible|able|enough|sufficient|sure))(?:(?!determin|decid|tell\b"
    r"|certain)[^.\n]){0,60}"
    r"\b(?:among|in|from|listed in) the (?:given |provided |listed |available |answer )*(?:options|choices)",
    re.IGNORECASE,
)
_EITHER = re.compile(r"\b(?:or|either|nor)\b", re.IGNORECASE)
_HEAD = re.compile(rf"\s*{ITEM}", re.IGNORECASE)
_MENTION = re.compile(ITEM, re.IGNORECASE)
_PREDICATE = re.compile(r"(?:\b(?:is|are|be|was|as|being|with)|:)(?: likely| probably)?\s*\Z", re.I)
_NOT_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|nor|neither|never|unlike|than|eliminate|rule out)|n['\u2019]t)(?: possibly| really)?(?: be)?"
    r"\s*(?:the )?\Z",
    re.IGNORECASE,
)
_CONCLUDED = re.compile(
    r"\b(?:it|this|that)(?:['\u2019]s| is| must be| should be| has to be| would be) "
    r"|\b(?:so|hence|thus|therefore|leaving|leaves(?: us with)?),? ",
    re.IGNORECASE,
)
_ALONE = re.compile(r"\(?[A-HJ-Z]\)?(?=[.,;!]|\s*(?:\Z|\n)| (?:because|since|as)\b)(?!, (?:[A-Z]|and|or)\b)")
_REASON = re.compile(r",? (?:because|since|as)\b")
_YES_OR_NO = frozenset({"yes", "no", "true", "false"})
_STOPS = re.compile(r"\W*\w+ ?[,.!;:\u2014](?! (?:and|or|yes|no)\b)")
_TICKS = "\u2705\u2714\u2611\ufe0f\u27a1\u2192\U0001f449 "
_REJECTED = re.compile(
    r"[^.\n]{0,120}?\b(?:is|are|was|would be)(?: \w+)? (?:incorrect|wrong|not (?:\w+ )?(?:correct|right|true|the))"
    r"|[^.\n]{0,40}\b(?:incorrect|wrong)\b",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"(?<![.:)\]])[ ,]{0,2}(?:if\b|(?:is|was) (?:not correct|incorrect|wrong|not)\b|[^\n,;.]{0,40}\bis incorrect\b)",
    re.IGNORECASE,
)
_OR_ELSE = re.compile(r"[^\n]{0,200}\n+\s*or\b[\s:]*\(?[A-Z][.):]")
_UNDECIDED = re.compile(
    r"\b(?:difficult|impossible|not possible|hard|unable|cannot|can't|can not)\b[^.\n]{0,40}"
    r"\b(?:say|determined?|tell|decide|choose|know|provide|answer(?:ed)?)\b",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"\b(?:therefore|thus|hence|so|in conclusion|in summary|consequently|overall)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"\u201d)]))(?<!\b[A-Za-z]\.)\s+|\n+")
_RUN_ON = re.compile(
    r"^ ?(?:Q:|Question:|Question [0-9]+:|Human:|User:|#+ ?(?:Instruction|Question|Input|Problem)\b)", re.MULTILINE
)
_MOST = 50
_WINDOW = 8_000
_REACH = 300
_SHOWN = 160


class Statement(NamedTuple):
    """What a response commits itself to: an option, or none (`option` None), by which method, in which words.

    `refused` says that the statement names two options, or a letter with another option's text; `several` are the
    options that it names together ("A and C").
    """

    option: int | None
    method: str
    evidence: str
    refused: bool = False
    several: tuple[int, ...] = ()


def find_statement(text: str, known: Options) -> Statement | None:
    """The last of a cleaned response's plainest statements; None if it commits itself to nothing."""
    text = cut_relevant(text)
    for find in (_announced, _opening, _concluded, _not_offered):
        if found := find(text, known):
            return found
    return _no_option(text, known) if _undecided(text, known) else _settled(text, known)


def _settled(text: str, known: Options) -> Statement | None:
    """What a response comes to that announces nothing, unless it is cut off before it comes to anything."""
    if found := _predicated(text, known):
        return found
    last = last_piece(text)
    if is_unfinished(text) and (is_waiting(text) or last.endswith(":") or not _ends_with_option(last, known)):
        return None
    return _by_mention(text, known) or _by_text(text, known) or _no_option(text, known)


def _concluded(text: str, known: Options) -> Statement | None:
    """The letter that a response comes to: "so C", "that leaves C", "it must be C, since ..."."""
    for lead in reversed(list(_CONCLUDED.finditer(text))[-_MOST:]):
        alone = _ALONE.match(text, lead.end())
        option = known.place(alone[0].strip("()")) if alone else None
        if option is not None and not _is_hypothetical(text, lead.start(), lead[0]):
            return Statement(option, "stated", _line(text, lead.start()))
    return None


def _not_offered(text: str, known: Options) -> Statement | None:
    """A short response that is a letter which no option has."""
    return Statement(None, "announced", text) if len(text) < _SHOWN and _names_no_option(text, known) else None


def _ends_with_option(piece: str, known: Options) -> bool:
    """Whether a last piece without a full stop is an answer all the same, because an option ends it."""
    said = known.read(piece)
    return any(option and said[-len(option) :] == option for option in known.words) or bool(_LETTER_LAST.search(piece))


def _undecided(text: str, known: Options) -> bool:
    """Whether a response ends by saying that it cannot tell, and no option says so."""
    end = text.rstrip()[-400:]
    return bool(_UNDECIDED.search(end)) and not any(_UNDECIDED.search(option) for option in known.texts)


def cut_relevant(text: str) -> str:
    """The text up to where a base model goes on with a question of its own, without the middle where it is long."""
    run_on = _RUN_ON.search(text, len(text) - len(text.lstrip()) + 1)
    text = text[: run_on.start()] if run_on else text
    return text if len(text) <= 2 * _WINDOW else f"{text[:_WINDOW]}\n{text[-_WINDOW:]}"


def _announced(text: str, known: Options) -> Statement | None:
    found = [*_forward(text, known), *_praised(text, known)]
    return max(found, key=lambda pair: pair[0])[1] if found else _last_line(text, known)


def _forward(text: str, known: Options) -> Iterator[tuple[int, Statement]]:
    """What follows "the answer is" and its kin."""
    for marker in _find_markers(text):
        place = text[marker.end() : marker.end() + 600]
        seen = read_named(place, known)
        if seen is None and (_NONE.match(place) or _names_no_option(place, known)):
            yield marker.start(), Statement(None, "announced", _line(text, marker.start()))
        elif seen is None and not _NEGATED.match(place):
            sentence = _SENTENCE.split(place.strip(), maxsplit=1)[0]
            inside = find_mentioned(sentence, known) if len(sentence) > 3 else ()
            if len(inside) == 1:
                yield marker.start(), Statement(inside[0], "announced text", _line(text, marker.start()))
        elif seen is not None and not _TAKEN_BACK.match(place, seen.end):
            yield marker.start(), _judge(text, marker.start(), (place[seen.end :], seen.indices), known)


def find_places(text: str) -> Iterator[str]:
    """What follows each announcement of an answer, the last first."""
    for marker in reversed(_find_markers(text)):
        yield text[marker.end() :]


def _find_markers(text: str) -> list[re.Match[str]]:
    """The last announcements of a text, but for hypothetical ones."""
    found = list(_ANNOUNCED.finditer(text))[-_MOST:]
    return [marker for marker in found if not _is_hypothetical(text, marker.start(), marker[0])]


def _is_hypothetical(text: str, at: int, said: str) -> bool:
    """Whether what is said at a place holds only under a condition: "if it were wrong, the answer would be"."""
    if _HYPOTHETICAL.search(text[max(0, at - 60) : at]):
        return True
    sentence = _SENTENCE.split(text[max(0, at - _REACH) : at])[-1]
    return bool(_WOULD.search(said) and _IF.search(sentence))


def _names_no_option(place: str, known: Options) -> bool:
    """Whether a letter is announced that no option has: "(G)" of two options, or "E" of four; not an x or a Z."""
    said = _NOT_OFFERED.match(place)
    return said is not None and len(known.texts) > 0 and known.place(said["inside"] or said["bare"]) is None


def _judge(text: str, at: int, read: tuple[str, tuple[int, ...]], known: Options) -> Statement:
    """A statement of the options that were read, refused if they are two or its text is another option's."""
    rest, indices = read
    if len(indices) > 1 or _OR_ELSE.match(rest):
        several = () if _EITHER.search(text, at, len(text) - len(rest)) else indices
        return Statement(None, "two options", _line(text, at), refused=True, several=several)
    if find_contradiction(rest, indices[0], known) is not None:
        return Statement(None, "letter against text", _line(text, at), refused=True)
    return Statement(indices[0], "announced", _line(text, at))


def _praised(text: str, known: Options) -> Iterator[tuple[int, Statement]]:
    """What is called the answer, as in "option B is the correct answer" and "Paris is the right choice"."""
    for praise in list(_PRAISE.finditer(text))[-_MOST:]:
        subject = _SENTENCE.split(text[max(0, praise.start() - _REACH) : praise.start()])[-1]
        if praise["not"] or _is_hypothetical(text, praise.start(), praise["verb"]):
            continue
        if found := _subject(subject, known, bool(praise["thing"] or praise["best"])):
            yield praise.start(), found._replace(evidence=_line(text, praise.start() - len(subject)))


def _subject(subject: str, known: Options, thing: bool) -> Statement | None:
    """The statement made by calling `subject` the answer (`thing`), or just correct."""
    groups, end = [], 0
    for match in _MENTION.finditer(subject):
        if (
            match.start() >= end
            and read_item(match, known) is not None
            and (seen := read_named(subject[match.start() :], known))
        ):
            end = match.start() + seen.end
            groups.append((match, seen.indices, end))
    for match, indices, end in reversed(groups[-_MOST:]):
        before, word = subject[: match.start()], match["word"] or ""
        if _CLAUSE.search(subject, end) or _HYPOTHETICAL.search(before):
            continue
        if _NONE_OF.search(before):
            return Statement(None, "announced", "")
        plain = thing or _OPTION.match(word) or (not word and _START.fullmatch(before))
        if not plain or _NOT_BEFORE.search(before):
            return None
        if len(indices) == 1:
            return Statement(indices[0], "announced", "")
        either = _EITHER.search(subject, match.start(), end)
        return Statement(None, "two options", "", refused=True, several=() if either else indices)
    inside = find_mentioned(subject, known) if thing else ()
    return Statement(inside[0], "announced text", "") if len(inside) == 1 else None


def _last_line(text: str, known: Options) -> Statement | None:
    """A last line that is a letter and nothing else."""
    lines = [line for line in text.split("\n") if line]
    if lists_options(lines, known):
        return Statement(None, "two options", text[:_SHOWN], refused=True)
    seen = read_named(lines[-1], known) if len(lines) > 1 else None
    if seen is None or seen.by != "letter" or any(map(str.isalnum, lines[-1][seen.end :])):
        return None
    if seen.only is None:
        return Statement(None, "two options", lines[-1][:_SHOWN], refused=True)
    return Statement(seen.only, "last line", lines[-1][:_SHOWN])


def _opening(text: str, known: Options) -> Statement | None:
    """A response that opens with a letter or with one option's text alone, unless it goes through the options."""
    lines = [line for line in text.split("\n") if line]
    if not lines:
        return None
    lines[0] = lines[0].lstrip(_TICKS)
    head = _HEAD.match(lines[0])
    if head is not None and read_item(head, known) is not None:
        return _opening_letter(text, lines, head, known)
    for part in (lines[0], *lines[1:][-1:]):
        if (said := known.read(part)) and known.words.count(said) == 1:
            return Statement(known.words.index(said), "opening text", part[:_SHOWN])
    if (said := known.read(lines[0])[:1]) and said in known.words and said[0] in _YES_OR_NO and _STOPS.match(lines[0]):
        return Statement(known.words.index(said), "opening text", lines[0][:_SHOWN])
    whole = find_mentioned(lines[0], known)
    if len(whole) == 1 and len(lines[0]) < len(known.texts[whole[0]]) + 12 and not _NEGATED.match(lines[0]):
        return Statement(whole[0], "opening text", lines[0][:_SHOWN])
    return None


def _opening_letter(text: str, lines: list[str], head: re.Match[str], known: Options) -> Statement | None:
    seen = read_named(lines[0], known)
    if seen is None or _is_list(lines, read_item(head, known) or 0, known) or _TAKEN_BACK.match(lines[0], seen.end):
        return None
    rest = lines[0][seen.end :]
    if head["dot"] or head["close"] or head["word"] or _REASON.match(rest) or not any(map(str.isalnum, rest)):
        found = _judge(text, 0, (rest, seen.indices), known)
        return found if found.refused else found._replace(method="opening")
    return None


def _is_list(lines: list[str], index: int, known: Options) -> bool:
    """Whether the line after the first one begins with the next option's letter."""
    match = _HEAD.match(lines[1]) if len(lines) > 1 else None
    return match is not None and read_item(match, known) == index + 1 and bool(match["dot"] or match["close"])


def _mentions(text: str, known: Options) -> Iterator[tuple[int, int, bool]]:
    """Letters that are marked as such ("(B)", "option B", "B. <its text>"): start, option, and whether after "is"."""
    end = 0
    found = [match for match in _MENTION.finditer(text) if read_item(match, known) is not None]
    for match in found if len(found) <= 2 * _MOST else [*found[:_MOST], *found[-_MOST:]]:
        option = read_item(match, known)
        listed = read_named(text[match.start() : match.start() + 80], known)
        if listed is not None and len(listed.indices) > 1:
            end = match.start() + listed.end
        if option is None or match.start() < end:
            continue
        before = text[max(0, match.start() - 30) : match.start()]
        after_is = bool(_PREDICATE.search(before))
        labelled = bool(match["dot"]) and read_leading(text[match.end() :][:600], known)[0] == option
        bracketed = match["open"].endswith("(") and match["close"].startswith(")")
        if not (labelled or bracketed or match["word"] or (match["dot"] and after_is)) or _NOT_BEFORE.search(before):
            continue
        if labelled or not _REJECTED.match(text, match.end()):
            yield match.start(), option, after_is


def _predicated(text: str, known: Options) -> Statement | None:
    """The one letter that something is said to be, or the concluding one: "the most likely diagnosis is B. Angina"."""
    found = [(at, index) for at, index, predicate in _mentions(text, known) if predicate]
    return _one_of(text, found, "stated")


def _by_mention(text: str, known: Options) -> Statement | None:
    """The one letter that the whole response mentions, or else its conclusion, or else its first sentence."""
    return _one_of(text, [(at, index) for at, index, _ in _mentions(text, known)], "mentioned")


def _one_of(text: str, found: list[tuple[int, int]], method: str) -> Statement | None:
    if len({index for _, index in found}) == 1:
        return Statement(found[-1][1], method, _line(text, found[-1][0]))
    for start, end in _deciding(text):
        inside = [(at, index) for at, index in found if start <= at < end]
        if len({index for _, index in inside}) == 1:
            return Statement(inside[-1][1], method, _line(text, inside[-1][0]))
    return None


def _by_text(text: str, known: Options) -> Statement | None:
    """The option whose text the conclusion or the first sentence gives, or the only one that the response contains.

    Numbered steps ("(1) The owl is the leftmost") copy premises and tell what is so in between; they conclude nothing.
    """
    if len(_STEP.findall(text)) > 1:
        text = _STEP.sub("", text)
    spans = list(_deciding(text))
    for start, end in spans:
        if (option := _said_to_be(text, start, end, known)) is not None:
            return Statement(option, "option text", text[start:end][-_SHOWN:])
    for start, end in spans:
        option, after = read_leading(text[start:end], known)
        if option is not None and after[:1] and after[0] in _VERBS and (after[1:] == ("not",)) == known.denied:
            return Statement(option, "option text", text[start:end][:_SHOWN])
    if any(len(words) < 2 and len("".join(words)) < 4 for words in known.words):
        return None  # such as numbers, which occur in every calculation
    for start, end in ((0, len(text)), *spans):
        inside = find_mentioned(text[start:end], known)
        if len(inside) == 1 and (known.denied or not _DENIAL.search(text, start, min(end, start + _WINDOW))):
            return Statement(inside[0], "option text", text[start:end][:_SHOWN])
    return None


def _said_to_be(text: str, start: int, end: int, known: Options) -> int | None:
    """The option whose text follows an "is" or "=" of a sentence; one as short as a number must end it."""
    for verb in reversed(list(_VERB.finditer(text, start, end))[-_MOST:]):
        said = text[verb.end() : min(end, verb.end() + _REACH)]
        option, _ = read_leading(said, known)
        if option is None or (_NEGATED.match(said) and not known.denied):
            continue
        wanted = known.words[option]
        if len("".join(wanted)) > 4 or (len(known.read(said)) <= len(wanted) + 1 and not _FORMULA.search(said)):
            return option
    return None


def _no_option(text: str, known: Options) -> Statement | None:
    """A response that says that no option is right."""
    found = list(_NO_OPTION.finditer(text))[-1:]
    line = _line(text, found[0].start()) if found else ""
    return Statement(None, "no option", line) if line and "definitive" not in line else None


def _deciding(text: str) -> Iterator[tuple[int, int]]:
    """The last concluding sentence, then the last sentence, then the first one, each as a span."""
    spans, start = [], 0
    for gap in [*_SENTENCE.finditer(text), None]:
        end = gap.start() if gap else len(text)
        if end > start:
            spans.append((start, end))
        start = gap.end() if gap else end
    concluding = [span for span in spans if _CONCLUDES.search(text, *span)]
    yield from concluding[-1:]
    yield from spans[-1:]
    yield from spans[:1]


def _line(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    return text[max(start, at - 60) : at + _SHOWN].split("\n\n", 1)[0][:_SHOWN]

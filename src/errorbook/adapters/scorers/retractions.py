r"""What a response takes back: "The answer is 10. Wait, no, it should be 12" says 12.

A plain retraction ("wait, no", "oops", "correction:") withdraws what stands before it; a mere "actually" or "sorry"
does so only if another answer of the same kind, a number or a letter, follows at once. "Not B but C" says C. What is
read in the rest is the scorers' business. It knows English only, and takes "let me check" for no retraction.
"""

from __future__ import annotations

import re

_IS = r"(?:['\u2019]s| is| was| are| should be| should have been| must be| would be| has to be)"
_IT = (
    r"(?:it|this|that|(?:the|my) (?:(?:correct|right|actual|real|final|corrected) )?"
    r"(?:answer|total|result|number|value|sum|amount|option|choice|one|letter))"
)
_WRONG = r"(?:wrong|incorrect|not right|not correct|not it|a mistake|an error)"
_PLAIN = re.compile(
    r"(?:\A|(?<=[.!?\u2026)\]}*$\u2014\u2013;,\n])|(?<=[.!?\u2026)\]}*$\u2014\u2013;,-] ))"
    r"(?:(?:oh|hm+|ah|uh|but|no)[,.!\u2026]* )?"
    r"(?:(?:wait|hold on|hang on|hm+|oops|whoops)[,.!\u2026\u2014 -]*"
    r"(?:no\b(?! problem)|sorry\b|(?:that|this|it)(?:['\u2019]s| is| was) " + _WRONG + r"\b"
    r"|I (?:made|forgot|misread|miscounted|miscalculated|missed|was wrong)\b[^.:\n]{0,60}[.:]?)"
    r"|no,? wait\b|oops\b|whoops\b|scratch that\b|my (?:mistake|bad)\b|correction:|on second thought\b"
    r"|I made an? (?:\w+ )?(?:mistake|error)\b[^.:\n]{0,60}[.:]?"
    r"|let me (?:correct|fix|rephrase) (?:that|this|it|myself|my \w+)\b)",
    re.IGNORECASE,
)
_SLIGHT = re.compile(
    r"(?:[.!?\u2026)\]}*$\u2014\u2013;,\n]| -)[ \n]*"
    r"(?:(?:(?:actually|sorry|rather|hm+|I meant?|or rather)[,:.!\u2026]*|no[,:.!\u2026]+) )+"
    rf"(?:{_IT}{_IS} )?(?=\**\(?(?:[-+$\u20ac\u00a3\u2212]{{0,2}}(?P<number>[0-9])"
    r"|(?P<letter>(?-i:[A-Z]))\)?\**(?=[.,;!\n]|\Z)))",
    re.IGNORECASE,
)
_SAYS = re.compile(
    rf"[\s,.:;!\u2026\u2014\u2013*-]*(?:(?:so|then|rather|actually),? )?(?:{_IT}{_IS}|I meant?|make (?:it|that)) ?:? ?",
    re.IGNORECASE,
)
_CONFIRMS = re.compile(
    rf"[\s,.:;!\u2026\u2014-]*(?:actually,? )?(?:{_IT}{_IS})? ?(?:indeed |still |actually )?"
    r"(?:right|correct|fine|the same)\b",
    re.IGNORECASE,
)
_BARE = re.compile(r"[\s,.:;!\u2026\u2014\u2013*-]*(?P<said>\S[^\n]{0,40})\s*\Z")
_NOT_BUT = re.compile(
    r"(?P<lead>\banswers?\b[^.\n]{0,40}?\b(?:is|was|be))(?: not|n['\u2019]t) [^.;\n]{1,40}?"
    rf"(?:,? ?\bbut(?: rather)?\b(?: {_IT}{_IS})?|[,;] ?(?:it|rather,? it){_IS}|[,;] ?rather\b) ?",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"wait|hold on|hang on|oops|scratch|mistake|my bad|error|correct|second thought|hm|actually|sorry|rather|mean|no\b"
    r"|not |n['\u2019]t",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]")
_LETTER = re.compile(r"(?<![\w'\u2019])[A-Z](?![\w'\u2019])")
_SENTENCE = re.compile(r"(?<=[.!?])\s|\n")
_WINDOW = 20_000


def follow_retraction(text: str) -> str:
    """`text` without what it takes back, and with "The answer is" before what it puts in its place."""
    if not _HINT.search(text[-_WINDOW:]):
        return text
    text = _NOT_BUT.sub(r"\g<lead> ", text)
    plain = next(reversed(list(_PLAIN.finditer(text, max(0, len(text) - _WINDOW)))), None)
    if plain is not None and text[: plain.start()].strip() and not _CONFIRMS.match(text, plain.end()):
        return follow_retraction(_state(text[plain.end() :]))
    for slight in reversed(list(_SLIGHT.finditer(text, max(0, len(text) - _WINDOW)))):
        said = _SENTENCE.split(text[: slight.start()])[-1]
        if (_NUMBER if slight["number"] else _LETTER).search(said):
            return f"The answer is {text[slight.end() :]}"
    return text


def _state(rest: str) -> str:
    """What follows a retraction, as an announcement if it gives an answer at once."""
    if says := _SAYS.match(rest):
        return f"The answer is {rest[says.end() :]}"
    bare = _BARE.match(rest)
    return f"The answer is {bare['said']}" if bare and len(bare["said"].split()) < 4 else rest

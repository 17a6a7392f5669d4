"""Solutions that are no model to learn from: they break off, change their mind, or talk about the student.

Reads fixed phrases and the last line only. A solution that is wrong and sure of itself is not found here.
"""

from __future__ import annotations

import re

from errorbook.checks.endings import is_waiting
from errorbook.checks.expressions import Number, parse_expression, tokenize

_NEXT = r"(?m:^[^A-Za-z\n]{0,20}question[^A-Za-z\n]{0,20}:)"  # bounded: a table is all marks and digits
_STUDENT = (
    r"\bstudent'?s?'? (?:\w+ ){0,2}"
    r"(?:mistake|error|approach|answer|attempt|misunderst\w+|solution|response|work)\b"
)
_WRONG = (
    r"\b(?:indicating|there (?:is|was|seems to be|appears to be|has been|must be)) an? (?:\w+ )?"
    r"(?:mistake|error|misunderstanding|misinterpretation|inconsistency|contradiction|oversight|discrepancy)\b"
    r"|\b(?:logical|mathematical) (?:inconsistency|contradiction|error)\b"
    r"|\b(?:mistake|error|oversight|misstep|flaw) in (?:(?:the|my|our|this) )?(?:\w+ )?"
    r"(?:calculation|approach|problem|question|premise|setup"
    r"|set-up|reasoning|interpretation|solution|equation|statement)"
)
_AGAIN = (
    r"\b(?:let'?s|let us|let me|we (?:need to|must|should)) (?:correct|re-?evaluate|reconsider|re-?calculate"
    r"|re-?examine|revise|rephrase|re-?do|fix|re-?think|re-?visit|re-?assess|re-?calibrate"
    r"|adjust the (?:question|problem))\b"
    r"|\b(?:i|we) apologi[sz]e|\bmy (?:mistake|apologies)\b|\bupon (?:re\w+|closer|further)\b|\bcorrection ?:"
    r"|\bcorrect(?:ed)? (?:approach|calculation|solution|version|interpretation)\b[^\n]{0,30}:"
)
_FLAWED = (
    r"\b(?:problem|question)(?:'s)? (?:statement )?(?:as (?:stated|given|written|posed)|in its current form"
    r"|(?:is|seems|appears) (?:to be )?(?:flawed|inconsistent|incorrect|ambiguous|misleading|contradictory|impossible)"
    r"|contains an? (?:error|mistake|inconsistency|contradiction)|intent\b|setup suggests|misinterpretation)"
    r"|\bmis(?:understanding|interpretation) (?:in|of) the (?:problem|question)\b"
)
_DOUBT = re.compile(f"{_NEXT}|{_STUDENT}|{_WRONG}|{_AGAIN}|{_FLAWED}", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*{2,3}(?!\d)|(?<!\w)__|__(?!\w)|`|-{3,}")
_MARGIN = 30
_SHOWN = 120


def find_doubt(solution: str) -> str:
    """The first words that give the solution away, or an empty string."""
    found = _DOUBT.search(solution.replace("’", "'"))
    if found is None:
        return find_break(solution)
    return " ".join(solution[max(0, found.start() - _MARGIN) : found.end() + _MARGIN].split())


def find_break(solution: str) -> str:
    """The calculation, or the sentence, that the solution ends in without giving its result; or an empty string."""
    last = _EMPHASIS.sub("", solution.rstrip().rpartition("\n")[2])
    if last.endswith(":") or is_waiting(last):
        return last.strip()[-_SHOWN:]
    cut = tokenize(last) if len(last) < 1_000 else []
    start = max((place + 1 for place, token in enumerate(cut) if token.kind == "equals"), default=0)
    while start < len(cut) and cut[start].text in {"-", "*", "\u2022", "\\[", "\\("}:
        start += 1  # a bullet, or the beginning of a formula
    read = parse_expression(cut, start)
    if read is None or read.end < len(cut) or isinstance(read.tree, Number):
        return ""
    signs = [token for token in cut[start + 1 :] if token.kind == "sign"]
    return last.strip() if signs else ""

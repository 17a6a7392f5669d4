"""The `choice` scorer: which of an example's options a response settles on.

The gold answer is an option's letter ("C", "(C)") or its text; or several letters ("A, C"), all of which are asked for,
see `several`. The response may name an option either way, see `statements`; an answer to two options if one is asked
for, a letter with another option's text, or nothing that names an option is `unscorable`. A response that says that no
option is right is wrong. It does not judge whether the reasoning fits, nor match paraphrases of an option.
"""

from __future__ import annotations

import re

from errorbook.adapters.scorers.accepted import score_accepted
from errorbook.adapters.scorers.announcements import translate
from errorbook.adapters.scorers.letters import Options, clean_text, letter, make_options
from errorbook.adapters.scorers.replies import cut_reply
from errorbook.adapters.scorers.several import gold_options, score_options
from errorbook.adapters.scorers.statements import find_statement
from errorbook.records import Example, Score, Verdict

_GOLD = re.compile(r"[(\[]?([A-Z])[)\]]?[.:]?")
_LISTED = re.compile(r"^ ?\(?([A-Z])[).] ?(.*\S)", re.MULTILINE)


class Choice:
    """Right if the option that the response settles on is the gold one. `markers` announce an answer, too."""

    def __init__(self, markers: tuple[str, ...] = ()) -> None:
        self._markers = markers

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "choice"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; `unscorable` if it settles on no option, or the gold answer is none of them."""
        return score_accepted(self._score, example, text)

    def _score(self, example: Example, text: str) -> Score:
        known = make_options(list_choices(example), example.question)
        gold = gold_index(example.answer, known)
        several = gold_options(example.answer, known) if gold is None else frozenset()
        if gold is None and not several:
            return Score(verdict="unscorable", method="none", evidence="The gold answer is not one of the options.")
        clean = clean_text(translate(cut_reply(text), self._markers).text)
        if several:
            return score_options(several, clean, known)
        found = find_statement(clean, known)
        if found is None:
            return Score(verdict="unscorable", method="none", evidence="The response names no option.")
        if found.refused:
            return Score(verdict="unscorable", method=found.method, evidence=found.evidence)
        verdict: Verdict = "right" if found.option == gold else "wrong"
        extracted = "none of them" if found.option is None else letter(found.option)
        return Score(verdict=verdict, extracted=extracted, method=found.method, evidence=found.evidence)


def list_choices(example: Example) -> tuple[str, ...]:
    """The option texts: the example's own or, if it has none, those listed in its question as "(A) ..." lines."""
    if example.choices:
        return example.choices
    listed: list[str] = []
    for match in _LISTED.finditer(example.question):
        if match[1] == letter(len(listed)):
            listed.append(match[2])
    return tuple(listed) if len(listed) > 1 else ()


def gold_index(answer: str, known: Options) -> int | None:
    """The option that a gold answer means, by its letter or by its whole text; None if it is none of them."""
    if match := _GOLD.fullmatch(answer.strip()):
        return known.place(match[1])
    wanted = known.read(clean_text(answer))
    same = [index for index, option in enumerate(known.words) if wanted and option == wanted]
    return same[0] if len(same) == 1 else None

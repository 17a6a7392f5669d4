"""What an instructor's model is asked: which prompt for which mistake, assignment or question, and in which form.

The kind of a task is read off its examples: options make it `choice`, tests `code`, a number as the gold answer
`numeric`, anything else `text`. The words are in `prompts/`; what a reply must be like is in `replies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from errorbook.adapters.instructors import replies
from errorbook.adapters.scorers.numbers import normalize_numbers, read_single
from errorbook.llm import prompts as prompting
from errorbook.llm.records import Ask
from errorbook.llm.structured import schema_of
from errorbook.records import Assignment, Diagnosis, Example, Message, Mistake, Record, digest, whole_question

Kind = Literal["numeric", "choice", "code", "text"]

_NOUNS: dict[Kind, str] = {
    "numeric": "question",
    "choice": "multiple-choice question",
    "code": "programming exercise",
    "text": "question",
}
DRAFTS: dict[Kind, type[replies.Reply]] = {
    "numeric": replies.WorkedDrafts,
    "choice": replies.ChoiceDrafts,
    "code": replies.CodingDrafts,
    "text": replies.WorkedDrafts,
}
"""The type of a reply with drafts."""
_SOLUTIONS: dict[Kind, type[replies.Reply]] = {
    "numeric": replies.Solved,
    "choice": replies.Solved,
    "code": replies.Programmed,
    "text": replies.Solved,
}
_SHOWN = ("shown", "accepted", "before")
"""Prompt files that show a question, for the other files to include."""
_MOST = 8192
"""Tokens for several drafts in one reply: many endpoints refuse requests that allow more."""
_UNITS = 20
"""Letters that a gold answer may have beside its one number and still be called a number: "12 apples", "5 km/h"."""


class AskingSettings(Record, frozen=True, kw_only=True):
    """How a model is asked: tokens allowed for a diagnosis, a draft or a vote, and the temperature of the last two.

    Diagnoses are asked for at temperature 0.
    """

    max_tokens: int = 1024
    temperature: float = 0.7


class Prompt(NamedTuple):
    """One request, the type of its reply, and the version of the prompt files and schema that it was made from."""

    ask: Ask
    reply: type[replies.Reply]
    version: str


def kind_of(example: Example) -> Kind:
    """What kind of task an example with its gold answer belongs to."""
    if example.choices:
        return "choice"
    if example.tests:
        return "code"
    return "numeric" if _is_number(example.answer) else "text"


def build_diagnose_prompt(mistake: Mistake, settings: AskingSettings) -> Prompt:
    """Ask what is behind a wrong response; with contrasts, also what separates it from them."""
    reply = replies.ContrastAnalysis if mistake.contrasts else replies.Analysis
    kind = kind_of(mistake.example)
    text = prompting.render("diagnose", noun=_NOUNS[kind], **_shown(mistake))
    ask = _ask(text, reply, "diagnosis", settings.max_tokens)
    return Prompt(ask, reply, _version(("system", "diagnose", *_SHOWN, "analysis"), mistake.strategy, reply))


def build_teach_prompt(assignment: Assignment, settings: AskingSettings) -> Prompt:
    """Ask in one what `build_diagnose_prompt` and `build_write_prompt` ask, of an assignment that has a mistake."""
    mistake = assignment.mistake
    assert mistake is not None, "an assignment without a mistake has nothing to analyse"  # noqa: S101
    kind = kind_of(mistake.example)
    reply = replies.combine(replies.ContrastAnalysis if mistake.contrasts else replies.Analysis, DRAFTS[kind])
    about = _shown(mistake) | {"options": len(mistake.example.choices), "alike": ()}
    text = prompting.render(
        "analyse-and-write", noun=_NOUNS[kind], kind=kind, count=assignment.count, round=assignment.round, **about
    )
    tokens = max(settings.max_tokens, min(settings.max_tokens * (1 + assignment.count), _MOST))
    sample = _sample(assignment, mistake.strategy)
    ask = _ask(text, reply, "analysis_and_drafts", tokens, settings.temperature, sample)
    files = ("system", "analyse-and-write", *_SHOWN, "analysis", "drafts", "rules", f"rules-{kind}")
    return Prompt(ask, reply, _version(files, mistake.strategy, reply))


def build_write_prompt(assignment: Assignment, settings: AskingSettings) -> Prompt | None:
    """Ask for drafts; None if nothing in the assignment shows what its task looks like."""
    seen = assignment.mistake.example if assignment.mistake else next(iter(assignment.exemplars), None)
    if seen is None:
        return None
    name, strategy, about = _describe_work(assignment, seen)
    kind = kind_of(seen)
    reply = _SOLUTIONS[kind] if assignment.writes == "solution" else DRAFTS[kind]
    about |= {
        "kind": kind,
        "noun": _NOUNS[kind],
        "options": len(seen.choices),
        "count": assignment.count,
        "round": assignment.round,
    }
    ask = _ask(
        prompting.render(name, **about),
        reply,
        "drafts",
        max(settings.max_tokens, min(settings.max_tokens * assignment.count, _MOST)),
        settings.temperature,
        _sample(assignment, strategy),
    )
    files = ["system", name, "accepted", "before", *(("shown", "drafts") if name == "write" else ())]
    files += [] if assignment.writes == "solution" else ["rules", f"rules-{kind}"]
    return Prompt(ask, reply, _version(tuple(files), strategy, reply))


def _describe_work(assignment: Assignment, seen: Example) -> tuple[str, str, dict[str, Any]]:
    """The prompt file for an assignment, its strategy, and what the file shows."""
    if assignment.mistake is not None and assignment.diagnosis is not None:
        alike = [{"question": _whole(one.example), "response": one.response.text} for one in assignment.alike]
        about = _shown(assignment.mistake) | {"diagnosis": _analysis(assignment.diagnosis), "alike": alike}
        return "write", assignment.mistake.strategy, about
    about = prompting.show_before(assignment.before)
    if assignment.writes == "question":
        shared = len(assignment.before)
        about["exemplars"] = [
            replace(one, question=whole_question(one.before[shared:], one.question)) for one in assignment.exemplars
        ]
        return "undirected", assignment.strategy or "undirected", about
    about |= {"question": seen.question, "choices": seen.choices, "tests": seen.tests}
    if assignment.writes == "solution":
        return "solve", assignment.strategy, about | {"several": len(seen.answer) > 1}
    return "vary", assignment.strategy, about | {"answer": seen.answer, "accepted": seen.accepted}


def build_answer_prompt(question: Example, vote: int, settings: AskingSettings) -> Prompt:
    """Ask a question blind: no more than the question, what stands before it and its options is shown."""
    before = prompting.show_before(question.before)
    text = prompting.render("answer", question=question.question, choices=question.choices, **before)
    ask = _ask(text, replies.BlindAnswer, "answer", settings.max_tokens, settings.temperature, vote)
    return Prompt(ask, replies.BlindAnswer, _version(("system", "answer", "before"), "", replies.BlindAnswer))


def write_transcript(ask: Ask) -> str:
    """What was sent as one text for people: every turn under its own heading.

    Half a surrogate pair, which no ledger can hold, becomes a question mark.
    """
    turns = (f"[{turn.role}]\n{turn.content}" for turn in ask.messages)
    return "\n\n".join(turns).encode("utf-8", "replace").decode("utf-8")


def _shown(mistake: Mistake) -> dict[str, Any]:
    example, gold = mistake.example, mistake.show_gold
    return {
        "question": example.question,
        "choices": example.choices,
        "show_gold": gold,
        "tests": example.tests if gold else "",
        "answer": example.answer if gold else "",
        "accepted": example.accepted if gold else (),
        "solution": example.solution if gold else "",
        "response": mistake.response.text,
        **prompting.show_before(example.before),
        "contrasts": [
            {"question": _whole(contrast.example), "response": contrast.response.text} for contrast in mistake.contrasts
        ],
    }


def _whole(example: Example) -> str:
    return whole_question(example.before, example.question)


def _analysis(diagnosis: Diagnosis) -> str:
    lines = [
        f"kind of error: {diagnosis.error_kind}",
        f"misconception: {diagnosis.misconception}",
        f"first wrong step: {diagnosis.first_wrong_step}",
        f"skill to practise: {diagnosis.skill}",
    ]
    return "\n".join([*lines, f"border: {diagnosis.border}"] if diagnosis.border else lines)


def _ask(
    text: str, reply: type[replies.Reply], name: str, max_tokens: int, temperature: float = 0.0, sample: int = 0
) -> Ask:
    messages = (Message(role="system", content=prompting.render("system")), Message(role="user", content=text))
    return Ask(
        messages=messages,
        schema=_schema(reply),
        name=name,
        max_tokens=max_tokens,
        temperature=temperature,
        sample=sample,
    )


def _sample(assignment: Assignment, strategy: str) -> int:
    """Tells requests apart that may have the same words: a later cycle or round, or another part of one group's share.

    If each assignment has a mistake of its own, its place does not count, so one mistake more re-buys only itself.
    """
    place = assignment.index if strategy == "cluster" or assignment.mistake is None else 0
    return int(digest(str(assignment.cycle), str(assignment.round), str(place))[:7], 16)


@cache
def _schema(reply: type[replies.Reply]) -> str:
    return schema_of(reply)


@cache
def _version(files: Sequence[str], strategy: str, reply: type[replies.Reply]) -> str:
    return prompting.version(files, strategy, _schema(reply))


def _is_number(answer: str) -> bool:
    found = read_single(answer)
    if found is None or found.quantity is None:
        return False
    line = normalize_numbers(" ".join(answer.split()))
    return sum(letter.isalpha() for letter in line[: found.start] + line[found.end :]) <= _UNITS

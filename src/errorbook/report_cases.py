"""A few mistakes in full for the report: question, response, diagnosis, drafts, and the answer afterwards.

They are drawn evenly over the kinds of error and in the run's own order, never by outcome. Texts are shortened.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

import msgspec

from errorbook.book import Checkpoints
from errorbook.config import Config
from errorbook.ledger import Ledger
from errorbook.records import Diagnosis, Draft, Example, Rejection, Response, Sample, Verdict

CASES = 8
_LONGEST = 1500


class CaseDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft written against the mistake, and what verification said; `reason` is a rejection's."""

    question: str
    solution: str
    answer: str
    outcome: Literal["sample", "rejected", "waiting"]
    reason: str = ""


class CaseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint answered, and how it was scored."""

    text: str
    extracted: str
    verdict: Verdict
    truncated: bool


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake of the base model with all that followed from it; `kind` is empty where nothing was diagnosed."""

    task: str
    example: str
    skill: str
    question: str
    answer: str
    before: CaseResponse
    after: CaseResponse | None
    kind: str = ""
    misconception: str = ""
    first_wrong_step: str = ""
    border: str = ""
    drafts: tuple[CaseDraft, ...] = ()


def pick_cases(ledger: Ledger, config: Config, points: Checkpoints, limit: int = CASES) -> Iterator[Case]:
    """Up to `limit` mistakes: diagnosed ones of cycle 1, or plain wrong responses where there is no diagnosis."""
    groups: dict[str, list[tuple[Response, Diagnosis | None]]] = {}
    for known in ledger.all(Diagnosis, cycle=1):
        response = ledger.response(known.response)
        if response is not None:
            groups.setdefault(known.error_kind, []).append((response, known))
    if not groups:
        for task in config.learn():
            base = points.evaluation(points.base, task.name, "train")
            if base is not None:
                groups[task.name] = [(response, None) for response in ledger.responses(base, "wrong")]
    frequent = sorted(groups.values(), key=len, reverse=True)
    dealt = [item for round in zip_longest(*frequent) for item in round if item is not None]
    for response, diagnosis in dealt[:limit]:
        example = ledger.find(Example, f"{response.task}:{response.split}:{response.example}")
        if example is not None:
            yield _case(ledger, points, example, response, diagnosis)


def _case(
    ledger: Ledger, points: Checkpoints, example: Example, response: Response, diagnosis: Diagnosis | None
) -> Case:
    case = Case(
        task=example.task,
        example=example.id,
        skill=example.skill,
        question=_short("\n".join([example.question, *example.choices])),
        answer=_short(example.answer),
        before=_answered(response),
        after=_again(ledger, points, example),
    )
    if diagnosis is None:
        return case
    return msgspec.structs.replace(
        case,
        kind=_short(diagnosis.error_kind),
        misconception=_short(diagnosis.misconception),
        first_wrong_step=_short(diagnosis.first_wrong_step),
        border=_short(diagnosis.border),
        drafts=tuple(_draft(ledger, draft) for draft in ledger.all(Draft, parent=diagnosis.hash)),
    )


def _again(ledger: Ledger, points: Checkpoints, example: Example) -> CaseResponse | None:
    """The final checkpoint's response to the same question, where it was asked again."""
    final = points.complete(points.final, example.task, "train") if points.decisions else None
    if final is None:
        return None
    found = next((item for item in ledger.responses(final) if item.example == example.id), None)
    return _answered(found) if found else None


def _answered(response: Response) -> CaseResponse:
    return CaseResponse(
        text=_short(response.text.strip()),
        extracted=_short(response.score.extracted),
        verdict=response.score.verdict,
        truncated=response.truncated,
    )


def _draft(ledger: Ledger, draft: Draft) -> CaseDraft:
    rejection = ledger.find(Rejection, draft.hash)
    passed = ledger.find(Sample, draft.hash) is not None
    return CaseDraft(
        question=_short(draft.question),
        solution=_short(draft.solution),
        answer=_short(draft.answer),
        outcome="rejected" if rejection else "sample" if passed else "waiting",
        reason=_short(f"{rejection.reason}: {rejection.detail}".removesuffix(": ")) if rejection else "",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

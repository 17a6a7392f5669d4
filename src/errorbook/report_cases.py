"""A few mistakes in full for the report: question, response, diagnosis, drafts, and the answer afterwards.

They are drawn evenly over the kinds of error and in the run's own order, never by outcome. Texts are shortened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from operator import itemgetter
from typing import Literal, TypeVar

import msgspec

from errorbook.book import Checkpoints
from errorbook.config import Config
from errorbook.ledger import Ledger
from errorbook.records import Diagnosis, Draft, Example, Rejection, Response, Sample, Verdict

T = TypeVar("T")

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
    for response, diagnosis in islice(_mistakes(ledger, config, points, limit), limit):
        example = ledger.find(Example, f"{response.task}:{response.split}:{response.example}")
        if example is not None:
            yield _case(ledger, points, example, response, diagnosis)


def _mistakes(
    ledger: Ledger, config: Config, points: Checkpoints, limit: int
) -> Iterator[tuple[Response, Diagnosis | None]]:
    """Wrong responses in the order in which they are shown; only those that are taken are read."""
    kinds: dict[str, list[Diagnosis]] = {}
    for known in ledger.all(Diagnosis, cycle=1):
        kinds.setdefault(known.error_kind, []).append(known)
    for known in _dealt((len(group), group) for group in kinds.values()):
        response = ledger.response(known.response, known.example)
        if response is not None:
            yield response, known
    if not kinds:
        bases = filter(None, (points.evaluation(points.base, task.name, "train") for task in config.learn()))
        found = ((ledger.tally(base).wrong, islice(ledger.responses(base, "wrong"), limit)) for base in bases)
        for response in _dealt(found):
            yield response, None


def _dealt(groups: Iterable[tuple[int, Iterable[T]]]) -> Iterator[T]:
    """One of each group in turn, the largest group (by the number given) first."""
    frequent = [group for _, group in sorted(groups, key=itemgetter(0), reverse=True)]
    return (item for round in zip_longest(*frequent) for item in round if item is not None)


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
    found = ledger.answer(final, example.id)
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

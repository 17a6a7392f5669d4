"""Some mistakes in full for the report: question, response, diagnosis, drafts, and the answer afterwards.

They are drawn evenly over the kinds of error, and within each over the fates, in the run's own order. Texts are
shortened and all cases together have a fixed size, so that a report stays small however many mistakes there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice, zip_longest
from typing import NamedTuple, TypeVar

import msgspec

from errorbook.config import Config
from errorbook.ledger.counts import VERDICT, Diagnosed, Letters
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Diagnosis, Draft, Example, Rejection, Response, Sample
from errorbook.report.fates import FATES, Fate, fate_of
from errorbook.report.records import Case, CaseDraft, CaseResponse, Stratum

T = TypeVar("T")

CASES = 24
DRAFTS = 4
"""Shown of those written against one mistake."""
_LONGEST = 1500
_MOST_BYTES = 1_000_000
"""All cases as they are written into a page; far more than texts of the usual length take."""

_NAME = 90
"""Bytes of the name of a character that would not be seen."""


class Picked(NamedTuple):
    """The cases in the order of the strata, and every stratum with the number of its mistakes."""

    cases: tuple[Case, ...]
    strata: tuple[Stratum, ...]


class _Mistake(NamedTuple):
    """A wrong response of the base on train, by its example; `diagnosis` is None if nothing was diagnosed."""

    task: str
    example: str
    kind: str
    fate: Fate
    diagnosis: Diagnosis | None

    @property
    def stratum(self) -> tuple[str, str, Fate]:
        return self.task, self.kind, self.fate


def pick_cases(
    ledger: Ledger, config: Config, points: Checkpoints, letters: Letters, diagnoses: Iterable[Diagnosed]
) -> Picked:
    """Diagnosed mistakes of cycle 1, or plain wrong responses if there is no diagnosis."""
    first = [diagnosis for _, diagnosis, cycle in diagnoses if cycle == 1]
    mistakes = list(_mistakes(config, points, letters, first))
    chosen: list[tuple[_Mistake, Case]] = []
    room = _MOST_BYTES
    for mistake in islice(_drawn(mistakes), 2 * CASES):
        case = _case(ledger, points, mistake)
        size = _size(case) if case else 0
        if case and size <= room:
            room -= size
            chosen.append((mistake, case))
        if len(chosen) == CASES:
            break
    n, shown = (Counter(item.stratum for item in items) for items in (mistakes, (item for item, _ in chosen)))
    kinds = Counter((item.task, item.kind) for item in mistakes)
    order = sorted(n, key=lambda key: (-kinds[key[:2]], key[:2], FATES.index(key[2])))
    rank = {key: place for place, key in enumerate(order)}
    chosen.sort(key=lambda pair: rank[pair[0].stratum])
    return Picked(
        cases=tuple(case for _, case in chosen),
        strata=tuple(Stratum(task=key[0], kind=key[1], fate=key[2], shown=shown[key], n=n[key]) for key in order),
    )


def _mistakes(
    config: Config, points: Checkpoints, letters: Letters, diagnoses: Sequence[Diagnosis]
) -> Iterator[_Mistake]:
    """All mistakes in the run's own order; no response is read for it."""
    paths = {task.name: _paths(points, letters, task.name) for task in config.learn()}
    fates = {path: _fate(path) for found in paths.values() for path in set(found.values())}
    for known in diagnoses:
        path = paths.get(known.task, {}).get(known.example, ())
        if path:
            yield _Mistake(known.task, known.example, known.error_kind, fates[path], known)
    if not diagnoses:
        for task, found in paths.items():
            wrong = ((example, path) for example, path in found.items() if path[0] == "w")
            yield from (_Mistake(task, example, "", fates[path], None) for example, path in wrong)


def _paths(points: Checkpoints, letters: Letters, task: str) -> dict[str, tuple[str, ...]]:
    found = (points.evaluation(checkpoint, task, "train") for checkpoint in points.chain)
    return letters.by_example([evaluation for evaluation in found if evaluation is not None])


def _fate(path: tuple[str, ...]) -> Fate:
    return fate_of([VERDICT[letter] for letter in path])


def _drawn(mistakes: Iterable[_Mistake]) -> Iterator[_Mistake]:
    """The mistakes so that the kinds take turns, and the fates within each kind: any number of the first is even."""
    kinds: dict[tuple[str, str], dict[Fate, list[_Mistake]]] = {}
    for item in mistakes:
        kinds.setdefault((item.task, item.kind), {}).setdefault(item.fate, []).append(item)
    return _dealt(_dealt(_turned(fates, number)) for number, fates in enumerate(_by_size(kinds.values())))


def _by_size(kinds: Iterable[dict[Fate, list[_Mistake]]]) -> list[dict[Fate, list[_Mistake]]]:
    return sorted(kinds, key=lambda fates: -sum(map(len, fates.values())))


def _turned(fates: dict[Fate, list[_Mistake]], number: int) -> list[list[_Mistake]]:
    """The groups in the order of `FATES`, each kind beginning with another one: with many kinds all fates are seen."""
    known = [fates[fate] for fate in FATES if fate in fates]
    first = number % len(known)
    return known[first:] + known[:first]


def _dealt(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each group in turn."""
    return (item for round in zip_longest(*groups) for item in round if item is not None)


def _case(ledger: Ledger, points: Checkpoints, mistake: _Mistake) -> Case | None:
    base = points.evaluation(points.base, mistake.task, "train")
    example = ledger.find(Example, f"{mistake.task}:train:{mistake.example}")
    response = ledger.answer(base, mistake.example) if base else None
    if example is None or response is None:
        return None
    case = Case(
        task=example.task,
        example=example.id,
        skill=example.skill,
        question=_short("\n".join([example.question, *example.choices])),
        answer=_short(example.answer),
        fate=mistake.fate,
        before=_answered(response),
        after=_again(ledger, points, example),
    )
    diagnosis = mistake.diagnosis
    if diagnosis is None:
        return case
    drafts = list(ledger.all(Draft, parent=diagnosis.hash))
    return msgspec.structs.replace(
        case,
        kind=_short(diagnosis.error_kind),
        misconception=_short(diagnosis.misconception),
        first_wrong_step=_short(diagnosis.first_wrong_step),
        border=_short(diagnosis.border),
        drafts=tuple(_draft(ledger, draft) for draft in drafts[:DRAFTS]),
        written=len(drafts),
    )


def _size(case: Case) -> int:
    """Bytes that a case takes in a page at most: characters are escaped there, and unseen ones shown by name."""
    content = msgspec.json.encode(case).decode()
    unseen = content.count("\\u00") + sum(not letter.isprintable() for letter in content)
    return len(escape(content).encode()) + _NAME * unseen


def _again(ledger: Ledger, points: Checkpoints, example: Example) -> CaseResponse | None:
    """The final checkpoint's response to the same question, if it was asked again."""
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
        thought=_short(response.thought),
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

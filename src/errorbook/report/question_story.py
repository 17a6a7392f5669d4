"""From one mistake to all that followed from it, and from any draft or call back to its mistake.

`read_story` gives a question with every answer that a checkpoint gave to it, and for each answer that was studied its
diagnosis, contrasts, requests, drafts, checks and trainings. `read_draft_story` and `read_call_story` lead back. It
finds everything by hash, key or parent, so it is as quick in a ledger of a million responses as in a small one. Nothing
here is a statistic: that a question is right after a training does not prove that the training made it so.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from errorbook.ledger import keys
from errorbook.ledger.counts import name_strategy
from errorbook.ledger.file import Ledger
from errorbook.ledger.lookups import find_by_prefix, find_children, find_origin, find_responses
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import (
    Call,
    Checkpoint,
    Correction,
    Diagnosis,
    Draft,
    Example,
    Failure,
    Neighbours,
    Outcome,
    Response,
    Verdict,
)
from errorbook.report.draft_story import (
    DraftLine,
    NamedCall,
    Trained,
    Writing,
    asked,
    corrections_of,
    list_writings,
    read_draft_line,
    trained_on,
    writing_of,
)
from errorbook.report.fates import Fate, fate_of


class CheckpointPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as readers know it: the base (cycle 0) or a candidate of a cycle.

    `outcome` is what was decided of that cycle, empty until then; `kept` whether later cycles build on it.
    """

    hash: str
    cycle: int
    outcome: Outcome | Literal[""]
    kept: bool
    scale: float = 1.0


class CheckpointAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one checkpoint answered, what people corrected about it, and the trainings that used the answer itself."""

    point: CheckpointPoint
    response: Response
    hash: str
    corrections: tuple[Correction, ...] = ()
    trained: tuple[Trained, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The scorer's verdict, whatever a person says."""
        return self.response.score.verdict


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A contrast: a question near the mistake that the same checkpoint answered right. The nearest has rank 1.

    `similarity` is the retriever's; None if the run is from before it was recorded.
    """

    rank: int
    similarity: float | None
    example: Example
    response: Response
    hash: str


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What the instructor made of one wrong answer: a diagnosis with the drafts against it, or a failure."""

    cycle: int
    answer: CheckpointAnswer
    call: NamedCall | None
    diagnosis: Diagnosis | None = None
    hash: str = ""
    failure: Failure | None = None
    contrasts: tuple[Beside, ...] = ()
    writings: tuple[Writing, ...] = ()

    @property
    def drafts(self) -> tuple[DraftLine, ...]:
        """Every draft against this diagnosis, in the order of the requests."""
        return tuple(line for writing in self.writings for line in writing.drafts)


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One question: every answer to it in the order of the checkpoints, and every study of a wrong one.

    `drafts` are those that vary a train question or keep its wording.
    """

    example: Example
    answers: tuple[CheckpointAnswer, ...]
    studies: tuple[Study, ...]
    drafts: tuple[DraftLine, ...] = ()

    @property
    def kept(self) -> tuple[CheckpointAnswer, ...]:
        """The answers of the base and of every checkpoint that was kept."""
        return tuple(answer for answer in self.answers if answer.point.kept)

    @property
    def path(self) -> tuple[Verdict, ...]:
        """The verdicts along the kept checkpoints; what became of the question."""
        return tuple(answer.verdict for answer in self.kept)

    @property
    def fate(self) -> Fate | None:
        """The path in one word, or None if nothing is answered yet."""
        return fate_of(self.path) if self.path else None


class DraftStory(msgspec.Struct, frozen=True, kw_only=True):
    """One draft, the request that it came from, and the way back to its mistake, or to the question that it goes by.

    `source` is the train question that it varies or keeps the wording of; an undirected draft has neither.
    """

    line: DraftLine
    writing: Writing
    strategy: str
    story: Story | None = None
    study: Study | None = None
    source: Example | None = None


class CallStory(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what it was about, and what came of it."""

    asked: NamedCall
    example: Example | None = None
    diagnosis: Diagnosis | None = None
    failure: Failure | None = None
    drafts: tuple[DraftLine, ...] = ()
    vote: str | None = None


def read_story(ledger: Ledger, task: str, split: str, example: str) -> Story | None:
    """Everything about one question, or None if the ledger does not have it."""
    found = ledger.find(Example, keys.example(task, split, example))
    if found is None:
        return None
    answers = _answers(ledger, found)
    studies = [study for answer in answers for study in _studies(ledger, answer)]
    drafts = tuple(read_draft_line(ledger, draft, cycle) for cycle, draft in find_children(ledger, Draft, found.hash))
    return Story(example=found, answers=answers, studies=tuple(studies), drafts=drafts)


def read_draft_story(ledger: Ledger, hash: str) -> DraftStory | None:
    """Everything about one draft, or None if the ledger has none with this hash."""
    draft, place = ledger.get(Draft, hash), find_origin(ledger, Draft, hash)
    if draft is None or place is None:
        return None
    line, writing = read_draft_line(ledger, draft, place.cycle), writing_of(ledger, draft)
    diagnosis = ledger.get(Diagnosis, draft.diagnosis) if draft.diagnosis else None
    told = read_story(ledger, diagnosis.task, "train", diagnosis.example) if diagnosis else None
    study = next((item for item in told.studies if item.hash == draft.diagnosis), None) if told else None
    source = ledger.find(Example, keys.example(draft.task, "train", draft.example)) if draft.example else None
    named = name_strategy(draft, diagnosis)
    return DraftStory(line=line, writing=writing, story=told, study=study, strategy=named, source=source)


def read_call_story(ledger: Ledger, hash: str) -> CallStory | None:
    """Everything about one call, or None if the ledger has none with this hash."""
    call = ledger.get(Call, hash)
    if call is None:
        return None
    tell = {"diagnose": _of_diagnosing, "write": _of_writing, "verify": _of_voting}[call.purpose]
    return tell(ledger, asked(ledger, call))


def list_points(ledger: Ledger) -> list[CheckpointPoint]:
    """The base and every candidate in the order of the cycles; of one cycle, in the order of their scales."""
    known = Checkpoints(ledger)
    decided = {decision.cycle: decision for decision in known.decisions}
    found = []
    for cycle in range(max(decided, default=0) + 2):
        decision = decided.get(cycle)
        for checkpoint in ledger.all(Checkpoint, cycle=cycle):
            kept = cycle == 0 or (decision is not None and decision.checkpoint == checkpoint.hash)
            outcome: Outcome | Literal[""] = decision.outcome if decision else ""
            if decision and not kept and decision.outcome == "accept":
                outcome = "reject"  # another scale of the same training was kept
            point = CheckpointPoint(
                hash=checkpoint.hash, cycle=cycle, outcome=outcome, kept=kept, scale=checkpoint.scale
            )
            found.append(point)
    return found


# The parts of a question's story ----------------------------------------------------------------------------------


def _answers(ledger: Ledger, example: Example) -> tuple[CheckpointAnswer, ...]:
    known = Checkpoints(ledger)
    answers = []
    for point in list_points(ledger):
        evaluation = known.evaluation(point.hash, example.task, example.split)
        response = ledger.answer(evaluation, example.id) if evaluation else None
        if response is not None:
            answers.append(_answer(ledger, point, response))
    return tuple(answers)


def _answer(ledger: Ledger, point: CheckpointPoint, response: Response) -> CheckpointAnswer:
    hash = response.hash
    return CheckpointAnswer(
        point=point,
        response=response,
        hash=hash,
        corrections=corrections_of(ledger, hash),
        trained=trained_on(ledger, [hash], "dispreferred"),
    )


def _studies(ledger: Ledger, answer: CheckpointAnswer) -> list[Study]:
    """What was made of one answer; most are not studied, since only wrong ones of train are."""
    if answer.response.split != "train":
        return []
    calls = {call.hash: (cycle, call) for cycle, call in find_children(ledger, Call, answer.hash)}
    first = next(iter(calls.values()), None)
    call = NamedCall(call=first[1], hash=first[1].hash, cycle=first[0]) if first else None
    failures = [
        Study(cycle=cycle, answer=answer, call=call, failure=failure)
        for cycle, failure in find_children(ledger, Failure, answer.hash)
    ]
    diagnoses = find_children(ledger, Diagnosis, answer.hash)
    return failures + [
        _study(ledger, answer, diagnosis, cycle, _find_call(ledger, diagnosis.call) or call)
        for cycle, diagnosis in diagnoses
    ]


def _find_call(ledger: Ledger, hash: str) -> NamedCall | None:
    """The call that a diagnosis names: its own, or the one that it came in with its drafts."""
    call = ledger.get(Call, hash) if hash else None
    return asked(ledger, call) if call else None


def _study(ledger: Ledger, answer: CheckpointAnswer, diagnosis: Diagnosis, cycle: int, call: NamedCall | None) -> Study:
    hash = diagnosis.hash
    return Study(
        cycle=cycle,
        answer=answer,
        call=call,
        diagnosis=diagnosis,
        hash=hash,
        contrasts=_contrasts(ledger, answer.response, diagnosis),
        writings=list_writings(ledger, hash),
    )


def _contrasts(ledger: Ledger, response: Response, diagnosis: Diagnosis) -> tuple[Beside, ...]:
    found = find_responses(ledger, response.evaluation, diagnosis.contrasts) if diagnosis.contrasts else {}
    known = ledger.find(Neighbours, keys.diagnosis(diagnosis.response, diagnosis.strategy))
    similarities = dict(known.near) if known else {}
    contrasts = []
    for rank, hash in enumerate(diagnosis.contrasts, 1):
        near = found.get(hash)
        example = ledger.find(Example, keys.example(near.task, near.split, near.example)) if near else None
        if near is not None and example is not None:
            contrasts.append(
                Beside(rank=rank, similarity=similarities.get(hash), example=example, response=near, hash=hash)
            )
    return tuple(contrasts)


# The parts of a call's story --------------------------------------------------------------------------------------


def _of_diagnosing(ledger: Ledger, asked: NamedCall) -> CallStory:
    subject = asked.call.subject
    _, diagnosis = next(iter(find_children(ledger, Diagnosis, subject)), (0, None))
    _, failure = next(iter(find_children(ledger, Failure, subject)), (0, None))
    if diagnosis is not None:
        example = ledger.find(Example, f"{diagnosis.task}:train:{diagnosis.example}")
    else:
        example = _example_answered(ledger, subject)
    return CallStory(asked=asked, example=example, diagnosis=diagnosis, failure=failure)


def _of_writing(ledger: Ledger, asked: NamedCall) -> CallStory:
    assignment = asked.call.subject
    drafts = tuple(read_draft_line(ledger, draft, cycle) for cycle, draft in find_by_prefix(ledger, Draft, assignment))
    place = find_origin(ledger, Call, asked.hash)
    diagnosis = ledger.get(Diagnosis, place.parent) if place and place.parent else None
    return CallStory(
        asked=asked,
        example=_example_of(ledger, diagnosis) or _example_answered(ledger, place.parent if place else ""),
        diagnosis=diagnosis,
        failure=ledger.find(Failure, keys.call("write", assignment)),
        drafts=drafts,
    )


def _of_voting(ledger: Ledger, asked: NamedCall) -> CallStory:
    hash = asked.call.subject.rpartition(":")[0]
    draft, place = ledger.get(Draft, hash), find_origin(ledger, Draft, hash)
    if draft is None or place is None:
        return CallStory(asked=asked)
    line = read_draft_line(ledger, draft, place.cycle)
    diagnosis = ledger.get(Diagnosis, draft.diagnosis) if draft.diagnosis else None
    given = next((vote.answer for vote in line.votes if vote.call == asked.hash), "")
    return CallStory(
        asked=asked, example=_example_of(ledger, diagnosis), diagnosis=diagnosis, drafts=(line,), vote=given
    )


def _example_answered(ledger: Ledger, hash: str) -> Example | None:
    response = ledger.response(hash) if hash else None
    return ledger.find(Example, keys.example(response.task, response.split, response.example)) if response else None


def _example_of(ledger: Ledger, diagnosis: Diagnosis | None) -> Example | None:
    return ledger.find(Example, f"{diagnosis.task}:train:{diagnosis.example}") if diagnosis else None

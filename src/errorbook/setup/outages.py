"""What an outage is, and what it may not be taken for: a stage's failures count only if enough of the stage succeeded.

An instructor that answers nothing, or nothing that can be used, has been wrong about nothing: a wrong setting, an empty
account and a busy server look like that. So the failures of a stage are held back until it has ended. If they are too
many, none of them is recorded, the run stops with the first reason, and the same command asks all of them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

from errorbook.checks.answers import Given, doubt_answers, find_parrot
from errorbook.errors import OutageError
from errorbook.interfaces import Forgets, Instructor, Target
from errorbook.ledger.file import Ledger
from errorbook.records import Call, Checkpoint, Evaluation, Example, Failure, Role, Training

MOST = 0.5
"""Share of a stage's items above which failures are an outage."""
FEW = 5
"""So many failures are no outage yet if the instructor gave something usable earlier in the run."""
LAST = 5
"""So many unusable replies at the end of a stage, with none of use after them, may be the beginning of an outage."""
EARLY = 20
"""Failures from the start of a stage that never gave anything, after which it is not gone on with."""

S = TypeVar("S")
R = TypeVar("R")
Asked = Callable[[Sequence[S]], Iterator[tuple[S, R | Failure, Call]]]

_DOING = {
    "diagnose": ("diagnosing", "mistake"),
    "write": ("writing against", "assignment"),
    "vote": ("answering blind", "vote"),
}


class Stage(NamedTuple):
    """One stage of asking: how many results it has in all, those known from before included.

    `proven` says that the instructor gave something usable in this stage before, in whichever cycle. `known` are the
    subjects of results that are recorded and come again nevertheless, since their item is asked as a whole. `failed` is
    how many items have failed for good in an earlier round: that they fail again says nothing of the instructor.
    """

    name: Literal["diagnose", "write", "vote"]
    total: int
    proven: bool
    known: Collection[str] = ()
    failed: int = 0


def sift(
    instructor: Instructor, stage: Stage, ask: Asked[S, R], items: Sequence[S]
) -> Iterator[tuple[S, R | Failure, Call]]:
    """Results as they come, and the failures at the end, if they are few; what got no answer is asked once more.

    A vote that finds fault with a question is an answer and no failure. Failures that end a stage stop the run once:
    whoever asks for nothing but them again has seen to the instructor, and they are recorded if they stay. So a stop
    for the order in which failures came needs that something new succeeded, or that nothing ever did: what was held
    back is asked first when the run goes on, and would else stop it each time.

    Raises:
        OutageError: They are not few, or the stage ends with them; the sentence has the first of the reasons.
    """
    held: list[tuple[S, Failure, Call]] = []
    known: set[str] = set()  # the results that need not come again
    done = last = new = 0
    found = ask(items)
    for done, (item, result, call) in enumerate(found, 1):
        if not isinstance(result, Failure) or (stage.name == "vote" and result.cause == "item"):
            known.add(call.subject)
            if call.subject not in stage.known:
                last, new = 0, new + 1
            yield item, result, call
            continue
        last += result.cause == "unread"
        held.append((item, result, call))
        if _is_outage(stage, len(held), done):
            if isinstance(found, Generator):
                found.close()  # cuts what is still in the air
            _stop(instructor, stage, [failure for _, failure, _ in held])
    if items and not done:
        nothing = Failure(subject="", stage="diagnose", reason="it gave no result at all", cause="unanswered")
        _stop(instructor, stage, [nothing] * len(items))
    if last >= LAST and new:
        _stop(instructor, stage, [failure for _, failure, _ in held[-last:]])
    yield from _ask_again(ask, held, known)


def are_checked(ledger: Ledger, evaluation: Evaluation) -> bool:
    """Whether the evaluation has passed `require_answers` in some process; one of no question has nothing to pass."""
    return not evaluation.n or ledger.fact(_checked(evaluation)) is not None


def require_answers(
    target: Target, role: Role, ledger: Ledger, evaluation: Evaluation, examples: Sequence[Example]
) -> None:
    """Check that a finished evaluation holds answers; if it does not, it is taken back, to be asked anew.

    That it does is noted, so that a process that begins after a kill knows. A guard may get the same answer to every
    question: a model can be that weak at what it is not there for.

    Raises:
        OutageError: Some questions have no answer, or nearly all answers are none; the sentence says why.
    """
    where = f"The {evaluation.split} answers to '{evaluation.task}' are no result:"
    golds = {example.id: example.answer for example in examples}
    missing = len(golds.keys() - ledger.answered(evaluation))
    if missing:
        raise OutageError(
            f"{where} {missing} of {len(golds)} questions got no answer. The other answers are kept; the same command"
            " asks for what is missing."
        )
    given = [
        Given(response.text, golds[response.example], response.score.verdict != "unscorable", response.truncated)
        for response in ledger.responses(evaluation)
        if response.example in golds
    ]
    why = doubt_answers(given, alike=role == "learn")
    if not why:
        ledger.state(_checked(evaluation), "checked")
        return
    if isinstance(target, Forgets):
        target.forget_unread()
    ledger.discard(evaluation)
    raise OutageError(f"{where} {why}. Nothing of them is kept; the same command asks again.")


def require_training(parent: Checkpoint, training: Training) -> None:
    """Check that a training has done something that can be examined.

    Raises:
        OutageError: It made no step, its losses are no numbers, or its weights are the parent's.
    """
    lost = next((number for number, loss in enumerate(training.losses, 1) if not math.isfinite(loss)), 0)
    why = ""
    if not training.steps and not training.elsewhere:
        why = "it made no step, so give it more lessons or epochs"
    elif lost:
        why = f"the loss of step {lost} is no number, so lower learning_rate"
    elif parent.weights_hash and training.weights_hash == parent.weights_hash:
        why = "its weights are those that it began with, so raise learning_rate or epochs"
    if why:
        raise OutageError(
            f"The training in '{training.folder}' is no result: {why} in [train] and use a new --out folder."
        )


def explain_sameness(ledger: Ledger, before: Sequence[Evaluation], after: Sequence[Evaluation]) -> str:
    """What a reader of a decision must know if no answer has changed by a letter: the lessons showed nothing."""
    told = [
        {(one.task, item.example): item.text for one in side for item in ledger.responses(one)}
        for side in (before, after)
    ]
    asked = told[1]  # less than all, if a sequential gate ended early
    why = find_parrot([told[0].get(key, "") for key in asked], list(asked.values()))
    return f"; {why}" if why else ""


def _checked(evaluation: Evaluation) -> str:
    """The fact that says so of an evaluation; facts are no part of a ledger's digest."""
    return f"answers {evaluation.hash}"


def _ask_again(
    ask: Asked[S, R], held: Sequence[tuple[S, Failure, Call]], known: Collection[str]
) -> Iterator[tuple[S, R | Failure, Call]]:
    """The results of what got no answer, asked once more, and then the failures; `known` need not come again."""
    # One item may stand for several results, a question for its votes: it is asked once, and gives all of them again.
    missing = [(item, call) for item, failure, call in held if failure.cause == "unanswered"]
    again = list(dict.fromkeys(item for item, _ in missing))
    lasting = {call.subject: (item, failure, call) for item, failure, call in held if failure.cause != "unanswered"}
    known = {*known, *lasting} - {call.subject for _, call in missing}
    for item, result, call in ask(again) if again else ():
        if call.subject in known:
            continue  # a vote that was given the first time
        if isinstance(result, Failure):
            lasting[call.subject] = (item, result, call)
        else:
            yield item, result, call
    yield from lasting.values()


def _is_outage(stage: Stage, failures: int, done: int) -> bool:
    """Whether so many failures among the first `done` results are more than the items' own."""
    if not stage.proven and EARLY <= done == failures:
        return True
    few = FEW if stage.proven else 1
    return failures > MOST * (stage.total + stage.failed) and failures - stage.failed >= few


def _stop(instructor: Instructor, stage: Stage, failures: Sequence[Failure]) -> None:
    """Raises OutageError, after seeing to it that useless replies that are kept somewhere are asked for anew."""
    if isinstance(instructor, Forgets):
        instructor.forget_unread()
    doing, noun = _DOING[stage.name]
    reason = failures[0].reason.strip().rstrip(".")
    raise OutageError(
        f"The instructor '{instructor.name}' failed at {doing} {len(failures)} of {stage.total} {noun}s (the first: "
        f"{reason}), which says nothing about the model: see to it and give the same command again, which asks for"
        " them once more."
    )

"""An instructor that is a language model: asks for diagnoses, drafts and blind answers, and turns replies to records.

Implements `Instructor` and `Checker` over anything that answers prompts (see `llm.client.Asker`). What is asked is in
`asking`, what a reply must be like in `replies`. Every item ends as exactly one result; one that got no valid reply is
a Failure with the reason, and its Call still says what it cost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, TypeVar

from errorbook.adapters.instructors import replies
from errorbook.adapters.instructors.asking import (
    DRAFTS,
    AskingSettings,
    Prompt,
    build_answer_prompt,
    build_diagnose_prompt,
    build_teach_prompt,
    build_write_prompt,
    kind_of,
    write_transcript,
)
from errorbook.adapters.instructors.replies import DraftParts
from errorbook.llm.client import Asker
from errorbook.llm.endpoint import Reply
from errorbook.llm.records import Accepted, Ask, Failed, InvalidReply, Rejected, Result
from errorbook.llm.structured import make_reader
from errorbook.records import Assignment, Call, Cause, Diagnosis, Draft, Example, Failure, Mistake, Taught, Writing

Purpose = Literal["diagnose", "write", "verify"]
Stage = Literal["diagnose", "instruct", "verify"]
T = TypeVar("T")

_STAGES: dict[Purpose, Stage] = {"diagnose": "diagnose", "write": "instruct", "verify": "verify"}


class ModelInstructor:
    """Implements `Instructor` and `Checker`.

    `asker` opens what answers prompts; it is open only while a stage is asking. `seed` shuffles options.
    """

    writings: ClassVar[Collection[Writing]] = ("variation", "solution")

    def __init__(
        self, name: str, asker: Callable[[], AbstractContextManager[Asker]], settings: AskingSettings, seed: int = 0
    ) -> None:
        self._name = name
        self._asker = asker
        self._settings = settings
        self._seed = seed
        self._unread: dict[str, Ask] = {}

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    def diagnose(self, mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
        """One diagnosis, or the reason why there is none, for each mistake."""
        asked = ((mistake, build_diagnose_prompt(mistake, self._settings)) for mistake in mistakes)
        for mistake, prompt, result in self._ask(asked, _accept_analysis):
            call = self._call("diagnose", mistake.response.hash, prompt, result)
            if isinstance(result, Accepted):
                yield mistake, _diagnosis(mistake, result.value, call), call
            else:
                yield mistake, _fail(call, result), call

    def write(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
        """Drafts for each assignment; fewer than were asked for if the model wrote fewer."""
        unclear: list[Assignment] = []

        def asked() -> Iterator[tuple[Assignment, Prompt]]:
            for assignment in assignments:
                prompt = build_write_prompt(assignment, self._settings)
                if prompt is None:
                    unclear.append(assignment)
                else:
                    yield assignment, prompt

        for assignment, prompt, result in self._ask(asked(), self._accept_drafts):
            call = self._call("write", assignment.hash, prompt, result)
            if isinstance(result, Accepted):
                yield assignment, _drafts(assignment, assignment.diagnosis, result.value, call), call
            else:
                yield assignment, _fail(call, result), call
        for assignment in unclear:
            call = Call(instructor=self._name, purpose="write", subject=assignment.hash)
            reason = "No mistake and no exemplar shows what this task looks like; give the assignment exemplars."
            yield assignment, _failure(call, reason), call

    def teach(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Taught | Failure, Call]]:
        """Diagnosis and drafts for each assignment out of one reply; see `Concise`."""
        asked = ((assignment, build_teach_prompt(assignment, self._settings)) for assignment in assignments)
        for assignment, prompt, result in self._ask(asked, self._accept_both):
            call = self._call("write", assignment.hash, prompt, result)
            if not isinstance(result, Accepted):
                yield assignment, _fail(call, result), call
            elif assignment.mistake is not None:
                analysis, parts = result.value
                diagnosis = _diagnosis(assignment.mistake, analysis, call)
                drafts = _drafts(assignment, diagnosis, parts, call)
                yield assignment, Taught(diagnosis=diagnosis, drafts=tuple(drafts)), call

    def vote(self, questions: Iterable[Example], votes: int) -> Iterator[tuple[Example, str | Failure, Call]]:
        """`votes` independent answers to each question; a Failure if it has not exactly one right answer."""
        asked = (
            ((question, vote), build_answer_prompt(question, vote, self._settings))
            for question in questions
            for vote in range(votes)
        )
        for (question, vote), prompt, result in self._ask(asked, _accept_answer):
            call = self._call("verify", f"{question.id}:{vote}", prompt, result)
            if not isinstance(result, Accepted):
                yield question, _fail(call, result), call
            elif not result.value.sound:
                reason = f"the question has not exactly one right answer: {result.value.reasoning.strip()[:300]}"
                yield question, _failure(call, reason), call
            else:
                yield question, result.value.answer, call

    def _ask(
        self, asked: Iterable[tuple[T, Prompt]], accept: Callable[[T, Any], Any]
    ) -> Iterator[tuple[T, Prompt, Result[Any, Any]]]:
        """One result for each subject, with the prompt that it was asked with."""

        def check(key: tuple[T, Prompt], reply: Reply) -> Any:
            subject, prompt = key
            return accept(subject, replies.restore(make_reader(prompt.reply)(reply.text)))

        def asks() -> Iterator[tuple[tuple[T, Prompt], Ask]]:
            for subject, prompt in asked:
                self._unread[prompt.ask.hash] = prompt.ask
                yield (subject, prompt), prompt.ask

        self._unread.clear()
        with self._asker() as asker:
            for result in asker.ask(asks(), check):
                subject, prompt = result.key
                if isinstance(result, Rejected):
                    self._unread[result.ask.hash] = result.ask
                else:
                    self._unread.pop(prompt.ask.hash, None)
                yield subject, prompt, result

    def forget_unread(self) -> None:
        """See `Forgets`."""
        with self._asker() as asker:
            asker.forget(self._unread.values())
        self._unread.clear()

    def _accept_drafts(self, assignment: Assignment, reply: Any) -> list[DraftParts]:
        if isinstance(reply, replies.CodingDrafts):
            return replies.check_coding(reply)
        shown = assignment.mistake.example if assignment.mistake else assignment.exemplars[0]
        if isinstance(reply, replies.Programmed):
            return replies.check_programmed(reply, shown)
        if isinstance(reply, replies.Solved):
            return replies.check_solved(reply, shown, numeric=kind_of(shown) == "numeric")
        if isinstance(reply, replies.ChoiceDrafts):
            return replies.check_choice(reply, len(shown.choices), self._seed)
        return replies.check_worked(reply, numeric=kind_of(shown) == "numeric")

    def _accept_both(self, assignment: Assignment, reply: Any) -> tuple[replies.Analysis, list[DraftParts]]:
        if assignment.mistake is None:
            raise InvalidReply("There is no mistake to analyse.")
        make_drafts: Any = DRAFTS[kind_of(assignment.mistake.example)]
        analysis = _accept_analysis(assignment.mistake, reply.analysis)
        return analysis, self._accept_drafts(assignment, make_drafts(drafts=reply.drafts))

    def _call(self, purpose: Purpose, subject: str, prompt: Prompt, result: Result[Any, Any]) -> Call:
        return Call(
            instructor=self._name,
            purpose=purpose,
            subject=subject,
            prompt_hash=prompt.version,
            input_tokens=result.usage.input_tokens,
            output_tokens=result.usage.output_tokens,
            cost_usd=result.usage.cost_usd,
            assumed_usd=result.usage.assumed_usd,
            reply="" if isinstance(result, Failed) else result.raw,
            prompt=write_transcript(result.ask),
        )


def _accept_analysis(mistake: Mistake, reply: replies.Analysis) -> replies.Analysis:
    return replies.check_analysis(reply, mistake.response.text)


def _accept_answer(asked: tuple[Example, int], reply: replies.BlindAnswer) -> replies.BlindAnswer:
    return replies.check_blind(reply, asked[0].choices)


def _failure(call: Call, reason: str, cause: Cause = "item") -> Failure:
    return Failure(subject=call.subject, stage=_STAGES[call.purpose], reason=reason, cause=cause)


def _fail(call: Call, result: Rejected[Any] | Failed[Any]) -> Failure:
    return _failure(call, result.reason, "unread" if isinstance(result, Rejected) else "unanswered")


def _diagnosis(mistake: Mistake, reply: replies.Analysis, call: Call) -> Diagnosis:
    return Diagnosis(
        response=mistake.response.hash,
        example=mistake.example.id,
        task=mistake.example.task,
        strategy=mistake.strategy,
        error_kind=reply.error_kind,
        misconception=reply.misconception.strip(),
        skill=mistake.example.skill or reply.skill.strip(),
        first_wrong_step=reply.first_wrong_step,
        border=reply.border.strip() if isinstance(reply, replies.ContrastAnalysis) else "",
        difficulty=reply.difficulty,
        contrasts=tuple(contrast.response.hash for contrast in mistake.contrasts),
        call=call.hash,
    )


def _drafts(
    assignment: Assignment, diagnosis: Diagnosis | None, parts: Sequence[DraftParts], call: Call
) -> list[Draft]:
    return [
        Draft(
            assignment=assignment.hash,
            diagnosis=diagnosis.hash if diagnosis else "",
            index=index,
            task=assignment.task,
            question=part.question,
            answer=part.answer,
            solution=part.solution,
            choices=part.choices,
            tests=part.tests,
            skill=diagnosis.skill if diagnosis else "",
            difficulty=diagnosis.difficulty if diagnosis else 0,
            call=call.hash,
        )
        for index, part in enumerate(parts[: assignment.count])
    ]

"""The fake instructor for tests and plugin authors: it says what its script says, and fails if it is told to.

Without a script it restates the mistake, which is enough to drive a loop but teaches nothing. It understands no task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from msgspec.structs import replace

from errorbook.plugins import Dollars
from errorbook.records import Assignment, Call, Diagnosis, Draft, Example, Failure, Mistake, Taught, Writing


class ScriptedInstructor:
    """Implements `Instructor` from given replies.

    `script` maps the id of an example (empty for undirected assignments) to pairs of question and answer, or triples
    with a solution; they are dealt in turn, over `Assignment.index`, and start again when used up. A draft against a
    mistake, or after a train question, has the options and tests of that question. `fail` lists ids of examples whose
    diagnosis, and `fail_writing` those whose writing, becomes a Failure. Each call costs `cost_usd`.
    """

    asks_nobody: ClassVar[bool] = True
    writings: ClassVar[Collection[Writing]] = ("variation", "solution")

    def __init__(
        self,
        script: Mapping[str, Sequence[Sequence[str]]] | None = None,
        fail: Sequence[str] = (),
        fail_writing: Sequence[str] = (),
        cost_usd: Dollars = 0.0,
    ) -> None:
        self._script = dict(script or {})
        self._fail = frozenset(fail)
        self._fail_writing = frozenset(fail_writing)
        self._cost_usd = cost_usd

    @property
    def name(self) -> str:
        """The plugin's name."""
        return "scripted"

    def diagnose(self, mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
        """Calls every mistake "scripted", quoting the first line of the response."""
        for mistake in mistakes:
            example, response = mistake.example, mistake.response
            call = self._call("diagnose", response.hash)
            if example.id in self._fail:
                yield mistake, Failure(subject=response.hash, stage="diagnose", reason="The script says so."), call
                continue
            diagnosis = Diagnosis(
                response=response.hash,
                example=example.id,
                task=example.task,
                strategy=mistake.strategy,
                error_kind="scripted",
                misconception="A scripted misconception.",
                skill=example.skill,
                first_wrong_step=next(iter(response.text.splitlines()), ""),
                border="A scripted border." if mistake.contrasts else "",
                difficulty=example.difficulty,
                contrasts=tuple(contrast.response.hash for contrast in mistake.contrasts),
                call=call.hash,
            )
            yield mistake, diagnosis, call

    def write(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
        """The scripted drafts, or the mistake restated; nothing for an undirected assignment without a script."""
        for assignment in assignments:
            call = self._call("write", assignment.hash)
            example = _find_source(assignment)
            if example is not None and example.id in self._fail_writing:
                yield assignment, Failure(subject=assignment.hash, stage="instruct", reason="The script says so."), call
            else:
                yield assignment, self._drafts(assignment, example, call.hash), call

    def teach(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Taught | Failure, Call]]:
        """What it would say of the mistake and write against it, in one call; it fails if either would fail."""
        for assignment in assignments:
            call = self._call("write", assignment.hash)
            mistake = assignment.mistake
            if mistake is None or mistake.example.id in self._fail | self._fail_writing:
                yield assignment, Failure(subject=assignment.hash, stage="instruct", reason="The script says so."), call
                continue
            [(_, found, _)] = self.diagnose([mistake])
            assert isinstance(found, Diagnosis), "what fails was sorted out above"  # noqa: S101
            diagnosis = replace(found, call=call.hash)
            drafts = self._drafts(assignment, mistake.example, call.hash)
            told = tuple(replace(draft, diagnosis=diagnosis.hash) for draft in drafts)
            yield assignment, Taught(diagnosis=diagnosis, drafts=told), call

    def _call(self, purpose: Literal["diagnose", "write"], subject: str) -> Call:
        return Call(instructor=self.name, purpose=purpose, subject=subject, cost_usd=self._cost_usd)

    def _drafts(self, assignment: Assignment, example: Example | None, call: str) -> list[Draft]:
        drafts = []
        for index in range(assignment.count):
            reply = self._reply(assignment.index * assignment.count + index, example)
            if reply is not None:
                question, answer, *solution = reply
                draft = Draft(
                    assignment=assignment.hash,
                    diagnosis=assignment.diagnosis.hash if assignment.diagnosis else "",
                    index=index,
                    task=assignment.task,
                    question=question,
                    answer=answer,
                    solution=solution[0] if solution else "",
                    choices=example.choices if example else (),
                    tests=example.tests if example else "",
                    skill=example.skill if example else "",
                    difficulty=example.difficulty if example else 0,
                    call=call,
                )
                drafts.append(draft)
        return drafts

    def _reply(self, position: int, example: Example | None) -> Sequence[str] | None:
        replies = self._script.get(example.id if example else "", ())
        if replies:
            return replies[position % len(replies)]
        if example is None:
            return None
        return f"Practice {position + 1}: {example.question}", example.answer, example.solution or _solution(example)


def _find_source(assignment: Assignment) -> Example | None:
    """The train question that an assignment is about; None if it is about a task as a whole."""
    if assignment.mistake is not None:
        return assignment.mistake.example
    return None if assignment.writes == "question" else assignment.exemplars[0]


def _solution(example: Example) -> str:
    """Something to say if a question has options or tests and its data no worked solution, as is usual there."""
    return "This is right." if example.choices or example.tests else ""

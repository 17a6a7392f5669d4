"""The `code` scorer: runs the response's program against the example's tests in the sandbox.

Right if every assertion of the tests holds and at least one ran. Wrong if one fails, the program does not parse,
raises, ends early or does not end in time. Unscorable if the response holds no code, or if the fault is not the
program's: tests that do not parse, that assert nothing, that use names which nobody defines or need an object of the
program's own class compared. If the sandbox itself failed there is no verdict. Programs have the standard library only.

The tests are Python: assertions on the function, or `def check(candidate)` and a call of it, as in HumanEval. What the
question itself defines beside the stub (imports, helpers, classes) belongs to the tests and cannot be redefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from annotated_types import Interval
from msgspec.structs import replace

from errorbook.adapters.scorers.replies import cut_program_reply
from errorbook.checks.verdicts import require_verdicts
from errorbook.errors import UnjudgedError
from errorbook.records import Example, NoVerdict, Score, Verdict

if TYPE_CHECKING:
    from errorbook.sandbox.pool import Job, Outcome

_VERDICTS: dict[str, Verdict] = {"passed": "right", "failed": "wrong", "timeout": "wrong", "unscorable": "unscorable"}


class Found(NamedTuple):
    """The code that a response gave, and how it was found."""

    code: str
    method: str


_NOTHING = Found("", "none")


class Code:
    """Right if the program in the response passes the example's tests.

    `seconds` is the wall clock of one program, `workers` how many run at once (0: one for each processor core).
    """

    def __init__(
        self,
        seconds: Annotated[float, Interval(gt=0, le=3600)] = 6.0,
        workers: Annotated[int, Interval(ge=0, le=4096)] = 0,
    ) -> None:
        self._seconds = seconds
        self._workers = workers

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "code"

    def find_flaw(self, example: Example) -> str:
        """Why no program could be judged; empty if nothing is wrong. Raises UnjudgedError if nothing can be told."""
        if not example.tests.strip():
            return "it has no tests, and the scorer is 'code'"
        found = prepare(example, "")
        if isinstance(found, tuple) or found.fault == "no_code":
            return ""
        if found.status == "unjudged":
            raise UnjudgedError.of(1, 1, "tests", found.why)
        return found.why

    def try_tests(self, examples: Sequence[Example]) -> list[str | NoVerdict]:
        """For each example what its tests fail by themselves, whatever the program; empty if they do not.

        Raises:
            UserError: This machine has no sandbox.
        """
        idle = [_write_nothing(example) for example in examples]
        pairs = [(example, text) for example, text in zip(examples, idle, strict=True) if isinstance(text, str)]
        outcomes = iter(self._run(pairs))
        return [_find_own_fault(next(outcomes)[1] if isinstance(text, str) else text) for text in idle]

    def score(self, example: Example, text: str) -> Score:
        """Judge one response. Raises UserError if this machine has no sandbox, or the sandbox failed."""
        return require_verdicts(self.score_all([(example, text)]), "responses")[0]

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        """Judge many, in parallel. Raises UserError if this machine has no sandbox: nothing runs without it."""
        return [_score(found, outcome) for found, outcome in self._run(pairs)]

    def _run(self, pairs: Sequence[tuple[Example, str]]) -> list[tuple[Found, Outcome]]:
        """What was found in each response, and how it did."""
        from errorbook.sandbox.pool import Limits, run_all

        prepared = [prepare(example, text) for example, text in pairs]
        jobs = {index: item[1] for index, item in enumerate(prepared) if isinstance(item, tuple)}
        outcomes = run_all(list(jobs.values()), Limits(seconds=self._seconds), self._workers)
        done = dict(zip(jobs, outcomes, strict=True))
        return [
            (item[0], done[index]) if isinstance(item, tuple) else (_NOTHING, item)
            for index, item in enumerate(prepared)
        ]


def prepare(example: Example, text: str) -> tuple[Found, Job] | Outcome:
    """The response's program and what to run, or the outcome if there is nothing to run."""
    from errorbook.sandbox.patience import BusyError
    from errorbook.sandbox.pool import Job, Outcome
    from errorbook.sandbox.reading import UnreadableError, read

    try:
        found = read("find_job", example.question, example.tests, cut_program_reply(text.replace("\r\n", "\n")))
    except UnreadableError as error:
        return _blame(example, text, str(error))
    except BusyError as error:
        return Outcome(status="unjudged", why=str(error))
    if isinstance(found, dict):
        return Outcome(status="unscorable", **found)
    parts, code, method, prelude, entry, names, classes, tests = found
    job = Job(parts=tuple(parts), tests=tests, entry=entry, prelude=prelude, asked=tuple(names), classes=tuple(classes))
    return Found(code, method), job


def _write_nothing(example: Example) -> str | Outcome:
    """A response whose program has the names that the tests use, and does nothing; or why there is none."""
    from errorbook.sandbox.patience import BusyError
    from errorbook.sandbox.pool import Outcome
    from errorbook.sandbox.reading import UnreadableError, read

    try:
        program = read("write_nothing", example.question, example.tests)
    except UnreadableError:
        program = ""
    except BusyError as error:
        return Outcome(status="unjudged", why=str(error))
    return f"```python\n{program}```"


def _find_own_fault(outcome: Outcome) -> str | NoVerdict:
    """What the tests fail by themselves, by the outcome of a program that does nothing."""
    if outcome.status == "unjudged":
        return NoVerdict(reason=outcome.why)
    return outcome.why if outcome.fault == "tests" else ""


def _blame(example: Example, text: str, why: str) -> Outcome:
    """The outcome if reading fails: Python would refuse such a program, too, so it failed, unless it is the tests."""
    from errorbook.sandbox.pool import Outcome

    alone = prepare(example, "") if text else None
    if isinstance(alone, Outcome) and alone.fault == "no_code":
        return Outcome(status="failed", why=f"the code cannot be parsed: {why}")
    if isinstance(alone, Outcome) and alone.status == "unjudged":
        return alone
    return Outcome(status="unscorable", why=f"the tests: {why}")


def _score(program: Found, outcome: Outcome) -> Score | NoVerdict:
    if outcome.status == "unjudged":
        return NoVerdict(reason=outcome.why)
    shown = replace(outcome, fault="")  # evidence is for people, and `why` says the same to them
    return Score(
        verdict=_VERDICTS[outcome.status],
        extracted=program.code,
        method=program.method,
        evidence="" if outcome.status == "passed" else msgspec.json.encode(shown).decode(),
    )

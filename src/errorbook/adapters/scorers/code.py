"""The `code` scorer: runs the response's program against the example's tests in the sandbox.

Right if every assertion of the tests holds and at least one ran. Wrong if one fails, the program does not parse,
raises, ends early or does not end in time. Unscorable if the response holds no code, or if the fault is not the
program's: tests that do not parse, that assert nothing, that use names which nobody defines or need an object of the
program's own class compared. If the sandbox itself failed there is no verdict. Programs have the standard library only.

The tests are Python: assertions on the function, or `def check(candidate)` and a call of it, as in HumanEval. What the
question itself defines beside the stub (imports, helpers, classes) belongs to the tests and cannot be redefined.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
from annotated_types import Interval

from errorbook.adapters.scorers import programs
from errorbook.checks.verdicts import require_verdicts
from errorbook.records import Example, NoVerdict, Score, Verdict

if TYPE_CHECKING:
    from errorbook.sandbox.pool import Job, Outcome

_VERDICTS: dict[str, Verdict] = {"passed": "right", "failed": "wrong", "timeout": "wrong", "unscorable": "unscorable"}


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

    def score(self, example: Example, text: str) -> Score:
        """Judge one response. Raises UserError if this machine has no sandbox, or the sandbox failed."""
        return require_verdicts(self.score_all([(example, text)]), "responses")[0]

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        """Judge many, in parallel. Raises UserError if this machine has no sandbox: nothing runs without it."""
        from errorbook.sandbox.pool import Limits, run_all

        found = [prepare(example, text) for example, text in pairs]
        jobs = {index: item[1] for index, item in enumerate(found) if not isinstance(item, Score)}
        outcomes = run_all(list(jobs.values()), Limits(seconds=self._seconds), self._workers)
        done = dict(zip(jobs, outcomes, strict=True))
        return [item if isinstance(item, Score) else _score(item[0], done[index]) for index, item in enumerate(found)]


def prepare(example: Example, text: str) -> Score | tuple[programs.Program, Job]:
    """The response's program and what to run, or the score if there is nothing to run."""
    from errorbook.sandbox.pool import Job

    entry = programs.find_entry_point(example.tests, example.question)
    if not entry:
        why = (
            "the tests do not parse" if programs.parse_program(example.tests) is None else "the tests call no function"
        )
        return Score(verdict="unscorable", method="none", evidence=_evidence(why=why))
    program = programs.find_program(text.replace("\r\n", "\n"), example.question, entry)
    if program is None:
        return Score(verdict="unscorable", method="none", evidence=_evidence(why="the response holds no code"))
    given = programs.find_prelude(example.question, entry)
    return program, Job(parts=program.parts, tests=_called(example.tests, entry), entry=entry, prelude=given)


def _called(tests: str, entry: str) -> str:
    """The tests with the call of `check` if they only define it."""
    tree = programs.parse_program(tests)
    names = {node.func.id for node in _calls(tree) if isinstance(node.func, ast.Name)} if tree else set()
    return tests if "check" in names or not programs.defines(tests, "check") else f"{tests}\ncheck({entry})\n"


def _calls(tree: ast.Module) -> list[ast.Call]:
    return [node.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]


def _score(program: programs.Program, outcome: Outcome) -> Score | NoVerdict:
    if outcome.status == "unjudged":
        return NoVerdict(reason=outcome.why)
    return Score(
        verdict=_VERDICTS[outcome.status],
        extracted=program.code,
        method=program.method,
        evidence="" if outcome.status == "passed" else msgspec.json.encode(outcome).decode(),
    )


def _evidence(why: str) -> str:
    return msgspec.json.encode({"status": "unscorable", "why": why}).decode()

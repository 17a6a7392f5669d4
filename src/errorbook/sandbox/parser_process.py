"""The process that parses what a model wrote as Python: the other side of `reading`.

It parses and runs nothing. A text that is deep or large enough to end an interpreter ends this one.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from typing import Any

from errorbook.sandbox import drafts, parsing, programs, wire

_MEMORY = 2 << 30


def main() -> None:
    """Serve on the descriptor that the command line names, until the other side is gone."""
    descriptor = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            name, *arguments = wire.receive(descriptor)
        except wire.ClosedError:
            return
        try:
            answer = ["ok", _FUNCTIONS[name](*arguments)]
        except (RecursionError, MemoryError, ValueError) as error:
            answer = ["failed", type(error).__name__]
        wire.send(descriptor, answer)


def find_job(question: str, tests: str, text: str) -> Any:
    """What to run for a response, with the names that the tests and the question give; or why nothing can be run."""
    asked = programs.read_tests(tests, question)
    if not asked.entry:
        parses = parsing.parse_program(tests) is not None
        return {"why": "the tests call no function" if parses else "the tests do not parse", "fault": ""}
    found = programs.find_program(text, question, asked.entry)
    if found is None:
        return {"why": "the response holds no code", "fault": "no_code"}
    prelude = programs.complete_stub(question, asked.entry) + programs.find_prelude(question, asked.entry)
    return [list(found.parts), found.code, found.method, prelude, asked.entry, asked.names, asked.classes, asked.tests]


def write_nothing(question: str, tests: str) -> str:
    """A program for the tests that does nothing."""
    asked = programs.read_tests(tests, question)
    return programs.write_nothing(tests, asked.entry) if asked.entry else ""


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "find_job": find_job,
    "find_broken_part": drafts.find_broken_part,
    "write_nothing": write_nothing,
}

"""The engines of `benchmarks.overhead`: scripted work of a known duration, and the seconds that they were at work.

Also the questions, word problems of the length of GSM8K's. A module of its own, since the program that is run is
imported under another name than its plugins are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from errorbook.adapters.instructors.scripted import ScriptedInstructor
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.records import Assignment, Call, Completion, Draft, Failure, Generation, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLUGINS = """
[errorbook.targets]
timed = benchmarks.overhead_engine:Timed
[errorbook.instructors]
timed = benchmarks.overhead_engine:TimedInstructor
"""
_THINGS = ("apples", "books", "coins", "drums", "eggs", "flutes", "gloves", "hats", "jars", "kites", "lamps", "maps")
_NAMES = ("Ada", "Bea", "Cem", "Dov", "Eva", "Finn", "Gita", "Hugo", "Ines", "Jon", "Liv", "Nils", "Olga", "Rosa")
_PLACES = ("market", "harbour", "school", "garden", "station", "bakery", "museum", "library", "workshop", "farm")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Problem(NamedTuple):
    """A word problem with its worked solution."""

    question: str
    answer: str
    solution: str


class Busy:
    """What all engines of this process did."""

    seconds = 0.0
    cpu = 0.0
    responses = 0


class Timed(ScriptedTarget):
    """The scripted target, which takes `delay` seconds for each prompt of a request, whatever it does in them."""

    def __init__(self, path: str, accuracy: float = 0.3, gain: float = 0.2, delay: float = 0.0) -> None:
        rows = [msgspec.json.decode(line) for line in Path(path).read_bytes().splitlines()]
        super().__init__("timed", accuracy, gain, {row["question"]: row["answer"] for row in rows})
        self._each = delay
        self._print = digest(*(row["question"] for row in rows))

    @property
    def fingerprint(self) -> str:
        """As of a model: read once."""
        return self._print

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """As a batched engine does: nothing for a while, then all of it. The texts are of the usual length."""
        with _busy(len(prompts) * self._each):
            completions = [
                msgspec.structs.replace(found, text=f"{_thinking(prompts[found.index])}\n{found.text}", tokens=90)
                for found in super().generate(prompts, settings)
            ]
        Busy.responses += len(prompts)
        yield from completions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the scripted target, at work."""
        with _busy(0):
            return super().embed(texts)


class TimedInstructor:
    """Implements `Instructor`: a scripted diagnosis, and new problems as drafts, at once."""

    def __init__(self) -> None:
        self._scripted = ScriptedInstructor()
        self.name = "timed"
        self.diagnose = self._scripted.diagnose

    def write(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
        """As many problems as are asked for, drawn by the assignment's hash."""
        for assignment in assignments:
            with _busy(0):
                call = Call(instructor=self.name, purpose="write", subject=assignment.hash)
                written = tuple(problems(assignment.count, assignment.hash))
            yield assignment, tuple(_draft(assignment, n, problem, call) for n, problem in enumerate(written)), call


def problems(n: int, seed: str) -> Iterator[Problem]:
    """`n` problems, equal for equal seeds."""
    rng = random.Random(seed)
    for _ in range(n):
        one, other = rng.sample(_NAMES, 2)
        thing, more = rng.sample(_THINGS, 2)
        where, when = rng.choice(_PLACES), rng.choice(_DAYS)
        a, b, c, d = rng.randint(3, 60), rng.randint(3, 40), rng.randint(2, 9), rng.randint(2, 30)
        first, second = a * c, a * c + b
        yield Problem(
            question=f"On {when} {one} carries {c} boxes with {a} {thing} each to the {where}, where {other} has"
            f" {b} {thing} and {d} {more}. They put all of them on one long table and count them twice, since nobody"
            f" trusts the first count. How many {thing} and {more} are there on the table of the {where} in the end?",
            answer=str(second + d),
            solution=f"{one} brings {c} * {a} = {first} {thing}.\nWith those of {other} it is {first} + {b} = {second}."
            f"\nTogether with the {more} it is {second} + {d} = {second + d}.",
        )


@contextmanager
def _busy(seconds: float) -> Iterator[None]:
    """Count what the block takes, and at least `seconds`, as an engine's work."""
    started, computing = time.perf_counter(), time.process_time()
    yield
    time.sleep(max(0.0, seconds - (time.perf_counter() - started)))
    Busy.cpu += time.process_time() - computing
    Busy.seconds += time.perf_counter() - started


def _thinking(question: str) -> str:
    words = question.split()
    return f"Let us read the question again: {' '.join(words[:40])}.\nNow we count.\n12 * 4 = 48\n48 + 7 = 55"


def _draft(assignment: Assignment, index: int, problem: Problem, call: Call) -> Draft:
    return Draft(
        assignment=assignment.hash,
        diagnosis=assignment.diagnosis.hash if assignment.diagnosis else "",
        index=index,
        task=assignment.task,
        question=problem.question,
        answer=problem.answer,
        solution=problem.solution,
        call=call.hash,
    )

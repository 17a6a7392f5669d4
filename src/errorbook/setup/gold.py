"""Can the task's scorer judge the task's own examples? The gold answer, given as a response, must be right.

An example that fails can never be answered rightly: an answer out of the options' range, a text for a scorer of
numbers, tests that do not parse. Few of them are left out, with the reason; many mean that the run file or the data are
wrong. It judges no response of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from errorbook.errors import DataError, UserError
from errorbook.files import cache_root, shorten, write_file
from errorbook.interfaces import BatchScorer, FlawFinder, Placed, Scorer, Task, TestTrier
from errorbook.records import Example, Score, Split, digest
from errorbook.version import __version__

MOST_FLAWED = 0.05
"""Share of a task's examples that may be left out; with more of them nothing is done."""
SHOWN = 3
"""Examples that are named."""
_TRIED = 300
"""Examples without a reference solution whose tests are tried."""
_RUN = 2000
"""Reference solutions that are run in the sandbox at most; it takes milliseconds for each."""


class Flaw(NamedTuple):
    """An example that its scorer cannot judge, and why."""

    example: Example
    reason: str


class Sound(NamedTuple):
    """The examples that can be judged, and a sentence about those that cannot; empty if all can."""

    examples: dict[Split, tuple[Example, ...]]
    note: str


def keep_sound(task: Task, scorer: Scorer, examples: Mapping[Split, Sequence[Example]]) -> Sound:
    """Leave out the examples whose gold answer the scorer does not find right.

    Raises:
        DataError: More than `MOST_FLAWED` of them fail.
    """
    every = [example for part in examples.values() for example in part]
    flaws = find_flaws(task, scorer, every)
    if not flaws:
        return Sound({split: tuple(part) for split, part in examples.items()}, "")
    named = "; ".join(f"{_place(task, flaw.example)}: {flaw.reason}" for flaw in flaws[:SHOWN])
    counted = f"{len(flaws):,} of {len(every):,} examples of '{task.name}'"
    more = f"; and {len(flaws) - SHOWN:,} more" if len(flaws) > SHOWN else ""
    if len(flaws) > MOST_FLAWED * len(every):
        raise DataError(
            f"{counted} cannot be answered rightly for the scorer '{task.scorer}' ({named}{more}); correct them, or set"
            " another scorer."
        )
    out = {id(flaw.example) for flaw in flaws}
    kept = {split: tuple(item for item in part if id(item) not in out) for split, part in examples.items()}
    return Sound(kept, f"{counted} are left out, because no answer to them can be right ({named}{more}).")


def find_flaws(task: Task, scorer: Scorer, examples: Sequence[Example]) -> list[Flaw]:
    """The examples that cannot be judged, in their order. One that nothing is known of counts as sound."""
    if isinstance(scorer, FlawFinder):
        told = [(example, scorer.find_flaw(example)) for example in examples]
        sound = [example for example, flaw in told if not flaw]
        failed = {
            id(flaw.example): flaw.reason for flaw in (*_run_gold(task, scorer, sound), *_try_tests(scorer, sound))
        }
        return [Flaw(one, said or failed[id(one)]) for one, said in told if said or id(one) in failed]
    if isinstance(scorer, BatchScorer):  # it runs or buys something, and does not say what it needs
        return []
    return _score_gold(task, scorer, examples)


def _score_gold(task: Task, scorer: Scorer, examples: Sequence[Example]) -> list[Flaw]:
    """Equal answers are scored once: a file of 100,000 rows has few of them."""
    known: dict[tuple[object, ...], str] = {}
    flaws = []
    for example in examples:
        # A short answer may be the letter of an option that stands in the question.
        key = (example.answer, example.choices, example.tests, example.question if len(example.answer) < 4 else "")
        if key not in known:
            known[key] = _explain(example, scorer.score(example, task.completion("", example.answer)))
        if known[key]:
            flaws.append(Flaw(example, known[key]))
    return flaws


def _explain(example: Example, score: Score) -> str:
    if score.verdict == "right":
        return ""
    if example.choices and not score.extracted:
        return f"its answer {shorten(example.answer)} is none of its {len(example.choices)} options"
    why = f"read as {shorten(score.extracted)}" if score.extracted else score.evidence.rstrip(".")
    return f"its answer {shorten(example.answer)} is not right as a response ({shorten(why, 120).strip(chr(39))})"


def _run_gold(task: Task, scorer: Scorer, examples: Sequence[Example]) -> list[Flaw]:
    """The examples whose reference solution fails their tests; none if nothing can be run here."""
    known = _Passed(cache_root() / "references.txt", scorer.name)
    pairs = [(one, task.completion("", one.answer)) for one in examples if one.answer.strip() and one not in known]
    if not pairs or not isinstance(scorer, BatchScorer):
        return []
    try:
        scores = list(zip(pairs[:_RUN], scorer.score_all(pairs[:_RUN]), strict=True))
    except UserError:  # no sandbox: the run itself will say so
        return []
    known.add(example for (example, _), score in scores if isinstance(score, Score) and score.verdict == "right")
    return [
        Flaw(example, "its reference solution does not pass its tests")
        for (example, _), score in scores
        if isinstance(score, Score) and score.verdict != "right"
    ]


def _try_tests(scorer: Scorer, examples: Sequence[Example]) -> list[Flaw]:
    """The first examples without a reference solution whose tests fail by themselves, such as by a missing import.

    The same examples are tried at every start, since a question that is left out later would change the data.
    """
    bare = [example for example in examples if example.tests.strip() and not example.answer.strip()][:_TRIED]
    known = _Passed(cache_root() / "references.txt", f"{scorer.name} tests")
    fresh = [example for example in bare if example not in known]
    if not fresh or not isinstance(scorer, TestTrier):
        return []
    try:
        faults = list(zip(fresh, scorer.try_tests(fresh), strict=True))
    except UserError:  # no sandbox: the run itself will say so
        return []
    known.add(example for example, fault in faults if not fault)
    return [Flaw(example, fault) for example, fault in faults if fault]


class _Passed:
    """The examples whose reference solution has passed on this machine before, so that no program is run twice."""

    def __init__(self, path: Path, scorer: str) -> None:
        self._path = path
        self._scorer = scorer
        self._known = set(path.read_text(encoding="ascii", errors="replace").split()) if path.is_file() else set()

    def __contains__(self, example: Example) -> bool:
        return self._key(example) in self._known

    def add(self, examples: Iterable[Example]) -> None:
        """Remember some more. What cannot be kept is tried again another time."""
        fresh = {self._key(example) for example in examples}
        if fresh:
            with suppress(OSError):
                write_file(self._path, "".join(f"{key}\n" for key in sorted(self._known | fresh)))

    def _key(self, example: Example) -> str:
        return digest(self._scorer, __version__, example.hash)


def _place(task: Task, example: Example) -> str:
    """Where the example stands, or its id and how it begins."""
    found = task.place(example) if isinstance(task, Placed) else ""
    return found or f"'{example.id}' ({shorten(' '.join(example.question.split()), 40)})"

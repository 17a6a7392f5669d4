"""Can the task's scorer judge the task's own examples? The gold answer, given as a response, must be right.

An example that fails can never be answered rightly: an answer out of the options' range, a text for a scorer of
numbers, tests that do not parse. A gold answer in the user's own file that cannot be read is theirs to mend, so it is
an error. Of other data few are left out, with the reason; many mean that the run file or the data are wrong. It judges
no response of a model.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from errorbook.errors import DataError, UnjudgedError, UserError
from errorbook.files import cache_root, shorten, write_file
from errorbook.interfaces import BatchScorer, FlawFinder, Placed, Scorer, Task, TestTrier
from errorbook.records import Example, NoVerdict, Score, Split, digest
from errorbook.version import __version__

MOST_FLAWED = 0.05
"""Share of a task's examples that may be left out; with more of them nothing is done."""
SHOWN = 3
"""Examples that are named."""
_TRIED = 300
"""Examples without a reference solution whose tests are tried."""
_RUN = 2000
"""Reference solutions that are run in the sandbox at most; it takes milliseconds for each."""
_FAILS = "its reference solution does not pass its tests"


class Flaw(NamedTuple):
    """An example that its scorer cannot judge, and why."""

    example: Example
    reason: str


class Sound(NamedTuple):
    """The examples that can be judged, and a sentence about those that cannot; empty if all can.

    `shots` are examples that are shown with the others and not asked.
    """

    examples: dict[Split, tuple[Example, ...]]
    note: str
    shots: tuple[Example, ...] = ()


def keep_sound(
    task: Task,
    scorer: Scorer,
    examples: Mapping[Split, Sequence[Example]],
    *,
    marked_by: str = "",
    lenient: bool = False,
) -> Sound:
    """Leave out the examples whose gold answer the scorer does not find right; see `find_flaws`.

    Raises:
        DataError: More than `MOST_FLAWED` of them fail, or the answer in a row of the user's own cannot be read.
        UserError: What must be run cannot be run here, and it is not `lenient`.
    """
    every = [example for part in examples.values() for example in part]
    flaws = find_flaws(task, scorer, every, marked_by=marked_by, lenient=lenient)
    if not flaws:
        return Sound({split: tuple(part) for split, part in examples.items()}, "")
    named = "; ".join(f"{_place(task, flaw.example)}: {flaw.reason}" for flaw in flaws[:SHOWN])
    counted = f"{len(flaws):,} of {len(every):,} examples of '{task.name}'"
    more = f"; and {len(flaws) - SHOWN:,} more" if len(flaws) > SHOWN else ""
    unread = not isinstance(scorer, FlawFinder) and any(_is_own(task, flaw.example) for flaw in flaws)
    if unread or len(flaws) > MOST_FLAWED * len(every):
        mend = "correct these rows or delete them" if unread else "correct them"
        raise DataError(
            f"{counted} cannot be answered rightly for the scorer '{task.scorer}' ({named}{more}); {mend}, or set"
            " another scorer."
        )
    out = {id(flaw.example) for flaw in flaws}
    kept = {split: tuple(item for item in part if id(item) not in out) for split, part in examples.items()}
    return Sound(kept, f"{counted} are left out, because no answer to them can be right ({named}{more}).")


def find_flaws(
    task: Task, scorer: Scorer, examples: Sequence[Example], *, marked_by: str = "", lenient: bool = False
) -> list[Flaw]:
    """The examples that cannot be judged, in their order.

    What is left out must be the same at every start of a run, or its data would change. So what fails to run is an
    error, unless the caller is `lenient`: then what nothing is known of counts as sound. `marked_by` names the scorer
    with its options, since a reference solution may fail for a limit of time.

    Raises:
        UserError: What must be run cannot be run here, and it is not `lenient`.
    """
    if isinstance(scorer, FlawFinder):
        told = [(example, _look_at(scorer, example, lenient)) for example in examples]
        sound = [example for example, flaw in told if not flaw]
        tried = _Tried(cache_root() / "references.jsonl", marked_by or scorer.name)
        found = (*_run_gold(task, scorer, sound, tried, lenient), *_try_tests(scorer, sound, tried, lenient))
        failed = {id(flaw.example): flaw.reason for flaw in found}
        return [Flaw(one, said or failed[id(one)]) for one, said in told if said or id(one) in failed]
    if isinstance(scorer, BatchScorer):  # it runs or buys something, and does not say what it needs
        return []
    return _score_gold(task, scorer, examples)


def _look_at(scorer: FlawFinder, example: Example, lenient: bool) -> str:
    try:
        return scorer.find_flaw(example)
    except UserError:
        if not lenient:
            raise
        return ""


def _score_gold(task: Task, scorer: Scorer, examples: Sequence[Example]) -> list[Flaw]:
    """Equal answers are scored once: a file of 100,000 rows has few of them."""
    known: dict[tuple[object, ...], str] = {}
    flaws = []
    for example in examples:
        # A short answer may be the letter of an option that stands in the question.
        faults = []
        for answer in (example.answer, *example.accepted):
            key = (answer, example.choices, example.tests, example.question if len(answer) < 4 else "")
            alone = replace(example, answer=answer, accepted=()) if example.accepted else example
            if key not in known:
                known[key] = _explain(alone, scorer.score(alone, task.completion("", answer)))
            faults.append(known[key])
        if reason := next(filter(None, faults), ""):
            flaws.append(Flaw(example, reason))
    return flaws


def _explain(example: Example, score: Score) -> str:
    if score.verdict == "right":
        return ""
    if example.choices and not score.extracted:
        return f"its answer {shorten(example.answer)} is none of its {len(example.choices)} options"
    why = f"read as {shorten(score.extracted)}" if score.extracted else score.evidence.rstrip(".")
    return f"its answer {shorten(example.answer)} is not right as a response ({shorten(why, 120).strip(chr(39))})"


def _run_gold(task: Task, scorer: Scorer, examples: Sequence[Example], tried: _Tried, lenient: bool) -> list[Flaw]:
    """The examples whose reference solution fails their tests.

    The first ones are run, whatever is known already, since others would be left out at a second start.
    """
    solved = [example for example in examples if example.answer.strip()][:_RUN]
    if not isinstance(scorer, BatchScorer):
        return []

    def run(fresh: Sequence[Example]) -> list[str | NoVerdict]:
        scores = scorer.score_all([(example, task.completion("", example.answer)) for example in fresh])
        return [
            score if isinstance(score, NoVerdict) else "" if score.verdict == "right" else _FAILS for score in scores
        ]

    return _try(solved, "reference solutions", run, tried, lenient)


def _try_tests(scorer: Scorer, examples: Sequence[Example], tried: _Tried, lenient: bool) -> list[Flaw]:
    """The first examples without a reference solution whose tests fail by themselves, such as by a missing import."""
    bare = [example for example in examples if example.tests.strip() and not example.answer.strip()][:_TRIED]
    return _try(bare, "tests", scorer.try_tests, tried, lenient) if isinstance(scorer, TestTrier) else []


def _try(
    examples: Sequence[Example],
    what: str,
    attempt: Callable[[Sequence[Example]], Sequence[str | NoVerdict]],
    tried: _Tried,
    lenient: bool,
) -> list[Flaw]:
    """The flaws that an attempt finds, or found before; `what` names in the plural what it tries of each example."""
    fresh = [example for example in examples if tried.recall(what, example) is None]
    try:
        told = list(zip(fresh, attempt(fresh), strict=True)) if fresh else []
        # Kept before anything is raised: the same command goes on with the others.
        tried.keep(what, [(example, reason) for example, reason in told if isinstance(reason, str)])
        missing = [reason.reason for _, reason in told if isinstance(reason, NoVerdict)]
        if missing:
            raise UnjudgedError.of(len(missing), len(fresh), what, missing[0])
    except UserError:
        if not lenient:
            raise
    return [Flaw(example, reason) for example in examples if (reason := tried.recall(what, example))]


class _Tried:
    """What became of examples that were tried on this machine before, so that no program is run twice."""

    def __init__(self, path: Path, marked_by: str) -> None:
        self._path = path
        self._marked_by = marked_by
        self._known = dict(_read_tried(path))

    def recall(self, what: str, example: Example) -> str | None:
        """Why it failed, empty if it did not; None if it was not tried."""
        return self._known.get(self._key(what, example))

    def keep(self, what: str, told: Iterable[tuple[Example, str]]) -> None:
        """Remember some more. What cannot be written is tried again another time."""
        fresh = {self._key(what, example): reason for example, reason in told}
        self._known |= fresh
        if fresh:
            with suppress(OSError):
                write_file(self._path, msgspec.json.Encoder().encode_lines(sorted(self._known.items())))

    def _key(self, what: str, example: Example) -> str:
        return digest(what, self._marked_by, __version__, platform.python_version(), example.hash)


def _read_tried(path: Path) -> Iterator[tuple[str, str]]:
    """Each key with its reason; a line that is damaged is passed over."""
    decoder = msgspec.json.Decoder(tuple[str, str])
    with suppress(OSError):
        for line in path.read_bytes().splitlines():
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                yield decoder.decode(line)


def _is_own(task: Task, example: Example) -> bool:
    """Whether it stands in a file of the user's own."""
    return isinstance(task, Placed) and bool(task.place(example))


def _place(task: Task, example: Example) -> str:
    """Where the example stands, or its id and how it begins."""
    found = task.place(example) if isinstance(task, Placed) else ""
    return found or f"'{example.id}' ({shorten(' '.join(example.question.split()), 40)})"

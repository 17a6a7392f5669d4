"""A file of samples through `verify`: the funnel, what each check finds by itself, and the two files that come out.

Works through the file in blocks, so memory grows with the questions that are kept, not with the file. Answers are
recomputed if the task can do that; nobody is asked for votes here.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from errorbook.checks.hashes import hash_text
from errorbook.checks.ngram_overlap import Overlaps
from errorbook.checks.taken import Protected, Taken
from errorbook.checks.tokens import words
from errorbook.errors import UserError
from errorbook.files import replace_file, require_output
from errorbook.importing.logs.columns import MESSAGES, QUESTION, find_columns
from errorbook.importing.sample_rows import SampleRow, read_samples
from errorbook.interfaces import Scorer, Solver, Task
from errorbook.records import Example, Message, Rejection, Sample, context_of, read_messages
from errorbook.verify import REASONS, Evidence, Known, find_faults, verify

RESULTS = ("accepted.jsonl", "rejected.jsonl")
_BLOCK = 5_000
_MOST_SHOWN = 3


class Rules(NamedTuple):
    """What a file is checked against: `n` words in a row overlap, near duplicates are similar by `near`."""

    task: Task
    scorer: Scorer
    held: Sequence[Example]
    train: Sequence[Example]
    n: int
    near: float


class ShownReject(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected sample: its line, the answer that was read in it (empty if none was), the reason and the evidence."""

    line: int
    answer: str
    reason: str
    detail: str


class FileFunnel(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file. `rejected` counts first reasons; `found` what each check finds, also in rejected ones.

    `shown` holds the first three rejected samples of each reason.
    """

    samples: int
    accepted: int
    rejected: dict[str, int]
    found: dict[str, int]
    held: dict[str, int]
    train: int
    answers: str
    shown: tuple[ShownReject, ...] = ()


class SampleOutcome(NamedTuple):
    """One sample and what was decided."""

    line: SampleRow
    decision: Sample | Rejection


def require_results(out: Path, inputs: Sequence[Path], force: bool) -> None:
    """Refuse a folder for the two files if they would take the place of an input, or of earlier files without `force`.

    Raises:
        UserError: They would.
    """
    for name in RESULTS:
        path = out / name
        require_output(path, inputs, lambda _: True)
        if path.exists() and not force:
            raise UserError(f"'{path}' is there already; give --force to replace it, or another --out folder.")


def check_samples(
    path: Path, rules: Rules, out: Path | None = None, keep: bool = False
) -> tuple[FileFunnel, list[SampleOutcome]]:
    """Check a file; with `out`, write accepted.jsonl and rejected.jsonl there; outcomes are returned if `keep` asks.

    Raises:
        DataError: The file is missing or malformed.
    """
    tally = _Tally(rules)
    kept: list[SampleOutcome] = []
    if out is None:
        for outcome in _decide(path, rules):
            tally.add(outcome)
            kept += [outcome] if keep else []
        return tally.funnel(), kept
    with replace_file(out / RESULTS[0]) as accepted, replace_file(out / RESULTS[1]) as rejected:
        for outcome in _decide(path, rules):
            tally.add(outcome)
            kept += [outcome] if keep else []
            _write(outcome, accepted, rejected)
    return tally.funnel(), kept


def _decide(path: Path, rules: Rules) -> Iterator[SampleOutcome]:
    tasks = {rules.task.name: (rules.task, rules.scorer)}
    taken = Taken(rules.near)
    for example in rules.train:
        taken.add(example.question, example.before)
    sums = {rules.task.name} if isinstance(rules.task, Solver) else set()
    protected = Protected(rules.held, (), rules.n, sums)
    evidence = Evidence(trust_answers=not isinstance(rules.task, Solver))
    lines = read_samples(path, rules.task.name, rules.scorer)
    while block := list(itertools.islice(lines, _BLOCK)):
        decided = verify([line.draft for line in block], tasks, taken, protected, evidence)
        for line, decision in zip(block, decided, strict=True):
            yield SampleOutcome(line, decision)


class _Tally:
    """Counts outcomes, and what every check by itself finds in the samples that were rejected for another reason."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._reasons: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._accepted = 0
        self._seen: set[int] = set()
        self._shown: list[ShownReject] = []
        self._protected = Protected(rules.held, (), rules.n, ())
        self._train = Overlaps([words(example.question) for example in rules.train], rules.n)
        evidence = Evidence(trust_answers=not isinstance(rules.task, Solver))
        self._known = Known(tasks={rules.task.name: (rules.task, rules.scorer)}, evidence=evidence)

    def add(self, outcome: SampleOutcome) -> None:
        """Count one more."""
        draft, decision = outcome.line.draft, outcome.decision
        found = {"repeated": self._is_repeated(draft.question, draft.before)}
        found["overlaps_train"] = self._train.find(words(draft.question)) is not None
        if isinstance(decision, Rejection):
            self._reasons[decision.reason] += 1
            if self._reasons[decision.reason] <= _MOST_SHOWN:
                self._shown.append(_show(outcome, decision))
            reasons = {fault.reason for fault in find_faults(draft, self._known)}
            reasons.add(decision.reason)
            if self._protected.clash(draft.question, draft.answer, draft.before):
                reasons.add("contaminated")
            found |= dict.fromkeys(reasons, True)
        else:
            self._accepted += 1
        self._found.update(name for name, is_so in found.items() if is_so)

    def _is_repeated(self, question: str, before: Sequence[Message]) -> bool:
        key = hash_text([*question.casefold().split(), context_of(before)])
        again = key in self._seen
        self._seen.add(key)
        return again

    def funnel(self) -> FileFunnel:
        """The counts so far."""
        rules = self._rules
        return FileFunnel(
            samples=self._accepted + self._reasons.total(),
            accepted=self._accepted,
            rejected={reason: self._reasons[reason] for reason in REASONS if self._reasons[reason]},
            found={name: self._found[name] for name in ("repeated", *REASONS, "overlaps_train") if self._found[name]},
            held=dict(Counter(example.task.partition("/")[0] for example in rules.held)),
            train=len(rules.train),
            answers="recomputed" if isinstance(rules.task, Solver) else "trusted",
            shown=tuple(sorted(self._shown, key=lambda shown: (list(REASONS).index(shown.reason), shown.line))),
        )


def _write(outcome: SampleOutcome, accepted: IO[bytes], rejected: IO[bytes]) -> None:
    row, decision = outcome.line.row, outcome.decision
    if isinstance(decision, Rejection):
        rejected.write(msgspec.json.encode({**row.values, "rejection": _show(outcome, decision)}) + b"\n")
        return
    values = dict(row.values)
    if decision.question != outcome.line.draft.question:  # its heading was taken off
        put_question(values, decision.question)
    accepted.write(msgspec.json.encode(values) + b"\n")


def put_question(values: dict[str, Any], question: str) -> None:
    """Put the question where the row has it: in a column, or as the last message of the user."""
    if columns := find_columns(values, QUESTION):
        values[columns[0]] = question
        return
    [column, *_] = find_columns(values, MESSAGES)
    turns = [dict(turn) for turn in values[column]]
    last = next(turn for turn in reversed(turns) if read_messages([turn])[0].role == "user")
    last[next(key for key in ("content", "value", "text") if key in last)] = question
    values[column] = turns


def _show(outcome: SampleOutcome, decision: Rejection) -> ShownReject:
    line = outcome.line
    return ShownReject(line=line.row.number, answer=line.draft.answer, reason=decision.reason, detail=decision.detail)

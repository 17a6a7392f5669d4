"""What a report counts in a ledger, asked in SQL without reading the responses' texts.

Verdicts come as strings of one letter a question, in the order of the example ids: two such strings of the same
questions can be compared letter by letter, and a million verdicts are a megabyte. It knows nothing of runs or cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.records import Diagnosis, Draft, Evaluation, Groups, Record, Sample, Split, Verdict
from errorbook.stats import Change, Pairing, change_of, cluster, pair

VERDICT: dict[str, Verdict] = {"r": "right", "w": "wrong", "u": "unscorable"}
"""The verdict that each letter stands for."""


_NUMBER = "(SELECT seq FROM records WHERE kind = 'Evaluation' AND key = ?)"


class Diagnosed(NamedTuple):
    """A diagnosis with its recorded hash, and the cycle that it was made in."""

    hash: str
    diagnosis: Diagnosis
    cycle: int


class Spent(NamedTuple):
    """What instructor calls took: how many, tokens in and out."""

    calls: int
    input_tokens: int
    output_tokens: int


class Letters:
    """Verdicts of evaluations as letters, each evaluation read once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, str] = {}
        self._examples: dict[str, list[str]] = {}

    def of(self, evaluation: Evaluation) -> str:
        """One letter (r, w or u) for every response so far, in the order of the example ids."""
        if evaluation.hash not in self._known:
            # The inner query reads the table in the order of its key, which is the order in which the outer one joins.
            inner = f"SELECT verdict FROM responses WHERE evaluation = {_NUMBER} ORDER BY example"  # noqa: S608 - fixed
            query = f"SELECT group_concat(substr(verdict, 1, 1), '') FROM ({inner})"  # noqa: S608 - fixed parts only
            row = self._ledger.connection.execute(query, (evaluation.hash,)).fetchone()
            self._known[evaluation.hash] = row[0] or ""
        return self._known[evaluation.hash]

    def examples(self, evaluation: Evaluation) -> list[str]:
        """Ids of the examples that were answered, in the order of the letters; read once for the same questions."""
        if len(self.of(evaluation)) < evaluation.n:
            return [row[0] for row in self._rows("example", evaluation)]
        if evaluation.examples not in self._examples:
            self._examples[evaluation.examples] = [row[0] for row in self._rows("example", evaluation)]
        return self._examples[evaluation.examples]

    def paths(self, evaluations: Sequence[Evaluation]) -> Counter[tuple[str, ...]]:
        """How many questions have these letters: each question's, of the evaluations that answered it, in order."""
        if self._complete(evaluations):
            return Counter(zip(*map(self.of, evaluations), strict=True))
        return Counter(self.by_example(evaluations).values())

    def by_example(self, evaluations: Sequence[Evaluation]) -> dict[str, tuple[str, ...]]:
        """The same letters by example id."""
        if evaluations and self._complete(evaluations):
            paths = zip(*map(self.of, evaluations), strict=True)
            return dict(zip(self.examples(evaluations[0]), paths, strict=True))
        found: dict[str, list[str]] = {}
        for evaluation in evaluations:
            for example, letter in self._rows("example, substr(verdict, 1, 1)", evaluation):
                found.setdefault(example, []).append(letter)
        return {example: tuple(path) for example, path in found.items()}

    def verdicts(self, evaluation: Evaluation) -> dict[str, Verdict]:
        """Verdict by example id."""
        return dict(zip(self.examples(evaluation), map(VERDICT.__getitem__, self.of(evaluation)), strict=True))

    def pairing(self, before: Evaluation, after: Evaluation) -> Pairing:
        """The two evaluations paired; both must have answered all of the same questions."""
        letters = Counter(zip(self.of(before), self.of(after), strict=True))
        groups = self._ledger.find(Groups, keys.groups(before.task, before.split))
        together = groups.together if groups else ()
        clusters = cluster(together, self.verdicts(before), self.verdicts(after)) if together else ()
        return pair({(VERDICT[was], VERDICT[now]): n for (was, now), n in letters.items()}, clusters)

    def changed(self, before: Evaluation, after: Evaluation, change: Change) -> tuple[str, ...]:
        """Ids of the examples of which this became, in their order; both must have answered all of the same."""
        pairs = zip(self.examples(before), self.of(before), self.of(after), strict=True)
        return tuple(id for id, was, now in pairs if change_of(VERDICT[was], VERDICT[now]) == change)

    def _complete(self, evaluations: Sequence[Evaluation]) -> bool:
        """Whether each of them answered all of the same questions."""
        same = len({evaluation.examples for evaluation in evaluations}) == 1
        return same and all(len(self.of(evaluation)) == evaluation.n for evaluation in evaluations)

    def _rows(self, what: str, evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
        query = f"SELECT {what} FROM responses WHERE evaluation = {_NUMBER} ORDER BY example"  # noqa: S608 - fixed parts
        return iter(self._ledger.connection.execute(query, (evaluation.hash,)))


def read_skills(ledger: Ledger, task: str, split: Split) -> dict[str, str]:
    """Skill by example id of the recorded examples of one split; empty texts if a task names none."""
    start = keys.examples(task, split)
    rows = ledger.connection.execute(
        "SELECT substr(key, ?), coalesce(json_extract(body, '$.skill'), '') FROM records"
        " WHERE kind = 'Example' AND key >= ? AND key < ?",
        (len(start) + 1, start, f"{start[:-1]};"),  # a semicolon follows the colon
    )
    return {row[0]: row[1] for row in rows}


def read_sample_origins(ledger: Ledger) -> Iterator[tuple[int, str]]:
    """For every sample the cycle that it was verified in, and the hash of its draft's diagnosis (or an empty text)."""
    diagnoses = dict(read_draft_origins(ledger))
    return ((int(cycle), diagnoses.get(draft, "")) for draft, cycle in _columns(ledger, "key, cycle", Sample))


def read_diagnosis_origins(ledger: Ledger) -> Iterator[tuple[str, str, str, str]]:
    """For every diagnosis its hash, its response's hash, the task and the kind of error, without the rest of it."""
    what = "hash, parent, json_extract(body, '$.task'), json_extract(body, '$.error_kind')"
    return iter(_columns(ledger, what, Diagnosis))


def read_draft_origins(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """For every draft its hash and that of its diagnosis (or an empty text)."""
    return iter(_columns(ledger, "hash, parent", Draft))


class DraftSource(NamedTuple):
    """A draft with its strategy, and the train question that it goes back to, if it does (its id)."""

    hash: str
    cycle: int
    strategy: str
    task: str
    example: str


def read_draft_sources(ledger: Ledger) -> Iterator[DraftSource]:
    """Where every draft comes from: by its diagnosis, or by its own word; drafts of older ledgers do not tell.

    What has no diagnosis in these is undirected: there was nothing else.
    """
    what = "hash, json_extract(body, '$.strategy'), json_extract(body, '$.example')"
    diagnosed = {hash: (strategy, example) for hash, strategy, example in _columns(ledger, what, Diagnosis)}
    fields = ("strategy", "task", "example")
    told = ", ".join(f"coalesce(json_extract(body, '$.{field}'), '')" for field in fields)
    for hash, cycle, parent, own, task, source in _columns(ledger, f"hash, cycle, parent, {told}", Draft):
        strategy, example = diagnosed.get(parent, ("undirected", source))
        yield DraftSource(hash, int(cycle), own or strategy, task, example)


def name_strategy(draft: Draft, diagnosis: Diagnosis | None) -> str:
    """The strategy of one draft, by the same rule."""
    return draft.strategy or (diagnosis.strategy if diagnosis else "undirected")


def count_per_cycle(ledger: Ledger, kind: type[Record]) -> Counter[int]:
    """How many records of one kind each cycle has."""
    query = "SELECT cycle, count(*) FROM records WHERE kind = ? GROUP BY cycle"
    return Counter({int(cycle): int(n) for cycle, n in ledger.connection.execute(query, (kind.__name__,))})


def count_rejections(ledger: Ledger) -> dict[int, dict[str, int]]:
    """How many drafts each cycle rejected, by reason, the most frequent first."""
    rows = ledger.connection.execute(
        "SELECT cycle, json_extract(body, '$.reason') AS reason, count(*) AS n FROM records"
        " WHERE kind = 'Rejection' GROUP BY cycle, reason ORDER BY cycle, n DESC, min(seq)"
    )
    found: dict[int, dict[str, int]] = {}
    for cycle, reason, n in rows:
        found.setdefault(int(cycle), {})[str(reason)] = int(n)
    return found


def count_corrections(ledger: Ledger) -> dict[str, int]:
    """How many corrections people made, by kind."""
    rows = ledger.connection.execute(
        "SELECT json_extract(body, '$.kind') AS change, count(*) FROM records WHERE kind = 'Correction'"
        " GROUP BY change ORDER BY change"
    )
    return {str(change): int(n) for change, n in rows}


def read_diagnoses(ledger: Ledger) -> list[Diagnosed]:
    """Every diagnosis in the order in which they were made."""
    decode = msgspec.json.Decoder(Diagnosis).decode
    rows = ledger.connection.execute("SELECT hash, body, cycle FROM records WHERE kind = 'Diagnosis' ORDER BY seq")
    return [Diagnosed(row[0], decode(row[1]), int(row[2])) for row in rows]


def read_costs(ledger: Ledger) -> Iterator[tuple[str, float]]:
    """The parent of every instructor call, and the dollars that the call cost."""
    query = "SELECT parent, json_extract(body, '$.cost_usd') FROM records WHERE kind = 'Call'"
    return ((str(parent), float(usd or 0.0)) for parent, usd in ledger.connection.execute(query))


def read_assumed(ledger: Ledger) -> float:
    """The part of the instructor calls' dollars that no server has counted."""
    query = "SELECT sum(json_extract(body, '$.assumed_usd')) FROM records WHERE kind = 'Call'"
    return float(ledger.connection.execute(query).fetchone()[0] or 0.0)


def read_spent(ledger: Ledger) -> Spent:
    """What all instructor calls took, but for the dollars."""
    row = ledger.connection.execute(
        "SELECT count(*), sum(json_extract(body, '$.input_tokens')), sum(json_extract(body, '$.output_tokens'))"
        " FROM records WHERE kind = 'Call'"
    ).fetchone()
    return Spent(*(int(value or 0) for value in row))


def _columns(ledger: Ledger, what: str, kind: type[Record]) -> Iterator[Any]:
    query = f"SELECT {what} FROM records WHERE kind = ? ORDER BY seq"  # noqa: S608 - fixed parts only
    return iter(ledger.connection.execute(query, (kind.__name__,)))

"""Two evaluations side by side, of one ledger or of two: what both answered, counted and item by item. Reads only.

Both files are opened for reading in one connection, so that the database pairs a hundred thousand answers and only a
page of them is read in full. Items come by what changed, regressions first, then by example id. It knows no statistics.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, get_args

import msgspec

from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.schema import explain
from errorbook.records import Evaluation, Response, Verdict
from errorbook.stats import CHANGES, Change, Pairing, change_of, pair

_CACHE = -16384
_PAIRED = (
    " FROM main.responses AS a JOIN other.responses AS b ON b.evaluation = ? AND b.example = a.example"
    " WHERE a.evaluation = ?"
)


class Place(NamedTuple):
    """Where an item stands in the list of all of them."""

    change: Change
    example: str


class Totals(NamedTuple):
    """All examples that both answered; a truncated answer was cut off at the token cap."""

    pairing: Pairing
    truncated_before: int
    truncated_after: int


class Pair(NamedTuple):
    """One example with both answers; the question is its beginning, empty if it was not recorded."""

    place: Place
    before: Verdict
    after: Verdict
    question: str
    extracted_before: str
    extracted_after: str


class Pairs:
    """Two evaluations, paired by example id. Made by `paired`."""

    def __init__(self, connection: sqlite3.Connection, before: Evaluation, after: Evaluation) -> None:
        self._sql = connection
        self._prefix = keys.examples(before.task, before.split)
        self._ids = (self._evaluation("other", after), self._evaluation("main", before))

    def totals(self) -> Totals:
        """Count what both answered, in one pass over both."""
        query = f"SELECT a.verdict, b.verdict, count(*), sum(a.truncated), sum(b.truncated){_PAIRED} GROUP BY 1, 2"
        rows = self._sql.execute(query, self._ids).fetchall()
        cut_before, cut_after = (sum(row[column] for row in rows) for column in (3, 4))
        return Totals(pair({(row[0], row[1]): row[2] for row in rows}), cut_before, cut_after)

    def verdicts(self) -> tuple[dict[str, Verdict], dict[str, Verdict]]:
        """Both verdicts of all examples that both answered, by example id."""
        rows = self._sql.execute(f"SELECT a.example, a.verdict, b.verdict{_PAIRED}", self._ids).fetchall()
        return {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}

    def page(self, wanted: Sequence[Change], after: Place | None, size: int, question: int = 300) -> list[Pair]:
        """The next items of these kinds, in the order of `CHANGES`; questions are cut to `question` characters."""
        return list(self._items(wanted, after, size, question, backward=False))

    def page_before(self, wanted: Sequence[Change], before: Place, size: int, question: int = 300) -> list[Pair]:
        """The items of these kinds that stand just before a place, in their order."""
        return list(self._items(wanted, before, size, question, backward=True))[::-1]

    def both(self, example: str) -> tuple[Response, Response] | None:
        """Both answers to one example in full, or None if one did not answer it."""
        found = []
        for schema, evaluation in (("main", self._ids[1]), ("other", self._ids[0])):
            query = f"SELECT body FROM {schema}.responses JOIN {schema}.bodies USING (seq)"  # noqa: S608
            row = self._sql.execute(f"{query} WHERE evaluation = ? AND example = ?", (evaluation, example)).fetchone()
            found += [msgspec.json.decode(row[0], type=Response)] if row else []
        return (found[0], found[1]) if len(found) == 2 else None

    def place_of(self, example: str) -> Place | None:
        """Where an example stands, or None if it is not in both."""
        row = self._sql.execute(f"SELECT a.verdict, b.verdict{_PAIRED} AND a.example = ?", (*self._ids, example))
        verdicts = row.fetchone()
        return None if verdicts is None else Place(change_of(verdicts[0], verdicts[1]), example)

    def other_prompts(self, size: int) -> tuple[int, int]:
        """Of the first `size` questions: how many were put in other words to the second, and how many were looked at.

        Rendered prompts are compared by their hash; a text is read for each, so not all of a large evaluation are.
        """
        query = (
            "SELECT count(*), sum(json_extract(x.body, '$.prompt_hash') <> json_extract(y.body, '$.prompt_hash'))"  # noqa: S608
            f" FROM (SELECT a.seq AS one, b.seq AS two{_PAIRED} ORDER BY a.example LIMIT ?)"
            " JOIN main.bodies AS x ON x.seq = one JOIN other.bodies AS y ON y.seq = two"
        )
        looked_at, differ = self._sql.execute(query, (*self._ids, size)).fetchone()
        return int(differ or 0), int(looked_at)

    def _items(
        self, wanted: Sequence[Change], start: Place | None, size: int, question: int, *, backward: bool
    ) -> Iterator[Pair]:
        """Kind by kind, so that a page is read off the index and no list of all items is ever sorted."""
        order, sign, left = ("DESC", "<", size) if backward else ("ASC", ">", size)
        for change in CHANGES[::-1] if backward else CHANGES:
            past = start is not None and (CHANGES.index(change) - CHANGES.index(start.change)) * (-1) ** backward < 0
            if change not in wanted or past or left <= 0:
                continue
            bound = f" AND a.example {sign} ?" if start is not None and change == start.change else ""
            rows = self._sql.execute(
                "SELECT example, before, after,"  # noqa: S608 - fixed parts only
                " coalesce(substr(json_extract((SELECT body FROM main.records WHERE kind = 'Example' AND key = ? ||"
                " example), '$.question'), 1, ?), ''),"
                " (SELECT coalesce(json_extract(body, '$.score.extracted'), '') FROM main.bodies WHERE seq = one),"
                " (SELECT coalesce(json_extract(body, '$.score.extracted'), '') FROM other.bodies WHERE seq = two)"
                " FROM (SELECT a.example AS example, a.verdict AS before, b.verdict AS after, a.seq AS one, b.seq AS"
                f" two{_PAIRED} AND {_is(change)}{bound} ORDER BY a.example {order} LIMIT ?)",
                (self._prefix, question, *self._ids, *((start.example,) if bound and start else ()), left),
            ).fetchall()
            left -= len(rows)
            for example, *rest in rows:
                yield Pair(Place(change, example), *rest)

    def _evaluation(self, schema: str, evaluation: Evaluation) -> int:
        query = f"SELECT seq FROM {schema}.records WHERE kind = 'Evaluation' AND key = ?"  # noqa: S608
        row = self._sql.execute(query, (evaluation.hash,)).fetchone()
        if row is None:
            raise LedgerError(f"The ledger has no evaluation {evaluation.hash}; compare the run that it is from.")
        return int(row[0])


def _is(change: Change) -> str:
    """The condition in SQL that an answer's change is this one."""
    pairs = [(was, now) for was in get_args(Verdict) for now in get_args(Verdict) if change_of(was, now) == change]
    either = " OR ".join(f"a.verdict = '{was}' AND b.verdict = '{now}'" for was, now in pairs)
    return f"({either})"


@contextmanager
def pair_evaluations(before: tuple[Path, Evaluation], after: tuple[Path, Evaluation]) -> Iterator[Pairs]:
    """Open both ledgers for reading and pair one evaluation of each.

    Raises:
        LedgerError: A file cannot be read, or has no such evaluation.
    """
    try:
        with closing(sqlite3.connect(_uri(before[0]), uri=True)) as connection:
            connection.execute("ATTACH ? AS other", (_uri(after[0]),))
            for schema in ("main", "other"):  # both walk through their answers in the same order: read each page once
                connection.execute(f"PRAGMA {schema}.cache_size = {_CACHE}")
            yield Pairs(connection, before[1], after[1])
    except sqlite3.DatabaseError as error:
        raise explain(error, before[0]) from error


def _uri(path: Path) -> str:
    return f"{path.resolve().as_uri()}?mode=ro"

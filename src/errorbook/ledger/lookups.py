"""The ledger asked for what belongs to one thing, each question answered by an index: no list is read for one item.

Apart from `file`, which serves the loop: only people ask these. It does not say what the records mean.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar

import msgspec

from errorbook.ledger.file import Ledger
from errorbook.records import Evaluation, Record, Response

T = TypeVar("T", bound=Record)


class RecordOrigin(NamedTuple):
    """Where a record stands: the cycle that it was made in, and the hash of the record that led to it."""

    cycle: int
    parent: str


def find_origin(ledger: Ledger, kind: type[Record], hash: str) -> RecordOrigin | None:
    """Cycle and parent of the record of this kind with this content hash, or None if there is none."""
    row = ledger.connection.execute(
        "SELECT cycle, parent FROM records WHERE hash = ? AND kind = ? ORDER BY seq", (hash, kind.__name__)
    ).fetchone()
    return None if row is None else RecordOrigin(*row)


def find_children(ledger: Ledger, kind: type[T], parent: str) -> list[tuple[int, T]]:
    """The records of one kind that one record led to, each with its cycle, in the order of appending."""
    rows = ledger.connection.execute(
        "SELECT cycle, body FROM records WHERE parent = ? AND kind = ? ORDER BY seq", (parent, kind.__name__)
    )
    return [(cycle, msgspec.json.decode(body, type=kind)) for cycle, body in rows]


def find_by_prefix(ledger: Ledger, kind: type[T], start: str) -> list[tuple[int, T]]:
    """The records of one kind whose key is `start`, a colon and anything, with their cycle, in order of appending."""
    rows = ledger.connection.execute(
        "SELECT cycle, body FROM records WHERE kind = ? AND key >= ? AND key < ? ORDER BY seq",
        (kind.__name__, f"{start}:", f"{start};"),  # a semicolon is the character after the colon
    )
    return [(cycle, msgspec.json.decode(body, type=kind)) for cycle, body in rows]


def find_responses(ledger: Ledger, evaluation: str, hashes: Collection[str]) -> dict[str, Response]:
    """Responses of one evaluation by their content hash; only their rows are searched, and no texts but those read."""
    marks = ", ".join("?" * len(hashes))
    rows = ledger.connection.execute(
        "SELECT responses.hash, bodies.body FROM responses JOIN bodies USING (seq)"  # noqa: S608 - marks only
        " WHERE evaluation = (SELECT seq FROM records WHERE kind = ? AND key = ?)"
        f" AND responses.hash IN ({marks})",
        (Evaluation.__name__, evaluation, *hashes),
    )
    return {hash: msgspec.json.decode(body, type=Response) for hash, body in rows}

"""Records as a table for notebooks. It reads, and knows no kind of record but responses, which are kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from errorbook.errors import UserError
from errorbook.records import Evaluation, Record, Response

if TYPE_CHECKING:
    import pandas

T = TypeVar("T", bound=Record)


class Readable(Protocol):
    """What a ledger must be able to tell."""

    def all(self, kind: type[T]) -> Iterator[T]:
        """Every record of a kind."""
        ...

    def responses(self, evaluation: Evaluation) -> Iterator[Response]:
        """Every response of an evaluation."""
        ...


class Tables:
    """What a ledger has besides: its records as tables."""

    def to_pandas(self: Readable, kind: type[Record]) -> pandas.DataFrame:
        """Every record of one kind, such as `errorbook.records.Draft`, as a row each; parts of parts have dotted names.

        Raises:
            UserError: pandas is not installed.
        """
        if kind is Response:
            return make_frame(answer for asked in self.all(Evaluation) for answer in self.responses(asked))
        return make_frame(self.all(kind))


def make_frame(records: Iterable[Any]) -> pandas.DataFrame:
    """One row for each record. Raises UserError if pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise UserError("Tables need pandas; run: pip install pandas.") from None
    rows: list[dict[str, Any]] = [msgspec.to_builtins(record) for record in records]
    return pandas.json_normalize(rows)

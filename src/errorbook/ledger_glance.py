"""Reading a growing ledger again and again: what cannot change any more is read once and remembered.

For whoever asks every second where a run stands. Counts and dollars only; it knows nothing of runs or cycles.
"""

from __future__ import annotations

from errorbook.ledger import Ledger, Tally
from errorbook.records import Evaluation


class Memory:
    """What was read before; of one ledger, whichever connection reads it."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._usd, self._upto = 0.0, 0

    def tally(self, ledger: Ledger, evaluation: Evaluation) -> Tally:
        """Counts of an evaluation's responses; of a complete one they are counted once."""
        known = self._tallies.get(evaluation.hash)
        if known is None:
            known = ledger.tally(evaluation)
            if known.n == evaluation.n:
                self._tallies[evaluation.hash] = known
        return known

    def usd(self, ledger: Ledger) -> float:
        """Dollars spent on instructor calls; only calls that are new are added up."""
        newest = int(ledger.connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])
        if newest < self._upto:  # another ledger in the old one's place
            self._usd, self._upto = 0.0, 0
        kind = "+kind" if self._upto else "kind"  # a plus has SQLite read the new rows, not all calls by their index
        query = f"SELECT sum(json_extract(body, '$.cost_usd')) FROM records WHERE {kind} = 'Call' AND seq > ?"  # noqa: S608
        self._usd += ledger.connection.execute(query, (self._upto,)).fetchone()[0] or 0.0
        self._upto = newest
        return self._usd

"""Which checkpoint of a run is meant, and what the gate said about it. It loads no weights."""

from __future__ import annotations

from typing import Literal, NamedTuple

from errorbook.errors import ModelError
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Checkpoint, Decision

Standing = Literal["base", "final", "earlier", "refused"]
"""A checkpoint's place in its run: the start, the end, kept on the way, or tried by the gate and not kept."""
SHORTEST = 6
"""Digits; fewer of a hash could be typed by accident."""


class Chosen(NamedTuple):
    """A checkpoint with its standing, and the decision that it was the candidate of, if there was one."""

    checkpoint: Checkpoint
    standing: Standing
    decision: Decision | None = None

    @property
    def kept(self) -> bool:
        """Whether the gate let the run go on with it."""
        return self.standing in {"final", "earlier"}


def choose(ledger: Ledger, wanted: str, *, base_is_final: bool = False) -> Chosen:
    """The checkpoint called `wanted`: "final", "base", or the first digits of its hash.

    Args:
        ledger: The run's.
        wanted: The name.
        base_is_final: Take the base for "final" if no candidate was kept, instead of refusing.

    Raises:
        ModelError: No candidate was kept, or no one checkpoint is called so.
    """
    points, known = Checkpoints(ledger), dict(ledger.by_hash(Checkpoint))
    if wanted == "final":
        if points.final_is_base and not base_is_final:
            raise ModelError(_nothing_kept(points, known))
        hash = points.final
    elif wanted == "base":
        hash = points.base
    else:
        hash = _matching(wanted, known)
    if hash not in known:
        raise ModelError(f"The ledger '{ledger.path}' holds no model yet; start the run with 'errorbook run FILE'.")
    decision = next((item for item in points.decisions if item.candidate == hash), None)
    return Chosen(known[hash], _standing(points, hash), decision)


def _standing(points: Checkpoints, hash: str) -> Standing:
    if hash == points.base:
        return "base"
    if hash == points.final:
        return "final"
    return "earlier" if hash in points.chain else "refused"


def _matching(wanted: str, known: dict[str, Checkpoint]) -> str:
    matching = [hash for hash in known if len(wanted) >= SHORTEST and hash.startswith(wanted.lower())]
    if len(matching) != 1:
        listed = ", ".join(hash[:8] for hash in known) or "none yet"
        few = "no one checkpoint" if not matching else f"{len(matching)} checkpoints"
        raise ModelError(
            f"'{wanted}' names {few} of this run; give final, base, or {SHORTEST} or more digits of: {listed}."
        )
    return matching[0]


def _nothing_kept(points: Checkpoints, known: dict[str, Checkpoint]) -> str:
    if not points.decisions:
        return "No cycle of this run is decided yet; let it go on, or give --checkpoint base."
    tried = [hash[:8] for hash, item in known.items() if item.form != "base"]
    others = f", or --checkpoint {tried[-1]} for a candidate that the gate refused" if tried else ""
    return f"No candidate was kept, so the final model is the base as it came; give --checkpoint base{others}."

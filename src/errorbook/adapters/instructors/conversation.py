"""Many asks and one result for each, where what a valid reply is depends on what was asked about.

An asker (the engine, or a function) checks that a reply is JSON. Whether it is the right JSON for its own mistake is
known here: a reply that is not goes back once more, with the reason, after the others. Everything is bounded: an ask
is rejected when it has had `TRIES` replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from errorbook.llm.asking import corrected
from errorbook.llm.client import Asker
from errorbook.llm.records import Accepted, Ask, Failed, InvalidReply, Rejected, Result, Usage
from errorbook.llm.structured import reader

TRIES = 3
K = TypeVar("K")
T = TypeVar("T")

_json_object = reader(dict[str, Any])


class Turn(NamedTuple, Generic[K]):
    """One key's way to its result: what is asked now, and what was used up before."""

    key: K
    ask: Ask
    used: Usage


class Settled(NamedTuple, Generic[K, T]):
    """A key's result, and what was asked in the end: with the replies that were sent back, and why they were."""

    ask: Ask
    result: Result[K, T]


def converse(asker: Asker, asks: Iterable[tuple[K, Ask]], accept: Callable[[K, str], T]) -> Iterator[Settled[K, T]]:
    """One result for each key; `accept` makes a value of a reply's text, or raises InvalidReply to have it asked again.

    Closing the iterator cuts what is in the air.
    """
    turns: Iterable[Turn[K]] = (Turn(key, ask, Usage(cached=True)) for key, ask in asks)
    while True:
        again: list[Turn[K]] = []
        for result in asker.ask(((turn, turn.ask) for turn in turns), _json_object):
            settled = _settle(result, accept)
            if isinstance(settled, Turn):
                again.append(settled)
            else:
                yield Settled(result.key.ask, settled)
        if not again:
            return
        turns = again


def _settle(result: Result[Turn[K], Any], accept: Callable[[K, str], T]) -> Result[K, T] | Turn[K]:
    turn = result.key
    usage = _total(turn.used, result.usage)
    if isinstance(result, Failed):
        return Failed(turn.key, result.reason, usage)
    if isinstance(result, Rejected):
        return Rejected(turn.key, result.reason, result.raw, usage)
    try:
        return Accepted(turn.key, accept(turn.key, result.raw), result.raw, usage)
    except InvalidReply as fault:
        if usage.attempts >= TRIES:
            return Rejected(turn.key, str(fault), result.raw, usage)
        return Turn(turn.key, corrected(turn.ask, result.raw, str(fault)), usage)


def transcript(ask: Ask) -> str:
    """What was sent as one text for people: every turn under its own heading.

    Half a surrogate pair, which no ledger can hold, becomes a question mark.
    """
    turns = (f"[{turn.role}]\n{turn.content}" for turn in ask.messages)
    return "\n\n".join(turns).encode("utf-8", "replace").decode("utf-8")


def _total(before: Usage, now: Usage) -> Usage:
    return Usage(
        input_tokens=before.input_tokens + now.input_tokens,
        output_tokens=before.output_tokens + now.output_tokens,
        cost_usd=before.cost_usd + now.cost_usd,
        attempts=before.attempts + now.attempts,
        cached=before.cached and now.cached,
    )

"""Prompts of token ids to a sampler at the server: so many in the air at once, each paid once, kept before it is read.

What the tokens say is the target's business. A kill loses at most what is in the air; what that may have cost counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from errorbook.adapters.tinker.connection import Connection, explain
from errorbook.adapters.tinker.spending import Bill
from errorbook.errors import ErrorbookError
from errorbook.llm.budget import Amount
from errorbook.records import digest

K = TypeVar("K")


class Written(msgspec.Struct, frozen=True):
    """The token ids of one answer, whether the model ended it itself, and each token's log-probability in nats."""

    tokens: list[int]
    ended: bool
    likely: list[float] = []


class Wanted(NamedTuple, Generic[K]):
    """One prompt, with how it is to be answered; `name` tells it from all others that are answered otherwise."""

    key: K
    name: str
    ids: Sequence[int]
    most: int
    temperature: float
    seed: int
    ends: Sequence[int]


class _InAir(NamedTuple, Generic[K]):
    wanted: Wanted[K]
    key: str
    worst: Amount


def write(
    connection: Connection,
    sampler: Callable[[], Any],
    bill: Bill,
    wanted: Iterable[Wanted[K]],
    at_once: int,
    *,
    kept: bool = True,
) -> Iterator[tuple[K, Written]]:
    """Answers in the order in which they finish; if not `kept`, none is taken from the store.

    Raises:
        BudgetError: The cap has no room for the next one; what was in the air was given before.
        UserError: The server refuses or fails; likewise.
    """
    desk = _Desk(connection, sampler, bill, iter(wanted), at_once, kept)
    while desk.flying or (desk.more and desk.failed is None):
        yield from desk.take()
        desk.send()
        yield from desk.collect()
    if desk.failed is not None:
        raise desk.failed


@dataclass
class _Desk(Generic[K]):
    """What is asked for and not answered yet. After a failure no more is sent; what is in the air is waited for."""

    connection: Connection
    sampler: Callable[[], Any]
    bill: Bill
    coming: Iterator[Wanted[K]]
    at_once: int
    kept: bool
    fresh: list[_InAir[K]] = field(default_factory=list)
    flying: dict[Any, _InAir[K]] = field(default_factory=dict)
    waiting: Wanted[K] | None = None
    more: bool = True
    failed: ErrorbookError | None = None

    def take(self) -> Iterator[tuple[K, Written]]:
        """Reserve as many as may be in the air; those that are known already are given at once."""
        while self.failed is None and self.more and len(self.flying) + len(self.fresh) < self.at_once:
            one, self.waiting = self.waiting or next(self.coming, None), None
            if one is None:
                self.more = False
                return
            key = _key(self.bill, one)
            found = self.bill.find(key) if self.kept else None
            if found is not None:
                yield one.key, msgspec.json.decode(found, type=Written)
                continue
            worst = self.bill.prices.amount(read=len(one.ids), written=one.most)
            if not self.bill.hold(key, worst):
                # There may be room when those in the air have cost less than they might have.
                self.waiting = one
                if not self.flying and not self.fresh:
                    self.failed = self.bill.refusal(worst)
                return
            self.fresh.append(_InAir(one, key, worst))

    def send(self) -> None:
        """Send what is reserved, after it is written down; what could not be sent is given back."""
        if not self.fresh:
            return
        self.bill.flush()
        try:
            asked = self.sampler()
            while self.fresh:
                self.flying[_sample(asked, self.fresh[0].wanted)] = self.fresh[0]
                self.fresh.pop(0)
        except ErrorbookError as error:
            for item in self.fresh:
                self.bill.withdraw(item.key, item.worst)
            self.failed, self.fresh = error, []

    def collect(self) -> Iterator[tuple[K, Written]]:
        """Wait for the next answers and keep them. Raises OutageError if none comes."""
        if not self.flying:
            return
        done, _ = wait(self.flying, timeout=self.connection.host.patience, return_when=FIRST_COMPLETED)
        if not done:
            raise explain(TimeoutError(), self.connection.host, "answering")
        for future in done:
            item = self.flying.pop(future)
            try:
                answer = _read(future.result())
            except Exception as error:
                self.failed = self.failed or explain(error, self.connection.host, "answering")
                continue
            spent = self.bill.prices.amount(read=len(item.wanted.ids), written=len(answer.tokens))
            self.bill.keep(item.key, item.worst, spent, msgspec.json.encode(answer))
            yield item.wanted.key, answer


def _sample(sampler: Any, wanted: Wanted[K]) -> Any:
    from tinker import types

    params = types.SamplingParams(
        max_tokens=wanted.most, temperature=wanted.temperature, seed=wanted.seed, stop=list(wanted.ends)
    )
    prompt = types.ModelInput.from_ints(list(wanted.ids))
    future = sampler.sample(prompt=prompt, num_samples=1, sampling_params=params)
    return future.future() if hasattr(future, "future") else future


def _read(response: Any) -> Written:
    [sequence] = response.sequences
    likely = sequence.logprobs
    return Written(
        [int(token) for token in sequence.tokens],
        sequence.stop_reason == "stop",
        [float(one) for one in likely] if likely is not None else [],
    )


def _key(bill: Bill, wanted: Wanted[K]) -> str:
    ids = ",".join(map(str, wanted.ids))
    return digest(bill.round, wanted.name, ids, str(wanted.most), repr(wanted.temperature), str(wanted.seed))

"""The conversation about each ask: check the reply, ask again with the fault shown, and end with exactly one result.

Runs in the caller's thread, so that the caller's iterator and check may use what belongs to that thread. Where replies
come from (the store, one request at a time, a batch) is the buyer's business.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, Protocol

import msgspec

from errorbook.llm import structured
from errorbook.llm.endpoint import Reply
from errorbook.llm.orders import Bought, Order, OrderGroup, Outcome, Unbought
from errorbook.llm.records import Accepted, Ask, Failed, InvalidReply, K, Rejected, Result, T, Usage
from errorbook.records import NANO, Message

TRIES = 3
"""Replies to one ask before it is rejected."""
SHOWN = 20_000
"""Characters of an invalid reply that the model gets to see again."""


_ENDED = {
    "filter": "A filter of the endpoint took the reply away; see to its settings, or leave the question out.",
    "refusal": "The model refuses to reply: {text}",
    "tool": "The reply came as a call of a tool, and none was offered. {fault}",
}
"""What is said of a reply by what the server says of its end."""


class Buyer(Protocol):
    """Where replies come from."""

    @property
    def window(self) -> int:
        """How many asks to pull ahead of their results."""
        ...

    def key(self, ask: Ask) -> str:
        """The cache key of a request."""
        ...

    def buy(self, order: Order) -> None:
        """Take an order; its outcome is delivered once, in any thread, now or later."""
        ...

    def waiting(self) -> float:
        """The caller has nothing else to do: for how many seconds it is to wait. Raises if all waiting is vain."""
        ...

    def halt(self, group: OrderGroup) -> None:
        """Nothing of a group is wanted any more."""
        ...


class _Work(Generic[K]):
    """One key's way to its result, over all rounds."""

    def __init__(self, key: K, ask: Ask) -> None:
        self.key = key
        self.ask = ask
        self.cost_nano = 0
        self.assumed_nano = 0
        self.usage = Usage(cached=True)

    def add(self, bought: Bought) -> None:
        """Count one more reply."""
        self.cost_nano += bought.cost_nano
        self.assumed_nano += 0 if bought.reply.is_counted else bought.cost_nano
        self.usage = Usage(
            input_tokens=self.usage.input_tokens + (bought.reply.input_tokens or 0),
            output_tokens=self.usage.output_tokens + (bought.reply.output_tokens or 0),
            cost_usd=self.cost_nano / NANO,
            assumed_usd=self.assumed_nano / NANO,
            attempts=self.usage.attempts + 1,
            cached=self.usage.cached and bought.cached,
        )


class Asking(Generic[K, T]):
    """One run of `Engine.ask`."""

    def __init__(self, buyer: Buyer, check: Callable[[K, Reply], T], tries: int = TRIES) -> None:
        self._buyer = buyer
        self._check = check
        self._tries = tries
        self._group = OrderGroup()
        self._arrived: queue.SimpleQueue[tuple[_Work[K], Outcome]] = queue.SimpleQueue()
        self._open = 0
        self._stop: BaseException | None = None

    def run(self, source: Iterator[tuple[K, Ask]]) -> Iterator[Result[K, T]]:
        """Every result, then the error that has stopped the work, if one has."""
        pulling = True
        try:
            while pulling or self._open:
                room = pulling and self._open < self._buyer.window
                if room:
                    pulling = self._pull(source)
                result = self._step(wait=not room)
                pulling = pulling and self._stop is None
                if result is not None:
                    yield result
        finally:
            if self._open:
                self._buyer.halt(self._group)
        if self._stop is not None:
            raise self._stop

    def _pull(self, source: Iterator[tuple[K, Ask]]) -> bool:
        """Order the next ask; False at the end."""
        for key, ask in source:
            self._open += 1
            self._order(_Work(key, ask))
            return True
        return False

    def _order(self, work: _Work[K]) -> None:
        deliver = partial(self._deliver, work)
        try:
            key = self._buyer.key(work.ask)
        except UnicodeEncodeError:
            deliver(Unbought("The request holds half a surrogate pair, which is no text; clean the data.", True))
        else:
            self._buyer.buy(Order(key, work.ask, self._group, deliver))

    def _deliver(self, work: _Work[K], outcome: Outcome) -> None:
        self._arrived.put((work, outcome))

    def _step(self, *, wait: bool) -> Result[K, T] | None:
        """Deal with one outcome: a result, or None if there is none yet."""
        try:
            work, outcome = self._arrived.get_nowait()
        except queue.Empty:
            if not wait or not self._open:
                return None
            seconds = self._buyer.waiting()
            try:
                work, outcome = self._arrived.get(timeout=seconds)
            except queue.Empty:
                return None
        result = self._finish(work, outcome)
        if result is not None or self._stop is not None:
            self._open -= 1
        return result

    def _finish(self, work: _Work[K], outcome: Outcome) -> Result[K, T] | None:
        if isinstance(outcome, Bought):
            return self._read(work, outcome)
        if isinstance(outcome, Unbought):
            return Failed(work.key, outcome.reason, work.usage, work.ask, outcome.lasting)
        self._stop = self._stop or outcome.error
        self._group.halted = True
        return None

    def _read(self, work: _Work[K], bought: Bought) -> Result[K, T] | None:
        """The result of a reply, or None if it is asked for again."""
        # Counted before it is checked: a reply that is refused costs as much as one that is accepted.
        work.add(bought)
        reply = bought.reply
        text = reply.text or reply.thought if work.ask.schema else reply.text
        try:
            whole = structured.take_answer(reply) if work.ask.schema else reply
            return Accepted(work.key, self._check(work.key, whole), text, work.usage, work.ask)
        except InvalidReply as fault:
            reason = _ENDED.get(reply.ended, "{fault}").format(fault=fault, text=" ".join(text.split())[:200])
        if reply.ended in {"filter", "refusal"}:  # it was paid for, and would be again
            return Rejected(work.key, reason, text, work.usage, work.ask)
        if reply.truncated:
            reason += f" The reply was cut off at {work.ask.max_tokens} tokens: be briefer."
        if work.usage.attempts >= self._tries:
            return Rejected(work.key, reason, text, work.usage, work.ask)
        if self._stop is None:
            # The corrected ask has a cache key of its own, so a rerun finds every round in the store.
            work.ask = _correct(work.ask, text, reason)
            self._order(work)
        return None


def _correct(ask: Ask, reply: str, reason: str) -> Ask:
    """The ask with its invalid reply and what is wrong with it."""
    turns = (
        Message(role="assistant", content=reply[:SHOWN] or "(no text)"),
        Message(role="user", content=structured.write_correction(reason)),
    )
    return msgspec.structs.replace(ask, messages=(*ask.messages, *turns))

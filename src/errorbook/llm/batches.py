"""Buys replies through the provider's batch API: half the price, an answer within a day.

A buyer like the engine itself. Orders are collected until the caller has nothing else to do, submitted as batches that
the store remembers, and polled, by this process or any later one: whoever asks the same again finds the batch under way
and submits nothing twice. What expired or failed in a batch, and only that, is submitted again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

from errorbook.errors import ErrorbookError, ModelError
from errorbook.llm.arrival import take_in
from errorbook.llm.batch_api import MOST_BYTES, MOST_REQUESTS, BatchApi, BatchReply, FinishedBatch
from errorbook.llm.budget import NOTHING, Amount, Price, Purse, compute_spent, estimate_worst_case
from errorbook.llm.dialects import Dialects, concerns_form
from errorbook.llm.endpoint import Dialect, Endpoint, Reply, Request
from errorbook.llm.faults import Fault, Lost, Refused, classify_refusal
from errorbook.llm.http import Http, HttpLimits
from errorbook.llm.orders import Bought, Order, OrderGroup, Outcome, Stopped, Terms, Unbought, read_outcome
from errorbook.llm.pace import compute_backoff
from errorbook.llm.records import Ask
from errorbook.llm.redact import collect_secrets
from errorbook.llm.store import Store
from errorbook.records import digest

V = TypeVar("V")

DISCOUNT = 0.5
"""What a batch costs of the usual price, at OpenAI and at Anthropic."""
ROUNDS = 3
"""How often a request is submitted before it is given up."""
CALLS = 6
"""Attempts at least for one call to the batch API, and as many more as `Terms.patience` allows."""
A_DAY = 86400.0
"""Seconds."""
_FOR_NOW = re.compile(r"token_limit_exceeded|enqueued|rate.?limit|too many|quota.{0,20}batch|try again", re.IGNORECASE)
"""A batch that is refused because of others that are not finished."""
_log = logging.getLogger("errorbook.llm")


class BatchDesk:
    """Implements `asking.Buyer`."""

    def __init__(
        self, endpoint: Endpoint, api: BatchApi, store: Store, purse: Purse, price: Price | None, terms: Terms
    ) -> None:
        self._endpoint = endpoint
        self._api = api
        self._store = store
        self._purse = purse
        self._price = price
        self._terms = terms
        self._dialects = Dialects(endpoint, store)
        self._name = digest(endpoint.identity)
        self._orders: dict[str, list[Order]] = {}
        self._fresh: dict[str, Order] = {}
        self._reserved: dict[str, Amount] = {}
        self._written: dict[str, Dialect] = {}
        self._secrets: tuple[bytes, ...] = ()
        self._stopped: ErrorbookError | None = None
        self._full_since = 0.0
        self._at_once = MOST_REQUESTS
        self._runner: asyncio.Runner | None = None
        self._open: dict[str, dict[str, Amount]] = {
            batch: store.in_batch(batch) for batch in store.batches(self._name, "open")
        }

    # as the buyer of an asking ---------------------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """See `Buyer`: everything, since a batch is as cheap as it is large."""
        return MOST_REQUESTS

    def key(self, ask: Ask) -> str:
        """See `Buyer`; the same as without batches, so that either finds what the other has bought."""
        return digest(self._endpoint.identity, ask.hash)

    def buy(self, order: Order) -> None:
        """See `Buyer`."""
        kept = self._store.find(order.key)
        if kept is not None:
            order.end(read_outcome(self._endpoint, kept))
            return
        self._orders.setdefault(order.key, []).append(order)
        under_way = any(order.key in keys for keys in self._open.values())
        if not under_way:
            self._fresh.setdefault(order.key, order)

    def waiting(self) -> float:
        """See `Buyer`: submit what has been collected, else look at what is under way."""
        self._connect()
        try:
            self._recover()
            if not (self._fresh and self._submit()):
                self._poll()
        except ErrorbookError as error:
            self._end(error)
        return 0.0

    def halt(self, group: OrderGroup) -> None:
        """See `Buyer`: batches under way are left to finish, their results are fetched another time."""
        group.halted = True
        self._fresh = {key: order for key, order in self._fresh.items() if not order.unwanted}

    def close(self) -> None:
        """Close the connections; batches under way stay under way."""
        if self._runner is not None:
            self._runner.run(self._http.close())
            self._runner.close()
            self._runner = None

    # submitting ------------------------------------------------------------------------------------------------------

    def _submit(self) -> bool:
        """Submit one batch of what fits the budget; False if nothing does and there is something to wait for."""
        items: list[tuple[str, Request]] = []
        size = 0
        for order in list(self._fresh.values()):
            request = self._endpoint.build(order.ask, self._dialects.current)
            reserved = estimate_worst_case(order.ask, request, self._price, DISCOUNT)
            size += len(request.body)
            if len(items) == self._at_once or size > MOST_BYTES:
                break
            if not self._purse.reserve(reserved):
                if not items and not self._open:
                    self._end(self._purse.refusal(reserved))
                break
            self._reserved[order.key] = reserved
            self._written[order.key] = self._dialects.current
            items.append((order.key, request))
        if items:
            self._send(items)
        return bool(items)

    def _send(self, items: list[tuple[str, Request]]) -> None:
        """Write down what is about to be owed, then submit. The first id is the tag that would find it again."""
        try:
            parcel = self._call(partial(self._api.prepare, self._http, items))
        except ErrorbookError:
            for key, _ in items:
                self._purse.settle(self._reserved.pop(key), NOTHING)
            raise
        provisional = parcel.tag or f"parcel {digest(parcel.body)}"
        for key, _ in items:
            del self._fresh[key]
            self._store.intend(key, self._reserved[key], batch=provisional)
        self._store.batch(provisional, self._name, "sending")
        self._store.flush()

        async def create() -> str:
            try:
                return await self._api.create(self._http, parcel)
            except Lost:
                found = await self._api.find(self._http, parcel.tag) if parcel.tag else None
                if found is None:
                    raise
                return found

        batch = self._call(create)
        self._store.batch(batch, self._name, "open", formerly=provisional)
        self._store.flush()
        self._open[batch] = {key: self._reserved.pop(key) for key, _ in items}

    def _recover(self) -> None:
        """Batches that an earlier process was submitting when it died: under way, or never made."""
        for tag in self._store.batches(self._name, "sending"):
            keys = self._store.in_batch(tag)
            found = None if tag.startswith("parcel ") else self._call(partial(self._api.find, self._http, tag))
            if found is not None:
                self._store.batch(found, self._name, "open", formerly=tag)
                self._open[found] = keys
                self._fresh = {key: order for key, order in self._fresh.items() if key not in keys}
            else:
                self._store.batch(tag, self._name, "lost")
        self._store.flush()

    # fetching --------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Fetch what is finished; sleep if nothing is."""
        ended = False
        for batch in list(self._open):
            result = self._call(partial(self._api.fetch, self._http, batch))
            if result is not None:
                ended = True
                self._fetched(batch, result)
        if not ended and self._open:
            time.sleep(self._terms.poll)

    def _fetched(self, batch: str, ended: FinishedBatch) -> None:
        held = self._open.pop(batch)
        bought: list[tuple[str, Outcome]] = []
        for line in ended.lines:
            if line.key in held:
                bought.append((line.key, self._landed(line, held.pop(line.key))))
        reason = f"the batch was refused ({ended.problem})" if ended.problem else "it was not worked on in time"
        waits = bool(held) and _FOR_NOW.search(ended.problem) is not None
        for key, reserved in held.items():
            bought.append((key, self._again(key, reserved, reason, counts=not waits)))
        if waits:
            if not self._open:  # nothing else of ours is in its queue: one batch may be more than it ever takes
                self._at_once = max(1, len(held) // 2)
            self._wait(reason)
        else:
            self._full_since = 0.0
            self._at_once = min(MOST_REQUESTS, 2 * self._at_once)
        self._store.batch(batch, self._name, "done")
        self._store.flush()
        for key, outcome in bought:
            if outcome is not _LATER:
                _deliver(self._orders.pop(key, []), outcome)
        if self._stopped is not None:
            raise self._stopped

    def _landed(self, line: BatchReply, reserved: Amount) -> Outcome:
        try:
            status, body = take_in(self._endpoint, line.status, line.body, self._secrets)
        except Fault as fault:
            return self._again(line.key, reserved, fault.reason, reserved.assume())
        if status == 200:
            try:
                reply = self._endpoint.read(body)
            except Fault as fault:
                return self._again(line.key, reserved, fault.reason, reserved.assume())
            return self._bought(line.key, body, reply, reserved)
        if not status:
            return self._again(line.key, reserved, "it was not worked on in time")
        return self._refused(line, status, body, reserved)

    def _refused(self, line: BatchReply, status: int, body: bytes, reserved: Amount) -> Outcome:
        """A refusal of one request, or of all of them, of which the batch's other lines tell no more."""
        orders = self._orders.get(line.key, [])
        if concerns_form(status, body):
            used = self._written.get(line.key, self._dialects.current)
            if not orders or self._dialects.refused(used, body, orders[0].ask):
                return self._again(line.key, reserved, "the server speaks another dialect")
        fault = classify_refusal(self._endpoint, status, {}, body, known_good=True)
        if isinstance(fault, ErrorbookError):  # of the account, and of no single request: nothing more is sent
            self._stopped = self._stopped or fault
            return self._again(line.key, reserved, str(fault), counts=False)
        if isinstance(fault, Refused):
            self._settle(line.key, reserved)
            return Unbought(f"{fault.reason[:1].upper()}{fault.reason[1:]}.", lasting=True)
        return self._again(line.key, reserved, str(fault))

    def _bought(self, key: str, body: bytes, reply: Reply, reserved: Amount) -> Outcome:
        if key in self._written:
            self._dialects.landed(self._written[key])
        spent = compute_spent(reserved, reply, self._price, DISCOUNT)
        self._back(key, reserved, spent)
        self._store.keep(key, body, spent)
        self._stopped = self._stopped or self._purse.overrun(reserved, spent, self._endpoint.base_url)
        return Bought(reply, spent.nano, cached=False)

    def _wait(self, reason: str) -> None:
        """The provider has too much of ours in its queue: it is tried again, as long as a batch may take at all.

        Raises:
            ModelError: It has been full for a day.
        """
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since > A_DAY:
            raise ModelError(
                f"The batch API of {self._endpoint.base_url} has taken nothing for a day ({reason}); run again later."
            )
        _log.warning("%s: %s; submitted again in %g s.", self._endpoint.base_url, reason, self._terms.poll)
        time.sleep(self._terms.poll)

    def _again(
        self, key: str, reserved: Amount, reason: str, spent: Amount = NOTHING, *, counts: bool = True
    ) -> Outcome:
        """Nothing was bought: collect it again, if somebody waits for it and it has not failed too often."""
        self._settle(key, reserved, spent)
        orders = self._orders.get(key, [])
        if not orders:
            return _LATER
        orders[0].failures += counts
        if orders[0].failures >= ROUNDS:
            return Unbought(f"No reply in {ROUNDS} batches; in the last one {reason}.")
        self._fresh[key] = orders[0]
        return _LATER

    def _settle(self, key: str, reserved: Amount, spent: Amount = NOTHING) -> None:
        """No reply: free, unless a server said that it had answered."""
        self._back(key, reserved, spent._replace(calls=1))
        self._store.settle(key, spent)

    def _back(self, key: str, reserved: Amount, spent: Amount) -> None:
        """Give a reservation back. One that an earlier process made is among what was spent when this one began."""
        if key in self._written:
            self._purse.settle(reserved, spent)
            del self._written[key]
        else:
            self._purse.settle(NOTHING, spent.minus(reserved))

    # calls -----------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._runner is None:
            headers = self._endpoint.headers()
            self._secrets = collect_secrets(self._endpoint)
            self._runner = asyncio.Runner()
            self._runner.run(self._open_http(headers))

    async def _open_http(self, headers: Mapping[str, str]) -> None:
        self._http = Http(
            headers,
            HttpLimits(seconds=600.0, max_bytes=1_000_000_000),
            4,
            proxies=self._terms.proxies,
            authorities=self._terms.authorities,
        )

    def _call(self, make: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """One call to the batch API, sent again while the server is away or busy. Raises ModelError."""
        assert self._runner is not None  # noqa: S101 - waiting() has connected
        started = time.monotonic()
        for attempt in itertools.count(1):
            try:
                return self._runner.run(make())
            except Refused as fault:
                if _FOR_NOW.search(fault.reason) is None:
                    raise ModelError(f"{self._endpoint.base_url} has no batches for this: {fault.reason}.") from None
                self._wait(fault.reason)
                continue
            except Fault as fault:
                reason, wait = fault.reason, getattr(fault, "wait", None)
            pause = compute_backoff(attempt, wait, self._terms.first_wait)
            if attempt >= CALLS and time.monotonic() + pause - started > self._terms.patience:
                break
            time.sleep(pause)
        raise ModelError(
            f"The batch API of {self._endpoint.base_url} does not work now: {reason}; run again later, batches under "
            "way are not lost."
        )

    def _end(self, error: BaseException) -> None:
        for orders in self._orders.values():
            _deliver(orders, Stopped(error))
        self._orders.clear()
        self._fresh.clear()


_LATER: Outcome = Unbought("It is submitted again.")


def _deliver(orders: list[Order], outcome: Outcome) -> None:
    for order in orders:
        order.end(outcome)

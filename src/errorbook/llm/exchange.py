"""Buys replies: paces requests, reserves their cost, sends them, sends them again, and stores what comes back.

Everything here runs in one event loop. A request that has to wait for its next attempt waits in a heap and holds no
slot. It knows nothing of checks and conversations: an order is one request, and it ends as Bought, Unbought or Stopped.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from functools import partial

from errorbook.errors import ErrorbookError, LedgerError, ModelError
from errorbook.llm import faults
from errorbook.llm.arrival import take_in
from errorbook.llm.budget import NOTHING, Amount, Price, Purse, compute_spent, estimate_worst_case
from errorbook.llm.dialects import Dialects, concerns_form
from errorbook.llm.endpoint import Endpoint, Reply
from errorbook.llm.http import Http, ServerAnswer, advise_on
from errorbook.llm.orders import Bought, Order, Outcome, Stopped, Terms, Unbought
from errorbook.llm.pace import Pace, compute_backoff
from errorbook.llm.redact import collect_secrets
from errorbook.llm.refusals import read_message
from errorbook.llm.store import Store, Ticket
from errorbook.llm.waits import read_exhausted

DOWN_AT_ONCE = 5
"""Connections refused in a row after which an endpoint that has never answered is called down."""
DOWN_AFTER = 3
"""Failures in a row at least, over `Terms.patience` seconds, after which an endpoint is called down."""
PROBE = 20.0
"""Seconds that the first request under a cap is alone: its reply shows whether the server keeps to limits."""
TOLD_AFTER = 5.0
"""Seconds. A longer wait is told to whoever watches, and so is the next one after as long."""
_log = logging.getLogger("errorbook.llm")


class Exchange:
    """The part of an engine that lives in its event loop. `order` and `halt` may be called from any thread."""

    def __init__(self, endpoint: Endpoint, store: Store, purse: Purse, price: Price | None, pace: Pace) -> None:
        self.endpoint = endpoint
        self._store = store
        self._purse = purse
        self._price = price
        self._pace = pace
        self._lock = threading.Lock()
        self._wanted: dict[str, Order] = {}
        self._fresh: deque[Order] = deque()
        self._later: list[tuple[float, int, Order]] = []
        self._being_written = 0
        self._written: deque[Order] = deque()
        self._ahead = max(2, pace.ceiling // 8)
        self._number = itertools.count()
        self._tasks: dict[Order, asyncio.Task[None]] = {}
        self._dialects = Dialects(endpoint, store)
        self._secrets: tuple[bytes, ...] = ()
        self._failed_in_a_row = 0
        self._failing_since = 0.0
        self._good = False
        self._good_at = -1.0
        self._told_at = -TOLD_AFTER
        self._alone_until = 0.0
        self.overrun: ErrorbookError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._inbox_waits = False
        self._inbox: deque[Order] = deque()

    # from any thread ----------------------------------------------------------------------------------------------

    def order(self, order: Order) -> bool:
        """Buy this unless it is being bought already, in which case the one reply is delivered to both.

        Returns False, and takes nothing, if the reply is in the store by now.
        """
        # One lock over both questions, "is it being bought?" and "is it in the store?": nothing is bought twice.
        with self._lock:
            leader = self._wanted.get(order.key)
            if leader is not None:
                leader.buyers += order.buyers
                return True
            if self._store.find(order.key) is not None:
                return False
            self._wanted[order.key] = order
            self._inbox.append(order)
            wake, self._inbox_waits = not self._inbox_waits, True
        if wake:
            self.loop.call_soon_threadsafe(self._collect)
        return True

    def halt(self) -> None:
        """Cut what is in the air and not wanted any more."""
        self.loop.call_soon_threadsafe(self._cut)

    def on_commit(self, tickets: list[Ticket], failure: LedgerError | None) -> None:
        """The store has written; see `store.Commit`."""
        if failure is not None:
            self.loop.call_soon_threadsafe(self._give_up, failure)
        elif tickets:
            self.loop.call_soon_threadsafe(_call_all, tickets)

    # in the loop --------------------------------------------------------------------------------------------------

    def open(self, loop: asyncio.AbstractEventLoop, terms: Terms) -> None:
        """Start within the running `loop`. Raises ModelError if a key is missing."""
        headers = self.endpoint.headers()
        self._secrets = collect_secrets(self.endpoint)
        self.loop = loop
        self._terms = terms
        self._http = Http(
            headers, terms.limits, self._pace.ceiling, proxies=terms.proxies, authorities=terms.authorities
        )

    async def close(self) -> None:
        """Cut everything in the air and close the connections."""
        self._give_up(ErrorbookError("The engine was closed."))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._timer:
            self._timer.cancel()
        await self._http.close()

    def _collect(self) -> None:
        with self._lock:
            self._fresh.extend(self._inbox)
            self._inbox.clear()
            self._inbox_waits = False
        self._pump()

    def _pump(self) -> None:
        """Send as many requests as the pace allows, and write down the next ones so that no slot waits for the disk."""
        now = self.loop.time()
        while self._written and self._is_free(now):
            self._launch(self._written.popleft())
        room = max(0, int(self._pace.limit) - self._pace.in_air) + self._ahead
        while len(self._written) + self._being_written < room and (order := self._next(now)) is not None:
            if order.unwanted or self.overrun:
                self._deliver(order, _stopped(self.overrun))
            elif self._reserve(order):
                self._being_written += 1
                # Nothing is sent before its worst case is on the disk: after a kill no cent goes uncounted.
                self._store.intend(order.key, order.reserved, partial(self._intended, order))
            else:
                self._fresh.appendleft(order)
                if self._purse.held.calls:
                    break
                self._stop_all(self._purse.refusal(order.reserved))
        self._wake_later(now)

    def _is_free(self, now: float) -> bool:
        """Whether one more request may be sent: under a cap the first one goes alone, for a while."""
        return self._pace.free(now) and (not self._pace.in_air or now >= self._alone_until)

    def _intended(self, order: Order) -> None:
        """The request is on the disk and may be sent."""
        self._being_written -= 1
        self._written.append(order)
        self._pump()

    def _launch(self, order: Order) -> None:
        if order.unwanted or self.overrun:
            self._withdraw(order)
            self._deliver(order, _stopped(self.overrun))
            return
        if order.dialect != self._dialects.current:
            self._withdraw(order)
            heapq.heappush(self._later, (0.0, next(self._number), order))
            return
        self._pace.start()
        if not self._good and not self._alone_until and self._purse.is_at_stake(order.reserved):
            self._alone_until = self.loop.time() + PROBE
        task = self._tasks[order] = self.loop.create_task(self._fly(order))
        task.add_done_callback(partial(self._came_down, order))

    def _withdraw(self, order: Order) -> None:
        """It was written down and will not be sent: nothing is owed."""
        self._purse.settle(order.reserved, NOTHING)
        self._store.withdraw(order.key)

    def _next(self, now: float) -> Order | None:
        """A request whose time to be sent again has come, else a new one."""
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return self._fresh.popleft() if self._fresh else None

    def _wake_later(self, now: float) -> None:
        """Set the timer for what time alone can change: a hold, a back-off, a purse that others use, too."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        waits = []
        if self._fresh or self._later or self._written:
            if held := self._pace.held_for(now):
                waits.append(held)
            elif self._later:
                waits.append(max(0.0, self._later[0][0] - now) if self._pace.free(now) else 1.0)
            if now < self._alone_until:
                waits.append(self._alone_until - now)
            if self._fresh and self._pace.free(now):
                waits.append(0.1)
        if waits:
            self._timer = self.loop.call_later(min(waits) + 0.001, self._pump)

    def _reserve(self, order: Order) -> bool:
        if not order.request.url or order.dialect != self._dialects.current:
            order.dialect = self._dialects.current
            order.request = self.endpoint.build(order.ask, order.dialect)
        order.reserved = estimate_worst_case(order.ask, order.request, self._price)
        return self._purse.reserve(order.reserved)

    def _came_down(self, order: Order, task: asyncio.Task[None]) -> None:
        """The slot is free again. A fault of the program itself goes to whoever has ordered: nobody waits for ever."""
        self._tasks.pop(order, None)
        if order.landed:
            return
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._settle(order, lost=True)
            self._deliver(order, _stopped() if error is None else Stopped(error))
        self._pace.finish(refused=order.refused)
        self._pump()

    async def _fly(self, order: Order) -> None:
        """One attempt."""
        order.refused = order.landed = False
        started = self.loop.time()
        try:
            sent = await self._http.post(order.request.url, order.request.body)
            status, body = take_in(self.endpoint, sent.status, sent.body, self._secrets)
            answer = sent._replace(status=status, body=body)
            if answer.status != 200:
                raise self._judge(order, answer)
            self._landed(order, answer, self.endpoint.read(answer.body))
            order.refused = self.loop.time() - started > self._terms.limits.seconds / 2
        except faults.Fault as fault:
            order.refused = isinstance(fault, faults.Busy | faults.Lost)
            self._settle(order, lost=isinstance(fault, faults.Lost))
            self._failed(order, fault)
        except ErrorbookError as error:
            self._settle(order, lost=False)
            self._deliver(order, Stopped(error))
            self._stop_all(error)

    def _judge(self, order: Order, answer: ServerAnswer) -> Exception:
        """What a refusal means; a dialect that the server does not speak is changed and costs no attempt."""
        body = answer.body
        if concerns_form(answer.status, body) and self._dialects.refused(order.dialect, body, order.ask):
            order.first_refusal = order.first_refusal or read_message(body)
            return _OtherDialect("the server speaks another dialect")
        fault = faults.classify_refusal(self.endpoint, answer.status, answer.headers, body, known_good=self._good)
        wait = read_exhausted(answer.headers)
        if wait is not None and isinstance(fault, faults.Busy):
            self._pace.hold(self.loop.time() + wait)
        return fault

    def _landed(self, order: Order, answer: ServerAnswer, reply: Reply) -> None:
        """A reply: settle its cost, and keep its slot until it is on the disk.

        So whenever the process dies, no more replies are lost than requests were allowed in the air.
        """
        self._failed_in_a_row = 0
        self._dialects.landed(order.dialect)
        self._good, self._good_at = True, self.loop.time()
        self._alone_until = 0.0
        wait = read_exhausted(answer.headers)
        if wait is None:
            self._pace.resume()
        else:
            self._pace.hold(self.loop.time() + wait)
        spent = compute_spent(order.reserved, reply, self._price)
        self._purse.settle(order.reserved, spent)
        outcome = Bought(reply, spent.nano, cached=False)
        self._store.keep(order.key, answer.body, spent, partial(self._kept, order, outcome))
        order.landed = True
        if (error := self._purse.overrun(order.reserved, spent, self.endpoint.base_url)) is not None:
            self.overrun = error
            self._stop_all(error)

    def _kept(self, order: Order, outcome: Outcome) -> None:
        self._deliver(order, outcome)
        self._pace.finish(refused=order.refused)
        self._pump()

    def _settle(self, order: Order, *, lost: bool) -> None:
        """An attempt without a reply: free if the server refused it, the worst case if that is not sure."""
        spent = order.reserved.assume() if lost else Amount(calls=1)
        self._purse.settle(order.reserved, spent)
        self._store.settle(order.key, spent)

    def _failed(self, order: Order, fault: faults.Fault) -> None:
        """Send again later, or give up."""
        if isinstance(fault, _OtherDialect):
            heapq.heappush(self._later, (0.0, next(self._number), order))
            return
        if isinstance(fault, faults.Refused):
            first = order.first_refusal  # what was said of the request as it was meant
            before = f"; before it was put otherwise: {first}" if first and first not in fault.reason else ""
            self._deliver(order, Unbought(f"{_capital(fault.reason)}{before}.", lasting=True))
            return
        # A failure counts against the request only if the server answered others since its last one: an outage is of
        # no request, however long it lasts.
        now = self.loop.time()
        order.alone += self._good_at > order.failed_at > 0
        order.failures, order.failed_at = order.failures + 1, now
        if (error := self._is_down(fault, now)) is not None:
            self._deliver(order, Stopped(error))
            self._stop_all(error)
        elif order.unwanted:
            self._deliver(order, _stopped())
        elif self._is_at_fault(order, fault):
            self._deliver(order, Unbought(f"No reply after {order.failures} attempts; at last {fault.reason}."))
        else:
            wait = fault.wait if isinstance(fault, faults.Busy) else None
            due = now + compute_backoff(order.failures, wait, self._terms.first_wait)
            self._tell(fault, due - now)
            heapq.heappush(self._later, (due, next(self._number), order))

    def _is_at_fault(self, order: Order, fault: faults.Fault) -> bool:
        """Whether it is this request alone that does not get through. That a server is busy is no request's fault."""
        return order.alone >= self._terms.attempts - 1 and not isinstance(fault, faults.Busy)

    def _is_down(self, fault: faults.Fault, now: float) -> ModelError | None:
        """The circuit breaker: an error if the endpoint as a whole does not work, or asks for too much patience."""
        base, patience = self.endpoint.base_url, self._terms.patience
        if not self._failed_in_a_row:
            self._failing_since = now
        self._failed_in_a_row += 1
        over = self._failed_in_a_row >= DOWN_AFTER and now - self._failing_since > patience
        if not self._good and (over or self._failed_in_a_row >= DOWN_AT_ONCE):
            if isinstance(fault, faults.Away):
                advice = advise_on(fault.reason, base, proxies=self._terms.proxies)
                if advice:
                    return ModelError(f"Nothing answers at {base} ({fault.reason}); {advice}.")
                return ModelError(f"Nothing answers at {base} ({fault.reason}); start the server or correct base_url.")
            if isinstance(fault, faults.Garbled):
                return ModelError(
                    f"{base} answers, but not once as a language model does ({fault.reason}); correct base_url or the"
                    " server. Whether it has billed that is not known, so the worst case counts as spent."
                )
        wait = fault.wait if isinstance(fault, faults.Busy) else None
        if wait is not None and wait > patience:
            return ModelError(
                f"{base} asks to wait for {wait:,.0f} s, which is more than patience = {patience:g} allows"
                f" ({fault.reason}); give the same command again after {_clock(wait)}, what is done is kept."
            )
        if over:
            return ModelError(
                f"{base} has only failed for {patience:g} s (at last: {fault.reason}); see to it and run "
                "again, what is done is kept."
            )
        return None

    def _tell(self, fault: faults.Fault, wait: float) -> None:
        """Keep a long wait in view: who sees nothing happen takes it for a hang."""
        now = self.loop.time()
        if wait >= TOLD_AFTER and now - self._told_at >= TOLD_AFTER:
            self._told_at = now
            base, patience = self.endpoint.base_url, self._terms.patience
            _log.warning(
                "%s: %s; asked again at %s, given up after %g s without an answer.",
                *(base, _capital(fault.reason), _clock(wait), patience),
            )

    def _stop_all(self, error: ErrorbookError) -> None:
        """End everything that waits."""
        waiting = [*self._fresh, *(order for _, _, order in self._later)]
        self._fresh.clear()
        self._later.clear()
        for order in waiting:
            self._deliver(order, Stopped(error))

    def _give_up(self, error: ErrorbookError) -> None:
        """End everything, what is in the air included."""
        for order in list(self._wanted.values()):
            self._deliver(order, Stopped(error))
        self._cut()

    def _cut(self) -> None:
        """End what is not wanted any more."""
        for order, task in list(self._tasks.items()):
            if order.unwanted:
                task.cancel()
        unwanted = [order for order in self._written if order.unwanted]
        self._written = deque(order for order in self._written if not order.unwanted)
        for order in unwanted:
            self._withdraw(order)
            self._deliver(order, _stopped())
        self._pump()

    def _deliver(self, order: Order, outcome: Outcome) -> None:
        """End an order, once: from here on its key is in the store, or may be ordered anew."""
        with self._lock:
            if self._wanted.get(order.key) is not order:
                return
            del self._wanted[order.key]
        order.end(outcome)


class _OtherDialect(faults.Fault):
    """Send the request again in another form, at once."""


def _stopped(error: ErrorbookError | None = None) -> Stopped:
    return Stopped(error or ErrorbookError("The work was stopped."))


def _call_all(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        ticket()


def _clock(seconds: float) -> str:
    """The time of day so many seconds from now."""
    return time.strftime("%H:%M:%S" if seconds < 43200 else "%Y-%m-%d %H:%M", time.localtime(time.time() + seconds))


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

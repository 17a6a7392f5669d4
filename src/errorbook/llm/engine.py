"""The face of the package: many asks in, one result for each out, as they finish.

    price = Price(input=2, output=8)
    with Engine(endpoint, store=folder / "calls.sqlite", price=price, budget=Budget(usd=5)) as engine:
        for result in engine.ask(asks, check):
            ...

The caller's thread pulls the asks, reads the store and runs the check; a background thread does the HTTP. A reply that
the check refuses is shown to the model with the refusal and asked again; each such round is a request of its own, so a
rerun finds all of them in the store. If everything is in the store, no thread is started and nothing is sent.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

import msgspec

from errorbook.errors import LedgerError, ModelError, StageError
from errorbook.llm.asking import TRIES, Asking
from errorbook.llm.batch_api import BatchApi, BatchEndpoint
from errorbook.llm.batches import BatchDesk
from errorbook.llm.budget import Amount, Budget, Price, Purse
from errorbook.llm.endpoint import Endpoint, Reply
from errorbook.llm.exchange import Exchange
from errorbook.llm.orders import Order, OrderGroup, Terms, read_outcome
from errorbook.llm.pace import Pace
from errorbook.llm.records import Ask, K, Result, T
from errorbook.llm.store import Store, Ticket
from errorbook.records import digest


class Engine:
    """Asks one endpoint. Close it, or use it as a context manager.

    `store` is the SQLite file that remembers every call (None: a temporary one). `budget` caps what the store has
    recorded over all runs; give another engine's `purse` instead to share one cap. `price` is needed for a cap in
    dollars. `tries` is how many replies are asked for before one is rejected. `batch` sends the work through the
    provider's batch API, for half the price and within a day; a later process finds batches that are under way.
    """

    def __init__(  # noqa: PLR0913 - keywords only, each of them a user's decision
        self,
        endpoint: Endpoint,
        *,
        store: Path | None = None,
        concurrency: int = 64,
        budget: Budget | Purse | None = None,
        price: Price | None = None,
        tries: int = TRIES,
        batch: bool = False,
        terms: Terms | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.price = price
        self.pace = Pace(concurrency)
        self._tries = tries
        self._terms = terms or Terms()
        api = _batch_api(endpoint) if batch else None
        self._temporary = None
        if store is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="errorbook-")
            store = Path(self._temporary.name) / "calls.sqlite"
        self._store = Store(store, self._committed)
        self.purse = budget if isinstance(budget, Purse) else Purse(budget or Budget())
        self.purse.notice(self._store.spent())
        self._exchange = Exchange(endpoint, self._store, self.purse, price, self.pace)
        self._desk = BatchDesk(endpoint, api, self._store, self.purse, price, self._terms) if api else None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closing = asyncio.Event()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def spent(self) -> Amount:
        """What the store has recorded as spent, so far and in earlier runs."""
        return self.purse.spent

    def ask(self, asks: Iterable[tuple[K, Ask]], check: Callable[[K, Reply], T]) -> Iterator[Result[K, T]]:
        """One result for each key, in the order in which they finish. `asks` is pulled as there is room.

        `check` makes a value of a key and a reply to it, or raises InvalidReply with a sentence for the model. Raises
        BudgetError or ModelError after the results of what was in the air: what has no result yet is asked when run
        again. Closing the iterator cuts what is in the air.
        """
        self.purse.require(self.price, self.endpoint.model)
        asking: Asking[K, T] = Asking(self._desk or self, check, self._tries)
        yield from asking.run(iter(asks))
        if self._exchange.overrun is not None:  # by the last reply of all, after which nothing was refused
            raise self._exchange.overrun

    def forget(self, asks: Iterable[Ask]) -> None:
        """Buy the replies to these anew if they are asked again, those of the rounds before a correction included."""
        for ask in asks:
            for end in range(len(ask.messages), 0, -2):
                self._store.forget(self.key(msgspec.structs.replace(ask, messages=ask.messages[:end])))
        self._store.flush()

    def forget_all(self) -> None:
        """Buy every reply anew that is asked for again."""
        self._store.forget()
        self._store.flush()

    def close(self) -> None:
        """Cut what is in the air, end the thread and close the store."""
        if self._desk is not None:
            self._desk.close()
        loop = self._exchange.loop if self._thread is not None else None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._exchange.close(), loop).result()
        # Before the loop ends, because the store's last commits are told to it.
        self._store.close()
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._thread = None
        if self._temporary is not None:
            self._temporary.cleanup()

    # as the buyer of an asking ---------------------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """See `Buyer`."""
        return 2 * self.pace.ceiling

    def key(self, ask: Ask) -> str:
        """See `Buyer`."""
        return digest(self.endpoint.identity, ask.hash)

    def buy(self, order: Order) -> None:
        """See `Buyer`. Raises ModelError if the key for the endpoint is missing."""
        if not self._from_store(order):
            self._start()
            # Another caller may have bought it since we looked into the store; then the exchange takes nothing.
            if not self._exchange.order(order):
                self._from_store(order)

    def waiting(self) -> float:
        """See `Buyer`. Raises StageError if the background thread has died, LedgerError if the store's has."""
        self._store.require_alive()
        if self._thread is not None and not self._thread.is_alive():
            raise StageError("The engine's background thread has ended unexpectedly; run again, what is done is kept.")
        return 1.0

    def halt(self, group: OrderGroup) -> None:
        """See `Buyer`."""
        group.halted = True
        if self._thread is not None:
            self._exchange.halt()

    def _from_store(self, order: Order) -> bool:
        kept = self._store.find(order.key)
        if kept is None:
            return False
        order.end(read_outcome(self.endpoint, kept))
        return True

    # the background thread -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the thread, once, and wait until it takes orders: several callers may come at the same time."""
        with self._starting:
            if self._thread is not None:
                return
            ready: Future[None] = Future()
            thread = threading.Thread(target=self._run, args=(ready,), name="errorbook-engine", daemon=True)
            thread.start()
            try:
                ready.result()
            except Exception:  # it could not be opened, and its thread ends by itself
                thread.join()
                raise
            except BaseException:  # Ctrl-C: the thread goes on, and closing the engine ends it
                self._thread = thread if ready.exception() is None else None
                raise
            self._thread = thread

    def _run(self, ready: Future[None]) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._main(ready))

    async def _main(self, ready: Future[None]) -> None:
        try:
            self._exchange.open(asyncio.get_running_loop(), self._terms)
        except Exception as error:  # raised again in the caller's thread
            ready.set_exception(error)
            return
        ready.set_result(None)
        await self._closing.wait()
        self._closing.clear()

    def _committed(self, tickets: list[Ticket], failure: LedgerError | None) -> None:
        if self._thread is not None:
            self._exchange.on_commit(tickets, failure)


def _batch_api(endpoint: Endpoint) -> BatchApi:
    if not isinstance(endpoint, BatchEndpoint):
        raise ModelError(f"{endpoint.base_url} has no batch API that is known here; set batch to false.")
    return endpoint.batches()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The quicker event loop if it is installed (it does not exist for Windows); None means Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

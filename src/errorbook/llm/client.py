"""One endpoint with its price and its budget, from which every stage opens an engine.

What an instructor, a judge or a served target needs of the engine behind it. It asks nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from errorbook.errors import ConfigError
from errorbook.llm.budget import Budget, Price, Purse
from errorbook.llm.endpoint import Endpoint, Reply
from errorbook.llm.engine import Engine
from errorbook.llm.http import HttpLimits
from errorbook.llm.orders import PATIENCE, Terms
from errorbook.llm.prices import Listing, look_up
from errorbook.llm.records import Ask, Result

K = TypeVar("K")
T = TypeVar("T")


BATCH_SHARE = 0.5
"""What is left to pay if the provider's batch API is used."""


class Client:
    """An endpoint with its price and budget; each stage opens an engine on it, and all share one budget.

    `terms` is how hard to try; it may be set before the first engine.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        price: Price | None = None,
        budget: Budget | None = None,
        store: Path | None = None,
        concurrency: int = 64,
        batch: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.price = price
        self.batch = batch
        self._budget: Budget | Purse = budget or Budget()
        self._store = store
        self._concurrency = concurrency
        self.terms = Terms()
        if store is not None:  # a real run: better now than after an hour of examining
            Purse(budget or Budget()).require(price, endpoint.model)
            endpoint.headers()

    def open(self) -> AbstractContextManager[Asker]:
        """An engine for as long as it is needed; what was bought before is in the store."""
        if self._store is not None:
            self._store.parent.mkdir(parents=True, exist_ok=True)
        engine = Engine(
            self.endpoint,
            store=self._store,
            concurrency=self._concurrency,
            budget=self._budget,
            price=self.price,
            batch=self.batch,
            terms=self.terms,
        )
        self._budget = engine.purse
        return engine


def read_price(price_input: float | None, price_output: float | None, endpoint: Endpoint) -> Price | None:
    """The price that is given, else the listed one, or None if it is not known. Raises ConfigError if half is given."""
    if price_input is None and price_output is None:
        listing = find_listing(endpoint)
        return listing.price if listing else None
    if price_input is None or price_output is None:
        raise ConfigError("price_input and price_output belong together; give both, in dollars per million tokens.")
    if min(price_input, price_output) < 0:
        raise ConfigError("price_input and price_output must not be negative; give dollars per million tokens.")
    return Price(input=price_input, output=price_output)


def find_listing(endpoint: Endpoint) -> Listing | None:
    """What the list of prices says of the model behind an endpoint; see `prices`."""
    return look_up(endpoint.model, endpoint.base_url, endpoint.sampling)


def set_terms(
    *, timeout: float, stream: bool, proxies: bool, certificates: str, patience: float = PATIENCE, batch: bool = False
) -> Terms:
    """How hard to try, from the keys of a run file. Raises ConfigError if two of them do not go together."""
    if stream and batch:
        raise ConfigError("stream and batch do not go together: a batch sends files; set one of them to false.")
    limits = HttpLimits(seconds=timeout, between=stream)
    return Terms(patience=patience, limits=limits, proxies=proxies, authorities=certificates)


def store_path(workspace: str | None) -> Path | None:
    """The store of calls in a run's folder."""
    return Path(workspace) / "calls.sqlite" if workspace else None


class Asker(Protocol):
    """Where replies come from: `llm.engine.Engine`, or a user's function."""

    def ask(self, asks: Iterable[tuple[K, Ask]], check: Callable[[K, Reply], T]) -> Iterator[Result[K, T]]:
        """Exactly one result for each key, in any order; see `Engine.ask`."""
        ...

    def forget(self, asks: Iterable[Ask]) -> None:
        """Ask these anew if they come again; see `Engine.forget`."""
        ...

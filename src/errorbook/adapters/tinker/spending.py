"""What tokens at a Tinker server cost, held to the run's cap: reserved before they are sent, settled after.

The server counts nothing back, so what is paid is computed from the tokens that are sent and received; storage is left
out. It is all in the run's store of calls, where an instructor's requests are as well: one cap holds for both.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from errorbook.errors import BudgetError, ConfigError
from errorbook.llm.budget import Amount, Budget, Purse
from errorbook.llm.client import store_path
from errorbook.llm.store import Store
from errorbook.records import NANO

OWN = "tinker "
"""What the keys of these purchases begin with in the store."""
LISTED = "https://tinker-docs.thinkingmachines.ai/tinker/models/"


class Prices(NamedTuple):
    """US dollars per million tokens: read by a sampler, written by one, and trained on."""

    prefill: float
    sample: float
    train: float

    def amount(self, read: int = 0, written: int = 0, trained: int = 0) -> Amount:
        """What so many tokens cost, rounded up."""
        dollars = read * self.prefill + written * self.sample + trained * self.train
        return Amount(math.ceil(dollars * (NANO / 1_000_000)), read + written + trained, 1)


FREE = Prices(0.0, 0.0, 0.0)
KNOWN: Mapping[str, Prices] = {
    # Read on LISTED on 2026-10-07. The other models there are priced by keys of the run file.
    "Qwen/Qwen3-8B": Prices(0.195, 0.60, 0.44),
}
"""Prices at the provider's own address."""


class Cap(NamedTuple):
    """The prices that hold, None if they are not known, and the run's cap in dollars, None if there is none."""

    prices: Prices | None
    usd: float | None

    def refuse(self, model: str) -> str:
        """Why the cap cannot be kept, as a sentence; empty if it can, or if there is none."""
        if self.usd is None or self.prices is not None:
            return ""
        return (
            f"A cap of ${self.usd:g} cannot be kept, because the price of '{model}' is not known; give price_prefill,"
            f" price_sample and price_train in [target], in dollars per million tokens (they are on {LISTED}; 0 for a"
            " server of your own)."
        )


def read_prices(model: str, given: tuple[float | None, float | None, float | None], *, official: bool) -> Prices | None:
    """The prices of the run file, else the known ones of the provider. Raises ConfigError if some are missing."""
    prefill, sample, train = given
    if prefill is not None and sample is not None and train is not None:
        return Prices(prefill, sample, train)
    if any(price is not None for price in given):
        raise ConfigError(
            "price_prefill, price_sample and price_train belong together; give all of them, in dollars per million"
            " tokens (0 for a server of your own)."
        )
    return KNOWN.get(model) if official else None


class Bill:
    """An open account of purchases below a run's folder; without a folder it is forgotten when it is closed."""

    def __init__(self, folder: Path | None, cap: Cap, model: str) -> None:
        refused = cap.refuse(model)
        if refused:
            raise BudgetError(refused)
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="errorbook-")
        place = folder or Path(self._temporary.name if self._temporary else "")
        self._store = Store(store_path(str(place)) or Path(), lambda tickets, failure: None)
        self.prices = cap.prices or FREE
        self._purse = Purse(Budget(usd=cap.usd), self._store.spent())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def spent_usd(self) -> float:
        """Dollars that all purchases of this kind in this store took, those of earlier processes included."""
        self._store.flush()
        return self._store.spent(OWN).usd

    def find(self, key: str) -> bytes | None:
        """What was bought under a key before."""
        kept = self._store.find(OWN + key)
        return kept.body if kept else None

    def hold(self, key: str, worst: Amount) -> bool:
        """Reserve the worst case of one purchase and write it down; False if the cap has no room beside the others."""
        if not self._purse.reserve(worst):
            return False
        self._store.intend(OWN + key, worst)
        return True

    def flush(self) -> None:
        """Wait until what is held is on the disk: before anything is sent. Raises LedgerError."""
        self._store.flush()

    def keep(self, key: str, worst: Amount, spent: Amount, body: bytes) -> None:
        """What was bought, and what it took in place of its worst case."""
        self._purse.settle(worst, spent)
        self._store.keep(OWN + key, body, spent)

    def withdraw(self, key: str, worst: Amount) -> None:
        """It was not sent after all."""
        self._purse.settle(worst, Amount())
        self._store.withdraw(OWN + key)

    def buy(self, key: str, spent: Amount, do: Callable[[], bytes]) -> bytes:
        """Do what takes just `spent` and keep what it gives; a failure counts as paid, because nobody knows.

        Raises:
            BudgetError: The cap has no room for it.
        """
        if not self.hold(key, spent):
            raise self.refusal(spent)
        self.flush()
        body = do()
        self.keep(key, spent, spent, body)
        self.flush()
        return body

    def refusal(self, worst: Amount) -> BudgetError:
        """Why a purchase does not fit."""
        return self._purse.refusal(worst)

    @property
    def round(self) -> str:
        """How often what was answered has been forgotten: part of an answer's key."""
        return self._store.fact(f"{OWN}round") or "0"

    def forget(self) -> None:
        """Buy every answer anew that is asked for again; what it cost stays spent."""
        self._store.remember(f"{OWN}round", str(int(self.round) + 1))
        self._store.flush()

    def close(self) -> None:
        """Write what is left and close the store."""
        self._store.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def read_spent(folder: Path) -> float:
    """Dollars that all such purchases below a run's folder took."""
    with Bill(folder, Cap(None, None), "") as bill:
        return bill.spent_usd

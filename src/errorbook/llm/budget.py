"""Caps in dollars, tokens and calls: the worst case is reserved before a request is sent and settled after.

Money is counted in whole nano-dollars, rounded up, so that sums are exact and never too low. A price that is not known
is never guessed. What no server has counted is taken at its worst case, and told apart. No cap can be kept against a
server that ignores the limit on a reply's length: it bills more than its request reserved, and then the work stops.
"""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

from errorbook.errors import BudgetError
from errorbook.llm.endpoint import Reply, Request
from errorbook.llm.records import Ask
from errorbook.records import NANO, Record

TEMPLATE_TOKENS = 128
"""Tokens that a server may add to a prompt by itself: chat template, its own system prompt."""


class Price(Record, frozen=True, kw_only=True):
    """US dollars per million tokens."""

    input: float
    output: float

    def nano(self, input_tokens: int, output_tokens: int, share: float = 1.0) -> int:
        """The cost in nano-dollars, rounded up; `share` is what is left after a discount."""
        return math.ceil((input_tokens * self.input + output_tokens * self.output) * share * (NANO / 1_000_000))


class Budget(Record, frozen=True, kw_only=True):
    """Caps on everything that a store has recorded, earlier runs included; None means no cap.

    `calls` counts every request sent, those that the server refused too.
    """

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None


class Amount(NamedTuple):
    """Spent or reserved: nano-dollars, tokens in and out together, calls.

    `assumed` is the part of `nano` that no server has counted: the worst case of requests without a whole reply.
    """

    nano: int = 0
    tokens: int = 0
    calls: int = 0
    assumed: int = 0

    def plus(self, other: Amount) -> Amount:
        """The sum."""
        return Amount(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Amount) -> Amount:
        """The difference."""
        return Amount(*(mine - its for mine, its in zip(self, other, strict=True)))

    def assume(self) -> Amount:
        """The same as a worst case that nobody has counted."""
        return self._replace(assumed=self.nano)

    @property
    def usd(self) -> float:
        """The money in dollars."""
        return self.nano / NANO


def estimate_worst_case(ask: Ask, request: Request, price: Price | None, share: float = 1.0) -> Amount:
    """The most that a request can cost: no tokenizer makes more than one token of a byte."""
    tokens_in = len(request.body) + TEMPLATE_TOKENS
    nano = price.nano(tokens_in, ask.max_tokens, share) if price else 0
    return Amount(nano, tokens_in + ask.max_tokens, 1)


NOTHING = Amount()


def compute_spent(reserved: Amount, reply: Reply, price: Price | None, share: float = 1.0) -> Amount:
    """What a reply did cost; the whole reservation if the server does not count tokens."""
    tokens_in, tokens_out = reply.input_tokens, reply.output_tokens
    if tokens_in is None or tokens_out is None:
        return reserved.assume()
    counted = price.nano(tokens_in, tokens_out, share) if price else 0
    # A server may bill more than its tokens, such as something for each request; then that counts.
    return Amount(max(counted, math.ceil(reply.cost_usd * NANO)), tokens_in + tokens_out, 1)


class Purse:
    """What is spent and what is reserved under one budget. Engines that share a purse share its caps."""

    def __init__(self, budget: Budget, spent: Amount = NOTHING) -> None:
        self.budget = budget
        self._cap_nano = math.inf if budget.usd is None else math.floor(budget.usd * NANO)
        self._cap_tokens = math.inf if budget.tokens is None else budget.tokens
        self._cap_calls = math.inf if budget.calls is None else budget.calls
        self._lock = threading.Lock()
        self.spent = spent
        self.held = NOTHING

    def notice(self, spent: Amount) -> None:
        """Count what others have spent under the same cap, as their common store tells it between two stages."""
        with self._lock:
            if self.held == NOTHING:  # else what is in the air here is among what the store tells
                self.spent = Amount(*(max(mine, told) for mine, told in zip(self.spent, spent, strict=True)))

    def require(self, price: Price | None, model: str) -> None:
        """Raise BudgetError if the cap is in dollars and the price is unknown."""
        if self.budget.usd is not None and price is None:
            raise BudgetError(
                f"A cap of ${self.budget.usd:g} cannot be kept, because the price of '{model}' is not known; "
                "give price_input and price_output in dollars per million tokens (0 for a model of your own)."
            )

    def reserve(self, amount: Amount) -> bool:
        """Set the amount aside if it fits under every cap beside what is spent and reserved."""
        # Look and hold under one lock, so that engines that share the purse never exceed a cap together.
        with self._lock:
            total = self.spent.plus(self.held).plus(amount)
            fits = total.nano <= self._cap_nano and total.tokens <= self._cap_tokens and total.calls <= self._cap_calls
            if fits:
                self.held = self.held.plus(amount)
            return fits

    def settle(self, reserved: Amount, actual: Amount) -> None:
        """Give a reservation back and record what was really spent."""
        with self._lock:
            self.held = self.held.minus(reserved)
            self.spent = self.spent.plus(actual)

    def is_at_stake(self, amount: Amount) -> bool:
        """Whether a server that ignores limits could break a cap with a request of this worst case."""
        return self.budget.tokens is not None or (self.budget.usd is not None and amount.nano > 0)

    def overrun(self, reserved: Amount, spent: Amount, base_url: str) -> BudgetError | None:
        """The error that ends the work if a reply has cost more than a cap had room for; None if no cap is at stake."""
        if self.budget.usd is not None and spent.nano > reserved.nano:
            took, allowed = f"${spent.usd:.4f}", f"${reserved.usd:.4f}"
        elif self.budget.tokens is not None and spent.tokens > reserved.tokens:
            took, allowed = f"{spent.tokens:,} tokens", f"{reserved.tokens:,}"
        else:
            return None
        return BudgetError(
            f"{base_url} took {took} for a request that could take {allowed} at most: it does not keep to the limit on"
            " a reply's length, so no cap can hold there; raise max_tokens, use another server, or take the cap out."
        )

    def refusal(self, amount: Amount) -> BudgetError:
        """Why an amount does not fit, and what to do."""
        spent = self.spent
        told = f" (${spent.assumed / NANO:.4f} of it assumed, for requests without a counted reply)"
        worst = told if spent.assumed else ""
        for name, used, need, cap, key in (
            ("calls", f"{spent.calls:,}", "1", self.budget.calls, "calls"),
            ("tokens", f"{spent.tokens:,}", f"{amount.tokens:,}", self.budget.tokens, "tokens"),
            ("dollars", f"${spent.usd:.4f}{worst}", f"${amount.usd:.4f}", self.budget.usd, "usd"),
        ):
            over = {"calls": spent.calls + 1, "tokens": spent.tokens + amount.tokens, "usd": spent.usd + amount.usd}
            if cap is not None and over[key] > cap:
                return BudgetError(
                    f"The budget is used up: {used} of {cap:,g} {name} are spent and the next request may need {need}; "
                    "what is done is kept, so raise the budget and run again."
                )
        return BudgetError("The budget is used up by other work; what is done is kept, so run again.")

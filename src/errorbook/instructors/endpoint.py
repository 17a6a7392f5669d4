"""Instructors behind a real endpoint: `openai` for every OpenAI-compatible server, `anthropic` natively.

    [instructor]
    kind = "openai"
    model = "gpt-4.1"
    price_input = 2.0           # dollars per million tokens
    price_output = 8.0

Everything that can go wrong on the way to a reply is the engine's (`errorbook.llm`): caching, pacing, retries, budget.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from errorbook.errors import ConfigError
from errorbook.instructors import forecast
from errorbook.instructors.asking import Settings
from errorbook.instructors.conversation import Asker
from errorbook.instructors.model import ModelInstructor
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import Budget, Price, Purse
from errorbook.llm.endpoint import Endpoint
from errorbook.llm.engine import Engine
from errorbook.llm.openai_chat import OpenAIChat

BATCH_SHARE = 0.5
"""What is left to pay where the provider's batch API is used."""


class EndpointInstructor(ModelInstructor):
    """A `ModelInstructor` over an engine; it can also tell its price beforehand (`forecast.Priced`)."""

    def __init__(self, name: str, line: Line, settings: Settings, seed: int = 0) -> None:
        super().__init__(name, line.open, settings, seed)
        self._line = line

    def price(self) -> Price | None:
        """Dollars per million tokens; None where it is not known."""
        return self._line.price

    def forecast(self, work: forecast.Work) -> forecast.Forecast:
        """Calls, tokens and dollars for some work."""
        discount = BATCH_SHARE if self._line.batch else 1.0
        return forecast.forecast(work, self._settings, self._line.price, discount)


class Line:
    """An endpoint with its price and budget; each stage opens an engine on it, and all share one budget."""

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
        )
        self._budget = engine.purse
        return engine


def _behind(name: str, provider: type[OpenAIChat | Anthropic]) -> Callable[..., EndpointInstructor]:
    """The factory of one provider's instructors; its keywords are the keys of the run file."""

    def instructor(  # noqa: PLR0913 - the keys of the run file
        *,
        model: str,
        base_url: str = provider.official,
        api_key_env: str | None = None,
        headers: dict[str, str] | None = None,
        sampling: dict[str, Any] | None = None,
        price_input: float | None = None,
        price_output: float | None = None,
        concurrency: int = 64,
        temperature: float = 0.7,
        max_tokens: int = 1024,
        batch: bool = False,
        max_calls: int | None = None,
        max_total_tokens: int | None = None,
        budget_usd: float | None = None,
        workspace: str | None = None,
        seed: int = 0,
    ) -> EndpointInstructor:
        """An instructor behind a real endpoint.

        Args:
            model: The model's name at the endpoint.
            base_url: The address, for OpenAI's protocol up to and with /v1.
            api_key_env: The environment variable with the key; the provider's usual one for its own address, else none.
            headers: More headers; a value that starts with `$` is read from the environment.
            sampling: Added to every request as it is, such as `{top_p = 0.9}`.
            price_input: Dollars per million tokens in; 0 for a model of your own.
            price_output: Dollars per million tokens out.
            concurrency: Requests in the air at most; fewer where the server is loaded.
            temperature: Of drafts and blind answers; diagnoses are asked for at 0.
            max_tokens: Allowed for a diagnosis, for a draft and for a blind answer.
            batch: Use the provider's batch API: half the price, within a day.
            max_calls: A cap on requests, over all calls of the run.
            max_total_tokens: A cap on tokens, likewise.
            budget_usd: A cap in dollars, likewise; the run gives its own.
            workspace: The folder for the store of calls; the run gives its own.
            seed: Shuffles options; the run gives its own.
        """
        line = Line(
            provider(model, base_url, api_key_env, headers, sampling),
            price=price_of(price_input, price_output),
            budget=Budget(usd=budget_usd, tokens=max_total_tokens, calls=max_calls),
            store=store_in(workspace),
            concurrency=concurrency,
            batch=batch,
        )
        return EndpointInstructor(name, line, Settings(max_tokens=max_tokens, temperature=temperature), seed)

    return instructor


openai = _behind("openai", OpenAIChat)
"""An instructor behind an OpenAI-compatible chat endpoint."""
anthropic = _behind("anthropic", Anthropic)
"""An instructor behind Anthropic's own protocol."""


def price_of(price_input: float | None, price_output: float | None) -> Price | None:
    """The price, or None where it is not given. Raises ConfigError where half of it is."""
    if price_input is None and price_output is None:
        return None
    if price_input is None or price_output is None:
        raise ConfigError("price_input and price_output belong together; give both, in dollars per million tokens.")
    if min(price_input, price_output) < 0:
        raise ConfigError("price_input and price_output must not be negative; give dollars per million tokens.")
    return Price(input=price_input, output=price_output)


def store_in(workspace: str | None) -> Path | None:
    """The store of calls in a run's folder."""
    return Path(workspace) / "calls.sqlite" if workspace else None

"""Instructors behind a real endpoint: `openai` for every OpenAI-compatible server, `anthropic` natively.

    [instructor]
    kind = "openai"
    model = "gpt-6.1-terra"
    price_input = 1.0           # dollars per million tokens
    price_output = 5.0

Everything that can go wrong on the way to a reply is the engine's (`errorbook.llm`): caching, pacing, retries, budget.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Interval

from errorbook.adapters.instructors import forecast
from errorbook.adapters.instructors.asking import AskingSettings
from errorbook.adapters.instructors.model import ModelInstructor
from errorbook.errors import ConfigError
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import Budget, Price
from errorbook.llm.client import BATCH_SHARE, Client, find_listing, read_price, set_terms, store_path
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import PATIENCE
from errorbook.plugins import AtOnce, Dollars, Seconds, Seed, Tokens

_log = logging.getLogger("errorbook.llm")


class EndpointInstructor(ModelInstructor):
    """A `ModelInstructor` over an engine; it can also tell its price beforehand (`forecast.Priced`)."""

    def __init__(
        self, name: str, line: Client, settings: AskingSettings, seed: int = 0, *, price_is_given: bool = True
    ) -> None:
        super().__init__(name, line.open, settings, seed)
        self._line = line
        self._given = price_is_given

    def price(self) -> Price | None:
        """Dollars per million tokens; None if it is not known."""
        return self._line.price

    def describe_price(self) -> str:
        """See `Listed`."""
        listing = None if self._given else find_listing(self._line.endpoint)
        return listing.describe() if listing else ""

    def warn_of_model(self) -> str:
        """See `Listed`."""
        listing = find_listing(self._line.endpoint)
        return listing.warn() if listing else ""

    def forecast(self, work: forecast.Work) -> forecast.Forecast:
        """Calls, tokens and dollars for some work."""
        discount = BATCH_SHARE if self._line.batch else 1.0
        return forecast.forecast(work, self._settings, self._line.price, discount)


_OPTIONS = """An instructor behind a real endpoint.

Args:
    model: The model's name at the endpoint.
    base_url: The address, for OpenAI's protocol up to and with /v1.
    api_key_env: The environment variable with the key; the provider's usual one for its own address, else none.
    headers: More headers; a value that starts with `$` is read from the environment.
    sampling: Added to every request as it is, such as `{top_p = 0.9}`.
    price_input: Dollars per million tokens in; 0 for a model of your own. Without it, that of genai-prices if known.
    price_output: Dollars per million tokens out.
    concurrency: Requests in the air at most; fewer if the server is loaded.
    temperature: Of drafts and blind answers; diagnoses are asked for at 0.
    max_tokens: Allowed for a diagnosis, for a draft and for a blind answer.
    batch: Use the provider's batch API: half the price, within a day.
    patience: Seconds of nothing but failures, or of a wait that the server asks for, before the run gives up.
    timeout: Seconds that a reply may take or, if it is streamed, that it may be silent.
    stream: Have replies sent in pieces, for models that think for long; a silence ends them, not their length.
    proxies: Use the proxies of the environment (HTTPS_PROXY).
    certificates: A file of authorities to trust, for a server with a certificate of your own.
    dialect: What the server does not accept, such as `{system = false, mode = "json"}`; else it is found out.
    max_calls: A cap on requests, over all calls of the run.
    max_total_tokens: A cap on tokens, likewise.
    budget_usd: A cap in dollars, likewise; the run gives its own.
    workspace: The folder for the store of calls; the run gives its own.
    seed: Shuffles options; the run gives its own.
"""
"""What each key of the run file says, as the factories' docstring."""


def _behind(name: str, provider: type[OpenAIChat | Anthropic]) -> Callable[..., EndpointInstructor]:
    """The factory of one provider's instructors; its keywords are the keys of the run file."""

    def instructor(  # noqa: PLR0913 - the keys of the run file
        *,
        model: str,
        base_url: str = provider.official,
        api_key_env: str | None = None,
        headers: dict[str, str] | None = None,
        sampling: dict[str, Any] | None = None,
        price_input: Dollars | None = None,
        price_output: Dollars | None = None,
        concurrency: AtOnce = 64,
        temperature: Annotated[float, Interval(ge=0, le=10)] = 0.7,
        max_tokens: Tokens = 1024,
        batch: bool = False,
        patience: Annotated[float, Interval(ge=0, le=604_800)] = PATIENCE,
        timeout: Seconds = 300.0,
        stream: bool = False,
        proxies: bool = False,
        certificates: str = "",
        dialect: dict[str, Any] | None = None,
        max_calls: Annotated[int, Interval(ge=0, le=10**12)] | None = None,
        max_total_tokens: Annotated[int, Interval(ge=0, le=10**15)] | None = None,
        budget_usd: Dollars | None = None,
        workspace: str | None = None,
        seed: Seed = 0,
    ) -> EndpointInstructor:
        endpoint = provider(model, base_url, api_key_env, headers, sampling, _speak(provider, dialect, stream=stream))
        line = Client(
            endpoint,
            price=read_price(price_input, price_output, endpoint),
            budget=Budget(usd=budget_usd, tokens=max_total_tokens, calls=max_calls),
            store=store_path(workspace),
            concurrency=concurrency,
            batch=batch,
        )
        line.terms = set_terms(
            timeout=timeout,
            stream=stream,
            proxies=proxies,
            certificates=certificates,
            patience=patience,
            batch=batch,
        )
        settings = AskingSettings(max_tokens=max_tokens, temperature=temperature)
        made = EndpointInstructor(name, line, settings, seed, price_is_given=price_input is not None)
        for sentence in (made.describe_price(), made.warn_of_model()) if workspace else ():
            if sentence:
                _log.warning("%s", sentence)
        return made

    instructor.__doc__ = _OPTIONS
    return instructor


def _speak(provider: type[OpenAIChat | Anthropic], dialect: dict[str, Any] | None, *, stream: bool) -> dict[str, Any]:
    """The server's dialect as the run file tells it."""
    if stream and provider is not OpenAIChat:
        raise ConfigError(f"{provider.protocol} is not asked for streams here; take stream out and raise timeout.")
    return {**({"stream": "on"} if stream else {}), **(dialect or {})}


openai = _behind("openai", OpenAIChat)
"""An instructor behind an OpenAI-compatible chat endpoint."""
anthropic = _behind("anthropic", Anthropic)
"""An instructor behind Anthropic's own protocol."""

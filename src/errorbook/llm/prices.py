"""What a model costs by the list of `genai-prices`, whose data lie in that package: nothing is fetched.

A cap is a promise, so a price is taken only if the list knows the address and this very model, and the dearest of what
holds within a day. A model that is like a listed one, a server of one's own, and settings that cost extra have no price
here. Keys of the run file come before it; see `client.read_price`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from errorbook.llm.budget import Price
from errorbook.records import Record

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelPrice

_SUFFIX = re.compile(r"(?:[-@:.](?:\d{4}-?\d{2}-?\d{2}|\d{3,4}|v\d+|latest|free))*")
"""What may follow a model's name without making another model of it: a date, a number of a version."""
_COSTS_EXTRA = {"service_tier", "speed", "tools", "plugins", "web_search_options", "search_parameters", "modalities"}
"""Settings of a request that may have prices of their own."""
_LARGE = 100_000
"""Tokens; a prompt of an instructor is never so long, and neither are the steps of prices that begin there."""


class Listing(Record, frozen=True, kw_only=True):
    """What the list says of a model: `price` is None if it cannot be told in dollars a token.

    `source` names the list with its version and the date of its newest price. `deprecated` says that the provider has
    announced to withdraw the model.
    """

    model: str
    provider: str
    price: Price | None
    source: str
    deprecated: bool = False

    def describe(self) -> str:
        """Where a price is from, as a sentence."""
        if self.price is None:
            return f"'{self.model}' of {self.provider} has no price by the token in {self.source}."
        return (
            f"The price of '{self.model}' is that of {self.provider} in {self.source}: ${self.price.input:g} in and"
            f" ${self.price.output:g} out for a million tokens. price_input and price_output come before it."
        )

    def warn(self) -> str:
        """That the model goes away, as a sentence; empty if nothing says so."""
        if not self.deprecated:
            return ""
        return (
            f"{self.provider} has announced to withdraw '{self.model}' ({self.source}); a run that outlives it cannot"
            " go on with it, so name another model."
        )


def look_up(model: str, base_url: str, sampling: Mapping[str, Any] | None = None) -> Listing | None:
    """The listing of a model at an address; None if the list knows one of the two not, or not for sure."""
    address = urlsplit(base_url)
    if address.scheme != "https" or "." not in (address.hostname or ""):  # a server of one's own: nothing is loaded
        return None
    found = _find(model, base_url)
    if found is None or not _COSTS_EXTRA & (sampling or {}).keys():
        return found
    return Listing(
        model=found.model, provider=found.provider, price=None, source=found.source, deprecated=found.deprecated
    )


@cache
def _find(model: str, base_url: str) -> Listing | None:
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    snapshot = get_snapshot()
    try:
        provider, listed = snapshot.find_provider_model(model, None, None, base_url)
    except LookupError:
        return None
    if not (_is_at(base_url, provider.api_pattern) and _is_same(model.lower(), listed.id.lower())):
        return None
    now = datetime.now(UTC)
    prices = [_read_price(listed.get_prices(now + timedelta(hours=hours))) for hours in range(25)]
    known = [price for price in prices if price is not None]
    dearest = (
        Price(input=max(price.input for price in known), output=max(price.output for price in known))
        if len(known) == len(prices)
        else None
    )
    return Listing(
        model=model,
        provider=provider.name,
        price=dearest,
        source=_describe_source(snapshot),
        deprecated=bool(listed.deprecated),
    )


def _is_at(base_url: str, pattern: str) -> bool:
    """Whether an address is the provider's whole host, and not one whose name only begins so."""
    found = re.match(pattern, base_url)
    rest = base_url[found.end() :] if found else "?"
    return rest.startswith((":", "/")) or not rest or "/" in base_url[len("https://") : len(base_url) - len(rest)]


def _is_same(model: str, listed: str) -> bool:
    """Whether two names are of one model: hubs put the maker before it, and some names end with a date."""
    short, name = model.removeprefix("models/"), listed.removeprefix("models/")
    for wanted in (short, short.rpartition("/")[2]):
        for known in (name, name.rpartition("/")[2]):
            if wanted.startswith(known) and _SUFFIX.fullmatch(wanted.removeprefix(known)):
                return True
    return False


def _read_price(price: ModelPrice) -> Price | None:
    told = {name: value for name, value in vars(price).items() if value is not None and not name.startswith("_")}
    amounts = {name: _read_amount(value) for name, value in told.items()}
    asked, written = amounts.get("input_mtok"), amounts.get("output_mtok")
    if asked is None or written is None or amounts.get("requests_kcount"):
        return None
    thought = amounts.get("output_reasoning_mtok") or 0.0
    return Price(input=asked, output=max(written, thought))


def _read_amount(value: Any) -> float:
    """Dollars a million tokens: of steps by the length of the prompt, the dearest that a prompt may reach."""
    tiers = getattr(value, "tiers", None)
    if tiers is None:
        return float(value)
    return max([float(value.base), *(float(tier.price) for tier in tiers if tier.start < _LARGE)])


def _describe_source(snapshot: DataSnapshot) -> str:
    """The list, its version, and how new what it knows is."""
    today = datetime.now(UTC).date()
    dates = (
        getattr(one.constraint, "start_date", None)
        for provider in snapshot.providers
        for model in provider.models
        for one in (model.prices if isinstance(model.prices, list) else ())
    )
    newest = max((date for date in dates if date is not None and date <= today), default=None)
    return f"genai-prices {version('genai-prices')}" + (f" (newest price of {newest})" if newest else "")

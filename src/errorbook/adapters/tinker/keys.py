"""The keys of the run file that target and trainer have in common, as the host and the cap that they make."""

from __future__ import annotations

from typing import NamedTuple

from errorbook.adapters.targets.embedded import public_name
from errorbook.adapters.tinker.connection import OFFICIAL, Host
from errorbook.adapters.tinker.spending import Cap, read_prices
from errorbook.llm.endpoint import web_address


class Access(NamedTuple):
    """Who is asked, under which cap, and whose tokenizer is used."""

    host: Host
    cap: Cap
    tokenizer: str


def read_access(
    model: str,
    address: tuple[str, str, float],
    prices: tuple[float | None, float | None, float | None],
    budget_usd: float | None,
    tokenizer: str,
) -> Access:
    """`address` is the base URL (empty for the provider's own), the key's variable and the patience in seconds.

    Raises:
        UserError: The address is none, or some of the prices are missing.
    """
    base_url, api_key_env, patience = address
    where = web_address(base_url) if base_url else OFFICIAL
    host = Host(public_name(model), where, api_key_env, patience)
    cap = Cap(read_prices(host.model, prices, official=where == OFFICIAL), budget_usd)
    return Access(host, cap, tokenizer or model)

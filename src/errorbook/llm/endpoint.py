"""What the engine needs to know about a provider: how a request is written and how its reply is read.

An endpoint is pure: it opens no connection, keeps no key and remembers nothing. What a server turns out not to
understand (a JSON schema, the name of a parameter) is a `Dialect` that the engine keeps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from errorbook.errors import ModelError
from errorbook.llm.records import Ask
from errorbook.records import Record

Mode = Literal["schema", "json", "text"]
"""How a reply is held to its schema: by the server, to JSON of any shape, or by the prompt alone."""

Ending = Literal["", "filter", "refusal", "tool"]
"""Why there is no reply: a filter took it, the model refuses, or it called a tool that nobody offered."""


class Dialect(Record, frozen=True, kw_only=True):
    """What one server accepts, found out from its refusals and remembered in the store.

    `most` is the most tokens that a reply may be allowed (0: not known). `stream` is whether the field says "on" or
    "off" or is left out, and `usage` whether a stream may be asked to count its tokens.
    """

    mode: Mode = "schema"
    cap: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    system: bool = True
    seed: bool = True
    strict: bool = True
    stream: Literal["off", "on", "unsaid"] = "off"
    usage: bool = True
    most: int = 0


class Request(NamedTuple):
    """One POST: an absolute address and a JSON body."""

    url: str
    body: bytes


MOST_TOKENS = 100_000_000
"""More than any model reads or writes at once: a server that counts more does not count."""


class Reply(NamedTuple):
    """A reply out of its envelope. Token counts are None if the server gives none that can be believed.

    `thought` is what the server has told apart as the model's reasoning; its tokens count as output. `ended` says why
    there is no reply, and `cost_usd` what it has cost, if the server does.
    """

    text: str
    input_tokens: int | None
    output_tokens: int | None
    truncated: bool
    thought: str = ""
    ended: Ending = ""
    cost_usd: float = 0.0

    @property
    def is_counted(self) -> bool:
        """Whether the server says how many tokens it took in and out."""
        return self.input_tokens is not None and self.output_tokens is not None


def read_count(value: object) -> int | None:
    """The tokens that a server has counted, as a number or its digits; None if it is none, such as a negative one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", value.strip(), re.ASCII):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return math.ceil(value)


def web_address(base_url: str) -> str:
    """A usable address without its last slash. Raises ModelError for any other, without showing a password in it."""
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        usable = False
    if not usable:  # it may be a key, or hold one: it is not shown
        raise ModelError(
            "There is no web address in base_url; give base_url as http://host:port/v1 or https://host/v1."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ModelError(
            f"The base_url of {parts.hostname} holds a password, a query or a fragment; give a key by api_key_env."
        )
    return base_url.rstrip("/")


class Endpoint(Protocol):
    """One model of one provider."""

    @property
    def identity(self) -> str:
        """Protocol, address, model and sampling settings, never a key: part of every cache key."""
        ...

    @property
    def base_url(self) -> str:
        """The address, for messages to the user."""
        ...

    @property
    def model(self) -> str:
        """The model's name, for messages to the user."""
        ...

    @property
    def sampling(self) -> Mapping[str, object]:
        """The user's settings, which every request has."""
        ...

    @property
    def dialect(self) -> Mapping[str, object]:
        """What the user says of the server's dialect, by the names of `Dialect`."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Headers of every request, with the key from the environment. Raises ModelError if it is not set."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Everything in the headers that must not be written anywhere."""
        ...

    def build(self, ask: Ask, dialect: Dialect) -> Request:
        """The request for `ask` in a dialect."""
        ...

    def gather(self, body: bytes) -> bytes:
        """The envelope that a stream of events adds up to; any other body as it is. Raises faults.Lost."""
        ...

    def read(self, body: bytes) -> Reply:
        """The reply in a body that came with status 200. Raises faults.Lost if it is not a whole envelope."""
        ...

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """After status 400 or 422: the dialect to try instead, or None if the request itself is at fault."""
        ...

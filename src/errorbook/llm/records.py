"""What goes into the engine and what comes out: asks, replies that were accepted, rejected ones and failures."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from errorbook.records import Message, Record

K = TypeVar("K")
T = TypeVar("T")


class InvalidReply(ValueError):  # noqa: N818 - it is the verdict on a reply, not an error of the program
    """Raised by a check: one sentence on what is wrong with the reply. The model is asked again with it shown."""


class Ask(Record, frozen=True, kw_only=True):
    """One request. Its content and the endpoint's identity are the cache key.

    `schema` is a JSON schema as canonical JSON text ("" means free text) and `name` what the schema is called. Equal
    asks with another `sample` are other requests, which is how several independent replies to one prompt are bought.
    """

    messages: tuple[Message, ...]
    schema: str = ""
    name: str = "reply"
    max_tokens: int = 1024
    temperature: float = 0.0
    sample: int = 0


class Usage(Record, frozen=True, kw_only=True):
    """What a result took over all its rounds; the same whether it was bought now or read from the store.

    `assumed_usd` is the part of the cost that is the worst case, because the server counted no tokens.
    `attempts` counts replies: 1 if the first was valid. `cached` is true if nothing was sent now.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    assumed_usd: float = 0.0
    attempts: int = 0
    cached: bool = False


class Accepted(NamedTuple, Generic[K, T]):
    """The check made `value` of the reply `raw`. `ask` is what was sent in the end, with every correction."""

    key: K
    value: T
    raw: str
    usage: Usage
    ask: Ask


class Rejected(NamedTuple, Generic[K]):
    """Replies came, none was valid: `reason` is the last one's fault and `raw` its text. `ask` as in `Accepted`."""

    key: K
    reason: str
    raw: str
    usage: Usage
    ask: Ask


class Failed(NamedTuple, Generic[K]):
    """No reply came to the last of the rounds, for `reason`; `lasting` as in `Unbought`, `ask` as in `Accepted`."""

    key: K
    reason: str
    usage: Usage
    ask: Ask
    lasting: bool = False


Result = Accepted[K, T] | Rejected[K] | Failed[K]
"""Every ask ends as exactly one of these."""

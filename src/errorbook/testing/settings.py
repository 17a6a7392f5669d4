"""The dials of the test server: how a healthy reply looks, and which faults befall which share of the requests.

Every field carries its own description and limits, so that the command line is made from the same two records.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

Fault = Literal[
    "rate_limited",
    "server_error",
    "overloaded",
    "cut",
    "cut_midway",
    "hang",
    "drip",
    "huge",
    "broken_body",
    "truncated",
    "wrong_json",
    "malformed",
    "empty",
    "batch_expired",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


def _about(text: str) -> Meta:
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A healthy server: its pace, what it answers, and whom it lets in."""

    latency: Annotated[Amount, _about("seconds from a request to its reply")] = 0.0
    reply: Annotated[str, _about("the same text as every reply; else replies are held to the request's schema")] = ""
    schema: Annotated[str, _about("JSON schema for the replies to requests that carry none")] = ""
    shortest: Annotated[Count, _about("least length of a reply that the server makes up, in tokens")] = 0
    longest: Annotated[Count, _about("greatest such length, in tokens")] = 0
    bytes_per_token: Annotated[float, Meta(gt=0), _about("bytes of text that count as one token")] = 4.0
    models: Annotated[tuple[str, ...], _about("the known models, others get 404; none given: any is known")] = ()
    api_key: Annotated[str, _about("the one valid key, others get 401; none given: any is valid")] = ""
    embeddings: Annotated[Count, _about("width of the vectors at /v1/embeddings; 0: none are served")] = 0
    batch_seconds: Annotated[Amount, _about("seconds that a batch is in progress")] = 0.0
    seed: Annotated[int, _about("changes which requests meet a fault, and the made-up replies")] = 0

    def __post_init__(self) -> None:
        if self.longest and self.longest < self.shortest:
            raise ValueError(f"longest is {self.longest}; it must not be less than shortest ({self.shortest})")
        if self.schema:
            try:
                msgspec.json.decode(self.schema, type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise ValueError(f"the schema is not a JSON object ({error})") from None


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong. Shares are of all chat requests; at most one of these faults befalls a request.

    Which one depends on the request's messages, on how often they have come, and on the seed: not on the order in
    which requests arrive, so two runs of the same prompts meet the same faults.
    """

    rate_limited: Annotated[Share, _about("share answered with 429 and Retry-After")] = 0.0
    server_error: Annotated[Share, _about("share answered with 500, after the latency")] = 0.0
    overloaded: Annotated[Share, _about("share answered with 503 (529 to Anthropic's protocol), at once")] = 0.0
    cut: Annotated[Share, _about("share whose connection is cut before the first byte")] = 0.0
    cut_midway: Annotated[Share, _about("share whose connection is cut in the middle of the body")] = 0.0
    hang: Annotated[Share, _about("share that is never answered")] = 0.0
    drip: Annotated[Share, _about("share whose body comes in small pieces")] = 0.0
    huge: Annotated[Share, _about("share whose reply is far too long")] = 0.0
    broken_body: Annotated[Share, _about("share whose body is a proxy's HTML page, with status 200")] = 0.0
    truncated: Annotated[Share, _about("share whose reply text breaks off in the middle")] = 0.0
    wrong_json: Annotated[Share, _about("share whose reply text is JSON, but not of the schema")] = 0.0
    malformed: Annotated[Share, _about("share whose reply text is prose although JSON was asked for")] = 0.0
    empty: Annotated[Share, _about("share whose reply text is empty")] = 0.0
    batch_expired: Annotated[Share, _about("share of a batch's requests that expire; others ignore it")] = 0.0
    first: Annotated[tuple[Fault | Literal["none"], ...], _about("faults of the first requests, one by one")] = ()
    drip_seconds: Annotated[Amount, _about("how long a dripping body takes")] = 5.0
    huge_bytes: Annotated[Count, _about("how long a huge reply is")] = 64 * 2**20
    retry_after: Annotated[Amount, _about("seconds in Retry-After; 0 sends no such header")] = 1.0
    retry_after_date: Annotated[bool, _about("give Retry-After as a date")] = False
    capacity: Annotated[Count, _about("more requests in flight than this get 429; 0: no limit")] = 0
    requests_per_minute: Annotated[Amount, _about("a faster client gets 429, with rate-limit headers; 0: any")] = 0.0
    refuse_schema: Annotated[bool, _about("400 to a request that carries a JSON schema")] = False
    refuse_json: Annotated[bool, _about("400 to a request for any JSON mode")] = False

    def __post_init__(self) -> None:
        total = sum(getattr(self, name) for name in FAULTS)
        if total > 1 + 1e-9:
            raise ValueError(f"the shares of the faults sum to {total:g}; they must not exceed 1")

    def ladder(self) -> tuple[tuple[float, Fault], ...]:
        """The faults that can happen, each with the upper end of its part of [0, 1)."""
        present = [(getattr(self, name), name) for name in FAULTS if getattr(self, name) > 0]
        ends = accumulate(share for share, _ in present)
        return tuple(zip(ends, (name for _, name in present), strict=True))

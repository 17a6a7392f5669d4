"""What can go wrong with one request, told apart by what is to be done about it.

    Fault
    +-- Busy       the server asks for fewer requests (429, 503, 529): wait, send again, send less
    +-- Broken     the server failed and did no work (other 5xx): send again
    +-- Away       no connection was made: send again, and give up soon if there never was one
    +-- Lost       the request went out and no whole reply came back: send again, but it may have been billed
    |   `-- Garbled    a reply came that is none of a language model
    `-- Refused    this request will never work (400, 413, 422): do not send it again

A fault of the endpoint as a whole (a wrong key, an unknown model) is a ModelError instead and ends the work.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from errorbook.errors import ModelError
from errorbook.files import NOT_JSON, parse_json
from errorbook.llm.endpoint import Endpoint

T = TypeVar("T")

LONGEST_WAIT = 120.0
"""Seconds; a server that says that its allowance is used up for longer is asked again after this."""
LONGEST_RETRY = 7 * 86400.0
"""Seconds; more than this is no time to come back."""

BUSY = frozenset({408, 425, 429, 503, 529})
"""Statuses that ask for patience."""
_TOO_LARGE = re.compile(rb"request too large|requested tokens exceed|reduce the length of", re.IGNORECASE)
"""A limit by the minute that a single request exceeds: no waiting helps."""
_UNLUCKY = re.compile(
    rb"json_validate_failed|failed_generation|tool_use_failed|output_parse_failed"
    rb"|(?:failed to (?:generate|parse|validate)|(?:model|generated|produced|returned).{0,40}(?:invalid|malformed)) "
    rb"(?:json|output|content|tool)",
    re.IGNORECASE,
)
"""A refusal that is about what the model wrote this time, not about the request."""
_REFUSED = {400, 405, 406, 409, 410, 411, 413, 414, 415, 422, 431}


class Fault(Exception):  # noqa: N818 - its kinds are named for what happened
    """One request failed; `reason` is a sentence without the final stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Busy(Fault):
    """The server asks for fewer requests, and for `wait` seconds of patience if it says how many."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Broken(Fault):
    """The server failed."""


class Away(Fault):
    """No connection."""


class Lost(Fault):
    """No whole reply came back to a request that may have been worked on."""


class Garbled(Lost):
    """A whole reply came, and it is not one of a language model."""


class Refused(Fault):
    """The server will never take this request."""


def classify_refusal(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes, *, known_good: bool
) -> Exception:
    """The fault, or the error for the user, that a status other than 200 stands for.

    `known_good` says that the endpoint has answered before: then a 403 or 404 is about this one request.
    """
    words = read_message(body)
    said = f"status {status}" + (f": {words}" if words else "")
    if status == 402 or (status == 429 and "insufficient_quota" in body[:2000].decode("utf-8", "replace")):
        return ModelError(f"{endpoint.base_url} wants its bill paid ({said}); add credit there and run again.")
    if status in BUSY and not _TOO_LARGE.search(body[:2000]):
        told = read_retry_after(headers)
        return Busy(f"the server is busy ({said})", read_retry_info(body) if told is None else told)
    if is_unlucky(status, body):
        return Broken(f"the server could not use what the model wrote ({said})")
    if status >= 500:
        return Broken(f"the server failed ({said})")
    if status in _REFUSED or status in BUSY or (status in {403, 404} and known_good):
        return Refused(f"the server refuses the request ({said})")
    return ModelError(_no_use(endpoint, status, said))


def is_unlucky(status: int, body: bytes) -> bool:
    """Whether a refusal is about one generation: the same request may work when it is sent again."""
    return status in {400, 422} and _UNLUCKY.search(body[:4000]) is not None


def _no_use(endpoint: Endpoint, status: int, said: str) -> str:
    if status == 401:
        return (
            f"{endpoint.base_url} does not accept the key ({said}); set api_key_env to the variable with the right one."
        )
    if status == 403:
        return f"{endpoint.base_url} does not let this key use the model '{endpoint.model}' ({said}); use another."
    if status != 404:
        return f"{endpoint.base_url} answers with {said}, as no language model does; correct base_url."
    return (
        f"{endpoint.base_url} does not know the model '{endpoint.model}' or this address ({said}); "
        "correct model, or base_url (which usually ends in /v1)."
    )


def read_message(body: bytes) -> str:
    """The server's own words about an error: its `error.message` if it sends JSON, else the start of the text."""
    text = body[:2000].decode("utf-8", "replace").strip()
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "" if text.startswith("<") else _short(text)
    for name in ("error", "message", "detail"):
        value = value.get(name, value) if isinstance(value, dict) else value
    return _short(value if isinstance(value, str) else text)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """An envelope. Half a character, which JSON can spell but no text can hold, becomes U+FFFD.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError or RecursionError: It is none.
    """
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, RecursionError):
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            mended = json.dumps(parse_json(body, spelt=False)).encode()
        except NOT_JSON:
            raise error from None
        return decoder.decode(mended)


def read_object(body: bytes | msgspec.Raw) -> dict[str, Any]:
    """The JSON object that a server has sent; empty if it is none."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= 200 else line[:197] + "..."


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as an HTTP date."""
    try:
        if "retry-after-ms" in headers:
            return _bounded(float(headers["retry-after-ms"]) / 1000, LONGEST_RETRY)
        value = headers.get("Retry-After")
        if value is None:
            return None
        if value.strip()[:1].isdigit():
            return _bounded(float(value), LONGEST_RETRY)
        return _bounded(parsedate_to_datetime(value).timestamp() - time.time(), LONGEST_RETRY)
    except (ValueError, TypeError, OverflowError):
        return None


def read_exhausted(headers: Mapping[str, str]) -> float | None:
    """Seconds until requests are allowed again, if rate-limit headers say that none is left now; else None."""
    for kind in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{kind}") == "0":
            return _bounded(_duration(headers.get(f"x-ratelimit-reset-{kind}", "")))
        if headers.get(f"anthropic-ratelimit-{kind}-remaining") == "0":
            return _bounded(_until(headers.get(f"anthropic-ratelimit-{kind}-reset", "")))
    return None


def read_retry_info(body: bytes) -> float | None:
    """Seconds that the body asks to wait, as Google's RetryInfo says it: `"retryDelay": "17s"`."""
    found = _RETRY_DELAY.search(body[:20_000])
    return _bounded(float(found[1]), LONGEST_RETRY) if found else None


_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,9}(?:\.\d{1,9})?)s"')


def _bounded(seconds: float, most: float = LONGEST_WAIT) -> float:
    return min(max(seconds, 0.0), most) if seconds == seconds else 0.0  # noqa: PLR0124 - not a number


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(text: str) -> float:
    """Seconds of `1s`, `6m0s`, `20ms` or `3`; 0 if it is not understood."""
    if not re.fullmatch(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|[smhd]) ?)+|[0-9]{1,9}(?:\.[0-9]{1,9})?", text.strip()):
        return 0.0
    parts = re.findall(r"([0-9.]+) ?(ms|[smhd])?", text)
    return sum(float(number) * _UNITS.get(unit, 1.0) for number, unit in parts)


def _until(text: str) -> float:
    try:
        return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0

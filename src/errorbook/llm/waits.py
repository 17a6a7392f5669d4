"""How long a server asks to wait: in headers of several names, in its reply, in words, as seconds, a span or a date."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 120.0
"""Seconds; a server that says that its allowance is used up for longer is asked again after this."""
LONGEST_RETRY = 7 * 86400.0
"""Seconds; more than this is no time to come back."""

_UNITS = {"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"\d{1,9}(?:\.\d{1,9})?\s?(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
_SPAN = rf"{_PART}(?:[\s,]{{0,2}}(?:and )?{_PART})*"
_WORDS = re.compile(
    rf"(?i)(?:try|retry|retried|wait|again|available|resets?|come back|cool ?down)\b[^.\d]{{0,40}}?({_SPAN})"
)
"""A sentence such as "Please try again in 6m0s"."""
_UNTIL = re.compile(
    r"(?i)(?:try|retry|wait|again|available|resets?|until)\b[^.\d]{0,40}?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)"
)
_IN_BODY = re.compile(
    r'(?i)"(retry-?_?(?:delay|after)|(?:x-)?rate-?limit-reset)(-?_?ms|-?_?seconds)?"\s*:\s*'
    r'(?:"([^"]{1,40})"|(-?\d{1,15}(?:\.\d{1,9})?)|\{\s*"seconds"\s*:\s*"?(\d{1,9}))'
)
"""Google's RetryInfo, what relays and other providers put beside their words, and headers that a relay quotes."""
_LEAST_DATE = 1_000_000_000
"""A number beyond this is a time, in seconds since 1970, and none to wait."""


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers ask to wait; None if none of them says so in a way that can be read."""
    told = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("x-retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = read_span(told.get(name, ""), unit)
        if seconds is not None:
            return _bounded(seconds, LONGEST_RETRY)
    return None


def read_retry_info(body: bytes) -> float | None:
    """Seconds that a refusal itself asks to wait, in a field or in words; None if it does not."""
    text = body[:20_000].decode("utf-8", "replace")
    # A relay quotes what it was told, with its quotation marks spelt out.
    for found in _IN_BODY.finditer(text.replace('\\"', '"')):
        unit = 0.001 if (found[2] or "").lower().endswith("ms") else 1.0
        seconds = read_span(found[3] or found[4] or found[5] or "", unit)
        if seconds is not None:
            return _bounded(seconds, LONGEST_RETRY)
    spans = (
        read_span(found[1].upper().replace(" UTC", "Z")) for form in (_UNTIL, _WORDS) for found in form.finditer(text)
    )
    said = next((seconds for seconds in spans if seconds is not None), None)
    return None if said is None else _bounded(said, LONGEST_RETRY)


def read_exhausted(headers: Mapping[str, str], most: float = LONGEST_WAIT) -> float | None:
    """Seconds until requests are allowed again, if rate-limit headers say that none is left now; else None."""
    told = {name.lower(): value for name, value in headers.items()}
    for remaining, reset in _ALLOWANCES:
        if told.get(remaining, "").strip() == "0":
            return _bounded(read_span(told.get(reset, "")) or 0.0, most)
    return None


def _list_allowances() -> Iterator[tuple[str, str]]:
    for kind in ("requests", "tokens"):
        yield f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}"
        yield f"anthropic-ratelimit-{kind}-remaining", f"anthropic-ratelimit-{kind}-reset"
    for prefix in ("x-ratelimit", "ratelimit"):
        yield f"{prefix}-remaining", f"{prefix}-reset"


_ALLOWANCES = tuple(_list_allowances())


def read_span(text: str, unit: float = 1.0) -> float | None:
    """Seconds from now: of a number (in `unit`), of a span such as `6m0s`, or until a date; None if it is none."""
    text = text.strip().strip("\"'").lower()
    try:
        number = float(text)
    except ValueError:
        return _read_named(text)
    if not math.isfinite(number) or number < 0:
        return None
    if number > _LEAST_DATE:
        return number / (1000 if number > 1000 * _LEAST_DATE else 1) - time.time()
    return number * unit


def _read_named(text: str) -> float | None:
    if re.fullmatch(_SPAN, text):
        parts = re.findall(r"([\d.]+)\s?(ms|mil|[smhd])", text)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text.upper())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        # A date without its zone is meant as everywhere in HTTP.
        return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return None


def _bounded(seconds: float, most: float = LONGEST_WAIT) -> float:
    return min(max(seconds, 0.0), most)

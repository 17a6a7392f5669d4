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

import re
from collections.abc import Mapping

from errorbook.errors import ModelError
from errorbook.llm.endpoint import Endpoint
from errorbook.llm.refusals import Complaint, is_about_key, is_throttled, is_unpaid, read_complaint, read_message
from errorbook.llm.waits import LONGEST_RETRY, read_exhausted, read_retry_after, read_retry_info

BUSY = frozenset({408, 420, 425, 429, 498, 503, 529})
"""Statuses that ask for patience; 420 and 498 are some providers' own."""
_TOO_LARGE = re.compile(rb"request too large|requested tokens exceed|reduce the length of", re.IGNORECASE)
"""A limit by the minute that a single request exceeds: no waiting helps."""
_UNLUCKY = re.compile(
    rb"json_validate_failed|failed_generation|tool_use_failed|output_parse_failed"
    rb"|(?:failed to (?:generate|parse|validate)|(?:model|generated|produced|returned).{0,40}(?:invalid|malformed)) "
    rb"(?:json|output|content|tool)",
    re.IGNORECASE,
)
"""A refusal that is about what the model wrote this time, not about the request."""
_MAY_BE_UNPAID = {400, 403, 412, 429}
"""Statuses that providers give an account without money, too."""
_REFUSED = {400, 405, 406, 409, 410, 411, 413, 414, 415, 422, 431, 451}
_NEVER = 501
"""What a server cannot do at all, however often it is asked: llama.cpp answers so if it was started without it."""
_FAILED = {424, 499}
"""Statuses of a server that was left alone by one behind it."""


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
    complaint = read_complaint(body)
    of_account = _find_account_fault(status, complaint)
    if of_account:
        return ModelError(_no_use(endpoint, of_account, said))
    waits = [wait for wait in (read_retry_after(headers), read_retry_info(body)) if wait is not None]
    throttled = status in BUSY or (status in {400, 403} and is_throttled(complaint))
    if (throttled and not _TOO_LARGE.search(body[:2000])) or (status >= 500 and waits):
        return Busy(f"the server is busy ({said})", waits[0] if waits else read_exhausted(headers, LONGEST_RETRY))
    if is_unlucky(status, body):
        return Broken(f"the server could not use what the model wrote ({said})")
    if (status >= 500 and status != _NEVER) or status in _FAILED:
        return Broken(f"the server failed ({said})")
    if status in _REFUSED or status in BUSY or (status in {403, 404, _NEVER} and known_good):
        return Refused(f"the server refuses the request ({said})")
    return ModelError(_no_use(endpoint, status, said))


def _find_account_fault(status: int, complaint: Complaint) -> int:
    """The status that a fault of the key or of the account deserves; 0 if it is none."""
    if status == 402 or (status in _MAY_BE_UNPAID and is_unpaid(complaint)):
        return 402
    return 401 if status in {400, 403} and is_about_key(complaint) else 0


def is_unlucky(status: int, body: bytes) -> bool:
    """Whether a refusal is about one generation: the same request may work when it is sent again."""
    return status in {400, 422} and _UNLUCKY.search(body[:4000]) is not None


def _no_use(endpoint: Endpoint, status: int, said: str) -> str:
    if status == 402:
        return f"{endpoint.base_url} wants its bill paid ({said}); add credit there and run again."
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

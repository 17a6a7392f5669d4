"""How the engine behaves under load, as arithmetic: the limit on requests, back-off, and what servers say of both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook.errors import ModelError
from errorbook.llm import faults, refusals, waits
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.pace import Pace, compute_backoff

ENDPOINT = OpenAIChat("poet", base_url="http://localhost:8000/v1")


def through(pace: Pace, outcomes: list[bool]) -> None:
    for refused in outcomes:
        pace.start()
        pace.finish(refused=refused)


def test_a_few_random_refusals_change_nothing() -> None:
    pace = Pace(64)
    through(pace, [number % 10 == 0 for number in range(2000)])

    assert pace.limit == 64


def test_many_refusals_lower_the_limit_and_answers_raise_it_again() -> None:
    pace = Pace(64)
    through(pace, [True] * 64)
    assert pace.limit == 48
    through(pace, [True] * 1000)
    assert pace.limit == 2
    through(pace, [False] * 5000)
    assert pace.limit == 64


@given(st.integers(1, 300), st.lists(st.booleans(), max_size=500))
def test_the_limit_stays_between_floor_and_ceiling(ceiling: int, outcomes: list[bool]) -> None:
    pace = Pace(ceiling)
    through(pace, outcomes)

    assert min(2, ceiling) <= pace.limit <= ceiling
    assert pace.in_air == 0


def test_nothing_starts_before_the_server_allows_it() -> None:
    pace = Pace(4)
    pace.hold(10.0)
    assert not pace.free(9.9)
    assert pace.held_for(9.0) == 1.0
    assert pace.free(10.0)
    pace.hold(20.0)
    pace.resume()
    assert pace.free(11.0)


@given(st.integers(1, 60), st.none() | st.floats(0, 120))
def test_back_off_grows_with_jitter_has_an_end_and_obeys_the_server(failures: int, wait: float | None) -> None:
    delay = compute_backoff(failures, wait)
    usual = min(30.0, 0.25 * 2.0 ** (failures - 1))

    assert (wait or 0.0) <= delay <= max(usual * 1.5, (wait or 0.0) * 1.1)
    assert delay >= usual * 0.5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "99999"}, 99999.0),
        ({"Retry-After": "99999999"}, waits.LONGEST_RETRY),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "nan"}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: Mapping[str, str], seconds: float | None) -> None:
    assert waits.read_retry_after(headers) == seconds


def test_retry_after_as_a_date_ahead() -> None:
    date = format_datetime(datetime.fromtimestamp(time.time() + 20, UTC), usegmt=True)

    assert waits.read_retry_after({"Retry-After": date}) == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m3s"}, 63.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "4"}, 4.0),
        ({"x-ratelimit-remaining-requests": "0"}, 0.0),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "bad"}, 0.0),
    ],
)
def test_rate_limit_headers(headers: Mapping[str, str], seconds: float | None) -> None:
    found = waits.read_exhausted(headers)

    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_anthropics_reset_is_a_date() -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=9)).isoformat()
    headers = {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": reset}

    assert waits.read_exhausted(headers) == pytest.approx(9, abs=1)


@pytest.mark.parametrize(
    ("status", "known_good", "kind"),
    [
        (400, False, faults.Refused),
        (401, True, ModelError),
        (402, True, ModelError),
        (403, False, ModelError),
        (403, True, faults.Refused),
        (404, False, ModelError),
        (404, True, faults.Refused),
        (302, True, ModelError),
        (408, True, faults.Busy),
        (429, False, faults.Busy),
        (500, False, faults.Broken),
        (501, False, ModelError),
        (501, True, faults.Refused),
        (503, False, faults.Busy),
        (529, False, faults.Busy),
    ],
)
def test_what_a_status_means(status: int, known_good: bool, kind: type[Exception]) -> None:
    body = b'{"error": {"message": "The poet sleeps."}}'

    found = faults.classify_refusal(ENDPOINT, status, {}, body, known_good=known_good)

    assert type(found) is kind
    assert "The poet sleeps" in str(found)


def test_an_empty_account_is_no_reason_to_wait() -> None:
    body = b'{"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}'

    assert isinstance(faults.classify_refusal(ENDPOINT, 429, {}, body, known_good=True), ModelError)


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"\xff\xfe", b"[1]", b'{"error": "no"}', b'{"detail": []}', b"null"]
)
def test_a_servers_words_are_found_or_left_out(body: bytes) -> None:
    assert isinstance(refusals.read_message(body), str)
    assert "<" not in refusals.read_message(body)

"""What a refusal says, in the words of many servers: a limit, a wait, an unpaid bill, a field, and nobody's echo."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from llm_kit import READ, ask, asks, engine, kinds

from benchmarks.torture.provider import Answer, chat, provider
from errorbook.errors import ModelError
from errorbook.llm import faults
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.endpoint import Dialect
from errorbook.llm.engine import Engine
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import Terms
from errorbook.llm.records import Ask, Failed
from errorbook.llm.refusals import read_complaint, read_message, read_status
from errorbook.llm.token_limits import read_most
from errorbook.llm.waits import read_retry_after, read_retry_info
from errorbook.records import Message

VERSE = '{"line": "la", "stress": 1}'
CHAT = OpenAIChat("poet", base_url="http://h/v1", sampling={"seed": 3})
TALK = Ask(
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="x" * 900)),
    schema=ask("x").schema,
    max_tokens=8000,
)


def error(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


# limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ("max_tokens is too large: 8000. This model supports at most 4,096 completion tokens.", 4096),
        ("max_tokens is too large: 8000. gpt-35-turbo-16k supports at most 4096 completion tokens", 4096),
        ("max_tokens is limited to 4k for this model", 4000),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 0),
        ("Invalid max_tokens value, the valid range of max_tokens is [1,2048]", 2048),
        ("`max_tokens` must be less than or equal to `1024`, the maximum value for the `context_window`", 1024),
        ("max tokens must be less than 4096 for command-r-08-2024", 4095),
        ("maxOutputTokens value of 8000 but the supported range is from 1 (inclusive) to 2049 (exclusive)", 2048),
        ("max_tokens: 8000 > 4_096, which is the maximum allowed number of output tokens for opus-3", 4096),
        ("Expected max_output_tokens <= 512, but got 8000 instead. See qwen2.5-72b or llama-3.1-8b.", 512),
        ("the maximum is 4096.0 tokens", 4096),
        ("max_tokens is too large", 0),
        ("status 400: temperature must be between 0 and 200", 0),
        ("Invalid tokens: at most 3 stop sequences", 0),
    ],
)
def test_a_limit_is_the_number_that_is_meant(words: str, most: int) -> None:
    assert read_most(read_complaint(error(words)), 8000, 1000) == most


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ("maximum context length is 8,192 tokens, however you requested 8500 tokens (500 in the messages, 8000", 7692),
        ("maximum context length is 4096 tokens and your request has 700 input tokens (8000 > 4096 - 700)", 3396),
        ("input length and `max_tokens` exceed context limit: 3000 + 8000 > 10000", 7000),
        ("`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 3000 `inputs` tokens and 8000", 5193),
        ("context length of 9000 tokens. You requested a total of 9500 tokens", 7500),
        ("the request exceeds the available context size of 4096 tokens", 4096 - 64 - 333),
    ],
)
def test_of_a_context_the_prompt_is_subtracted_and_a_little_more(words: str, room: int) -> None:
    most = read_most(read_complaint(error(words)), 8000, 1000)

    assert room * 0.9 < most <= room


def test_a_prompt_that_fills_the_context_makes_no_others_replies_short() -> None:
    words = "maximum context length is 4096 tokens and your request has 4000 input tokens (8000 > 4096 - 4000)"

    assert read_most(read_complaint(error(words)), 8000, 1000) == 0


def test_requests_are_cut_to_the_room_that_a_context_leaves() -> None:
    asked: list[int] = []

    def answer(request: bytes) -> Answer:
        body = json.loads(request)
        asked.append(body["max_tokens"])
        read = len(request) // 4
        if read + body["max_tokens"] > 2000:
            words = (
                f"maximum context length is 2000 tokens, you requested {read + body['max_tokens']} tokens ({read} in"
            )
            return Answer(error(f"This model's {words} the messages, {body['max_tokens']} in the completion)."), 400)
        return Answer(chat(VERSE))

    with provider(answer) as url, engine(url, concurrency=1) as llm:
        assert kinds(list(llm.ask(asks(6, max_tokens=5000), READ))) == {"Accepted": 6}
    assert len(asked) < 10
    assert 1000 < min(asked) < 2000


def test_anthropics_limit_is_learnt_too() -> None:
    claude = Anthropic("m", base_url="http://h")
    learnt = claude.adapt(Dialect(), error("max_tokens: 8000 > 4096, which is the maximum allowed"), TALK)

    assert learnt == Dialect(most=4096)
    assert json.loads(claude.build(TALK, learnt).body)["max_tokens"] == 4096


# echoes ---------------------------------------------------------------------------------------------------------------

ECHO = {
    "messages": [{"role": "system", "content": "temperature, stream, system role not supported"}],
    "temperature": 0,
    "stream": False,
    "response_format": {"type": "json_schema", "json_schema": {"strict": True}},
}


def detail(*loc: str, msg: str = "Extra inputs are not permitted") -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", *loc], "msg": msg, "input": ECHO, "ctx": {"error": str(ECHO)}}


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ({"detail": [detail("seed")]}, {"seed": False}),
        ({"detail": [detail("stream")]}, {"stream": "unsaid"}),
        ({"detail": [detail("response_format", "json_schema", "strict")]}, {"strict": False}),
        ({"detail": [detail("response_format")]}, {"mode": "json"}),
        ({"object": "error", "message": str([detail("seed")]), "code": 422}, {"seed": False}),
        (
            {"error": {"message": f"1 error: {{'loc': ('body', 'seed'), 'msg': 'no', 'input': {ECHO}}}"}},
            {"seed": False},
        ),
        ({"error": {"message": f"seed is unknown in {json.dumps(ECHO)}"}}, {"seed": False}),
        (
            {"error": {"message": "Unsupported parameter: see temperature.", "param": "response_format"}},
            {"mode": "json"},
        ),
        ({"error": {"message": "Unsupported value", "param": "temperature"}}, {"temperature": False}),
        ({"message": {"detail": [detail("seed")]}}, {"seed": False}),
        ([{"error": {"code": 400, "message": "Unknown name: seed", "status": "INVALID_ARGUMENT"}}], {"seed": False}),
        ({"detail": [detail("top_k")]}, None),
    ],
)
def test_what_a_refusal_quotes_of_the_request_teaches_nothing(body: Any, change: dict[str, Any] | None) -> None:
    learnt = CHAT.adapt(Dialect(), json.dumps(body).encode(), TALK)

    assert learnt == (None if change is None else Dialect(**change))


def test_words_are_shown_without_an_echo_and_with_what_a_relay_was_told() -> None:
    assert (
        read_message(json.dumps({"detail": [detail("seed")]}).encode()) == "body.seed: Extra inputs are not permitted"
    )
    raw = json.dumps({"error": {"message": "The model is resting."}})
    assert "The model is resting" in read_message(error("Provider returned error", metadata={"raw": raw}))
    assert read_message(json.dumps([{"error": {"message": "no"}}]).encode()) == "no"


def test_what_the_run_file_says_is_not_learnt(tmp_path: Path) -> None:
    def answer(request: bytes) -> Answer:
        return Answer(error("seed: unknown"), 400) if b'"seed"' in request else Answer(chat(VERSE))

    def sent(dialect: dict[str, Any]) -> Dialect:
        with provider(answer) as url:
            endpoint = OpenAIChat("poet", base_url=url, sampling={"seed": 7}, dialect=dialect)
            endpoint = endpoint.identify_as("always the same")
            with Engine(endpoint, store=tmp_path / "calls.sqlite", terms=Terms(first_wait=0.01)) as llm:
                assert kinds(list(llm.ask([(0, ask(f"{time.monotonic()}"))], READ))) == {"Accepted": 1}
                return llm._exchange._dialects.current

    assert sent({"mode": "text", "most": 50}) == Dialect(mode="text", most=50, seed=False)
    assert sent({}) == Dialect(seed=False)


# bills ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("Your credit balance is too low to access the API. Please go to Plans & Billing.")),
        (400, error("Billing hard limit has been reached", code="billing_hard_limit_reached")),
        (400, json.dumps({"code": "Arrearage", "message": "Access denied."}).encode()),
        (403, error("Key limit exceeded (monthly limit).", code=403)),
        (403, json.dumps({"code": 30001, "message": "Sorry, your account balance is insufficient"}).encode()),
        (403, json.dumps({"reason": "NOT_ENOUGH_BALANCE", "message": "no"}).encode()),
        (403, json.dumps({"error": "Your team has used all available credits."}).encode()),
        (412, error("Account is suspended, possibly due to a failure to pay past invoices.")),
        (429, error("no", type="exceeded_current_quota_error")),
        (429, error("You exceeded your quota", type="insufficient_quota")),
        (402, b""),
        (200, error("Insufficient credits", code=402)),
        (
            200,
            json.dumps(
                {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
            ).encode(),
        ),
    ],
)
def test_an_account_without_money_ends_the_work_in_the_servers_words(status: int, body: bytes) -> None:
    with (
        provider(lambda _: Answer(body, status)) as url,
        engine(url) as llm,
        pytest.raises(ModelError, match=r"wants its bill paid.*add credit there"),
    ):
        list(llm.ask(asks(3), READ))
    assert llm.spent.nano == 0


@pytest.mark.parametrize("words", ["This region is not served", "The recharging of a battery is a bad topic"])
def test_other_refusals_are_no_bills(words: str) -> None:
    found = faults.classify_refusal(CHAT, 403, {}, error(words), known_good=True)

    assert isinstance(found, faults.Refused)


# errors that come as a success ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (error("no", code="429"), 429),
        (error("no", code="rate_limit_exceeded"), 429),
        (error("no", type="overloaded_error"), 529),
        (error("no", status="UNAVAILABLE"), 503),
        (error("no", type="BadRequestError", code=400), 400),
        (error("no", code="invalid_api_key"), 401),
        (json.dumps({"object": "error", "message": "too long", "code": 400}).encode(), 400),
        (json.dumps({"error": "Rate limit reached"}).encode(), 429),
        (json.dumps({"choices": [{"error": {"code": 403, "message": "flagged"}}]}).encode(), 403),
        (error("upstream is gone", code=502), 200),
        (chat('{"error": {"code": 429}}'), 200),
        (chat("x", error=None, code=429), 200),
        (b'{"detail": 3}', 200),
        (b'["error"]', 200),
        (b"error: 429", 200),
    ],
)
def test_an_error_has_the_status_that_it_names(body: bytes, status: int) -> None:
    assert read_status(body) == status


def test_a_refusal_that_comes_as_a_success_fails_one_request_and_costs_nothing() -> None:
    def answer(request: bytes) -> Answer:
        return Answer(error("flagged", code=403)) if b"verse 2." in request else Answer(chat(VERSE))

    with provider(answer) as url, engine(url, concurrency=1) as llm:
        results = list(llm.ask(asks(4), READ))
    assert kinds(results) == {"Accepted": 3, "Failed": 1}
    assert "flagged" in next(item.reason for item in results if isinstance(item, Failed))


# waits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "soon", "Retry-After": "3"}, 3.0),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"retry-after": "20s"}, 20.0),
        ({"Retry-After": "6m0s"}, 360.0),
        ({"Retry-After": "1m30s"}, 90.0),
        ({"Retry-After": "2 minutes"}, 120.0),
        ({"Retry-After": "1h2m3.5s"}, 3723.5),
        ({"Retry-After": "500ms"}, 0.5),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "in a while"}, None),
        ({"Retry-After": ""}, None),
    ],
)
def test_a_wait_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers) == seconds


@pytest.mark.parametrize(
    "form",
    [
        lambda date: format_datetime(date, usegmt=True),
        lambda date: date.strftime("%a, %d %b %Y %H:%M:%S"),
        lambda date: date.isoformat(),
        lambda date: date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda date: str(int(date.timestamp())),
        lambda date: str(int(date.timestamp() * 1000)),
    ],
)
def test_a_wait_until_a_date_of_any_form(form: Any) -> None:
    assert read_retry_after({"Retry-After": form(datetime.now(UTC) + timedelta(seconds=50))}) == pytest.approx(
        50, abs=2
    )


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (error("busy", details=[{"@type": "RetryInfo", "retryDelay": "17.5s"}]), 17.5),
        (error("busy", details=[{"@type": "RetryInfo", "retryDelay": "1m5s"}]), 65.0),
        (error("busy", details=[{"retry_delay": {"seconds": 9, "nanos": 4}}]), 9.0),
        (error("busy", retry_after=12.5), 12.5),
        (error("busy", retry_after_ms=1500), 1.5),
        (error("busy", metadata={"raw": json.dumps({"retryDelay": "8s"})}), 8.0),
        (error("busy", metadata={"headers": {"Retry-After": "31"}}), 31.0),
        (error("Limit 3 / min. Please try again in 20s. Visit https://x.y/1m"), 20.0),
        (error("Rate limit reached: Limit 6000, Used 5990. Please try again in 6m0.5s."), 360.5),
        (error("try again in 58m12s"), 3492.0),
        (error("Please wait 2 minutes before retrying."), 120.0),
        (error("Retry after 90 seconds"), 90.0),
        (error("slow down, 5 requests in 10s are too many"), None),
        (error("Daily limit reached. Resets at 2001-01-01T00:00:00Z."), 0.0),
        (error("try again at 2001-01-01 00:00 UTC"), 0.0),
        (b"\xff<html>", None),
    ],
)
def test_a_wait_in_a_body(body: bytes, seconds: float | None) -> None:
    assert read_retry_info(body) == seconds


def test_a_server_that_failed_and_says_for_how_long_is_busy() -> None:
    found = faults.classify_refusal(CHAT, 500, {"Retry-After": "4"}, b"", known_good=True)

    assert isinstance(found, faults.Busy)
    assert found.wait == 4.0


def test_a_request_that_no_form_helps_is_told_in_the_words_about_the_first() -> None:
    def answer(request: bytes) -> Answer:
        if json.loads(request)["stream"]:
            return Answer(error("streams are for members"), 400)
        return Answer(error("think = off is needed for non-streaming calls"), 400)

    with provider(answer) as url, engine(url) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)
    assert isinstance(result, Failed)
    assert "streams are for members" in result.reason
    assert "think = off is needed" in result.reason


def test_an_address_that_leads_nowhere_is_named_however_short_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = Terms(patience=0.05, first_wait=0.01)
    with engine("http://teacher.invalid/v1", terms=terms) as llm, pytest.raises(ModelError, match=r"^Nothing answers"):
        list(llm.ask(asks(1), READ))


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (498, {}, error("Flex tier capacity exceeded"), faults.Busy),
        (420, {}, b"", faults.Busy),
        (400, {}, error("no", code="ThrottlingException"), faults.Busy),
        (403, {}, error("no", errors=[{"reason": "userRateLimitExceeded"}]), faults.Busy),
        (424, {}, b"", faults.Broken),
        (451, {}, error("not here"), faults.Refused),
        (400, {}, error("API key not valid. Please pass a valid API key."), ModelError),
        (400, {}, error("no", details=[{"reason": "API_KEY_INVALID"}]), ModelError),
        (403, {}, error("This organization has been disabled."), ModelError),
        (403, {}, error("The key question of this account of a battle is refused"), faults.Refused),
    ],
)
def test_a_status_of_a_providers_own_is_taken_for_what_it_says(
    status: int, headers: dict[str, str], body: bytes, kind: type[Exception]
) -> None:
    assert type(faults.classify_refusal(CHAT, status, headers, body, known_good=True)) is kind


def test_a_reset_in_headers_is_a_wait_if_nothing_else_is() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2h0m"}
    found = faults.classify_refusal(CHAT, 429, headers, b"", known_good=True)

    assert isinstance(found, faults.Busy)
    assert found.wait == 7200.0


@pytest.mark.parametrize(
    "said",
    [
        "Developer instruction is not enabled for models/poet",
        "Conversation roles must alternate user/assistant/user/assistant",
        "'system' is not one of ['user', 'assistant'] - 'messages.0.role'",
        "Jinja Exception: System role not supported",
    ],
)
def test_a_template_without_a_system_role_says_so_in_many_words(said: str) -> None:
    assert CHAT.adapt(Dialect(), error(said), TALK) == Dialect(system=False)


@pytest.mark.parametrize(
    "said", ["structured outputs are not available here", "Guided decoding is off", "no JSON mode"]
)
def test_a_form_that_is_not_held_is_told_in_many_words(said: str) -> None:
    assert CHAT.adapt(Dialect(), error(said), TALK) == Dialect(mode="json")

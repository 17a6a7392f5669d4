"""Servers as they are in the world: streams, counts, endings, dialects and errors that no protocol foresees."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from llm_kit import READ, ask, asks, engine, kinds

from benchmarks.torture.provider import Answer, chat, provider
from errorbook.errors import BudgetError, ModelError
from errorbook.llm import faults
from errorbook.llm.account import read_dialect
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import Budget, Price
from errorbook.llm.engine import Engine
from errorbook.llm.http import HttpLimits, advise_on
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import Terms
from errorbook.llm.records import Accepted, Ask, Failed, Rejected
from errorbook.records import Message

VERSE = '{"line": "la", "stress": 1}'
CHAT = OpenAIChat("poet", base_url="http://h/v1")


def stream(*deltas: dict[str, Any], finish: str | None = "stop", done: bool = True, **more: Any) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}] if finish else []
    chunks += [{"choices": [], **more}] if more else []
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"] * done
    return b": keep-alive\n\n" + "".join(lines).encode()


def told(message: dict[str, Any], finish: object = "stop", **choice: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish, **choice}]}).encode()


# streams --------------------------------------------------------------------------------------------------------------


def test_a_stream_that_was_not_asked_for_is_read() -> None:
    body = stream(
        {"role": "assistant", "reasoning_content": "Hm."},
        {"content": '{"line": "\ud83d'},
        {"content": '\ude00", '},
        {"content": '"stress": 2}'},
        usage={"prompt_tokens": "11", "completion_tokens": 5.0, "total_tokens": 40},
    )
    reply = CHAT.read(body)

    assert (reply.text, reply.thought) == ('{"line": "\U0001f600", "stress": 2}', "Hm.")
    assert (reply.input_tokens, reply.output_tokens) == (11, 29)


@pytest.mark.parametrize(
    "body",
    [
        stream({"content": '{"line": '}, finish=None, done=False),
        stream({"content": "x"})[:-30],
        b'data: {"error": {"message": "upstream is gone", "code": 502}}\n\n',
        b'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: {"choi',
    ],
)
def test_half_a_stream_is_no_reply(body: bytes) -> None:
    with pytest.raises(faults.Lost):
        CHAT.read(body)


def test_a_request_says_that_it_wants_no_stream_and_a_run_file_may_want_one() -> None:
    assert json.loads(CHAT.build(ask("x"), _dialect()).body)["stream"] is False
    sent = json.loads(CHAT.build(ask("x"), _dialect(stream="on")).body)
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_a_streamed_reply_may_take_longer_than_the_limit_but_not_be_silent_for_as_long(tmp_path: Path) -> None:
    terms = Terms(limits=HttpLimits(seconds=0.6, between=True), first_wait=0.02, patience=0.5)

    def endpoint_of(url: str) -> OpenAIChat:
        return OpenAIChat("poet", base_url=url, dialect={"stream": "on"})

    with _dripping([0.25] * 6) as url, Engine(endpoint_of(url), terms=terms) as llm:
        assert kinds(list(llm.ask(asks(1), READ))) == {"Accepted": 1}
    with (
        _dripping([0.05, 1.5]) as url,
        Engine(endpoint_of(url), terms=terms) as llm,
        pytest.raises(ModelError, match=r"nothing more of the reply came within timeout = 0\.6 s"),
    ):
        list(llm.ask(asks(1), READ))


class _dripping:  # noqa: N801 - a context manager, used as a function
    """A server that streams a verse in pieces, with these pauses before each."""

    def __init__(self, pauses: list[float]) -> None:
        class Desk(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                lines = stream({"content": VERSE[:9]}, {"content": VERSE[9:]}).split(b"\n\n")
                for number, line in enumerate(lines):
                    time.sleep(pauses[number] if number < len(pauses) else 0)
                    self.wfile.write(line + b"\n\n")

            def log_message(self, *_: Any) -> None:
                """Nothing is told."""

        class House(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is no news."""

        self._desk = House(("127.0.0.1", 0), Desk)

    def __enter__(self) -> str:
        threading.Thread(target=self._desk.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{self._desk.server_address[1]}/v1"

    def __exit__(self, *_: object) -> None:
        self._desk.shutdown()
        self._desk.server_close()


# counts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 915}, (10, 905)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 0}, (10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 300}, (10, 305)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 30}},
            (10, 35),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 30}},
            (10, 50),
        ),
        ({"prompt_tokens": "10", "completion_tokens": "5.0", "total_tokens": "20"}, (10, 10)),
        ({"prompt_tokens": "ten", "completion_tokens": 5}, (None, 5)),
    ],
)
def test_what_is_billed_is_what_is_counted(usage: dict[str, Any], counted: tuple[int | None, int | None]) -> None:
    reply = CHAT.read(chat(VERSE, usage))

    assert (reply.input_tokens, reply.output_tokens) == counted


def test_a_cap_holds_if_the_thought_is_in_the_total_alone() -> None:
    usage = {"prompt_tokens": 60, "completion_tokens": 8, "total_tokens": 3068}
    with (
        provider(lambda _: Answer(chat(VERSE, usage))) as url,
        engine(url, budget=Budget(usd=0.02), price=Price(input=1.0, output=10.0)) as llm,
        pytest.raises(BudgetError, match="does not keep to the limit"),
    ):
        list(llm.ask(asks(30), READ))
    assert llm.spent.usd == pytest.approx(0.03014)


# endings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (told({"content": None}, "content_filter"), "A filter of the endpoint took the reply away"),
        (told({"content": ""}, "SAFETY"), "A filter of the endpoint took the reply away"),
        (told({"content": None, "refusal": "I will not."}), r"The model refuses to reply: I will not\."),
        (told({"content": "I cannot help."}, "refusal"), "The model refuses to reply: I cannot help"),
    ],
)
def test_a_filter_and_a_refusal_are_said_and_not_bought_again(body: bytes, reason: str) -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> Answer:
        asked.append(request)
        return Answer(body)

    with provider(answer) as url, engine(url) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)

    assert isinstance(result, Rejected)
    assert len(asked) == 1
    assert re.match(reason, result.reason)


def test_anthropics_refusal_is_one_too() -> None:
    body = json.dumps({"content": [], "stop_reason": "refusal", "usage": {}}).encode()

    assert Anthropic("m", base_url="http://h").read(body).ended == "refusal"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "", "reasoning_content": VERSE},
        {"content": None, "reasoning": f"So:\n```json\n{VERSE}\n```\n"},
        {"content": None, "tool_calls": [{"function": {"name": "verse", "arguments": VERSE}}]},
        {"content": "", "tool_calls": [{"function": {"name": "verse", "arguments": json.loads(VERSE)}}]},
        {"content": "<think>" + r"\frac{1}{2} in [0, 1) " * 300 + "</think>\n" + VERSE},
        {"content": r"Since \frac{1}{2} in [0, 1) " * 300 + "\n" + VERSE},
        {"content": '<think>{"line": "a draft", "stress": 9}</think>' + VERSE},
        {"content": f"[THINK]no[/THINK]{VERSE}", "refusal": "", "tool_calls": []},
    ],
)
def test_a_reply_is_found_wherever_the_server_puts_it(message: dict[str, Any]) -> None:
    with provider(lambda _: Answer(told(message))) as url, engine(url, tries=1) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)

    assert isinstance(result, Accepted), result
    assert result.value.line == "la"


@pytest.mark.parametrize(
    ("message", "finish"),
    [
        ({"content": '<think>{"line": "a draft", "stress": 9}</think>{"line": "the r'}, "length"),
        ({"content": '<think>{"line": "a draft", "stress": 9} is wrong'}, "length"),
        ({"content": '{"line": "a draft", "stress": 9} No. {"line": "the r'}, "length"),
        ({"content": "", "reasoning_content": '{"line": "a draft", "stress": 9}'}, "length"),
        ({"content": "", "reasoning_content": '{"line": "a draft", "stress": 9}, but no'}, "stop"),
    ],
)
def test_a_draft_that_was_thought_is_no_reply(message: dict[str, Any], finish: str) -> None:
    with provider(lambda _: Answer(told(message, finish))) as url, engine(url, tries=1) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)

    assert isinstance(result, Rejected), result


@pytest.mark.parametrize(
    "broken",
    [
        told({"content": ""}, "error", error={"code": 502, "message": "upstream"}),
        told({"content": "x"}, "error"),
        json.dumps({"error": {"message": "no workers", "code": 503}, "choices": []}).encode(),
        json.dumps({"error": {"message": "slow down", "code": "429"}}).encode(),
    ],
)
def test_a_failure_inside_a_reply_is_sent_again_and_never_kept(broken: bytes, tmp_path: Path) -> None:
    with (
        provider(_first(3, Answer(broken), Answer(chat(VERSE)))) as url,
        engine(url, tmp_path / "calls.sqlite", concurrency=1) as llm,
    ):
        assert kinds(list(llm.ask(asks(4), READ))) == {"Accepted": 4}


def _first(count: int, early: Answer, later: Answer) -> Callable[[bytes], Answer]:
    seen: list[bytes] = []

    def answer(request: bytes) -> Answer:
        seen.append(request)
        return early if len(seen) <= count else later

    return answer


# dialects -------------------------------------------------------------------------------------------------------------


def _dialect(**changes: Any) -> Any:
    from errorbook.llm.endpoint import Dialect

    return Dialect(**changes)


SYSTEM = Ask(
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="x")),
    schema=ask("x").schema,
    max_tokens=5000,
)


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("seed: Extra inputs are not permitted", {"seed": False}),
        ("max_tokens is too large: 5000. This model supports at most 4096 completion tokens", {"most": 4096}),
        ("`max_tokens` must be less than or equal to 1024", {"most": 1024}),
        ("max_tokens: the maximum value is 9000", None),
        ("System role not supported", {"system": False}),
        ("unknown field: strict", {"strict": False}),
        ("enable_thinking must be set to false for non-streaming calls", {"stream": "on"}),
        ("This model only supports stream mode", {"stream": "on"}),
        ("Unrecognized request argument supplied: stream", {"stream": "unsaid"}),
    ],
)
def test_a_refusal_teaches_what_the_server_does_not_take(said: str, changed: dict[str, Any] | None) -> None:
    chat_of = OpenAIChat("poet", base_url="http://h/v1", sampling={"seed": 3})
    learnt = chat_of.adapt(_dialect(), json.dumps({"error": said}).encode(), SYSTEM)

    assert learnt == (None if changed is None else _dialect(**changed))


def test_a_server_that_takes_no_seed_is_asked_without_one() -> None:
    def answer(request: bytes) -> Answer:
        refused = b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]}'
        return Answer(refused, 422) if b'"seed"' in request else Answer(chat(VERSE))

    with provider(answer) as url:
        endpoint = OpenAIChat("poet", base_url=url, sampling={"seed": 7})
        with Engine(endpoint, terms=Terms(first_wait=0.02, patience=1.0)) as llm:
            assert kinds(list(llm.ask(asks(5), READ))) == {"Accepted": 5}


def test_one_unlucky_refusal_switches_nothing_off(tmp_path: Path) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: bytes) -> Answer:
        bodies.append(json.loads(request))
        if len(bodies) == 3:
            return Answer(b'{"error": "response_format: json_schema is not available now"}', 400)
        return Answer(chat(VERSE))

    with provider(answer) as url, engine(url, tmp_path / "calls.sqlite", concurrency=1) as llm:
        assert kinds(list(llm.ask(asks(6), READ))) == {"Accepted": 6}
    assert {body["response_format"]["type"] for body in bodies} == {"json_schema"}


def test_a_change_that_did_not_help_is_taken_back(tmp_path: Path) -> None:
    def answer(request: bytes) -> Answer:
        if b"verse 2." in request:
            return Answer(b'{"error": "temperature of this topic is too high"}', 400)
        return Answer(chat(VERSE))

    with provider(answer) as url, engine(url, tmp_path / "calls.sqlite", concurrency=1) as llm:
        results = list(llm.ask(asks(5), READ))
        assert llm._exchange._dialects.current == _dialect()
    assert kinds(results) == {"Accepted": 4, "Failed": 1}


@pytest.mark.parametrize("code", ["json_validate_failed", "tool_use_failed"])
def test_a_refusal_of_what_the_model_wrote_is_asked_again(code: str) -> None:
    words = json.dumps(
        {"error": {"message": "Failed to generate JSON. See 'failed_generation'", "code": code}}
    ).encode()
    seen: dict[bytes, int] = {}

    def answer(request: bytes) -> Answer:
        seen[request] = seen.get(request, 0) + 1
        return Answer(words, 400) if seen[request] == 1 and len(seen) % 2 else Answer(chat(VERSE))

    with provider(answer) as url, engine(url, concurrency=1) as llm:
        assert kinds(list(llm.ask(asks(6), READ))) == {"Accepted": 6}
    assert len(seen) == 6  # the form was never changed


def test_a_run_file_says_what_a_server_does_not_take() -> None:
    endpoint = OpenAIChat("poet", base_url="http://h/v1", dialect={"system": False, "mode": "text"})
    assert endpoint.dialect == {"system": False, "mode": "text"}
    for wrong in ({"sistem": False}, {"mode": "xml"}, {"temperature": "no"}):
        with pytest.raises(ModelError, match=r"dialect .*give mode"):
            read_dialect(wrong)


# patience and ways out ------------------------------------------------------------------------------------------------


def test_more_work_than_a_limit_takes_in_the_patience_is_done_all_the_same() -> None:
    lock, allowed = threading.Lock(), [time.monotonic(), 0.0]

    def answer(_: bytes) -> Answer:
        with lock:
            now = time.monotonic()
            allowed[0], allowed[1] = now, min(3.0, allowed[1] + 30 * (now - allowed[0]))
            if allowed[1] < 1:
                return Answer(b'{"error": "slow down"}', 429)
            allowed[1] -= 1
        return Answer(chat(VERSE))

    terms = Terms(attempts=2, first_wait=0.02, patience=0.5)
    with provider(answer) as url, engine(url, terms=terms, concurrency=16) as llm:
        assert kinds(list(llm.ask(asks(60), READ))) == {"Accepted": 60}


def test_a_request_that_no_minute_has_room_for_fails_alone() -> None:
    def answer(request: bytes) -> Answer:
        large = b'{"error": {"message": "Request too large for poet on tokens per min: Limit 100, Requested 900"}}'
        return Answer(large, 429) if b"verse 2." in request else Answer(chat(VERSE))

    with provider(answer) as url, engine(url, concurrency=1) as llm:
        results = list(llm.ask(asks(5), READ))
    assert kinds(results) == {"Accepted": 4, "Failed": 1}
    assert "Request too large" in next(item.reason for item in results if isinstance(item, Failed))


def test_what_keeps_a_connection_from_being_made_is_told_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    base = "https://teacher.invalid/v1"
    assert "SSL_CERT_FILE" in advise_on("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", base, proxies=False)
    assert advise_on("Name or service not known", base, proxies=False) == ""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert "set proxies = true" in advise_on("Name or service not known", base, proxies=False)
    assert "proxies" not in advise_on("Name or service not known", base, proxies=True)


def test_a_file_of_authorities_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    terms = Terms(authorities=str(tmp_path / "none.pem"))
    with engine("https://127.0.0.1:1/v1", terms=terms) as llm, pytest.raises(ModelError, match=r"none\.pem.*correct"):
        list(llm.ask(asks(1), READ))

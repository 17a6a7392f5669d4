"""The cases of endpoints from public reports in the reference data: each is played to the product by a real server.

The data are not copied here. Other inputs of each kind are tested in the rooms that it is about (`tests/llm`); here
every row must come out as a user expects, and a row that no check knows fails.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batch_kit import full_for_now
from endpoint_kit import asking
from llm_kit import READ, ask, asks, engine, kinds
from teacher_kit import example, teacher
from ways_kit import forget_ways, make_certificate, secure

from benchmarks.torture.provider import Answer, chat, provider, service
from errorbook.adapters.targets.openai import OpenAITarget
from errorbook.config import Config, parse
from errorbook.errors import BudgetError, ModelError, OutageError
from errorbook.ledger.file import open_ledger
from errorbook.llm.budget import Budget, Price
from errorbook.llm.http import HttpLimits
from errorbook.llm.orders import Terms
from errorbook.llm.records import Accepted, Rejected
from errorbook.loop import run
from errorbook.records import Assignment, Comparison, Decision, Diagnosis, Failure, Generation, Message, Training
from errorbook.testing import Turn, server
from errorbook.testing.wire import ErrorReply

FILE = Path(os.environ.get("ERRORBOOK_DATA", "/nowhere")) / "reports" / "endpoints_and_models.jsonl"
ROWS: list[dict[str, Any]] = (
    [json.loads(line) for line in FILE.read_text("utf-8").splitlines()] if FILE.is_file() else []
)
NEEDS = pytest.mark.skipif(not ROWS, reason="needs the reference data; set ERRORBOOK_DATA to its folder")

VERSE = '{"line": "la", "stress": 1}'
QUICK = Terms(limits=HttpLimits(seconds=10.0), patience=0.5, first_wait=0.01, poll=0.01)


def told(message: dict[str, Any], finish: object = "stop", **choice: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish, **choice}]}).encode()


def one_reply(body: bytes) -> tuple[Any, int]:
    """The result of one ask to a server that always replies so, and how many replies it took."""
    seen: list[bytes] = []

    def answer(request: bytes) -> Answer:
        seen.append(request)
        return Answer(body)

    with provider(answer) as url, engine(url) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)
    return result, len(seen)


def with_instructor(url: str, more: str = "") -> Config:
    keys = f'kind = "openai"\nmodel = "m"\nbase_url = "{url}"\npatience = 0.3\nconcurrency = 4\n{more}'
    return parse(f"{RUN_FILE}\n[instructor]\n{keys}")


RUN_FILE = """
[run]
name = "small"
cycles = 1

[target]
engine = "scripted"
accuracy = 0.2

[[tasks]]
name = "arithmetic"
train = 20
dev = 13
test = 13

[train]
method = "scripted"
"""


def unspent(folder: Path) -> bool:
    with open_ledger(folder) as ledger:
        return not any(ledger.count(kind) for kind in (Comparison, Decision, Failure, Training))


def _latex(folder: Path) -> None:
    solution = r"Half is \frac{1}{2} \times \theta. Answer: 42"
    draft = json.dumps({"question": "Which?", "solution": "SOLUTION", "answer": "42"}).replace("SOLUTION", solution)
    with server(script=lambda _: '{"drafts": [' + draft + "]}") as served:
        assignment = Assignment(task="sums", index=0, count=1, exemplars=(example("What is 17 + 25?", "42"),))
        [(_, drafts, _)] = asking(served.base_url).write([assignment])
    assert not isinstance(drafts, Failure)
    assert drafts[0].solution == solution


def _all_refused(folder: Path) -> None:
    words = "parameter.enable_thinking must be set to false for non-streaming calls of this model"

    def script(turns: Any) -> str:
        raise ErrorReply(400, "invalid_request_error", words)

    with server(script=script) as served, pytest.raises(OutageError, match="enable_thinking must be set to false"):
        run(with_instructor(served.base_url), folder)
    assert unspent(folder)
    with server(script=teacher) as served:
        run(with_instructor(served.base_url, "sampling = {enable_thinking = false}\n"), folder)
    with open_ledger(folder) as ledger:
        assert ledger.count(Diagnosis) > 0
        assert ledger.count(Failure) == 0


def _credit_runs_out(folder: Path) -> None:
    left = [9]

    def script(turns: Any) -> str:
        left[0] -= 1
        if left[0] < 0:
            raise ErrorReply(402, "invalid_request_error", "Insufficient Balance")
        return teacher(turns)

    with server(script=script) as served:
        with pytest.raises(ModelError, match="Insufficient Balance"):
            run(with_instructor(served.base_url), folder)
        assert unspent(folder)
        left[0] = 10_000
        run(with_instructor(served.base_url), folder)
    with open_ledger(folder) as ledger:
        assert ledger.count(Diagnosis) > 9
        assert (ledger.count(Failure), ledger.count(Decision)) == (0, 1)


def _busy_without_a_word(folder: Path) -> None:
    busy = [True]

    def answer(request: bytes) -> Answer:
        return Answer(b'{"error": {"message": "Too Many Requests"}}', 429) if busy[0] else Answer(chat(VERSE))

    with provider(answer) as url:
        with engine(url, folder / "calls.sqlite", terms=QUICK) as llm, pytest.raises(ModelError, match="run again"):
            list(llm.ask(asks(12), READ))
        busy[0] = False
        with engine(url, folder / "calls.sqlite", terms=QUICK) as llm:
            assert kinds(list(llm.ask(asks(12), READ))) == {"Accepted": 12}


def _an_hour(folder: Path) -> None:
    with (
        provider(lambda _: Answer(b'{"error": "try again in 58m12s"}', 429, {"Retry-After": "3492"})) as url,
        engine(url, terms=QUICK) as llm,
        pytest.raises(ModelError, match=r"asks to wait for 3,492 s.* give the same command again after \d\d:\d\d"),
    ):
        list(llm.ask(asks(5), READ))


def _ten_in_ten_seconds(folder: Path) -> None:
    scale, lock, sent = 0.03, threading.Lock(), list[float]()

    def answer(_: bytes) -> Answer:
        with lock:
            now = time.monotonic()
            sent[:] = [at for at in sent if now - at < 10 * scale]
            if len(sent) >= 10:
                return Answer(b'{"error": "slow down"}', 429)
            sent.append(now)
        return Answer(chat(VERSE))

    with provider(answer) as url, engine(url, terms=QUICK, concurrency=16) as llm:
        assert kinds(list(llm.ask(asks(80), READ))) == {"Accepted": 80}


def _queue_is_full(folder: Path) -> None:
    until = time.monotonic() + 0.3
    with (
        service(full_for_now(lambda *_: time.monotonic() < until, "work")) as url,
        engine(url, batch=True, terms=QUICK) as llm,
    ):
        assert kinds(list(llm.ask(asks(6), READ))) == {"Accepted": 6}


def _batches_are_away(folder: Path) -> None:
    whole, until = full_for_now(lambda *_: False, "work"), time.monotonic() + 0.5

    def answer(path: str, body: bytes) -> Answer:
        away = "/batches/" in path and time.monotonic() < until
        return Answer(b"<html>502</html>", 502) if away else whole(path, body)

    with service(answer) as url, engine(url, batch=True, terms=QUICK._replace(patience=2.0)) as llm:
        assert kinds(list(llm.ask(asks(6), READ))) == {"Accepted": 6}


def _streams_unless_told(folder: Path) -> None:
    chunk = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": VERSE}, "finish_reason": "stop"}]}

    def answer(request: bytes) -> Answer:
        wanted = json.loads(request).get("stream", True)
        stream = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
        return Answer(stream, 200, {"Content-Type": "text/event-stream"}) if wanted else Answer(chat(VERSE))

    with provider(answer) as url:
        for dialect in ({}, {"stream": "unsaid"}):
            [(_, found, _)] = _ask_verse(url, dialect)
            assert found == "Accepted"


def _ask_verse(url: str, dialect: dict[str, Any]) -> list[tuple[int, str, int]]:
    from errorbook.llm.engine import Engine
    from errorbook.llm.openai_chat import OpenAIChat

    with Engine(OpenAIChat("poet", base_url=url, dialect=dialect), terms=QUICK) as llm:
        return [(one.key, type(one).__name__, one.usage.attempts) for one in llm.ask(asks(1), READ)]


def _thoughts_outside(folder: Path) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 5110}
    usage["completion_tokens_details"] = {"reasoning_tokens": 5000}  # type: ignore[assignment]
    sent: list[bytes] = []

    def answer(request: bytes) -> Answer:
        sent.append(request)
        return Answer(chat(VERSE, usage))

    price = Price(input=1.0, output=10.0)
    with (
        provider(answer) as url,
        engine(url, budget=Budget(usd=0.05), price=price, concurrency=1) as llm,
        pytest.raises(BudgetError),
    ):
        list(llm.ask(asks(20), READ))
    assert len(sent) == 1
    assert llm.spent.usd == pytest.approx(0.0502, abs=1e-4)


def _counts_as_floats(folder: Path) -> None:
    result, replies = one_reply(chat(VERSE, {"prompt_tokens": 12.0, "completion_tokens": 7.0}))
    assert isinstance(result, Accepted)
    assert (result.usage.input_tokens, result.usage.output_tokens, replies) == (12, 7, 1)


def _no_system_role(folder: Path) -> None:
    def answer(request: bytes) -> Answer:
        if b'"system"' in request:
            return Answer(b'{"object": "error", "message": "System role not supported", "code": 400}', 400)
        assert b"Be brief." in request
        return Answer(chat(VERSE))

    system = Message(role="system", content="Be brief.")
    wanted = [(n, msgspec.structs.replace(one, messages=(system, *one.messages))) for n, one in asks(7)]
    with provider(answer) as url, engine(url) as llm:
        assert kinds(list(llm.ask(wanted, READ))) == {"Accepted": 7}


def _bad_json_of_the_model(folder: Path) -> None:
    words = {"message": "Failed to generate JSON. Please adjust your prompt.", "code": "json_validate_failed"}
    body = json.dumps({"error": {**words, "failed_generation": "{"}}).encode()
    seen: set[bytes] = set()

    def answer(request: bytes) -> Answer:
        again = request in seen
        seen.add(request)
        return Answer(body, 400) if not again and len(seen) % 2 else Answer(chat(VERSE))

    with provider(answer) as url, engine(url, concurrency=1) as llm:
        assert kinds(list(llm.ask(asks(6), READ))) == {"Accepted": 6}


def _in_the_reasoning(folder: Path) -> None:
    result, replies = one_reply(told({"content": "", "reasoning_content": VERSE}))
    assert (type(result), replies) == (Accepted, 1)


def _after_a_long_thought(folder: Path) -> None:
    thought = r"\frac{1}{2} lies in [0, 1) and (2, 3], so {x}. " * 120
    result, replies = one_reply(told({"content": f"<think>{thought}</think>\n{VERSE}"}))
    assert (type(result), replies) == (Accepted, 1)


def _a_draft_in_the_thought(folder: Path) -> None:
    draft = '<think>{"line": "a rough draft, wrong metre", "stress": 3}. No.</think>{"line": "the real'
    result, _ = one_reply(told({"content": draft}, "length"))
    assert isinstance(result, Rejected)


def _filtered(folder: Path) -> None:
    result, replies = one_reply(told({"content": None}, "content_filter"))
    assert isinstance(result, Rejected)
    assert "filter" in result.reason
    assert replies < 3


def _refused(folder: Path) -> None:
    result, replies = one_reply(told({"content": None, "refusal": "I can't help with that."}))
    assert isinstance(result, Rejected)
    assert "refuses" in result.reason
    assert "I can't help with that." in result.reason
    assert replies == 1


def _upstream_failed(folder: Path) -> None:
    broken = told({"content": ""}, "error", error={"code": 502, "message": "Upstream error"})
    sent: list[bytes] = []

    def answer(request: bytes) -> Answer:
        sent.append(request)
        return Answer(broken if len(sent) < 4 else chat(VERSE))

    with provider(answer) as url, engine(url, folder / "calls.sqlite", terms=QUICK) as llm:
        assert kinds(list(llm.ask(asks(1), READ))) == {"Accepted": 1}


def _too_many_tokens(folder: Path) -> None:
    def answer(request: bytes) -> Answer:
        if json.loads(request)["max_tokens"] > 64:
            return Answer(b'{"error": {"message": "max_tokens is too large, at most 64"}}', 400)
        return Answer(chat(VERSE))

    with provider(answer) as url, engine(url) as llm:
        assert kinds(list(llm.ask(asks(4), READ))) == {"Accepted": 4}


def _no_seed(folder: Path) -> None:
    detail = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 0}

    def answer(path: str, body: bytes) -> Answer:
        if path.endswith("/models"):
            return Answer(b'{"data": []}')
        if b'"seed"' in body:
            return Answer(json.dumps({"object": "error", "message": {"detail": [detail]}}).encode(), 422)
        return Answer(chat("4"))

    with service(answer) as url:
        target = OpenAITarget("m", base_url=url)
        found = list(target.generate(["What is 2 + 2?"] * 6, Generation(max_new_tokens=16)))
        target.close()
    assert [one.text for one in found] == ["4"] * 6


def _thinks_for_long(folder: Path) -> None:
    def slow(turns: list[Turn]) -> str:
        time.sleep(0.45)
        return teacher(turns)

    from teacher_kit import mistake

    with server(script=slow) as served:  # type: ignore[arg-type]
        sum_ = mistake(example("What is 17 + 25?", "42"), "17 + 25 = 32")
        with pytest.raises(ModelError, match=r"timeout = 0\.3 s"):
            list(asking(served.base_url, timeout=0.3, patience=0.5).diagnose([sum_]))
        [(_, result, _)] = asking(served.base_url, timeout=900).diagnose([sum_])
    assert isinstance(result, Diagnosis)


def _own_certificate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(folder)
    with secure(certificate, chat(VERSE)) as url:
        with engine(url, terms=QUICK) as llm, pytest.raises(ModelError, match=r"certificate.*SSL_CERT_FILE") as said:
            list(llm.ask(asks(2), READ))
        assert "start the server" not in str(said.value)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with engine(url, terms=QUICK) as llm:
            assert kinds(list(llm.ask(asks(2), READ))) == {"Accepted": 2}


def _only_a_proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(script=teacher) as served:
        from teacher_kit import mistake

        sum_ = mistake(example("What is 17 + 25?", "42"), "17 + 25 = 32")

        def answer(path: str, body: bytes) -> Answer:
            import urllib.request

            inner = urllib.request.Request(
                served.base_url + path.partition("/v1")[2], body, {"Content-Type": "application/json"}
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(inner, timeout=10) as reply:
                return Answer(reply.read())

        with service(answer) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.removesuffix("/v1"))
            with pytest.raises(ModelError, match="set proxies = true"):
                list(asking("http://teacher.invalid/v1", patience=0.5).diagnose([sum_]))
            [(_, result, _)] = asking("http://teacher.invalid/v1", proxies=True).diagnose([sum_])
    assert isinstance(result, Diagnosis)


CHECKS: dict[str, Callable[[Path], None]] = {
    "J01": _latex,
    "L01": _all_refused,
    "L03": _credit_runs_out,
    "L04": _busy_without_a_word,
    "L06": _an_hour,
    "L08": _ten_in_ten_seconds,
    "L10": _queue_is_full,
    "L11": _batches_are_away,
    "W01": _streams_unless_told,
    "W03": _thoughts_outside,
    "W04": _counts_as_floats,
    "W06": _no_system_role,
    "W07": _bad_json_of_the_model,
    "W09": _in_the_reasoning,
    "W12": _after_a_long_thought,
    "W13": _a_draft_in_the_thought,
    "W15": _filtered,
    "W17": _refused,
    "W21": _upstream_failed,
    "W23": _too_many_tokens,
    "W31": _no_seed,
    "W34": _thinks_for_long,
}
WAYS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {"W39": _own_certificate, "W40": _only_a_proxy}
LOCAL = {f"M{number:02}" for number in (1, 2, 5, 6, 7, 8, 9, 11, 13, 15, 18, 20, 26, 27, 29)}
"""Cases of models that run here: they are held by the tests of targets, trainers and exports."""
ENDPOINTS = [row for row in ROWS if row["id"] not in LOCAL]


@NEEDS
@pytest.mark.parametrize("row", ENDPOINTS, ids=[row["id"] for row in ENDPOINTS])
def test_an_endpoint_is_met_as_a_user_expects(
    row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_ways(monkeypatch)
    monkeypatch.delenv("ERRORBOOK_DATA")  # a run would read the benchmarks there, too
    if row["id"] in WAYS:
        WAYS[row["id"]](tmp_path, monkeypatch)
    else:
        CHECKS[row["id"]](tmp_path)


@NEEDS
def test_every_reported_case_is_checked() -> None:
    assert len(ROWS) == 39
    assert {row["id"] for row in ROWS} == CHECKS.keys() | WAYS.keys() | LOCAL

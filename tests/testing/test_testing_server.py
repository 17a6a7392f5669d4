"""The test server over real sockets: every dial does what its description says, in both protocols."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from places import ROOT

from errorbook.testing import Fault, Faults, Server, Settings, Turn, server

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "level": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["answer", "level"],
    "additionalProperties": False,
}


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return str(self.json["choices"][0]["message"]["content"])


def call(
    provider: Server, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Got:
    place = urllib.parse.urlsplit(provider.root)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Got(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def post(provider: Server, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Got:
    return call(provider, "POST", path, json.dumps(value).encode(), headers)


def chat(provider: Server, prompt: str = "What is 2 + 3?", key: str = "", **fields: Any) -> Got:
    asked = {"model": "any", "messages": [{"role": "user", "content": prompt}], **fields}
    return post(provider, "/v1/chat/completions", asked, {"Authorization": f"Bearer {key}"})


def as_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}


def claude(provider: Server, prompt: str = "What is 2 + 3?", key: str = "", **fields: Any) -> Got:
    asked = {"model": "any", "max_tokens": 200, "messages": [{"role": "user", "content": prompt}], **fields}
    return post(provider, "/v1/messages", asked, {"x-api-key": key})


# Healthy replies


def test_a_reply_is_held_to_the_schema_of_its_request() -> None:
    with server() as provider:
        reply = json.loads(chat(provider, response_format=as_schema(SCHEMA)).text)

    assert set(reply) == {"answer", "level"}
    assert isinstance(reply["answer"], str)
    assert reply["level"] in range(1, 6)


def test_a_schema_of_the_server_holds_replies_to_requests_without_one() -> None:
    with server(Settings(schema=json.dumps(SCHEMA))) as provider:
        assert set(json.loads(chat(provider).text)) == {"answer", "level"}


def test_a_fixed_reply_and_a_scripted_one() -> None:
    def shout(turns: Any) -> str:
        assert isinstance(turns[-1], Turn)
        return str(turns[-1].content.upper())

    with server(Settings(reply="always this")) as provider:
        assert chat(provider).text == "always this"
    with server(script=shout) as provider:
        assert chat(provider, "quietly").text == "QUIETLY"


def test_the_same_prompt_gets_the_same_reply_and_another_seed_another_one() -> None:
    prompts = [f"question {number}" for number in range(8)]
    replies = []
    for seed in (1, 1, 2):
        with server(Settings(seed=seed)) as provider:
            replies.append([chat(provider, prompt).text for prompt in prompts])

    assert replies[0] == replies[1] != replies[2]


def test_json_mode_without_a_schema_gives_an_object() -> None:
    with server() as provider:
        assert isinstance(json.loads(chat(provider, response_format={"type": "json_object"}).text), dict)


def test_a_reply_is_as_long_as_asked_and_ends_at_max_tokens() -> None:
    with server(Settings(shortest=100, longest=100, bytes_per_token=2)) as provider:
        whole, cut = chat(provider).json, chat(provider, max_tokens=10).json

    assert whole["usage"]["completion_tokens"] == 100
    assert len(whole["choices"][0]["message"]["content"]) == 200
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert cut["usage"]["completion_tokens"] == 10
    assert cut["choices"][0]["finish_reason"] == "length"


def test_latency_is_kept_and_is_not_paid_one_after_the_other() -> None:
    with server(Settings(latency=0.3)) as provider, ThreadPoolExecutor(8) as pool:
        start = time.perf_counter()
        calls = [pool.submit(chat, provider, str(number)) for number in range(8)]
        together = 0
        while not all(call.done() for call in calls):
            together = max(together, provider.stats().in_flight)
        seconds = time.perf_counter() - start

    assert seconds >= 0.3
    assert together > 1


def test_a_prompt_may_come_as_parts() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    with server(script=lambda turns: turns[0].content) as provider:
        assert chat(provider, messages=[{"role": "user", "content": parts}]).text == "one two"


# Counts


def test_the_counts_tell_what_happened() -> None:
    with server(Settings(latency=0.2), Faults(first=("server_error",))) as provider:
        chat(provider, "first")
        with ThreadPoolExecutor(5) as pool:
            got = list(pool.map(lambda number: chat(provider, str(number % 4)), range(5)))
        stats = provider.stats()

    assert (stats.requests, stats.answered, stats.unique_prompts) == (6, 5, 5)
    assert (stats.in_flight, stats.peak_in_flight) == (0, 5)
    assert stats.statuses == {500: 1, 200: 5}
    assert stats.faults == {"server_error": 1}
    assert stats.input_tokens == sum(reply.json["usage"]["prompt_tokens"] for reply in got)
    assert stats.output_tokens == sum(reply.json["usage"]["completion_tokens"] for reply in got)


def test_a_client_that_goes_away_is_counted_and_not_answered() -> None:
    with server(faults=Faults(hang=1)) as provider:
        place = urllib.parse.urlsplit(provider.root)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=0.2)
        body = json.dumps({"model": "any", "messages": [{"role": "user", "content": "hello"}]})
        connection.request("POST", "/v1/chat/completions", body)
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        deadline = time.monotonic() + 5
        while provider.stats().in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        stats = provider.stats()

    assert (stats.abandoned, stats.answered) == (1, 0)


# Refusals


def test_a_wrong_key_is_401_and_an_unknown_model_404() -> None:
    with server(Settings(api_key="right", models=("known",))) as provider:
        assert chat(provider, key="wrong", model="known").status == 401
        assert chat(provider, key="right", model="other").status == 404
        assert "other" in chat(provider, key="right", model="other").json["error"]["message"]
        assert chat(provider, key="right", model="known").status == 200
        assert claude(provider, key="wrong", model="known").json["error"]["type"] == "authentication_error"
        assert claude(provider, key="right", model="other").json["error"]["type"] == "not_found_error"
        assert claude(provider, key="right", model="known").status == 200
        listed = call(provider, "GET", "/v1/models").json
        assert [model["id"] for model in listed["data"]] == ["known"]


def test_a_server_without_json_modes_says_so() -> None:
    with server(faults=Faults(refuse_schema=True)) as provider:
        assert chat(provider, response_format=as_schema(SCHEMA)).status == 400
        assert chat(provider, response_format={"type": "json_object"}).status == 200
    with server(faults=Faults(refuse_json=True)) as provider:
        refused = chat(provider, response_format={"type": "json_object"})
        assert refused.status == 400
        assert "response_format" in refused.json["error"]["message"]
        assert chat(provider).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "any"}', b'{"model": 1, "messages": []}'])
def test_a_request_that_is_none_is_400(body: bytes) -> None:
    with server() as provider:
        assert call(provider, "POST", "/v1/chat/completions", body).status == 400
        assert call(provider, "POST", "/v1/messages", body).status == 400


def test_what_the_server_cannot_do_is_400_with_a_sentence() -> None:
    pattern = {"type": "object", "properties": {"code": {"type": "string", "pattern": "[a-z]+"}}}
    with server() as provider:
        assert "script" in chat(provider, response_format=as_schema(pattern)).json["error"]["message"]
        assert chat(provider, stream=True).status == 400


# Faults, one by one


def only(fault: Fault, **dials: Any) -> Faults:
    return msgspec.convert({fault: 1.0, **dials}, Faults)


@pytest.mark.parametrize(
    ("fault", "status", "anthropic"),
    [("rate_limited", 429, 429), ("server_error", 500, 500), ("overloaded", 503, 529)],
)
def test_error_statuses(fault: Fault, status: int, anthropic: int) -> None:
    with server(faults=only(fault)) as provider:
        ours, theirs = chat(provider), claude(provider)

    assert ours.status == status
    assert ours.json["error"]["message"]
    assert theirs.status == anthropic
    assert theirs.json["type"] == "error"


def test_retry_after_in_seconds_as_a_date_or_not_at_all() -> None:
    with server(faults=only("rate_limited", retry_after=2)) as provider:
        assert chat(provider).headers["Retry-After"] == "2"
        provider.change(only("rate_limited", retry_after=30, retry_after_date=True))
        when = parsedate_to_datetime(chat(provider).headers["Retry-After"]).timestamp()
        assert 20 < when - time.time() < 31
        provider.change(only("rate_limited", retry_after=0))
        assert "Retry-After" not in chat(provider).headers


def test_a_cut_connection_sends_nothing() -> None:
    with server(faults=only("cut")) as provider:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            chat(provider)
        assert provider.stats().answered == 0


def test_a_connection_cut_midway_sends_half_and_is_billed() -> None:
    with server(faults=only("cut_midway")) as provider:
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as caught:
            chat(provider)
        stats = provider.stats()

    part = caught.value.partial if isinstance(caught.value, http.client.IncompleteRead) else b'{"id"'
    assert part.startswith(b'{"id"')
    assert stats.output_tokens > 0
    assert stats.answered == 0


def test_a_drip_takes_its_time_and_comes_whole() -> None:
    with server(faults=only("drip", drip_seconds=0.4)) as provider:
        start = time.perf_counter()
        assert chat(provider).text
        assert time.perf_counter() - start >= 0.4


def test_a_huge_reply_is_as_long_as_promised_and_of_unannounced_length() -> None:
    with server(faults=only("huge", huge_bytes=3_000_000)) as provider:
        got = chat(provider)

    assert len(got.body) > 3_000_000
    assert "Content-Length" not in got.headers
    assert got.json["choices"]


def test_a_broken_body_is_a_page_with_status_200() -> None:
    with server(faults=only("broken_body")) as provider:
        got = chat(provider)

    assert got.status == 200
    assert got.body.startswith(b"<html>")


def test_text_faults_spoil_the_reply_and_nothing_else() -> None:
    replies = {}
    for fault in ("truncated", "wrong_json", "malformed", "empty"):
        with server(faults=only(fault)) as provider:
            replies[fault] = chat(provider, response_format=as_schema(SCHEMA)).text

    assert replies["truncated"].startswith('{"answer":')
    for broken in ("truncated", "malformed"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(replies[broken])
    assert set(json.loads(replies["wrong_json"])).isdisjoint({"answer", "level"})
    assert replies["empty"] == ""


def test_capacity_refuses_what_is_too_much_at_once() -> None:
    with server(Settings(latency=0.3), Faults(capacity=4)) as provider, ThreadPoolExecutor(10) as pool:
        got = Counter(reply.status for reply in pool.map(lambda number: chat(provider, str(number)), range(10)))
        assert chat(provider).status == 200

    assert got[200] >= 4
    assert got[429] >= 1
    assert got.total() == 10


def test_a_rate_limit_is_told_in_headers_and_kept() -> None:
    with server(faults=Faults(requests_per_minute=120)) as provider:
        got = [chat(provider, str(number)) for number in range(6)]
        theirs = claude(provider)

    assert Counter(reply.status for reply in got)[429] >= 2
    assert got[0].headers["x-ratelimit-limit-requests"] == "120"
    assert got[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert got[0].headers["x-ratelimit-reset-requests"].endswith("s")
    assert theirs.headers["anthropic-ratelimit-requests-limit"] == "120"


# Which request meets which fault


def statuses(faults: Faults, order: list[str], seed: int = 0) -> dict[str, int]:
    with server(Settings(seed=seed), faults) as provider:
        return {prompt: chat(provider, prompt).status for prompt in order}


def test_fate_hangs_on_the_prompt_and_the_seed_not_on_the_order() -> None:
    prompts = [f"question {number}" for number in range(60)]
    some = Faults(rate_limited=0.3, server_error=0.3)
    forth, back = statuses(some, prompts), statuses(some, prompts[::-1])

    assert forth == back
    assert forth != statuses(some, prompts, seed=1)


def test_shares_are_kept_and_a_request_that_comes_again_can_have_another_fate() -> None:
    with server(faults=Faults(server_error=0.3)) as provider, ThreadPoolExecutor(8) as pool:
        got = Counter(reply.status for reply in pool.map(lambda _: chat(provider, "the same"), range(400)))
        stats = provider.stats()

    assert 80 < got[500] < 160
    assert got[500] == stats.faults["server_error"]
    assert stats.unique_prompts == 1


def test_the_first_requests_can_be_told_their_faults() -> None:
    with server(faults=Faults(first=("server_error", "none", "rate_limited"))) as provider:
        assert [chat(provider).status for _ in range(5)] == [500, 200, 429, 200, 200]


def test_faults_change_while_the_server_runs() -> None:
    with server(faults=Faults(server_error=1)) as provider:
        before = chat(provider).status
        provider.change(Faults())
        assert (before, chat(provider).status) == (500, 200)


def test_shares_that_exceed_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sum to 1\.2"):
        Faults(cut=0.6, hang=0.6)


# Anthropic's protocol


def test_messages_have_text_usage_and_a_stop_reason() -> None:
    with server(script=lambda turns: f"{turns[0].role}: {turns[0].content}") as provider:
        got = claude(provider, system="Be brief.").json

    assert got["content"] == [{"type": "text", "text": "system: Be brief."}]
    assert got["stop_reason"] == "end_turn"
    assert got["usage"]["input_tokens"] > 0


def test_messages_are_held_to_a_schema_by_a_forced_tool_or_an_output_format() -> None:
    tool = {"name": "reply", "description": "The reply.", "input_schema": SCHEMA}
    wanted = {"type": "json_schema", "schema": SCHEMA}
    with server() as provider:
        block = claude(provider, tools=[tool], tool_choice={"type": "tool", "name": "reply"}).json["content"][0]
        old = claude(provider, output_format=wanted).json["content"][0]
        new = claude(provider, output_config={"format": wanted}).json["content"][0]
        wrong = claude(provider, tools=[tool], tool_choice={"type": "tool", "name": "other"})

    assert (block["type"], set(block["input"])) == ("tool_use", {"answer", "level"})
    assert set(json.loads(old["text"])) == set(json.loads(new["text"])) == {"answer", "level"}
    assert wrong.status == 400


# Batches


def upload(provider: Server, content: bytes) -> Got:
    edge = "edge-of-the-parts"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'.encode(),
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n\r\n'.encode(),
        content,
        f"\r\n--{edge}--\r\n".encode(),
    ]
    return call(
        provider, "POST", "/v1/files", b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={edge}"}
    )


def batch_file(prompts: list[str]) -> bytes:
    lines = [
        {
            "custom_id": prompt,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "any", "messages": [{"role": "user", "content": prompt}]},
        }
        for prompt in prompts
    ]
    return b"\n".join(json.dumps(line).encode() for line in lines)


def submit(provider: Server, content: bytes) -> dict[str, Any]:
    source = upload(provider, content).json["id"]
    asked = {"input_file_id": source, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    found: dict[str, Any] = post(provider, "/v1/batches", asked).json
    return found


def lines(provider: Server, identity: str) -> list[dict[str, Any]]:
    content = call(provider, "GET", f"/v1/files/{identity}/content").body
    return [json.loads(line) for line in content.splitlines()]


def test_a_batch_is_in_progress_and_then_has_its_output() -> None:
    with server(Settings(batch_seconds=0.5), script=lambda turns: turns[0].content.upper()) as provider:
        batch = submit(provider, batch_file(["one", "two"]))
        assert (batch["status"], batch["output_file_id"]) == ("in_progress", None)
        time.sleep(0.6)
        done = call(provider, "GET", f"/v1/batches/{batch['id']}").json
        output = lines(provider, done["output_file_id"])
        listed = call(provider, "GET", "/v1/batches").json

    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    replies = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in output}
    assert replies == {"one": "ONE", "two": "TWO"}
    assert [entry["id"] for entry in listed["data"]] == [batch["id"]]


def test_requests_of_a_batch_fail_and_expire_one_by_one() -> None:
    first: tuple[Any, ...] = ("batch_expired", "server_error", "none")
    with server(faults=Faults(first=first)) as provider:
        batch = submit(provider, batch_file(["one", "two", "three"]))
        errors = {line["custom_id"]: line for line in lines(provider, batch["error_file_id"])}
        output = lines(provider, batch["output_file_id"])
        stats = provider.stats()

    assert batch["status"] == "expired"
    assert errors["one"]["error"]["code"] == "batch_expired"
    assert errors["two"]["response"]["status_code"] == 500
    assert [line["custom_id"] for line in output] == ["three"]
    assert (stats.batched, stats.answered) == (3, 1)


def test_a_batch_that_cannot_be_read_fails_as_a_whole() -> None:
    with server() as provider:
        batch = submit(provider, b"this is no JSON")
        unknown = call(provider, "GET", "/v1/batches/batch_99")

    assert batch["status"] == "failed"
    assert "cannot be read" in batch["errors"]["data"][0]["message"]
    assert unknown.status == 404


def test_a_batch_can_be_cancelled_while_it_is_in_progress() -> None:
    with server(Settings(batch_seconds=60)) as provider:
        batch = submit(provider, batch_file(["one"]))
        cancelled = post(provider, f"/v1/batches/{batch['id']}/cancel", {}).json

    assert cancelled["status"] == "cancelled"
    assert cancelled["output_file_id"] is None


def test_message_batches_end_with_results() -> None:
    items = [
        {
            "custom_id": name,
            "params": {"model": "any", "max_tokens": 50, "messages": [{"role": "user", "content": name}]},
        }
        for name in ("one", "two", "three")
    ]
    first: tuple[Any, ...] = ("none", "batch_expired", "server_error")
    with server(Settings(batch_seconds=0.3), Faults(first=first)) as provider:
        batch = post(provider, "/v1/messages/batches", {"requests": items}).json
        early = call(provider, "GET", f"/v1/messages/batches/{batch['id']}/results")
        time.sleep(0.4)
        done = call(provider, "GET", f"/v1/messages/batches/{batch['id']}").json
        results = call(provider, "GET", urllib.parse.urlsplit(done["results_url"]).path).body

    kinds = {line["custom_id"]: line["result"]["type"] for line in map(json.loads, results.splitlines())}
    assert (batch["processing_status"], early.status, done["processing_status"]) == ("in_progress", 404, "ended")
    assert kinds == {"one": "succeeded", "two": "expired", "three": "errored"}
    assert done["request_counts"]["succeeded"] == 1


# In a process of its own


def test_the_server_runs_in_a_process_of_its_own() -> None:
    with server(Settings(reply="from afar"), Faults(first=("server_error",)), process=True) as provider:
        assert [chat(provider).status, chat(provider).text] == [500, "from afar"]
        assert provider.stats().requests == 2


def test_the_command_line_has_the_same_dials_and_tells_its_counts_at_the_end() -> None:
    flags = ["--reply", "yes", "--first", "server_error", "none", "--api-key", "right"]
    command = [sys.executable, "-m", "errorbook.testing", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    provider = Server(process.stdout.readline().strip().removesuffix("/v1"))
    got = [chat(provider, key=key).status for key in ("wrong", "right", "right")]
    process.terminate()
    _, counts = process.communicate(timeout=20)

    assert got == [401, 500, 200]
    assert json.loads(counts)["requests"] == 3
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--cut", "2"], "1.0"),
        (["--cut", "0.7", "--hang", "0.7"], "sum to 1.4"),
        (["--first", "nonsense"], "nonsense"),
        (["--script", "errorbook.testing:nowhere"], "module:function"),
        (["--schema", "no JSON"], "JSON"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_exit_2(flags: list[str], word: str) -> None:
    command = [sys.executable, "-m", "errorbook.testing", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


# The documents


def test_the_examples_of_the_documents_run() -> None:
    text = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)

    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "instructors.md", "exec"), {"__name__": "instructors"})


def test_every_dial_of_the_documents_exists() -> None:
    text = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8")
    told = {
        name
        for row in re.findall(r"^\|[^|]*\|([^|]*)\|[^|]*\|[^|]*\|$", text, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }

    assert told <= {*Faults.__struct_fields__, *Settings.__struct_fields__}
    assert told >= set(get_args(Fault))

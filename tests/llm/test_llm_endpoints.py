"""What goes over the wire to each provider and what is read from it, without a wire."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from llm_kit import READ, SCHEMA, asks, kinds

from errorbook.llm import faults
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.endpoint import Dialect
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Ask
from errorbook.records import Message
from errorbook.testing import Settings, server

CHAT = OpenAIChat("poet", base_url="http://localhost:8000/v1/", sampling={"top_p": 0.9})
CLAUDE = Anthropic("poet", base_url="http://localhost:8000")
ASK = Ask(
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="Write.")),
    schema=SCHEMA,
    name="verse",
    max_tokens=50,
)


def body(endpoint: OpenAIChat | Anthropic, ask: Ask = ASK, **dialect: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(endpoint.build(ask, Dialect(**dialect)).body)
    return decoded


def test_openai_holds_a_reply_to_its_schema() -> None:
    sent = body(CHAT)

    assert CHAT.build(ASK, Dialect()).url == "http://localhost:8000/v1/chat/completions"
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Write."}]
    assert (sent["model"], sent["max_tokens"], sent["temperature"], sent["top_p"]) == ("poet", 50, 0.0, 0.9)
    assert sent["response_format"]["json_schema"]["schema"] == msgspec.json.decode(SCHEMA)
    assert sent["response_format"]["json_schema"]["strict"] is True


def test_without_schema_mode_the_prompt_says_it() -> None:
    assert body(CHAT, mode="json")["response_format"] == {"type": "json_object"}
    assert "response_format" not in body(CHAT, mode="text")
    for mode in ("json", "text"):
        assert SCHEMA in body(CHAT, mode=mode)["messages"][1]["content"]


def test_other_names_for_the_same() -> None:
    sent = body(CHAT, cap="max_completion_tokens", temperature=False)

    assert sent["max_completion_tokens"] == 50
    assert not {"max_tokens", "temperature"} & set(sent)


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", {"cap": "max_completion_tokens"}),
        ("Unsupported value: 'temperature' does not support 0.0 with this model.", {"temperature": False}),
        ("Invalid parameter: 'response_format' of type 'json_schema' is not supported.", {"mode": "json"}),
        ("The prompt is too long.", None),
    ],
)
def test_a_refusal_teaches_the_dialect(said: str, changed: dict[str, Any] | None) -> None:
    refusal = msgspec.json.encode({"error": {"message": said}})

    assert CHAT.adapt(Dialect(), refusal, ASK) == (Dialect(**changed) if changed else None)


def test_dialects_end() -> None:
    refusal = b'{"error": "response_format, temperature, max_completion_tokens, json_schema, tool: all wrong"}'
    for endpoint in (CHAT, CLAUDE):
        dialect: Dialect | None = Dialect()
        for _ in range(10):
            dialect = dialect and endpoint.adapt(dialect, refusal, ASK)
        assert dialect is None


@pytest.mark.parametrize(
    ("choice", "text", "truncated"),
    [
        ({"message": {"content": "Roses"}, "finish_reason": "stop"}, "Roses", False),
        ({"message": {"content": "Ros"}, "finish_reason": "length"}, "Ros", True),
        ({"message": {"content": None, "refusal": "No."}}, "No.", False),
        ({"message": {"content": None}}, "", False),
        ({"message": {"content": [{"type": "text", "text": "Ro"}, {"type": "text", "text": "ses"}]}}, "Roses", False),
        ({"message": {"role": "assistant", "content": "x", "reasoning_content": "y"}, "logprobs": None}, "x", False),
    ],
)
def test_openais_replies(choice: dict[str, Any], text: str, truncated: bool) -> None:
    reply = CHAT.read(msgspec.json.encode({"choices": [choice]}))

    assert (reply.text, reply.truncated, reply.input_tokens) == (text, truncated, None)


@pytest.mark.parametrize(
    "envelope", [b"", b"{", b"{}", b'{"choices": []}', b"<html>", b'{"choices": [{"message"', b"\xff"]
)
def test_half_an_envelope_is_no_reply(envelope: bytes) -> None:
    for endpoint in (CHAT, CLAUDE):
        with pytest.raises(faults.Lost):
            endpoint.read(envelope)


def test_anthropic_holds_a_reply_by_a_tool() -> None:
    sent = body(CLAUDE)

    assert sent["system"] == "Be brief."
    assert sent["messages"] == [{"role": "user", "content": "Write."}]
    assert sent["tools"][0]["input_schema"] == msgspec.json.decode(SCHEMA)
    assert sent["tool_choice"] == {"type": "tool", "name": "verse"}
    assert "tools" not in body(CLAUDE, mode="text")


def test_anthropics_replies() -> None:
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 100}
    told = CLAUDE.read(msgspec.json.encode({"content": [{"type": "text", "text": "Roses"}], "usage": usage}))
    content = [
        {"type": "text", "text": "Well."},
        {"type": "tool_use", "id": "1", "name": "verse", "input": {"line": "a"}},
    ]
    called = CLAUDE.read(msgspec.json.encode({"content": content, "stop_reason": "max_tokens"}))

    assert (told.text, told.input_tokens, told.output_tokens) == ("Roses", 105, 7)
    assert (called.text, called.truncated) == ('{"line":"a"}', True)


def test_anthropic_over_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    from errorbook.llm.engine import Engine

    monkeypatch.setenv("CLAUDE_KEY", "sk-claude-1")
    with server(Settings(api_key="sk-claude-1")) as provider:
        endpoint = Anthropic("poet", base_url=provider.root, api_key_env="CLAUDE_KEY")
        with Engine(endpoint) as llm:
            assert kinds(list(llm.ask(asks(10), READ))) == {"Accepted": 10}


def test_a_key_goes_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")

    assert "Authorization" not in OpenAIChat("poet", base_url="http://localhost:8000/v1").headers()
    assert OpenAIChat("poet").headers()["Authorization"] == "Bearer sk-real"
    assert OpenAIChat("poet").secrets() == ("sk-real",)
    assert "sk-real" not in OpenAIChat("poet").identity


def test_settings_are_part_of_the_identity_and_keys_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "sk-1")
    plain = OpenAIChat("poet", base_url="http://localhost/v1")

    assert OpenAIChat("poet", base_url="http://localhost/v1/", api_key_env="ONE").identity == plain.identity
    assert OpenAIChat("poet", base_url="http://localhost/v1", sampling={"seed": 1}).identity != plain.identity
    assert OpenAIChat("bard", base_url="http://localhost/v1").identity != plain.identity


@pytest.mark.parametrize("end", ["", "/", "/chat/completions", "/chat/completions/"])
def test_an_address_may_be_copied_with_the_path_of_a_request(end: str) -> None:
    endpoint = OpenAIChat("m", base_url=f"http://h/v1{end}")

    assert endpoint.base_url == "http://h/v1"
    assert endpoint.identity == OpenAIChat("m", base_url="http://h/v1").identity
    assert Anthropic("m", base_url="http://h/v1/messages").base_url == "http://h"

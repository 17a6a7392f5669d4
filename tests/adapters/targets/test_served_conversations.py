"""Conversations to served targets: as messages over a real socket, also if the server takes no system message."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from errorbook.adapters.targets.openai import OpenAITarget
from errorbook.records import Generation, Message, converse

SYSTEM = Message(role="system", content="Answer in Dutch.")
TURNS = (Message(role="user", content="I have 4 cows."), Message(role="assistant", content="Noted."))
GREEDY = Generation(max_new_tokens=16)


@contextmanager
def provider(refusal: int = 0, said: str = "") -> Iterator[tuple[str, list[list[dict[str, str]]]]]:
    """A server that writes down the messages of each request and answers all but those with a system message."""
    seen: list[list[dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, {"data": []})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body["messages"])
            if refusal and any(message["role"] == "system" for message in body["messages"]):
                self._send(refusal, {"error": {"message": said}})
            else:
                choice = {"message": {"role": "assistant", "content": "16"}, "finish_reason": "stop"}
                self._send(200, {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})

        def _send(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/v1", seen
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


def answers(address: str, prompts: list[str]) -> list[str]:
    target = OpenAITarget("m", base_url=address)
    found = sorted(target.generate(prompts, GREEDY), key=lambda one: one.index)
    target.close()
    return [one.text for one in found]


def test_system_and_turns_are_messages() -> None:
    with provider() as (address, seen):
        assert answers(address, [converse((SYSTEM, *TURNS), "How many legs?"), "Plain?"]) == ["16", "16"]

    assert sorted(seen, key=len) == [
        [{"role": "user", "content": "Plain?"}],
        [
            {"role": "system", "content": "Answer in Dutch."},
            {"role": "user", "content": "I have 4 cows."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": "How many legs?"},
        ],
    ]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "System role not supported"),
        (422, "Only user and assistant roles are supported!"),
        (500, "Jinja Exception: System role not supported"),
    ],
)
def test_a_server_that_refuses_the_system_role_is_asked_without_it(status: int, said: str) -> None:
    with provider(status, said) as (address, seen):
        prompts = [converse((SYSTEM, *TURNS), f"How many legs have {number} cows?") for number in range(8)]
        assert answers(address, prompts) == ["16"] * 8

    taken = [messages for messages in seen if messages[0]["role"] != "system"]
    assert len(taken) == 8
    assert all(messages[0]["content"] == "Answer in Dutch.\n\nI have 4 cows." for messages in taken)
    assert all([message["role"] for message in messages] == ["user", "assistant", "user"] for messages in taken)

"""Any server that speaks OpenAI's chat completions: hosted ones, vLLM, Ollama, llama.cpp's, `transformers serve`."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import msgspec

from errorbook.llm import structured
from errorbook.llm.account import Account
from errorbook.llm.batch_api import OpenAIBatches
from errorbook.llm.endpoint import Dialect, Mode, Reply, Request
from errorbook.llm.envelopes import (
    FAILED,
    count_tokens,
    find_cost,
    find_usage,
    flatten,
    is_cut,
    raise_told,
    read_ending,
    tell_parts_apart,
)
from errorbook.llm.faults import Garbled
from errorbook.llm.records import Ask
from errorbook.llm.refusals import Complaint, read_complaint, read_message, read_object
from errorbook.llm.streams import gather_chat
from errorbook.llm.token_limits import read_most
from errorbook.records import Message, fold_system

_FORM = (
    *("response_format", "response format", "json_schema", "json_object", "json mode", "schema", "grammar"),
    *("structured output", "structured_output", "guided"),
)
"""Words in a refusal that is about the form of the reply."""
_NO_SYSTEM = re.compile(
    r"system.{0,80}\brole|\brole.{0,80}system|system (?:message|prompt).{0,60}(?:not|unsupported)"
    r"|does not support.{0,20}system|only user and assistant roles|roles must alternate"
    r"|(?:developer|system).instruction"
)
"""A refusal by a model's chat template that takes no system message, or by a server that knows none."""
_SOFTER: dict[Mode, Mode] = {"schema": "json", "json": "text"}


class OpenAIChat(Account):
    """Implements `Endpoint`. Options as for every `Account`; the key is in OPENAI_API_KEY."""

    protocol = "openai"
    official = "https://api.openai.com/v1"
    usual_key = "OPENAI_API_KEY"
    request_path = "/chat/completions"

    def headers(self) -> dict[str, str]:
        """See `Endpoint`."""
        key = self._key()
        return {**self._own_headers(), **({"Authorization": f"Bearer {key}"} if key else {})}

    def batches(self) -> OpenAIBatches:
        """See `batch_api.BatchEndpoint`."""
        return OpenAIBatches(self)

    def build(self, ask: Ask, dialect: Dialect) -> Request:
        """See `Endpoint`."""
        body: dict[str, Any] = {"model": self._model, "messages": ask.messages, dialect.cap: limit_reply(ask, dialect)}
        if dialect.stream != "unsaid":
            body["stream"] = dialect.stream == "on"
        if dialect.stream == "on" and dialect.usage:
            body["stream_options"] = {"include_usage": True}
        if dialect.temperature:
            body["temperature"] = ask.temperature
        if ask.schema and dialect.mode == "schema":
            strict = {"strict": True} if dialect.strict else {}
            schema = {"name": ask.name, **strict, "schema": msgspec.Raw(ask.schema.encode())}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif ask.schema:
            body["messages"] = add_instruction(ask)
            if dialect.mode == "json":
                body["response_format"] = {"type": "json_object"}
        if not dialect.system:
            body["messages"] = fold_system(body["messages"])
        body.update(self._sampling)
        if not dialect.seed:
            body.pop("seed", None)
        return Request(f"{self._base_url}/chat/completions", msgspec.json.encode(body))

    def gather(self, body: bytes) -> bytes:
        """See `Endpoint`."""
        return gather_chat(body)

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        completion = read_object(gather_chat(body))
        choice = _open(completion, body)
        content, thought, refusal, called = _read_message(choice)
        usage = find_usage(completion)
        asked, written = count_tokens(usage, said=bool(content or thought or refusal or called))
        finish = choice.get("finish_reason")
        ended = read_ending(finish, refused=bool(refusal and not content), called=bool(called))
        return Reply(content or refusal or called, asked, written, is_cut(finish), thought, ended, find_cost(usage))

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        complaint = read_complaint(body)
        said = complaint.words.lower()
        most = _read_most(complaint, ask, dialect)
        held = ask.schema and dialect.mode == "schema"
        names = partial(complaint.names, among=_KNOWN)
        changes: tuple[tuple[object, dict[str, Any]], ...] = (
            (most, {"most": most}),
            ("max_completion_tokens" in said and dialect.cap == "max_tokens", {"cap": "max_completion_tokens"}),
            (_names_form(complaint) and ask.schema and dialect.mode in _SOFTER, {"mode": _SOFTER.get(dialect.mode)}),
            (dialect.temperature and names("temperature"), {"temperature": False}),
            (dialect.seed and "seed" in self._sampling and names("seed"), {"seed": False}),
            (dialect.stream == "on" and dialect.usage and names("stream_options"), {"usage": False}),
            (dialect.stream != "on" and _MUST_STREAM.search(said), {"stream": "on"}),
            (dialect.stream == "off" and names("stream"), {"stream": "unsaid"}),
            (dialect.system and _has_system(ask) and _NO_SYSTEM.search(said), {"system": False}),
            (held and dialect.strict and names("strict"), {"strict": False}),
            (
                ask.schema and dialect.mode in _SOFTER and any(word in said for word in _FORM),
                {"mode": _SOFTER.get(dialect.mode)},
            ),
        )
        change = next((change for holds, change in changes if holds), None)
        return None if change is None else msgspec.structs.replace(dialect, **change)


_KNOWN = ("temperature", "seed", "stream", "stream_options", "strict", "response_format", "max_tokens", "messages")
"""Fields of a request: a refusal that names one of them as such is about that one."""


def _names_form(complaint: Complaint) -> bool:
    """Whether a refusal names the form of the reply as its field, and not a part of it that can be left out."""
    return bool(complaint.fields & {"response_format", "json_schema"}) and "strict" not in complaint.fields


_MUST_STREAM = re.compile(
    r"non-?stream|(?:only|must|required).{0,60}\bstream|\bstream(?:ing)?\b.{0,60}(?:must|only|required)|not stream\b"
)
"""A refusal by a server, or of a way of thinking, that answers in streams alone."""


def limit_reply(ask: Ask, dialect: Dialect) -> int:
    """The tokens that a reply may take. An exam's limit is never lowered unsaid: it is a part of what is measured."""
    return min(ask.max_tokens, dialect.most) if dialect.most and ask.schema else ask.max_tokens


def _read_most(complaint: Complaint, ask: Ask, dialect: Dialect) -> int:
    """The lower limit on a reply's tokens that a refusal tells; 0 if it tells none."""
    read = sum(len(turn.content.encode()) for turn in ask.messages) + len(ask.schema)
    return read_most(complaint, limit_reply(ask, dialect), read) if ask.schema else 0


def _has_system(ask: Ask) -> bool:
    return any(turn.role == "system" for turn in ask.messages)


def _open(completion: dict[str, Any], body: bytes) -> dict[str, Any]:
    """The first choice of a completion. Raises Lost for an error in its place, or Garbled if there is none."""
    choices = completion.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {"error": completion.get("error")}
    choice = first if isinstance(first, dict) else {}
    finish = choice.get("finish_reason")
    if choice.get("error") or (isinstance(finish, str) and finish.lower() in FAILED):
        raise_told(choice.get("error") or f"finish_reason is '{finish}'")
    if not choices and find_usage(completion):  # billed, and nothing was written: a filter of the prompt does that
        blocked = completion.get("promptFeedback") or completion.get("prompt_feedback")
        return {"message": {}, "finish_reason": "content_filter" if blocked else None}
    if isinstance(choice.get("text"), str) and not choice.get("message"):  # a text completion, from some relays
        return {**choice, "message": {"content": choice["text"]}}
    if not isinstance(choice.get("message"), dict):
        raise Garbled(f"the server sent no chat completion ({read_message(body) or 'an empty body'})")
    return choice


def _read_message(choice: dict[str, Any]) -> tuple[str, str, str, str]:
    """A message's answer, what the server calls its reasoning, a refusal, and what a tool was called with.

    The reasoning is in a field of one of several names, or in parts of the content.
    """
    message = choice["message"]
    content, thought = tell_parts_apart(message.get("content"))
    thought = next(filter(None, (flatten(message.get(name)) for name in _THOUGHTS)), "") + thought
    parts = message.get("content")
    refusals = [part.get("refusal") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    refusal = flatten(message.get("refusal")) or flatten(refusals)
    return content, thought, refusal, "" if content else _read_call(message)


_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
"""What servers call the field with a model's reasoning; the first that holds any counts, since some fill several."""


def _read_call(message: dict[str, Any]) -> str:
    """What a tool was called with: a server that looks for such calls may take a reply in JSON for one."""
    calls = message.get("tool_calls") or [{"function": message.get("function_call")}]
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        told = function.get("arguments") if isinstance(function, dict) else None
        if told:
            return told if isinstance(told, str) else msgspec.json.encode(told).decode()
    return ""


def add_instruction(ask: Ask) -> tuple[Message, ...]:
    """The messages with the schema told in the first one of the user's, which every chat template has room for."""
    first = next((place for place, turn in enumerate(ask.messages) if turn.role == "user"), None)
    if first is None:
        return (*ask.messages, Message(role="user", content=structured.write_instruction(ask.schema).strip()))
    told = Message(role="user", content=ask.messages[first].content + structured.write_instruction(ask.schema))
    return (*ask.messages[:first], told, *ask.messages[first + 1 :])

"""Any server that speaks OpenAI's chat completions: hosted ones, vLLM, Ollama, llama.cpp's, `transformers serve`."""

from __future__ import annotations

from typing import Any

import msgspec

from errorbook.llm import structured
from errorbook.llm.account import Account
from errorbook.llm.batch_api import OpenAIBatches
from errorbook.llm.endpoint import Dialect, Mode, Reply, Request, read_count
from errorbook.llm.faults import Garbled, decode, read_message, read_object
from errorbook.llm.records import Ask, Message

_FORM = ("response_format", "json_schema", "json_object", "schema", "grammar")
"""Words in a refusal that is about the form of the reply."""
_SOFTER: dict[Mode, Mode] = {"schema": "json", "json": "text"}


class _Part(msgspec.Struct):
    text: str = ""


class _Text(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Text
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: msgspec.Raw = msgspec.Raw(b"null")


_READ = msgspec.json.Decoder(_Completion)


class OpenAIChat(Account):
    """Implements `Endpoint`. Options as for every `Account`; the key is in OPENAI_API_KEY."""

    protocol = "openai"
    official = "https://api.openai.com/v1"
    usual_key = "OPENAI_API_KEY"

    def headers(self) -> dict[str, str]:
        """See `Endpoint`."""
        key = self._key()
        return {**self._own_headers(), **({"Authorization": f"Bearer {key}"} if key else {})}

    def batches(self) -> OpenAIBatches:
        """See `batch_api.BatchEndpoint`."""
        return OpenAIBatches(self)

    def build(self, ask: Ask, dialect: Dialect) -> Request:
        """See `Endpoint`."""
        body: dict[str, Any] = {"model": self._model, "messages": ask.messages, dialect.cap: ask.max_tokens}
        if dialect.temperature:
            body["temperature"] = ask.temperature
        if ask.schema and dialect.mode == "schema":
            schema = {"name": ask.name, "strict": True, "schema": msgspec.Raw(ask.schema.encode())}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif ask.schema:
            body["messages"] = add_instruction(ask)
            if dialect.mode == "json":
                body["response_format"] = {"type": "json_object"}
        return Request(f"{self._base_url}/chat/completions", msgspec.json.encode({**body, **self._sampling}))

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        try:
            completion = decode(_READ, body)
            choice = completion.choices[0]
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError):
            raise Garbled(f"the server sent no chat completion ({read_message(body) or 'an empty body'})") from None
        content = choice.message.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        usage = read_object(completion.usage)
        counts = [read_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
        text = content or choice.message.refusal or ""
        return Reply(text, counts[0], counts[1], choice.finish_reason == "length")

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        said = body[:4000].decode("utf-8", "replace").lower()
        if "max_completion_tokens" in said and dialect.cap == "max_tokens":
            return msgspec.structs.replace(dialect, cap="max_completion_tokens")
        if "temperature" in said and dialect.temperature:
            return msgspec.structs.replace(dialect, temperature=False)
        if ask.schema and dialect.mode in _SOFTER and any(word in said for word in _FORM):
            return msgspec.structs.replace(dialect, mode=_SOFTER[dialect.mode])
        return None


def add_instruction(ask: Ask) -> tuple[Message, ...]:
    """The messages with the schema told in the first one of the user's, which every chat template has room for."""
    first = next((place for place, turn in enumerate(ask.messages) if turn.role == "user"), None)
    if first is None:
        return (*ask.messages, Message(role="user", content=structured.write_instruction(ask.schema).strip()))
    told = Message(role="user", content=ask.messages[first].content + structured.write_instruction(ask.schema))
    return (*ask.messages[:first], told, *ask.messages[first + 1 :])

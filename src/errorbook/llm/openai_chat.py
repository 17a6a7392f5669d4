"""Any server that speaks OpenAI's chat completions: hosted ones, vLLM, Ollama, llama.cpp's, `transformers serve`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from errorbook.errors import ModelError
from errorbook.llm import structured
from errorbook.llm.batch_api import OpenAIBatches
from errorbook.llm.endpoint import Dialect, Mode, Reply, Request, web_address
from errorbook.llm.faults import Lost, message
from errorbook.llm.records import Ask, Message

OFFICIAL = "https://api.openai.com/v1"

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


class _Tokens(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Tokens | None = None


_READ = msgspec.json.Decoder(_Completion)


class OpenAIChat:
    """Implements `Endpoint`.

    `api_key_env` names the environment variable with the key; it defaults to OPENAI_API_KEY for OpenAI itself and to
    none elsewhere, so that no key goes where it was not meant to. A value in `headers` that starts with `$` is read
    from the environment, too. `sampling` (top_p, seed, reasoning_effort, ...) is added to every request as it is.
    """

    def __init__(
        self,
        model: str,
        base_url: str = OFFICIAL,
        api_key_env: str | None = None,
        headers: Mapping[str, str] | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._base_url = web_address(base_url)
        if api_key_env is None:
            api_key_env = "OPENAI_API_KEY" if self._base_url == OFFICIAL else ""
        self._api_key_env = api_key_env
        self._headers = dict(headers or {})
        self._sampling = dict(sampling or {})
        settings = msgspec.json.encode(self._sampling, order="sorted").decode()
        self._identity = f"openai {self._base_url} {model} {settings}"

    def __repr__(self) -> str:
        """Without headers, which may hold secrets."""
        return f"OpenAIChat(model={self._model!r}, base_url={self._base_url!r})"

    @property
    def identity(self) -> str:
        """See `Endpoint`."""
        return self._identity

    @property
    def base_url(self) -> str:
        """See `Endpoint`."""
        return self._base_url

    @property
    def model(self) -> str:
        """See `Endpoint`."""
        return self._model

    def headers(self) -> dict[str, str]:
        """See `Endpoint`."""
        found = {name: from_environment(value, self._base_url) for name, value in self._headers.items()}
        if self._api_key_env:
            found["Authorization"] = f"Bearer {from_environment('$' + self._api_key_env, self._base_url)}"
        return found

    def secrets(self) -> tuple[str, ...]:
        """See `Endpoint`."""
        found = self.headers()
        return tuple(value.removeprefix("Bearer ") for value in found.values())

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
            body["messages"] = instructed(ask)
            if dialect.mode == "json":
                body["response_format"] = {"type": "json_object"}
        return Request(f"{self._base_url}/chat/completions", msgspec.json.encode({**body, **self._sampling}))

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        try:
            completion = _READ.decode(body)
            choice = completion.choices[0]
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
            raise Lost(f"the server sent no chat completion ({message(body) or 'an empty body'})") from None
        content = choice.message.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        usage = completion.usage or _Tokens()
        text = content or choice.message.refusal or ""
        return Reply(text, usage.prompt_tokens, usage.completion_tokens, choice.finish_reason == "length")

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


def instructed(ask: Ask) -> tuple[Message, ...]:
    """The messages with the schema told in the first one of the user's, which every chat template has room for."""
    first = next((place for place, turn in enumerate(ask.messages) if turn.role == "user"), None)
    if first is None:
        return (*ask.messages, Message(role="user", content=structured.instruction(ask.schema).strip()))
    told = Message(role="user", content=ask.messages[first].content + structured.instruction(ask.schema))
    return (*ask.messages[:first], told, *ask.messages[first + 1 :])


def from_environment(value: str, base_url: str) -> str:
    """The value itself, or that of the environment variable it names with a leading `$`. Raises ModelError."""
    if not value.startswith("$"):
        return value
    found = os.environ.get(value[1:], "").strip()
    if not found:
        raise ModelError(f"The environment variable {value[1:]} with the key for {base_url} is not set; set it.")
    return found

"""What the two protocols have in common: one request and one reply, free of any provider's field names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """One message of a conversation; its role is "system", "user" or "assistant"."""

    role: str
    content: str


Script = Callable[[Sequence[Turn]], str]
"""Computes the text of a reply from the messages."""


class ChatRequest(NamedTuple):
    """A chat request. `schema` is the JSON schema of the reply or None; `tool` names a tool that must carry it."""

    model: str
    turns: tuple[Turn, ...]
    max_tokens: int | None
    schema: dict[str, Any] | None
    wants_json: bool
    tool: str
    input_bytes: int

    def digest(self) -> bytes:
        """Identity of the messages: equal for equal prompts, whatever the settings around them."""
        state = hashlib.blake2b(digest_size=16)
        for turn in self.turns:
            state.update(f"{len(turn.role)},{len(turn.content)}:{turn.role}{turn.content}".encode())
        return state.digest()


class ServedReply(NamedTuple):
    """The text of a reply and what it costs; `complete` is False if `max_tokens` cut it off."""

    text: str
    complete: bool
    input_tokens: int
    output_tokens: int


class ErrorReply(Exception):  # noqa: N818  (an answer of the server, not an error of it)
    """The server answers with an error status. `kind` is the protocol-neutral name of the reason."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Wire(Protocol):
    """One provider's protocol: reads requests, writes replies and errors."""

    @property
    def overloaded(self) -> int:
        """The status by which this provider says that it is overloaded."""
        ...

    def read(self, body: bytes) -> ChatRequest:
        """Parse a request. Raises `ErrorReply` with status 400 if it is not one."""
        ...

    def reply(self, asked: ChatRequest, reply: ServedReply, number: int) -> dict[str, Any]:
        """A reply's JSON body; `number` makes its id unique."""
        ...

    def error(self, refused: ErrorReply) -> dict[str, Any]:
        """An error's JSON body."""
        ...

    def key(self, headers: Mapping[str, str]) -> str:
        """The API key that a request came with, or nothing."""
        ...

    def limit_headers(self, limit: int, remaining: int, reset_seconds: float) -> dict[str, str]:
        """The rate-limit headers of one response."""
        ...


def parts_text(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a message whose content is a string or a list of text parts."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(part.get("text", "")) for part in content)


def size(turns: Sequence[Turn], schema: dict[str, Any] | None) -> int:
    """Bytes that a provider would count as input: the messages, a few for each role, and the schema."""
    texts = sum(len(turn.content.encode()) + 12 for turn in turns)
    return texts + (len(msgspec.json.encode(schema)) if schema is not None else 0)

"""What the test server answers: a fixed text, a script's text, or a value made up for the request's schema.

Text faults are applied here too, so that a reply is billed for what was really written.
"""

from __future__ import annotations

import math
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from errorbook.testing.fill import UnfillableError, fill, words
from errorbook.testing.settings import Fault, Settings
from errorbook.testing.wire import ChatRequest, ErrorReply, Script, ServedReply

PROSE = "Certainly! I had a look at it, and I would rather tell you about it than fill in a form."
WRONG = '{"note": "this is JSON, but not what was asked for"}'


def reply_to(asked: ChatRequest, settings: Settings, script: Script | None, fate: Fault | None) -> ServedReply:
    """The reply to one request. Raises Refused if the schema cannot be filled."""
    text = script(asked.turns) if script is not None else settings.reply or _make_up(asked, settings)
    text = _spoil(text, fate)
    input_tokens = math.ceil(asked.input_bytes / settings.bytes_per_token)
    tokens = math.ceil(len(text.encode()) / settings.bytes_per_token)
    if asked.max_tokens is None or tokens <= asked.max_tokens:
        return ServedReply(text, True, input_tokens, tokens)
    kept = text.encode()[: int(asked.max_tokens * settings.bytes_per_token)]
    return ServedReply(kept.decode(errors="ignore"), False, input_tokens, asked.max_tokens)


def _make_up(asked: ChatRequest, settings: Settings) -> str:
    """A text that depends on the messages and the seed only: a prompt that is asked again gets the same reply."""
    random = Random(asked.digest() + str(settings.seed).encode())  # noqa: S311  (dice, not secrets)
    tokens = random.randint(settings.shortest, max(settings.shortest, settings.longest))
    characters = int(tokens * settings.bytes_per_token)
    schema = asked.schema if asked.schema is not None else _schema(settings.schema)
    if schema is None:
        text = words(random, characters)
        return msgspec.json.encode({"reply": text}).decode() if asked.wants_json else text
    try:
        return msgspec.json.encode(fill(schema, random, characters)).decode()
    except UnfillableError as error:
        raise ErrorReply(400, "invalid_request_error", str(error)) from None


@lru_cache(maxsize=8)
def _schema(text: str) -> dict[str, Any] | None:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else None


def _spoil(text: str, fate: Fault | None) -> str:
    match fate:
        case "truncated":
            return text[: len(text) // 2]
        case "wrong_json":
            return WRONG
        case "malformed":
            return PROSE
        case "empty":
            return ""
        case _:
            return text

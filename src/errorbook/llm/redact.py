"""Keeps keys out of replies: a server may tell the key that it was shown. What is a secret: `errorbook.redact`."""

from __future__ import annotations

from typing import Any

import msgspec

from errorbook.llm.endpoint import Endpoint
from errorbook.redact import SHORTEST, mask_secret, mask_shapes, note_secret


def collect_secrets(endpoint: Endpoint) -> tuple[bytes, ...]:
    """What must not appear in anything that comes back, nor in a sentence. Raises ModelError if a key is missing."""
    secrets = [secret for secret in endpoint.secrets() if len(secret) >= SHORTEST]
    for secret in secrets:
        note_secret(secret)
    return tuple(secret.encode() for secret in secrets)


def redact(body: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """A body without the secrets, their pieces, and what has the shape of a key."""
    known = [secret.decode("latin-1") for secret in secrets]
    text = _clean(body.decode("latin-1"), known)  # byte for byte, whatever the body's encoding is
    if "\\" in text:  # JSON can spell a letter in other ways
        text = _clean_spelt(text, known)
    return text.encode("latin-1")


def _clean(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = mask_secret(text, secret)
    return mask_shapes(text)


def _clean_spelt(text: str, secrets: list[str]) -> str:
    """The same of JSON; a body in which no secret is spelt out in another way stays as it is."""
    try:
        value = msgspec.json.decode(text.encode("latin-1"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    cleaned = _clean_value(value, secrets)
    return text if cleaned == value else msgspec.json.encode(cleaned).decode("latin-1")


def _clean_value(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _clean(value, secrets)
    if isinstance(value, list):
        return [_clean_value(item, secrets) for item in value]
    if isinstance(value, dict):
        return {_clean(key, secrets): _clean_value(item, secrets) for key, item in value.items()}
    return value

"""Keeps keys out of everything that is kept: a server may tell the key that it was shown."""

from __future__ import annotations

from errorbook.llm.endpoint import Endpoint

SHORTEST = 6
"""Characters; a shorter value is no secret, and taking it out would garble replies."""


def collect_secrets(endpoint: Endpoint) -> tuple[bytes, ...]:
    """What must not appear in anything that comes back. Raises ModelError if a key is missing."""
    return tuple(secret.encode() for secret in endpoint.secrets() if len(secret) >= SHORTEST)


def redact(body: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """A body without the secrets."""
    for secret in secrets:
        if secret in body:
            body = body.replace(secret, b"[key]")
    return body

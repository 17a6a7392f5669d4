"""What has arrived, as it is judged and kept: one envelope and no pieces, no keys, and the status that it deserves.

Nothing that a server sends is looked at, kept or said before it has been here.
"""

from __future__ import annotations

from errorbook.llm.endpoint import Endpoint
from errorbook.llm.faults import Lost
from errorbook.llm.redact import redact
from errorbook.llm.refusals import read_status


def take_in(endpoint: Endpoint, status: int, body: bytes, secrets: tuple[bytes, ...]) -> tuple[int, bytes]:
    """The status and the body of an answer. Raises Lost if a reply came in pieces and is not whole."""
    try:
        # First put together, then masked: a server that tells the key in pieces tells it all the same.
        body = endpoint.gather(body)
    except Lost:
        if status == 200:
            raise
    body = redact(body, secrets)
    return (read_status(body) if status == 200 else status), body

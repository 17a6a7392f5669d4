"""What a training elsewhere needs to be gone on with: how far it is, and under which names the server keeps it.

`Remote` is written after every saved state, beside the folder of the result; `Place` lies in that folder and says where
the server keeps what the folder holds.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from errorbook.errors import ModelError
from errorbook.files import write_file

PLACE = "tinker.json"


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server keeps an adapter: to train on from, and to sample from."""

    address: str
    model: str
    state: str
    sampler: str


class Remote(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A training on its way: the steps that the saved `state` has behind it, with their losses and the tokens read.

    `reference` holds the log-probabilities of each pair's two sides before the first step, by the pair's number.
    `stale` are states that a later one has replaced, `sampler` is there when all steps are done.
    """

    losses: list[float] = []
    tokens: int = 0
    state: str = ""
    sampler: str = ""
    reference: dict[int, tuple[float, float]] = {}
    stale: list[str] = []


def read_remote(file: Path) -> Remote:
    """How far a training is; nothing is done if there is no file."""
    return msgspec.json.decode(file.read_bytes(), type=Remote) if file.is_file() else Remote()


def write_remote(file: Path, remote: Remote) -> None:
    """Write down how far a training is, all or nothing."""
    write_file(file, msgspec.json.encode(remote))


def read_place(folder: Path, address: str) -> Place:
    """Where the server keeps what a checkpoint's folder holds. Raises ModelError if it does not."""
    try:
        place = msgspec.json.decode((folder / PLACE).read_bytes(), type=Place)
    except (OSError, msgspec.DecodeError):
        raise ModelError(
            f"The checkpoint in '{folder}' was not trained by method = 'tinker', so no server has it; set engine ="
            " 'transformers' or 'vllm' in [target]."
        ) from None
    if place.address != address:
        raise ModelError(
            f"The checkpoint in '{folder}' is at {place.address}, not at {address}; correct base_url in [target]."
        )
    return place

"""Rows from the Hugging Face hub, or from a local folder in its layout, through the `datasets` library.

The library is loaded on first use and does the caching: what was downloaded once is there offline. Its own scripts
are never run; a dataset that needs one is refused by the library.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.errors import DataError
from errorbook.files import Row, find_path
from errorbook.records import digest

_SHA = 40
_PATIENCE = 10.0


class Fetched(NamedTuple):
    """The rows of one split of a dataset, and what exactly they are: the commit if it is known, and a hash."""

    rows: list[Row]
    origin: str


def fetch(dataset: str, subset: str, split: str, revision: str) -> Fetched:
    """One split of a dataset; an empty subset or revision takes the dataset's default.

    Raises:
        DataError: The library is not installed, or the dataset cannot be had.
    """
    table = _load(dataset, subset, split, revision)
    name = "/".join(filter(None, (dataset, subset, split)))
    rows = [Row(name, number, dict(values), "row") for number, values in enumerate(table, 1)]
    if not rows:
        raise DataError(f"{name} is empty; choose another dataset, subset or split.")
    version = _commit(table.cache_files) or revision
    return Fetched(rows, f"{name}{'@' if version else ''}{version} blake2b:{_hash(row.values for row in rows)}")


def _load(dataset: str, subset: str, split: str, revision: str) -> Any:
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise DataError(
            "Datasets of the Hugging Face hub need the library 'datasets'; run: pip install 'errorbook[data]', or give"
            " local files."
        ) from error
    place = _located(dataset)
    reached = place != dataset or _reaches_hub()
    try:
        with nullcontext() if reached else _stay_offline():
            return load_dataset(place, subset or None, split=split, revision=revision or None)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")
        if not reached:
            reason = "the hub cannot be reached, and no copy of it is on this machine"
        raise DataError(
            f"The dataset '{dataset}' cannot be loaded ({reason}); check its name, subset and split and the network, or"
            " give local files."
        ) from error


def _reaches_hub() -> bool:
    """Whether the hub answers, asked once: the library would try for more than a minute before it says so."""
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=_PATIENCE)
    except httpx.HTTPError:
        return False
    return True


@contextmanager
def _stay_offline() -> Iterator[None]:
    """Let both libraries take what is on this machine; they read the environment only once."""
    from datasets import config
    from huggingface_hub import constants

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _located(dataset: str) -> str:
    """A folder as its absolute path, so that a name is never taken for one by accident."""
    return str(find_path(dataset)) if dataset.startswith((".", "~", "/")) else dataset


def _commit(files: Sequence[Mapping[str, str]]) -> str:
    """The commit, which the library names its cache folder after; for people to read: the content's hash identifies."""
    names = {Path(file["filename"]).parent.name for file in files}
    return next((name for name in names if len(name) == _SHA and set(name) <= set(string.hexdigits)), "")


def _hash(rows: Iterable[Mapping[str, Any]]) -> str:
    return digest(*(json.dumps(row, sort_keys=True, default=str) for row in rows))

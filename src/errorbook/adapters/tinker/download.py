"""Brings an adapter home from the server, in PEFT's form, so that everything else here can load it.

The SDK of today exports files with signed addresses; older servers give one archive, or a folder if they are on this
machine. Nothing is taken for an adapter before it was checked.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from errorbook.adapters.tinker.connection import Connection, GoneError
from errorbook.adapters.trainers.adapter_check import CONFIG, WEIGHTS
from errorbook.errors import ModelError, OutageError

_EXPORT_SECONDS = 3600
"""How long an export may stay at the server if it is not deleted: the least that it takes."""


def fetch_adapter(connection: Connection, sampler: str, open_client: Callable[[], Any], folder: Path) -> None:
    """Write the adapter that a sampler's path stands for into `folder`; `open_client` gives one with its weights.

    Raises:
        OutageError: It could not be fetched; the same command tries again.
        ModelError: What the server gives is no adapter.
    """
    rest = connection.rest()
    if hasattr(rest, "get_external_weights_urls"):
        _fetch_files(connection, rest, open_client(), folder)
    else:
        found = connection.wait(
            lambda: rest.get_checkpoint_archive_url_from_tinker_path(sampler), "asking for the adapter"
        )
        _fetch_archive(connection, str(found.url), folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(
                f"{connection.host.name} gave no {name} for '{sampler}'; fetch the adapter with its own tools and"
                " convert it to PEFT's form."
            )


def _fetch_files(connection: Connection, rest: Any, client: Any, folder: Path) -> None:
    """The adapter's files of an export that is made for this and deleted afterwards."""
    saved = connection.wait(lambda: client.save_weights_external("adapter", ttl_seconds=_EXPORT_SECONDS), "exporting")
    try:
        listed = connection.wait(lambda: rest.get_external_weights_urls(saved.path), "asking for the adapter")
        wanted = {Path(name).name: url for name, url in listed.urls.items() if Path(name).name in {CONFIG, WEIGHTS}}
        connection.wait(
            partial(_fetch, connection, {folder / name: url for name, url in wanted.items()}), "fetching the adapter"
        )
    finally:
        connection.delete(saved.path)


def _fetch_archive(connection: Connection, url: str, folder: Path) -> None:
    parts = urlsplit(url)
    here = Path(unquote(parts.path))
    if parts.scheme == "file":
        source = next((file.parent for file in sorted(here.rglob(CONFIG))), here) if here.is_dir() else here.parent
        for name in (CONFIG, WEIGHTS):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        return
    archive = folder / "archive.tar"
    connection.wait(lambda: _fetch(connection, {archive: url}), "fetching the adapter")
    try:
        with tarfile.open(archive) as opened:
            for member in opened.getmembers():
                if Path(member.name).name in {CONFIG, WEIGHTS} and member.isfile():
                    member.name = Path(member.name).name
                    opened.extract(member, folder, filter="data")
    except tarfile.TarError as error:
        raise OutageError(
            f"The archive of the adapter cannot be read ({error}); give the same command again."
        ) from None
    archive.unlink()


def _fetch(connection: Connection, urls: Mapping[Path, str]) -> None:
    """Files from signed addresses, which need no key."""
    import httpx

    with httpx.Client(timeout=min(60.0, connection.host.patience), follow_redirects=True) as client:
        for file, url in urls.items():
            with client.stream("GET", url) as answer:
                if answer.status_code == 404:
                    raise GoneError(f"{connection.host.name} has the adapter no more; give the same command again.")
                answer.raise_for_status()
                with file.open("wb") as out:
                    for part in answer.iter_bytes():
                        out.write(part)

"""The folder of one export: written beside its place and moved there when it is whole, with a list of its files.

Nothing that was not written by an export is ever removed or written over.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from errorbook.errors import UserError
from errorbook.files import format_json, require_place
from errorbook.ledger.schema import LEDGER

MANIFEST = "export.json"
"""The file that says what an export is and which files belong to it."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was exported, of which run and checkpoint, by which version, into which files."""

    what: str
    run: str
    checkpoint: str
    errorbook: str
    files: tuple[str, ...] = ()


@contextmanager
def fill_folder(folder: Path, manifest: Manifest, *, force: bool) -> Iterator[Path]:
    """A temporary folder to write to; when the block ends well, its files are moved to `folder`.

    Args:
        folder: Where the export belongs.
        manifest: What is exported; its files are found here.
        force: Take the place of an earlier export. Other files in the folder stay.

    Raises:
        UserError: The folder holds something else, or an earlier export and `force` is not given.
    """
    _check(folder, force=force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield making
        written = sorted(path.relative_to(making).as_posix() for path in making.rglob("*") if path.is_file())
        said = msgspec.structs.replace(manifest, files=tuple(written))
        (making / MANIFEST).write_text(format_json(said), encoding="utf-8")
        _require_free(folder, written)
        _remove_earlier(folder)
        for name in (MANIFEST, *written):  # the list first, so that what was moved by then can be replaced
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (making / name).chmod(0o644)
            (making / name).replace(folder / name)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def require_export(folder: Path) -> None:
    """Refuse a folder for exports that is a run's own, or where none can be made.

    Raises:
        UserError: It is one.
    """
    require_place(folder)
    if (folder / LEDGER).exists():
        raise UserError(f"'{folder}' is a run's own folder; give --out a folder below it, or another one.")


def _check(folder: Path, *, force: bool) -> None:
    require_export(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file; give another --out folder.")
    if _earlier(folder) and not force:
        raise UserError(f"'{folder}' holds an export already; give --force to replace it, or another --out folder.")


def _earlier(folder: Path) -> tuple[str, ...]:
    """The files of an earlier export into this folder."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return ()
    except msgspec.DecodeError:
        raise UserError(f"'{folder / MANIFEST}' was not written by an export; give another --out folder.") from None
    inside = (name for name in manifest.files if folder.resolve() in (folder / name).resolve().parents)
    return (*inside, MANIFEST)


def _require_free(folder: Path, names: list[str]) -> None:
    earlier = set(_earlier(folder))
    foreign = [name for name in names if name not in earlier and (folder / name).exists()]
    if foreign:
        raise UserError(f"'{folder / foreign[0]}' is not of an export and stays; give another --out folder.")


def _remove_earlier(folder: Path) -> None:
    for name in _earlier(folder):
        (folder / name).unlink(missing_ok=True)

"""A checkpoint's folder as one value that can be sent to another machine, and back into a folder there.

It does not compress or cut: what is sent has to fit in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from errorbook.errors import ModelError
from errorbook.files import create_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FolderParcel(NamedTuple):
    """The files of a folder with their paths in it; arrays, because Ray shares those without copying them."""

    files: tuple[tuple[str, NDArray[np.uint8]], ...]


def pack(folder: Path) -> FolderParcel:
    """Every file below the folder. Raises ModelError if there is none."""
    import numpy as np

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise ModelError(f"The checkpoint's weights are missing from '{folder}'; restore the run's folder and resume.")
    return FolderParcel(tuple((path.relative_to(folder).as_posix(), np.fromfile(path, np.uint8)) for path in paths))


def unpack(parcel: FolderParcel, folder: Path) -> None:
    """Write the files to `folder`, all or nothing; if another process was quicker, its folder stays."""
    if folder.is_dir():
        return
    with create_folder(folder) as making:
        for name, content in parcel.files:
            path = making / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content.tofile(path)

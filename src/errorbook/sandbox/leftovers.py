"""Removes folders that killed processes left in the system's temporary folder, and none that is in use.

A folder in use is locked by the process that uses it; the kernel gives up that lock when the process ends, however it
ends. Only folders of this user, of this name and not brand new are looked at, and symbolic links are never followed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

_NEW = 60.0
"""Seconds: a folder this young may be one whose process has not locked it yet."""


def claim(folder: Path) -> None:
    """Lock a folder for as long as this process lives."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def sweep(prefix: str) -> list[Path]:
    """Remove what nobody uses any more, and return it; what cannot be removed stays, and is no error."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if _is_stale(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _is_stale(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or time.time() - found.st_ctime < _NEW:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True

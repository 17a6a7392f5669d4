"""Folders outside any run: the cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """Folder for everything that can be made again; the environment variable ERRORBOOK_CACHE overrides it."""
    from platformdirs import user_cache_path

    override = os.environ.get("ERRORBOOK_CACHE")
    return Path(override).expanduser() if override else user_cache_path("errorbook")

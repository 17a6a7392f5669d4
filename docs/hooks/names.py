"""Gives the theme's search dialog the name that it lacks for people who hear the page."""

from __future__ import annotations

from typing import Any

_DIALOG = 'data-md-component="search" role="dialog"'


def on_post_page(output: str, **_: Any) -> str:
    """Called by MkDocs with each page's HTML."""
    return output.replace(_DIALOG, f'{_DIALOG} aria-label="Search"')

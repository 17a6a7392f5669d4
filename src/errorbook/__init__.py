"""Errorbook makes a small language model better by learning from its own errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from errorbook.cli.notebook import run
    from errorbook.ledger.file import open_ledger
    from errorbook.version import __version__

__all__ = ["__version__", "open_ledger", "run"]

_LAZY = {"run": "errorbook.cli.notebook", "open_ledger": "errorbook.ledger.file", "__version__": "errorbook.version"}


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that `import errorbook` stays light."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'errorbook' has no attribute '{name}'")

"""Entry-point lookup by name: one group per kind, loaded lazily, unknown and doubled names explained.

Built-ins are declared in this project's own pyproject.toml and take the same road as anybody else's plugin.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import msgspec

from errorbook.errors import ConfigError, ErrorbookError, PluginError

Kind = Literal["tasks", "scorers", "targets", "instructors", "trainers", "retrievers"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plugin came from: its kind, name, distribution and version."""

    kind: Kind
    name: str
    distribution: str
    version: str


def names(kind: Kind) -> list[str]:
    """The known names of one kind, sorted."""
    return sorted({entry.name for entry in entry_points(group=f"errorbook.{kind}")})


def find(kind: Kind, name: str) -> EntryPoint:
    """The one entry point called `name`. Raises PluginError where there is none, or more than one."""
    found = {(entry.value, _distribution(entry)): entry for entry in entry_points(group=f"errorbook.{kind}", name=name)}
    if not found:
        known = names(kind)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise PluginError(f"There is no {kind[:-1]} called '{name}'; known: {', '.join(known) or 'none'}.{hint}")
    if len(found) > 1:
        owners = ", ".join(sorted(f"{value} ({owner})" for value, owner in found))
        raise PluginError(f"The {kind[:-1]} '{name}' is defined more than once: {owners}; uninstall all but one.")
    return next(iter(found.values()))


def origin(kind: Kind, name: str) -> Origin:
    """Name and version of a plugin's distribution, for the ledger."""
    entry = find(kind, name)
    version = entry.dist.version if entry.dist else "unknown"
    return Origin(kind=kind, name=name, distribution=_distribution(entry), version=version)


def create(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Load the plugin and call its factory with `options` as keywords.

    Raises PluginError where it cannot be loaded, ConfigError where an option is unknown or missing.
    """
    entry = find(kind, name)
    try:
        factory = entry.load()
    except ErrorbookError:
        raise
    except ImportError as error:
        raise PluginError(f"The {kind[:-1]} '{name}' could not be loaded ({error}); run 'errorbook doctor'.") from error
    chosen = dict(options or {})
    _check_options(kind, name, factory, chosen)
    return factory(**chosen)


def _check_options(kind: Kind, name: str, factory: Any, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in options:
        if key not in parameters:
            close = difflib.get_close_matches(key, parameters, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(parameters) or 'none'}."
            raise ConfigError(f"The {kind[:-1]} '{name}' has no option '{key}'; {hint}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ConfigError(f"The {kind[:-1]} '{name}' needs the option '{key}'; add it to the run file.")


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"

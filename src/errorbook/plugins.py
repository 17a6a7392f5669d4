"""Entry-point lookup by name: one group per kind, loaded lazily, unknown and doubled names explained.

Built-ins are declared in this project's own pyproject.toml and take the same road as anybody else's plugin.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Interval

from errorbook.errors import ConfigError, PluginError
from errorbook.files import find_unfit, shorten

Tokens = Annotated[int, Interval(ge=1, le=10_000_000)]
"""An option that caps a text."""
Seconds = Annotated[float, Interval(ge=0.001, le=604_800)]
"""An option that limits a wait."""
AtOnce = Annotated[int, Interval(ge=1, le=100_000)]
"""An option that says how many are asked or held at once."""
Count = Annotated[int, Interval(ge=0, le=10_000_000)]
"""An option that says how many there are."""
Dollars = Annotated[float, Interval(ge=0, le=10_000_000)]
"""An option that is money, or the price of a million tokens."""
Share = Annotated[float, Interval(ge=0, le=1)]
"""An option that is a part of the whole."""
Seed = Annotated[int, Interval(ge=0, lt=2**32)]
"""An option with which random draws begin."""
Kind = Literal["tasks", "scorers", "targets", "instructors", "trainers", "retrievers", "sinks"]
_SECTIONS: dict[Kind, str] = {
    "tasks": "[[tasks]]",
    "scorers": "[[tasks]]",
    "targets": "[target]",
    "instructors": "[instructor]",
    "trainers": "[train]",
    "retrievers": "[strategy]",
    "sinks": "[[sinks]] or --option",
}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plugin came from: its kind, name, distribution and version."""

    kind: Kind
    name: str
    distribution: str
    version: str


def names(kind: Kind) -> list[str]:
    """The known names of one kind, sorted."""
    return sorted({entry.name for entry in _entries(kind, tuple(sys.path))})


def find(kind: Kind, name: str) -> EntryPoint:
    """The one entry point called `name`. Raises PluginError if there is none, or more than one."""
    entries = [entry for entry in _entries(kind, tuple(sys.path)) if entry.name == name]
    if len(entries) == 1:  # reading a distribution's name takes milliseconds, and this is asked a hundred times a run
        return entries[0]
    found = {(entry.value, _distribution(entry)): entry for entry in entries}
    if not found:
        known = names(kind)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise PluginError(f"There is no {kind[:-1]} called '{name}'; known: {', '.join(known) or 'none'}.{hint}")
    if len(found) > 1:
        owners = ", ".join(sorted(f"{value} ({owner})" for value, owner in found))
        raise PluginError(f"The {kind[:-1]} '{name}' is defined more than once: {owners}; uninstall all but one.")
    return next(iter(found.values()))


def find_origin(kind: Kind, name: str) -> Origin:
    """Name and version of a plugin's distribution, for the ledger."""
    entry = find(kind, name)
    version = entry.dist.version if entry.dist else "unknown"
    return Origin(kind=kind, name=name, distribution=_distribution(entry), version=version)


def load(kind: Kind, name: str) -> Any:
    """The plugin's factory. Raises PluginError if it cannot be imported."""
    try:
        return find(kind, name).load()
    except ImportError as error:
        raise PluginError(f"The {kind[:-1]} '{name}' could not be loaded ({error}); run 'errorbook doctor'.") from error


def implements(kind: Kind, name: str, protocol: type) -> bool:
    """Whether a plugin's factory has what an optional protocol asks for; one that is not installed has nothing."""
    return name in names(kind) and isinstance(load(kind, name), protocol)


def create(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Load the plugin and call its factory with `options` as keywords.

    Raises PluginError if it cannot be loaded, ConfigError if an option is unknown, missing, of a wrong type, out of
    its range, or refused by the factory with a ValueError or TypeError.
    """
    chosen = check(kind, name, options or {})
    try:
        return load(kind, name)(**chosen)
    except (TypeError, ValueError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            f"The {kind[:-1]} '{name}' cannot be made with its keys in {_SECTIONS[kind]} ({why}); correct them."
        ) from error


def list_options(kind: Kind, name: str) -> dict[str, inspect.Parameter]:
    """The options that a plugin's factory takes, by name.

    A factory whose attribute `options` is a record (a msgspec Struct) takes that record's fields as `**options`.
    """
    factory = load(kind, name)
    found: dict[str, inspect.Parameter] = {}
    for key, parameter in inspect.signature(factory).parameters.items():
        fields = _shared_options(factory) if parameter.kind is parameter.VAR_KEYWORD else ()
        shared = [
            inspect.Parameter(field.encode_name, parameter.KEYWORD_ONLY, default=field.default) for field in fields
        ]
        found |= {option.name: option for option in shared} or {key: parameter}
    return found


def option_types(factory: Any) -> dict[str, Any]:
    """What each option of a factory must be, with its range, as far as the factory says it."""
    own = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory, include_extras=True)
    return {field.encode_name: field.type for field in _shared_options(factory)} | own


def check(kind: Kind, name: str, options: Mapping[str, Any] | None, also: Collection[str] = ()) -> dict[str, Any]:
    """Check options against the plugin's own signature and return those it takes.

    None checks only that the plugin is there. `also` names keys of the run file that a misspelt option may have
    meant. `model` is dropped if the factory takes none.
    """
    if options is None:
        load(kind, name)
        return {}
    parameters = list_options(kind, name)
    chosen = {key: value for key, value in options.items() if key in parameters or key != "model"}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for key in chosen:
            if key not in parameters:
                raise ConfigError(f"The {kind[:-1]} '{name}' has no key '{key}'; {suggest(key, (*parameters, *also))}")
    for key, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if required and key not in chosen:
            raise ConfigError(f"The {kind[:-1]} '{name}' needs the key '{key}'; add it to the run file.")
    return {key: _convert(kind, name, key, value) for key, value in chosen.items()}


def suggest(key: str, known: Iterable[str]) -> str:
    """What to write for a key that is not known: the nearest one that is, or all of them."""
    names = sorted(set(known) - {"options"})
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}."


def _convert(kind: Kind, name: str, key: str, value: Any) -> Any:
    if fault := find_unfit(value, key):
        raise ConfigError(f"The {kind[:-1]} '{name}' cannot take this: {fault}")
    hint = option_types(load(kind, name)).get(key)
    if hint is None:
        return value
    try:
        return msgspec.convert(value, _with_ranges(hint))
    except msgspec.ValidationError as error:
        said = f"The key '{key}' of the {kind[:-1]} '{name}'"
        if get_origin(hint) is Literal:
            takes = ", ".join(f"'{choice}'" for choice in get_args(hint))
            raise ConfigError(f"{said} has a wrong value, {shorten(value)}; it takes {takes}.") from None
        limits = " and ".join(describe_range(hint))
        if limits and isinstance(value, int | float | str) and not isinstance(value, bool):
            raise ConfigError(f"{said} is {shorten(value)}; it must be a number {limits}.") from None
        wanted = describe_type(hint)
        takes = f", {shorten(value)}; it must be {wanted}." if wanted else f": {error}."
        raise ConfigError(f"{said} has a wrong value{takes}") from None
    except (TypeError, NameError):  # an annotation that msgspec cannot check, such as a protocol
        return value


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_MANY = {"text": "texts", "a whole number": "whole numbers", "a number": "numbers"}
"""The same of several."""


def describe_type(hint: Any) -> str:
    """What an annotation takes, in the words of a run file; empty if it takes anything, or has no such words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join(filter(None, (describe_type(arguments[0]), " and ".join(describe_range(hint)))))
    if origin is Literal:
        return " or ".join(f"'{choice}'" for choice in arguments)
    if origin in {Union, UnionType}:
        kinds = [describe_type(part) for part in arguments if part is not type(None)]
        return " or ".join(dict.fromkeys(kinds)) if all(kinds) else ""
    if (shape := origin or hint) in {list, tuple, dict, Sequence, Mapping}:
        inner = describe_type(arguments[shape in {dict, Mapping}]) if arguments else ""
        whole = "a table" if shape in {dict, Mapping} else "a list"
        one = next(
            (word for word in _MANY if inner == word or (inner.startswith(f"{word} ") and " or " not in inner)), ""
        )
        return f"{whole} of {_MANY[one]}{inner.removeprefix(one)}" if one else whole
    return _WORDS.get(hint, "") if isinstance(hint, type) else ""


def describe_range(hint: Any) -> Iterator[str]:
    """The range that an annotation states for a number, in words; nothing if it states none."""
    for limit in getattr(hint, "__metadata__", ()):
        if isinstance(limit, Interval):
            if limit.gt is not None and limit.lt is not None:
                yield f"between {limit.gt} and {limit.lt}"
                return
            words = {"above": limit.gt, "at least": limit.ge, "below": limit.lt, "at most": limit.le}
            yield from (f"{word} {bound}" for word, bound in words.items() if bound is not None)
    for part in get_args(hint):
        yield from describe_range(part)


def _with_ranges(hint: Any) -> Any:
    """An annotation with every `Interval` repeated as msgspec reads it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for limit in hint.__metadata__:
            if isinstance(limit, Interval):
                bounds: dict[str, Any] = {name: getattr(limit, name) for name in ("gt", "ge", "lt", "le")}
                hint = Annotated[hint, msgspec.Meta(**bounds)]
        return hint
    if origin in {Union, UnionType}:
        return reduce(or_, map(_with_ranges, arguments))
    return origin[tuple(map(_with_ranges, arguments))] if origin in {list, tuple} else hint


def _shared_options(factory: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    record = getattr(factory, "options", None)
    return msgspec.structs.fields(record) if inspect.isclass(record) and issubclass(record, msgspec.Struct) else ()


@cache
def _entries(kind: Kind, path: tuple[str, ...]) -> EntryPoints:
    """The entry points of one kind; reading those of all distributions takes milliseconds, so once for each `path`."""
    del path  # `entry_points` reads sys.path itself
    return entry_points(group=f"errorbook.{kind}")


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"

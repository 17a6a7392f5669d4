"""Tables of the reference, made from the program itself while the site is built, so that they cannot go stale.

Only what a key is for is written by hand, in `meanings.toml`; a key without a meaning and a meaning without a key stop
the build. A page asks for a table with a line `<!-- reference: run-file -->`. It covers the run file's sections, the
options of plugins, the prompt files and the book's keys; commands and Python come from their own extensions.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from errorbook import config, plugins

MEANINGS = Path(__file__).with_name("meanings.toml")
MARK = re.compile(r"^<!-- reference: ([a-z-]+) -->$", re.M)
OWN = {"workspace", "strategy", "target", "store", "run", "identity", "folder"}
"""Options that Errorbook sets by itself; a run file does not give them."""
BARE = {"–", "required"}
_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "table"}
_ENTRY = re.compile(r"^ {4}(\w+): ")


TITLES = {
    "targets": "Targets: `engine` in `[target]`",
    "instructors": "Instructors: `kind` in `[instructor]`",
    "tasks": "Tasks: `name` or `kind` in `[[tasks]]`",
    "scorers": "Scorers: `scorer_options` in `[[tasks]]`",
    "trainers": "Trainers: `method` in `[train]`",
    "sinks": "Sinks: `kind` in `[[sinks]]`",
}
"""The kinds of plugins that take options from the run file."""


class Key(NamedTuple):
    """One key of the run file as a row of a table."""

    name: str
    kind: str
    default: str
    meaning: str


class Section(NamedTuple):
    """A table with its heading and what is said before it."""

    title: str
    text: str
    keys: tuple[Key, ...]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page: marks become tables."""
    return MARK.sub(lambda mark: TABLES[mark[1]](), markdown)


def sections() -> Iterator[Section]:
    """The run file's sections in their order, as `config` defines them."""
    meanings = _meanings()["run-file"]
    for field in msgspec.structs.fields(config.Config):
        kind = get_args(field.type)[0] if get_origin(field.type) is tuple else field.type
        if field.name not in meanings:
            raise KeyError(f"Say in {MEANINGS.name} what the keys of the section '{field.name}' are for.")
        known = meanings[field.name]
        keys = tuple(_key(item, known) for item in msgspec.structs.fields(kind) if item.name != "options")
        _require_empty(known, f"section {field.name}")
        title = f"[[{field.name}]]" if kind is not field.type else f"[{field.name}]"
        yield Section(title, _paragraphs(kind.__doc__ or ""), keys)


def options(kind: plugins.Kind, name: str) -> tuple[Key, ...]:
    """The options of one plugin, as its factory's signature and docstring say them."""
    factory = plugins.load(kind, name)
    made = factory.__init__ if inspect.isclass(factory) else factory
    hints = plugins.option_types(factory)
    documented = (getattr(factory, "options", None), factory, made)
    told = {key: said for item in documented for key, said in _arguments(inspect.getdoc(item) or "").items()}
    common = _meanings()["sinks" if str(kind) == "sinks" else "options"]
    rows = []
    for key, parameter in plugins.list_options(kind, name).items():
        meaning = common.get(f"{name}.{key}") or told.get(key) or common.get(key)
        if meaning is None and key not in OWN:
            raise KeyError(
                f"Say in {MEANINGS.name}, section [options], what '{key}' of the {kind[:-1]} '{name}' is for."
            )
        if meaning is not None and key not in OWN:
            rows.append(Key(key, typed(hints.get(key, str)), valued(parameter.default), meaning))
    return tuple(rows)


def typed(hint: Any) -> str:
    """A type as people say it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return typed(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{valued(item)}`" for item in arguments)
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(typed(item) for item in arguments if item is not NoneType))
    if origin in {tuple, list} or getattr(origin, "__name__", "") == "Sequence":
        return f"list of {typed(arguments[0])}"
    return _NAMES.get(origin or hint, "text")


def valued(value: Any) -> str:
    """A default as the run file writes it; a dash if nothing is set."""
    if value is inspect.Parameter.empty or value is msgspec.NODEFAULT:
        return "required"
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\n", "\\n") + '"'
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(valued, value)) + "]"
    return "{}" if value == {} else f"{value:g}" if isinstance(value, float) else str(value)


def _run_file() -> str:
    return "\n\n".join(
        f"## `{section.title}` {{ #{section.title.strip('[]')} }}\n\n{section.text}\n\n{_table(section.keys)}"
        for section in sections()
    )


def _plugins() -> str:
    parts = []
    for kind in get_args(plugins.Kind):
        if kind in TITLES:
            parts += [f"## {TITLES[kind]}", *(_plugin(kind, name) for name in _own(kind))]
    return "\n\n".join(parts)


def _own(kind: plugins.Kind) -> list[str]:
    """The plugins that Errorbook itself brings, whatever else is installed on the machine that builds the site."""
    return [name for name in plugins.names(kind) if plugins.find_origin(kind, name).distribution == "errorbook"]


def _plugin(kind: plugins.Kind, name: str) -> str:
    about, keys = _about(plugins.load(kind, name)), options(kind, name)
    return f"### `{name}` {{ #{kind}-{name} }}\n\n{about}\n\n{_table(keys) if keys else 'No options.'}"


def _about(factory: Any) -> str:
    """What a plugin is, in its first paragraph: a class whose own words name protocols says it in its module."""
    own = inspect.getdoc(factory) or ""
    said = own if not own.startswith("Implements") else inspect.getmodule(factory).__doc__ or ""  # type: ignore[union-attr]
    return said.strip().split("\n\n")[0].replace("\n", " ")


def _prompts() -> str:
    from importlib.resources import files

    folder = files("errorbook").joinpath("prompts")
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return "\n\n".join(f"### {file.name}\n\n````jinja\n{file.read_text('utf-8').strip()}\n````" for file in found)


def _keys() -> str:
    from errorbook.render.pages.environment import KEYS

    head = "| Key | Does |\n|---|---|\n"
    return head + "\n".join(f"| {' '.join(f'`{part}`' for part in key.split())} | {does} |" for key, does in KEYS)


TABLES: dict[str, Callable[[], str]] = {"run-file": _run_file, "plugins": _plugins, "prompts": _prompts, "keys": _keys}


def _key(field: msgspec.structs.FieldInfo, known: dict[str, str]) -> Key:
    if field.name not in known:
        raise KeyError(f"Say in {MEANINGS.name} what the key '{field.name}' of the run file is for.")
    return Key(field.name, typed(field.type), valued(field.default), known.pop(field.name))


def _table(keys: tuple[Key, ...]) -> str:
    head = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n"
    return head + "\n".join(
        f"| `{key.name}` | {key.kind} | {key.default if key.default in BARE else f'`{key.default}`'} |"
        f" {key.meaning.replace('|', chr(92) + '|')} |"
        for key in keys
    )


def _meanings() -> dict[str, Any]:
    return tomllib.loads(MEANINGS.read_text(encoding="utf-8"))


def _require_empty(left: dict[str, Any], where: str) -> None:
    if left:
        raise KeyError(f"{MEANINGS.name} explains {', '.join(left)} in {where}, which there is no longer; take it out.")


def _paragraphs(docstring: str) -> str:
    """A section's docstring without its first words, which repeat the heading."""
    text = re.sub(r"^`\[+\w+\]+`: ", "", inspect.cleandoc(docstring))
    return text[:1].upper() + text[1:]


def _arguments(docstring: str) -> dict[str, str]:
    """What a docstring says under `Args:`, by name."""
    _, _, rest = docstring.partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if not line.startswith("    "):
            break
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
        text = line[entry.end() :] if entry else line.strip()
        found[name] = f"{found.get(name, '')} {text}".strip()
    return found

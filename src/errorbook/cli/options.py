"""What the commands share: their common options, and how they print data and complaints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from errorbook.errors import ConfigError

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
OUT = click.option("--out", type=click.Path(path_type=Path), help="The run's folder; made if missing.")
FILE = click.argument("file", type=click.Path(path_type=Path))
TASK_OPTION = click.option(
    "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the task, such as path=my.jsonl."
)
FOLDER = click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)

if TYPE_CHECKING:
    _ParamType = click.ParamType[str]
else:  # generic for the type checker only, before click 8.5
    _ParamType = click.ParamType


class StrategyName(_ParamType):
    """The name of a strategy. The names are looked up only when a command needs them, since that takes a while."""

    name = "strategy"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As `click.Choice`."""
        return _strategies().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """As `click.Choice`."""
        return _strategies().get_metavar(param, ctx)


def _strategies() -> click.Choice[str]:
    from errorbook.strategies.table import NAMES

    return click.Choice(NAMES)


def print_json(value: object) -> None:
    """Print a value as indented JSON on stdout."""
    from errorbook.files import format_json

    click.echo(format_json(value), nl=False)


def complain(sentence: str) -> None:
    """Print a sentence for people on stderr, as one line: what a user or a server wrote may hold line breaks."""
    click.echo(f"errorbook: {_BREAKS.sub(' ', sentence)}", err=True)


def parse_options(pairs: Sequence[str], flag: str = "--option") -> dict[str, Any]:
    """Options given as KEY=VALUE by `flag`; a value is read as in a run file, and is text if it is nothing else there.

    Raises:
        ConfigError: A pair has no '=', or a key comes twice.
    """
    from errorbook.files import find_unfit, parse_toml

    found: dict[str, Any] = {}
    for pair in pairs:
        key, mark, value = pair.partition("=")
        if not mark or not key or key in found:
            raise ConfigError(f"{flag} {pair} is not a new KEY=VALUE; write each option once, such as path=my.jsonl.")
        try:
            found[key] = parse_toml(f"value = {value}")["value"]
        except ValueError:
            found[key] = value
        if fault := find_unfit(found[key], key):
            raise ConfigError(f"{flag}: {fault}")
    return found

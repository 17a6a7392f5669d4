"""`python -m errorbook.testing`: the test server in a process of its own. The flags are the dials of `settings`.

Prints its base URL on standard output when it is ready, and its counts as JSON when it is stopped (Ctrl-C).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from errorbook.testing.server import find_script, listen
from errorbook.testing.settings import Faults, Settings
from errorbook.testing.wire import Script


class Dials(msgspec.Struct, frozen=True):
    """Both records at once, as another process hands them over."""

    settings: Settings
    faults: Faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the process is told to stop; 2 if a flag, the script or the port is wrong."""
    options = _parser().parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    try:
        dials = msgspec.json.decode(options.dials, type=Dials) if options.dials else _read_dials(given)
        script = find_script(options.script)
        listening = listen(options.host, options.port)
    except (msgspec.ValidationError, ImportError, OSError) as error:
        print(f"The test server cannot start: {error}.", file=sys.stderr)  # noqa: T201
        return 2
    asyncio.run(_serve(dials, script, listening, quiet=bool(options.dials)))
    return 0


async def _serve(dials: Dials, script: Script | None, listening: Any, *, quiet: bool) -> None:
    from errorbook.testing.app import serve
    from errorbook.testing.desk import ServerState

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    desk = ServerState(dials.settings, dials.faults, script)
    listening.listen(1024)
    host, port = listening.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    print(f"http://{place}:{port}/v1", flush=True)  # noqa: T201
    await serve(desk, listening, stop)
    if not quiet:
        print(msgspec.json.encode(desk.counts.stats()).decode(), file=sys.stderr)  # noqa: T201


def _read_dials(given: dict[str, Any]) -> Dials:
    def chosen(record: type[msgspec.Struct]) -> dict[str, Any]:
        return {field: given[field] for field in record.__struct_fields__ if field in given}

    settings = msgspec.convert(chosen(Settings), Settings, strict=False)
    return Dials(settings, msgspec.convert(chosen(Faults), Faults, strict=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m errorbook.testing", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--script", help="function that computes the replies, as module:function")
    parser.add_argument("--dials", help=argparse.SUPPRESS)
    for title, record in (("healthy replies", Settings), ("faults", Faults)):
        group = parser.add_argument_group(title)
        for field in msgspec.structs.fields(record):
            _add_flag(group, field)
    return parser


def _add_flag(group: Any, field: msgspec.structs.FieldInfo) -> None:
    about, kind = _describe(msgspec.inspect.type_info(field.type))
    flag = "--" + field.name.replace("_", "-")
    if isinstance(kind, msgspec.inspect.BoolType):
        group.add_argument(flag, action="store_const", const=True, help=about)
    elif isinstance(kind, msgspec.inspect.VarTupleType):
        group.add_argument(flag, nargs="+", metavar="NAME", help=about)
    else:
        group.add_argument(flag, metavar="X", help=f"{about} (default: {field.default!r})")


def _describe(kind: msgspec.inspect.Type) -> tuple[str, msgspec.inspect.Type]:
    if isinstance(kind, msgspec.inspect.Metadata):
        about = str((kind.extra_json_schema or {}).get("description", ""))
        return about.replace("%", "%%"), kind.type
    return "", kind


if __name__ == "__main__":
    raise SystemExit(main())

"""How fast, how safe and how frugal the engine behind the instructors is, measured over real sockets.

    python -m benchmarks.instructor
    python -m benchmarks.instructor --base-url http://127.0.0.1:8000/v1 --calls 2000 --concurrency 64 --json

The first form starts the test server in a process of its own (200 ms a reply), runs every trial of
`instructor_trials` against it and prints the table; it exits with 1 if a trial misses its mark. The second form
runs the engine once, cache and validation on, against a server that is already running.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.instructor_client import SCHEMA, Outcome, run_engine, run_plain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine once if an address is given, otherwise all trials; return the exit code."""
    options = _parser().parse_args(arguments)
    if not options.base_url:
        # A client's CPU time is measured, imports included: it does not load the trials and their server.
        from benchmarks.instructor_trials import run_trials

        return run_trials(options.trials, as_json=options.json)
    outcome = asyncio.run(run_plain(options)) if options.plain else run_engine(options)
    print(msgspec.json.encode(outcome).decode() if options.json else _sentence(outcome))
    if outcome.error:
        print(outcome.error, file=sys.stderr)
    return 1 if outcome.error or outcome.lost else 0


def _sentence(outcome: Outcome) -> str:
    return (
        f"{outcome.calls} calls at concurrency {outcome.concurrency}: {outcome.accepted} accepted, {outcome.rejected} "
        f"rejected, {outcome.failed} failed, {outcome.lost} lost; {outcome.cached} from the cache; "
        f"{outcome.seconds:.2f} s, {outcome.cpu_seconds:.2f} CPU s"
    )


def _parser() -> argparse.ArgumentParser:
    schema = f"With --base-url, the server's replies must be held to this JSON schema:\n\n  {SCHEMA}\n"
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructor",
        description=__doc__,
        epilog=schema,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base-url", help="address of a running server, ending in /v1; without it, all trials are run")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--model", default="local", help="the model's name at the server")
    parser.add_argument("--api-key-env", help="environment variable that holds the server's key, if it wants one")
    parser.add_argument("--store", type=Path, help="keep the cache in this file (default: a new one that is removed)")
    parser.add_argument("--plain", action="store_true", help="bare aiohttp instead of the engine, for comparison")
    parser.add_argument("--trials", nargs="+", metavar="NAME", help="only these: speed faults kill budget")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

"""How fast, how safe and how frugal the engine behind the instructors is, measured over real sockets.

    python -m benchmarks.instructor
    python -m benchmarks.instructor --base-url http://127.0.0.1:8000/v1 --calls 2000 --concurrency 64 --json

The first form starts the test server in a process of its own (200 ms a reply), runs every trial of
`instructor_trials` against it and prints the table; it exits with 1 where a trial misses its mark. The second form
runs the engine once, cache and validation on, against a server that is already running.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from errorbook.errors import ErrorbookError
from errorbook.llm.endpoint import Dialect
from errorbook.llm.engine import Engine
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Accepted, Ask, Failed, Message, Rejected
from errorbook.llm.structured import reader, schema_of


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every reply must be."""

    answer: str
    level: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the engine. `lost` are calls without any result; `cpu_seconds` are the whole process's."""

    calls: int
    concurrency: int
    accepted: int
    rejected: int
    failed: int
    lost: int
    cached: int
    seconds: float
    cpu_seconds: float
    error: str = ""


SCHEMA = schema_of(Answer)
SYSTEM = "You read a pupil's wrong answer and say in one sentence where it goes wrong, and how hard the question is."
QUESTION = (
    "A shop sells pencils in boxes of {0}. A class of {1} pupils needs two pencils each. How many boxes must the "
    "teacher buy, and how many pencils are left over? The pupil wrote: '{1} pupils and {0} pencils, so {0} boxes, and "
    "nothing is left over, because every pupil takes two of them home at the end of the day.'"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine once where an address is given, else all trials; the exit code."""
    options = _parser().parse_args(arguments)
    if not options.base_url:
        from benchmarks.instructor_trials import run_trials

        return run_trials(options.trials, as_json=options.json)
    outcome = asyncio.run(run_plain(options)) if options.plain else run_engine(options)
    print(msgspec.json.encode(outcome).decode() if options.json else _sentence(outcome))
    if outcome.error:
        print(outcome.error, file=sys.stderr)
    return 1 if outcome.error or outcome.lost else 0


def run_engine(options: argparse.Namespace) -> Outcome:
    """Ask `calls` different questions through the engine and count what becomes of them."""
    importlib.import_module("aiohttp")  # the engine loads it on first use: before the clock starts, as in `run_plain`
    results: dict[int, str] = {}
    cached, error = 0, ""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "calls.sqlite"
        endpoint = OpenAIChat(options.model, base_url=options.base_url, api_key_env=options.api_key_env)
        try:
            with Engine(endpoint, store=store, concurrency=options.concurrency) as engine:
                for result in engine.ask(asks(options.calls), reader(Answer)):
                    results[result.key] = kind(result)
                    cached += result.usage.cached
        except ErrorbookError as stopped:
            error = str(stopped)
        seconds = time.perf_counter() - start
    counts = Counter(results.values())
    return Outcome(
        calls=options.calls,
        concurrency=options.concurrency,
        accepted=counts["accepted"],
        rejected=counts["rejected"],
        failed=counts["failed"],
        lost=options.calls - len(results),
        cached=cached,
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu_seconds(), 3),
        error=error,
    )


async def run_plain(options: argparse.Namespace) -> Outcome:
    """The same calls through bare aiohttp, without cache, retries or a store: what the machine allows at all."""
    import aiohttp

    endpoint = OpenAIChat(options.model, base_url=options.base_url, api_key_env=options.api_key_env)
    waiting, read = asks(options.calls), reader(Answer)
    accepted = 0
    start = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=endpoint.headers()) as session:

        async def work() -> None:
            nonlocal accepted
            for _, ask in waiting:
                url, body = endpoint.build(ask, Dialect())
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    read(endpoint.read(await response.read()).text)
                    accepted += 1

        await asyncio.gather(*(work() for _ in range(options.concurrency)))
    seconds = time.perf_counter() - start
    return Outcome(
        calls=options.calls,
        concurrency=options.concurrency,
        accepted=accepted,
        rejected=0,
        failed=0,
        lost=options.calls - accepted,
        cached=0,
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu_seconds(), 3),
    )


def asks(calls: int) -> Iterator[tuple[int, Ask]]:
    """So many different questions, made as they are asked for."""
    for number in range(calls):
        question = f"Question {number}. {QUESTION.format(3 + number % 17, 20 + number % 11)}"
        messages = (Message(role="system", content=SYSTEM), Message(role="user", content=question))
        yield number, Ask(messages=messages, schema=SCHEMA, max_tokens=200)


def kind(result: Accepted[int, Answer] | Rejected[int] | Failed[int]) -> str:
    """The word for a result."""
    return type(result).__name__.lower()


def cpu_seconds() -> float:
    """CPU time of this process since its start, imports included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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

"""One run of the engine behind the instructors against a running server: what is asked, and what is counted.

`instructor` prints a run; `instructor_trials` holds many of them against their marks.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from errorbook.errors import ErrorbookError
from errorbook.llm.endpoint import Dialect
from errorbook.llm.engine import Engine
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Accepted, Ask, Failed, Rejected
from errorbook.llm.structured import check_form, make_reader, schema_of
from errorbook.records import Message


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
                for result in engine.ask(asks(options.calls), check_form(Answer)):
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
    waiting, read = asks(options.calls), make_reader(Answer)
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

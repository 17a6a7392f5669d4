"""The trials of `benchmarks.instructor`: speed, faults, a rerun from the cache, SIGKILL, and a budget's cap.

The server runs in a process of its own, and so does every client whose time, CPU or death is measured. What the engine
claims is checked against what the server counted. Rows of bare aiohttp say what the machine allows.
"""

from __future__ import annotations

import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec

from benchmarks.instructor_client import SCHEMA, Answer, Outcome
from errorbook.errors import BudgetError
from errorbook.llm.budget import Budget, Price
from errorbook.llm.engine import Engine
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Ask
from errorbook.llm.structured import check_form
from errorbook.records import Message
from errorbook.testing import Faults, Server, Settings, Stats, server

LATENCY = 0.2
CALLS = 2000
MIXES = 50
CAP = 1.0
# What the peers were measured with: a tenth of the replies goes wrong, in three ways.
TENTH = Faults(rate_limited=0.034, server_error=0.033, truncated=0.033)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table; `passed` is None if the line is there for comparison only."""

    trial: str
    must: str
    measured: str
    passed: bool | None = None


def run_trials(chosen: Sequence[str] | None, *, as_json: bool) -> int:
    """Run the trials, print the table; 1 if one missed its mark, 2 if a name is unknown."""
    known: dict[str, Callable[[Path], Iterator[Row]]] = {"speed": speed, "faults": faults, "kill": kill, "budget": caps}
    names = list(chosen or known)
    if unknown := [name for name in names if name not in known]:
        print(f"There is no trial '{unknown[0]}'; known: {', '.join(known)}.", file=sys.stderr)
        return 2
    machine = _machine()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for row in known[name](Path(folder)):
                rows.append(row)
                print(f"{row.trial}: {row.measured}", file=sys.stderr, flush=True)
    if as_json:
        print(msgspec.json.encode({"machine": machine, "rows": rows}).decode())
    else:
        print(f"{_table(rows)}\n\nMachine: {machine}.")
    return 1 if any(row.passed is False for row in rows) else 0


def speed(folder: Path) -> Iterator[Row]:
    """2,000 clean calls at 64 and at 256, then the first 2,000 again from the cache."""
    with server(Settings(latency=LATENCY), process=True) as provider:
        for concurrency, share, most_cpu in ((64, 0.90, None), (256, 0.75, 1.5)):
            limit = concurrency / LATENCY
            bare = _client(provider, concurrency, "--plain")
            yield Row(trial=f"bare aiohttp, {concurrency}", must="", measured=_pace(bare, limit))
            outcome = _client(provider, concurrency, "--store", str(folder / f"speed-{concurrency}.sqlite"))
            passed = _all_accepted(outcome) and outcome.calls / outcome.seconds >= share * limit
            must = f">= {share:.0%} of {limit:,.0f}/s"
            if most_cpu is not None:
                must += f", <= {most_cpu} CPU s per 1,000"
                passed = passed and 1000 * outcome.cpu_seconds / outcome.calls <= most_cpu
            name = f"{CALLS:,} calls, concurrency {concurrency}"
            yield Row(trial=name, must=must, measured=_pace(outcome, limit), passed=passed)
        before = provider.stats().requests
        outcome = _client(provider, 64, "--store", str(folder / "speed-64.sqlite"))
        sent = provider.stats().requests - before
        yield Row(
            trial=f"rerun of {CALLS:,} cached calls",
            must="0 calls, under 2 s",
            measured=f"{sent} calls, {outcome.seconds:.2f} s, {outcome.accepted:,} accepted, {outcome.lost} lost",
            passed=_all_accepted(outcome) and sent == 0 and outcome.seconds < 2,
        )


def faults(_: Path) -> Iterator[Row]:
    """2,000 calls of which a tenth goes wrong, against the time of 2,000 clean ones just before."""
    with server(Settings(latency=LATENCY), process=True) as provider:
        clean = _client(provider, 64)
        provider.change(TENTH)
        before = provider.stats()
        outcome = _client(provider, 64)
        after = provider.stats()
    ratio = outcome.seconds / clean.seconds
    met = ", ".join(f"{number - before.faults.get(name, 0)} {name}" for name, number in sorted(after.faults.items()))
    yield Row(
        trial="10% faults, concurrency 64",
        must="0 lost, <= 1.3 x the clean time",
        measured=f"{outcome.lost} lost, {outcome.accepted:,} accepted, {outcome.rejected} rejected, {outcome.failed} "
        f"failed; {ratio:.2f} x ({outcome.seconds:.2f} s against {clean.seconds:.2f} s); met {met}",
        passed=outcome.lost == 0 and _adds_up(outcome) and ratio <= 1.3,
    )


def kill(folder: Path) -> Iterator[Row]:
    """SIGKILL after 300 of 600 replies, then the same command again."""
    calls, concurrency = 600, 64
    options = ("--store", str(folder / "kill.sqlite"), "--calls", str(calls))
    with server(Settings(latency=LATENCY), process=True) as provider:
        with _started(provider, concurrency, *options) as client:
            at_death = _wait_for(provider, lambda stats: stats.answered >= calls // 2, client)
            client.send_signal(signal.SIGKILL)
        _wait_for(provider, lambda stats: stats.in_flight == 0)
        before = provider.stats().requests
        outcome = _client(provider, concurrency, *options)
        stats = provider.stats()
    again = stats.requests - stats.unique_prompts
    yield Row(
        trial=f"SIGKILL at {calls // 2} of {calls}, concurrency {concurrency}",
        must="buys at most the calls in flight again, 0 lost",
        measured=f"{again} bought again ({at_death.in_flight} in flight at the server when it was killed), "
        f"{before} + {stats.requests - before} requests, {outcome.accepted} accepted, {outcome.lost} lost",
        passed=again <= concurrency and _all_accepted(outcome),
    )


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """One random mix of prices (dollars per million tokens), lengths and faults."""

    price: Price
    prompt_bytes: int
    max_tokens: int
    calls: int
    concurrency: int
    settings: Settings
    faults: Faults


def caps(folder: Path) -> Iterator[Row]:
    """A cap of one dollar over random mixes; the bill is the server's own. Every mix is resumed once."""
    spent = []
    for number in range(MIXES):
        spent.append(_bill(_mix(Random(number)), folder / f"budget-{number}.sqlite"))
        if (number + 1) % 10 == 0:
            print(f"budget: {number + 1} of {MIXES} mixes", file=sys.stderr, flush=True)
    over = sum(bill > CAP + 1e-9 for bill in spent)
    yield Row(
        trial=f"budget ${CAP:.2f}, {MIXES} price and length mixes",
        must="never exceeded",
        measured=f"exceeded {over} times; spent ${min(spent):.3f} to ${max(spent):.3f}, "
        f"median ${statistics.median(spent):.3f}",
        passed=over == 0,
    )


def _mix(random: Random) -> Mix:
    """Prices such that a dollar is spent after some 20 to 400 calls; then three times as many calls are asked."""

    def spread(low: float, high: float) -> float:
        return math.exp(random.uniform(math.log(low), math.log(high)))

    prompt_bytes, max_tokens = int(spread(50, 20_000)), int(spread(32, 2048))
    longest = random.randint(1, max_tokens + max_tokens // 4)
    settings = Settings(
        latency=0.02,
        shortest=random.randint(0, longest),
        longest=longest,
        bytes_per_token=random.uniform(1.0, 4.5),
        seed=random.randrange(2**31),
    )
    expected_in = (prompt_bytes + len(SCHEMA)) / settings.bytes_per_token
    expected_out = min(max_tokens, (settings.shortest + longest) / 2 + 20)
    affordable, dearness = spread(20, 400), spread(1, 8)
    price_in = 1_000_000 * CAP / affordable / (expected_in + dearness * expected_out)
    broken = Faults(
        rate_limited=0.03, server_error=0.03, cut=0.02, cut_midway=0.02, truncated=0.04, malformed=0.02, retry_after=0
    )
    return Mix(
        price=Price(input=price_in, output=dearness * price_in),
        prompt_bytes=prompt_bytes,
        max_tokens=max_tokens,
        calls=int(3 * affordable),
        concurrency=random.choice([1, 8, 64, 256]),
        settings=settings,
        faults=broken if random.random() < 0.5 else Faults(),
    )


def _bill(mix: Mix, store: Path) -> float:
    """What the server would charge for a mix under the cap, in dollars."""
    with server(mix.settings, mix.faults) as provider:
        endpoint = OpenAIChat("local", base_url=provider.base_url)
        for _ in range(2):
            with Engine(
                endpoint, store=store, concurrency=mix.concurrency, budget=Budget(usd=CAP), price=mix.price
            ) as engine:
                try:
                    for _ in engine.ask(_long_asks(mix), check_form(Answer)):
                        pass
                except BudgetError:
                    continue
        stats = provider.stats()
    return (stats.input_tokens * mix.price.input + stats.output_tokens * mix.price.output) / 1_000_000


def _long_asks(mix: Mix) -> Iterator[tuple[int, Ask]]:
    for number in range(mix.calls):
        prompt = f"{number} " + "why " * (mix.prompt_bytes // 4)
        yield number, Ask(messages=(Message(role="user", content=prompt),), schema=SCHEMA, max_tokens=mix.max_tokens)


def _client(provider: Server, concurrency: int, *options: str) -> Outcome:
    """Run the second form of the benchmark to its end."""
    with _started(provider, concurrency, *options) as process:
        output, _ = process.communicate(timeout=600)
    return msgspec.json.decode(output, type=Outcome)


@contextmanager
def _started(provider: Server, concurrency: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.instructor", "--base-url", provider.base_url, "--json"]
    command += ["--concurrency", str(concurrency), "--calls", str(CALLS), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _wait_for(provider: Server, reached: Callable[[Stats], bool], client: subprocess.Popen[str] | None = None) -> Stats:
    while True:
        stats = provider.stats()
        if reached(stats):
            return stats
        if client is not None and client.poll() is not None:
            raise RuntimeError("The client ended before it could be killed.")
        time.sleep(0.005)


def _adds_up(outcome: Outcome) -> bool:
    return outcome.accepted + outcome.rejected + outcome.failed + outcome.lost == outcome.calls


def _all_accepted(outcome: Outcome) -> bool:
    return outcome.accepted == outcome.calls


def _pace(outcome: Outcome, limit: float) -> str:
    rate = outcome.calls / outcome.seconds
    cpu = 1000 * outcome.cpu_seconds / outcome.calls
    return f"{rate:,.0f}/s, {rate / limit:.0%}; {cpu:.2f} CPU s per 1,000; {outcome.lost} lost"


def _machine() -> str:
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, load {load:.1f} at the start"


def _table(rows: Sequence[Row]) -> str:
    words = {True: "yes", False: "**no**", None: ""}
    lines = ["| | must | measured | kept |", "|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {row.trial} | {row.must} | {row.measured} | {words[row.passed]} |" for row in rows)]
    )

"""Absurd replies of an instructor's server: texts within good envelopes in whole runs, and envelopes by themselves.

A good reply to the asked schema is mutated: other types, numbers that are none, halves of characters, lists without
end, programs that do not parse; the envelope counts tokens as none can, is nested or broken off. Counted are replies. A
run holds as `command` says; an envelope holds if it becomes a reply or a fault with its reason, and costs no less than
nothing.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

from benchmarks.torture.command import LIMIT, attempt
from benchmarks.torture.data_files import ODD
from benchmarks.torture.logs import mutate
from benchmarks.torture.part import Outcome
from benchmarks.torture.provider import Answer, chat, provider
from benchmarks.torture.run_files import offline, write_toml
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import Amount, Price, compute_spent
from errorbook.llm.faults import Fault
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.testing.fill import fill

_COUNTS: tuple[Any, ...] = (-1, -(10**12), 2**53, 2**64, 10**40, "7", None, 1.5, [])
_GOOD = {"prompt_tokens": 9, "completion_tokens": 9}
_USAGE: tuple[Any, ...] = (
    *(None, {}, _GOOD, _GOOD, _GOOD),
    *({"prompt_tokens": count, "completion_tokens": 5} for count in _COUNTS),
)
_PARTS = ("train", "dev", "test")
_ROWS: dict[str, list[dict[str, Any]]] = {
    "numeric": [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(1, 24)],
    "choice": [{"question": f"Which {n}?", "answer": "AB"[n % 2], "choices": [f"x{n}", f"y{n}"]} for n in range(24)],
    "exact": [{"question": f"Name {n}?", "answer": f"name {n}"} for n in range(24)],
}


def torment(seconds: float, seed: int) -> Outcome:
    """Absurd replies for about so many seconds: a third of them envelopes alone, the others whole runs."""
    rng = random.Random(f"replies {seed}")
    tried, broken = _try_envelopes(time.monotonic() + seconds / 3, rng)
    end = time.monotonic() + seconds * 2 / 3
    number = 0
    with tempfile.TemporaryDirectory(prefix="errorbook-torture-") as place, offline():
        while time.monotonic() < end:
            number += 1
            desk = Desk(rng.randrange(2**32))
            with provider(desk.answer) as url:
                command = prepare(Path(place), url, rng, number)
                # Three tries and blind votes take a few more seconds than a command without a server.
                found = attempt(command, Path(place), limit=3 * LIMIT)
            tried += desk.answered
            if found:
                broken.setdefault(found[:60], f"run {number} of seed {seed}: {found}")
    return Outcome(tried=tried, broken=tuple(broken.values()), figures={"runs": number})


class Desk:
    """Answers each request with a mutated reply; what it draws follows from its seed and the request."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self.answered = 0

    def answer(self, request: bytes) -> Answer:
        """One envelope with a mutated text."""
        with self._lock:
            self.answered += 1
        rng = random.Random(f"{self._seed} {zlib.crc32(request)}")
        asked = json.loads(request)
        schema = asked.get("response_format", {}).get("json_schema", {}).get("schema", {})
        value = fill(schema, rng) if schema else "yes"
        return Answer(chat(write_reply(value, rng), rng.choice(_USAGE)))


def write_reply(value: Any, rng: random.Random) -> Any:
    """A reply's text, mutated half of the time; now and then it is no text."""
    turn = rng.random()
    if turn < 0.4:
        return json.dumps(value)
    if turn < 0.75 and isinstance(value, dict):
        for _ in range(rng.choice((1, 1, 3))):
            mutate(value, rng)
        return json.dumps(value)
    text = json.dumps(value)
    broken = ("", " ", "I cannot.", "<think>" * 50, text[: len(text) // 2], text * 3, "null", "NaN", None)
    wrapped = (f"Sure:\n```json\n{text}\n```\nDone.", "\ud83d" + text, text.replace("a", "\0"), text.replace('"', "“"))
    endless = ("[" * 100_000, '{"a":' * 100_000, "[1," * 30_000, "{" * 300 + "x" * 300_000, "[[" + "1," * 300_000)
    strings = ('{"a": "' + "\\n" * 200_000, '["' + '\\"' * 200_000, text.replace("e", "\\ud800"), f"[{text}" * 150)
    long = ('{"drafts": [' + "{}," * 20_000 + "{}]}", "[" + "1," * 200_000, "[" + "1," * 200_000 + "1]")
    return rng.choice((*broken, *wrapped, *endless, *strings, *long, [{"type": "text", "text": text}]))


def prepare(folder: Path, url: str, rng: random.Random, number: int) -> list[str]:
    """A run file over a small task whose instructor is the server at `url`; the command that runs it."""
    scorer = rng.choice(list(_ROWS))
    (folder / "data.jsonl").write_text(
        "".join(f"{json.dumps({**row, 'split': _PARTS[n % 3]})}\n" for n, row in enumerate(_ROWS[scorer]))
    )
    task = {"name": "mine", "kind": "jsonl", "path": "data.jsonl", "scorer": scorer, "train": 6, "dev": 5, "test": 2}
    if scorer == "choice":
        task["choices"] = "choices"
    strategy = rng.choice(("error", "contrast", "cluster", "undirected", "augment", "imitate"))
    data = {
        "run": {"name": "x", "cycles": 1, "budget_usd": rng.choice((0.05, 5.0))},
        "target": {"engine": "scripted"},
        "instructor": {
            **{"kind": "openai", "model": "m", "base_url": url, "max_tokens": 200},
            **{"price_input": 1.0, "price_output": 1.0},
        },
        "tasks": [task],
        "strategy": {"name": strategy, "retriever": "scripted", "rounds": 1, "samples_per_error": 1},
        "verify": {"against": [], "votes": rng.choice((0, 1))},
        "train": {"method": "scripted"},
    }
    (folder / "run.toml").write_text(write_toml(data))
    return ["run", "run.toml", "--out", f"out{number}"]


def _try_envelopes(end: float, rng: random.Random) -> tuple[int, dict[str, str]]:
    """Envelopes through the two readers, and their cost."""
    readers = (OpenAIChat("m", base_url="http://h/v1"), Anthropic("m", base_url="http://h"))
    price, reserved = Price(input=2.0, output=8.0), Amount(10**6, 1000, 1)
    tried, broken = 0, {}
    while time.monotonic() < end:
        tried += 1
        body = write_envelope(rng)
        for reader in readers:
            began = time.monotonic()
            try:
                spent = compute_spent(reserved, reader.read(body), price)
            except Fault:
                continue
            except Exception as error:
                broken[type(error).__name__] = f"{type(reader).__name__}: {error!r:.100} of {body[:100]!r}"
                continue
            if min(spent) < 0 or spent.nano >= 2**63 or time.monotonic() - began > LIMIT:
                broken["cost"] = f"{type(reader).__name__} makes {spent} of {body[:200]!r}"
    return tried, broken


def write_envelope(rng: random.Random) -> bytes:
    """A mutated envelope of either protocol."""
    usage = rng.choice(_USAGE)
    tree: Any = json.loads(chat("hello", usage))
    if rng.random() < 0.5:
        counts = {"input_tokens": rng.choice(ODD), "output_tokens": 4, "cache_read_input_tokens": rng.choice(ODD)}
        tree = {"content": [{"type": "text", "text": "x"}, {"type": "tool_use", "input": {"a": 1}}], "usage": counts}
    for _ in range(rng.choice((0, 1, 2))):
        mutate(tree, rng)
    body = json.dumps(tree, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    turn = rng.random()
    if turn < 0.1:
        return body[: rng.randrange(len(body))]
    if turn < 0.2:
        deep = (b'{"a":' * 50_000, b"[" * 50_000, b"9" * 6000)
        return rng.choice((*deep, b"", b"null", b"[]", b"\xff\xfe", b"<html>", b'{"choices": []}'))
    return body

"""Run files with absurd values: each is read by `plan`, and by `run` if it asks for scripted parts only.

A valid file is mutated: a number that is none, a path that is a device, a key twice, a value nested without
end. Counted are commands. A file holds if its command ends within ten seconds with a result, or with one sentence and
exit code 2.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.torture.command import attempt
from benchmarks.torture.part import Outcome

VALUES: tuple[Any, ...] = (
    *(math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, 0.0, -0.0, 0.5, 1.5, 1e18),
    *(0, 1, 2, -1, 10**6, 10**12, 2**31, 2**53, 2**63, 2**64, 10**30, 10**400, -(10**12)),
    *("", " ", "x", "nan", "inf", "1", "true", "a\0b", "\x1b[31m", "\u202e", "é" * 300, "x" * 100_000, "{question}"),
    *(True, False, [], {}, [[]], [1, "a"], ["a", "a"], [math.nan], [0], [1.0, 1.0], [0.5, 0.5000001], {"a": math.nan}),
    *({"a": 10**30}, {"": ""}, {"name": "x"}, ["question"], [""], ["\0"], [-1.0], [1e300]),
)
PATHS = (
    *("/dev/zero", "/dev/null", "/dev/stdin", "/dev/full", "/proc/self/mem", "/", "..", "~", "~nobody/x", "~x/y"),
    *(
        "pipe",
        "\0",
        "a\0b",
        "x" * 5000,
        "missing.jsonl",
        "data.jsonl/x",
        "/root/x",
        "http://[::1",
        "http://",
        "http://x:y/",
    ),
    *(
        "http://127.0.0.1:0/v1",
        "http://127.0.0.1:99999/v1",
        "ftp://x",
        "http://a b/",
        "http://\u2028/",
        "//",
        "http://[v1.x]",
    ),
    *("https://user:secret@host/v1", "http://host/v1?key=1", "$HOME", "http://" + "a" * 300 + "/v1", "loop", "empty"),
)
SMALL = """
[run]
name = "small"
cycles = 1
seed = 5

[target]
engine = "scripted"

[instructor]
kind = "scripted"

[[tasks]]
name = "arithmetic"
train = 13
dev = 13
test = 13

[[tasks]]
name = "retention"
role = "guard"
train = 0
dev = 7
test = 7
margin = 0.3

[strategy]
name = "contrast"
retriever = "scripted"
samples_per_error = 1
rounds = 1

[verify]
votes = 0
against = []

[train]
method = "scripted"
"""
OWN = """
[run]
name = "own"
budget_usd = 1.0

[target]
engine = "openai"
model = "small"
base_url = "http://127.0.0.1:9/v1"

[instructor]
kind = "openai"
model = "large"
base_url = "http://127.0.0.1:9/v1"
price_input = 1.0
price_output = 2.0

[[tasks]]
name = "mine"
kind = "jsonl"
path = "data.jsonl"
scorer = "numeric"
train = 20
dev = 20
test = 20

[verify]
against = []

[train]
method = "external"
"""
_SECTIONS = {
    "run": ("name", "cycles", "seed", "budget_usd"),
    "target": (
        *("model", "engine", "accuracy", "gain", "delay", "base_url", "concurrency", "max_context", "sampling"),
        *("headers", "api_key_env", "embedding_model", "options", "batch_size", "answers", "workspace"),
    ),
    "instructor": (
        *("kind", "model", "base_url", "api_key_env", "headers", "sampling", "price_input", "price_output", "seed"),
        *("concurrency", "temperature", "max_tokens", "batch", "max_calls", "max_total_tokens", "budget_usd"),
        *("cost_usd", "script", "fail", "function", "options", "workspace"),
    ),
    "tasks": (
        *("name", "kind", "role", "train", "dev", "test", "margin", "stop", "scorer_options", "options", "path"),
        *("question", "answer", "choices", "tests", "entry_point", "solution", "id", "skill", "after", "count_from"),
        *("scorer", "max_new_tokens", "prompt", "dataset"),
    ),
    "strategy": (
        "name",
        "k",
        "samples_per_error",
        "max_samples",
        "max_samples_per",
        "show_gold",
        "rounds",
        "retriever",
        "encoder",
    ),
    "verify": ("answers", "near_duplicate", "ngram", "votes", "against"),
    "train": (
        *("method", "rank", "alpha", "learning_rate", "epochs", "batch_size", "warmup", "weight_decay", "max_tokens"),
        *("warmup_steps", "schedule"),
        *(
            "replay",
            "start",
            "objective",
            "beta",
            "divergence",
            "context",
            "scales",
            "options",
            "model",
            "dtype",
            "device",
        ),
    ),
    "gate": ("alpha", "noise_floor"),
    "compute": ("engine", "address", "workers", "cpus_per_worker", "gpus_per_worker", "processes", "strategy", "cache"),
    "sinks": ("kind", "path", "project", "folder", "run", "options"),
}
_NAMES = (
    *("jsonl", "csv", "parquet", "gsm8k", "mmlu", "bbh", "lm_eval", "arithmetic", "retention", "reasoning_gym"),
    *("openai", "anthropic", "custom", "scripted", "tutor", "noise", "numeric", "exact", "choice", "contains", "code"),
    *("judge", "lora", "full", "qlora", "external", "hidden", "tfidf", "encoder", "auto"),
    *("transformers", "openvino", "vllm"),
)


def torment(seconds: float, seed: int) -> Outcome:
    """Mutated run files for about so many seconds."""
    broken: dict[str, str] = {}
    end, tried = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory(prefix="errorbook-torture-") as place, offline():
        folder = Path(place)
        make_places(folder)
        for number, text in enumerate(draw(seed)):
            if time.monotonic() > end:
                break
            for command in commands(text, number):
                (folder / "run.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
                found = attempt(command, folder)
                tried += 1
                if found:
                    broken.setdefault(found[:60], f"file {number} of seed {seed}, {command[0]}: {found}")
    return Outcome(tried=tried, broken=tuple(broken.values()))


def draw(seed: int) -> Iterator[str]:
    """Mutated run files without end; the same seed gives the same ones."""
    rng = random.Random(f"run files {seed}")
    while True:
        base = tomllib.loads(rng.choice((SMALL, OWN)))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            rng.choice(_MUTATIONS)(base, rng)
        text = write_toml(base)
        yield rng.choice(_TEXTS)(text, rng) if rng.random() < 0.25 else text


def commands(text: str, number: int) -> list[list[str]]:
    """`plan`, and now and then `run`, if nothing in the file reaches for a model."""
    found = [["plan", "run.toml", *(["--json"] if number % 3 == 0 else [])]]
    if number % 4 == 0 and 'engine = "scripted"' in text and 'method = "scripted"' in text:
        found.append(["run", "run.toml", "--out", f"out{number}"])
    return found


def make_places(folder: Path) -> None:
    """What the paths of the run files lead to."""
    rows = ({"id": str(n), "question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(60))
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "empty").write_bytes(b"")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")


class offline:  # noqa: N801 - used like a function
    """The hub is not asked, and no benchmark of this machine is read."""

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "ERRORBOOK_DATA")}
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ.pop("ERRORBOOK_DATA", None)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def write_toml(data: dict[str, Any]) -> str:
    """A run file's text; every value stands in one line."""
    lines: list[str] = []
    for name, section in data.items():
        for block in section if isinstance(section, list) and section and isinstance(section[0], dict) else [section]:
            if not isinstance(block, dict):
                lines.insert(0, f"{_key(name)} = {_value(block)}")
                continue
            lines.append(f"[[{_key(name)}]]" if isinstance(section, list) else f"[{_key(name)}]")
            lines += [f"{_key(key)} = {_value(value)}" for key, value in block.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _block(data: dict[str, Any], rng: random.Random) -> tuple[str, dict[str, Any]]:
    name = rng.choice(tuple(_SECTIONS))
    section = data.setdefault(name, [{"kind": "jsonl"}] if name == "sinks" else {})
    block = rng.choice(section) if isinstance(section, list) and section else section
    return name, block if isinstance(block, dict) else {}


def _absurd(data: dict[str, Any], rng: random.Random) -> None:
    name, block = _block(data, rng)
    block[rng.choice(_SECTIONS[name])] = copy.deepcopy(rng.choice(VALUES))


def _number(data: dict[str, Any], rng: random.Random) -> None:
    """Another number where there is one."""
    _, block = _block(data, rng)
    numbers = [key for key, value in block.items() if isinstance(value, int | float)]
    if numbers:
        block[rng.choice(numbers)] = rng.choice([value for value in VALUES if isinstance(value, int | float)])


def _path(data: dict[str, Any], rng: random.Random) -> None:
    places = (("target", "model"), ("target", "base_url"), ("instructor", "base_url"), ("tasks", "path"))
    name, key = rng.choice(
        (*places, ("train", "model"), ("sinks", "path"), ("tasks", "dataset"), ("verify", "against"))
    )
    section = data.get(name, {})
    block = section[0] if isinstance(section, list) and section else section
    if isinstance(block, dict):
        block[key] = [rng.choice(PATHS)] if key == "against" else rng.choice(PATHS)


def _plugin(data: dict[str, Any], rng: random.Random) -> None:
    places = (("target", "engine"), ("instructor", "kind"), ("train", "method"), ("strategy", "retriever"))
    name, key = rng.choice((*places, ("tasks", "kind"), ("tasks", "name"), ("tasks", "scorer")))
    section = data.get(name, {})
    block = section[0] if isinstance(section, list) and section else section
    if isinstance(block, dict):
        block[key] = rng.choice(_NAMES)


def _nest(data: dict[str, Any], rng: random.Random) -> None:
    _, block = _block(data, rng)
    value: Any = rng.choice(("x", 1))
    for _ in range(rng.choice((5, 40, 90))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    block[rng.choice(("options", "sampling", "headers", "scorer_options", "x", "name"))] = value


def _remove(data: dict[str, Any], rng: random.Random) -> None:
    name, block = _block(data, rng)
    if block and rng.random() < 0.8:
        block.pop(rng.choice(tuple(block)))
    else:
        data.pop(name, None)


def _twice(data: dict[str, Any], rng: random.Random) -> None:
    """One kind of task once more, under its own or another name."""
    tasks = data.get("tasks")
    if isinstance(tasks, list) and tasks and isinstance(tasks[0], dict):
        more = copy.deepcopy(tasks[0])
        more |= {"name": rng.choice(("again", "mine", "arithmetic")), "kind": more.get("kind") or more.get("name", "")}
        tasks.append(more)


_MUTATIONS: tuple[Callable[[dict[str, Any], random.Random], None], ...] = (
    *(_absurd, _absurd, _absurd, _absurd, _number, _number, _path, _path, _plugin, _nest, _remove, _twice),
)


def _deep(text: str, rng: random.Random) -> str:
    depth = rng.choice((200, 2000, 100_000))
    opening, closing = rng.choice((("[", "]"), ("{a=", "}")))
    return (
        f"{text}\n[sinks.x]\ny = {opening * depth}1{closing * depth}\n"
        if rng.random() < 0.5
        else f"[{'a.' * depth}b]\n"
    )


def _garbage(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text))
    noise = "".join(rng.choice("\0\x7f\"'[]{}=#\\\n\r\ufeff\u2028é~ 1e_") for _ in range(rng.randint(1, 20)))
    return text[:place] + noise + text[place + rng.randint(0, 5) :]


def _bytes(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text))
    return text[:place] + "\udcff\udc80" + text[place:]


_TEXTS: tuple[Callable[[str, random.Random], str], ...] = (
    _deep,
    _garbage,
    _garbage,
    _bytes,
    lambda text, rng: text[: rng.randrange(len(text))],
    lambda text, rng: text + rng.choice(text.splitlines()) + "\n",
    lambda text, _: text.replace("\n", "\r\n"),
    lambda text, _: "\ufeff" + text,
    lambda text, rng: text + "x = " + "9" * rng.choice((20, 5000)) + "\n",
)

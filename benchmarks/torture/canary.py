"""Canaries: keys of random shapes in every wrong place, and told again by a server; then every byte is read.

One try is one key in one place. What the product wrote (ledger, its log, caches, stores, reports, exports, pages over
HTTP) and printed must hold neither the key nor a half of it.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import random
import string
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.torture.command import TRACEBACK, call
from benchmarks.torture.part import Outcome
from benchmarks.torture.provider import Answer, chat, provider
from errorbook.testing.fill import fill

VARIABLE = "TORTURE_WAY_IN"
LETTERS = string.ascii_letters + string.digits
RUN_FILE = """
# {comment}
[run]
name = "canary"
cycles = 1

[target]
engine = "scripted"
accuracy = 0.2

[instructor]
kind = "openai"
price_input = 0
price_output = 0
concurrency = 2
{instructor}

[[tasks]]
name = "arithmetic"
train = 4
dev = 4
test = 4

[strategy]
name = "error"

[train]
method = "scripted"
"""
WRONG_PLACES = (
    'model = "m"\napi_key_env = "{key}"',
    'model = "{key}"',
    'model = "m"\nbase_url = "http://127.0.0.1:9/{key}/v1"',
    'model = "m"\nbase_url = "http://127.0.0.1:9/v1#{key}"',
    'model = "m"\nbase_url = "http://127.0.0.1:9/v1?key={key}"',
    'model = "m"\nbase_url = "http://user:{key}@127.0.0.1:9/v1"',
    'model = "m"\nbase_url = "htp://{key}/v1"',
    'model = "m"\nbase_url = "https:/{key}"',
    'model = "m"\nbase_url = "{key}"',
    'model = "m"\nheaders = {{Authorization = "Bearer {key}"}}',
    'model = "m"\nheaders = {{X-Thing = "{key}"}}',
    'model = "m"\nsampling = {{user = "{key}"}}',
    'model = "m"\napi_key = "{key}"',
)
WAYS = ("whole", "fields", "parts", "escaped", "refused", "failed", "forbidden", "text")


def torment(seconds: float, seed: int) -> Outcome:
    """Try keys in wrong places, and every fifth time a whole run against a server that tells the key again."""
    broken: list[str] = []
    figures = {"refused": 0.0, "runs": 0.0, "bytes read": 0.0}
    tried, end = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="torture-") as folder, _environment(Path(folder)):
        while time.monotonic() < end or tried < 10:
            rng = random.Random(f"{seed}:{tried}")
            key = SHAPES[sorted(SHAPES)[tried % len(SHAPES)]](rng)
            place = Path(folder) / str(tried)
            place.mkdir()
            if tried % 5 == 4:
                way = WAYS[tried // 5 % len(WAYS)]
                problem = _try_server(place, key, way, figures)
            else:
                way = rng.choice(WRONG_PLACES)
                problem = _try_place(place, key, way, figures)
            if problem:
                broken.append(f"seed {seed}, try {tried}, {way!r}: {problem}")
            tried += 1
    return Outcome(tried, tuple(broken), figures)


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """Caches of our own, and the variable with the key put back afterwards."""
    before = {name: os.environ.get(name) for name in ("ERRORBOOK_CACHE", VARIABLE)}
    os.environ["ERRORBOOK_CACHE"] = str(folder / "cache")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def _try_place(place: Path, key: str, where: str, figures: dict[str, float]) -> str:
    """A key in the run file itself: refused in one sentence that does not tell it."""
    os.environ.pop(VARIABLE, None)
    file = place / "run.toml"
    file.write_text(RUN_FILE.format(comment="no secret", instructor=where.format(key=key)), encoding="utf-8")
    code, said = _call("plan", str(file))
    more, said_more = _call("run", str(file), "--out", str(place / "run"))
    file.unlink()  # it holds the key by intention
    figures["refused"] += code == more == 2
    if (code, more) != (2, 2):
        return f"exit codes {code} and {more}: {said[-200:]} {said_more[-200:]}"
    return _find(place, key, said + said_more, figures)


def _try_server(place: Path, key: str, way: str, figures: dict[str, float]) -> str:
    """A whole run against a server that tells the key again, with the key in a comment of the run file as well."""
    os.environ[VARIABLE] = key
    with _telling(way, key) as address:
        lines = f'model = "m"\nbase_url = "{address}"\napi_key_env = "{VARIABLE}"'
        file, run = place.with_suffix(".toml"), place / "run"
        file.write_text(RUN_FILE.format(comment=f"my key is {key}", instructor=lines), encoding="utf-8")
        said = [_call("run", str(file), "--out", str(run))]
    figures["runs"] += 1
    for command in ("status", "report --format html", "report --json", "export --what card", "export --what samples"):
        name, *options = command.split()
        said.append(_call(name, str(run), *options))
    if any(code == TRACEBACK for code, _ in said):
        return f"traceback: {next(text for code, text in said if code == 99)[-300:]}"
    told = "".join(text for _, text in said) + _pages(run)
    file.unlink()
    return _find(place, key, told, figures)


def _pages(run: Path) -> str:
    """The pages of the book, over HTTP."""
    if not (run / "ledger.sqlite").is_file():
        return ""
    from starlette.testclient import TestClient

    from errorbook.web.app import create_app

    with TestClient(create_app(run, None, hosts=["testserver"]), base_url="http://testserver") as client:
        slug = client.get("/").text.partition('href="/runs/')[2].partition('"')[0].partition("/")[0]
        places = ("/", *(f"/runs/{slug}{end}" for end in ("", "/book", "/samples", "/settings")))
        return "".join(client.get(place).text for place in places)


def _find(place: Path, key: str, told: str, figures: dict[str, float]) -> str:
    """Where the key, or a half of it, stands in what was printed or written; an empty text if nowhere."""
    half = len(key) // 2
    pieces = [piece.encode() for piece in (key, key[:half], key[half:])]
    written = {
        str(path): path.read_bytes()
        for path in (place, place.parent / "cache")
        for path in path.rglob("*")
        if path.is_file()
    }
    written["what was printed"] = told.encode("utf-8", "replace")
    figures["bytes read"] += sum(map(len, written.values()))
    return ", ".join(f"in {name}" for name, content in written.items() if any(piece in content for piece in pieces))


def _call(*words: str) -> tuple[int, str]:
    ended = call(words)
    return ended.code, ended.out + ended.err


# the server -------------------------------------------------------------------------------------------------------


def _telling(way: str, key: str) -> contextlib.AbstractContextManager[str]:
    """A server of chat completions that tells the key in one way; gives its address."""
    asked = itertools.count()

    def answer(body: bytes) -> Answer:
        # One that fails every time is waited for, for minutes.
        return _answer("whole" if way == "failed" and next(asked) % 2 else way, key, json.loads(body))

    return provider(answer)


def _answer(way: str, key: str, request: Any) -> Answer:
    half = len(key) // 2
    told = itertools.cycle([f"it is {key[:half]}", f"{key[half:]} it is"] if way == "fields" else [f"it is {key}"])
    schema = request.get("response_format", {}).get("json_schema", {}).get("schema", {"type": "object"})
    reply = _tell(fill(schema, random.Random(1)), told)
    text = f"The key is {key}." if way == "text" else json.dumps(reply)
    content: Any = text
    if way == "parts":
        cut = text.index(key) + half if key in text else 0
        content = [{"type": "text", "text": text[:cut]}, {"type": "text", "text": text[cut:]}]
    statuses = {"refused": 400, "failed": 500, "forbidden": 401}
    if way in statuses:
        error = {"message": f"Bad key {key[:half]} {key[half:]}: {key}"}
        return Answer(json.dumps({"error": error}).encode(), statuses[way])
    body = chat(content, {"prompt_tokens": 1, "completion_tokens": 1})
    if way == "escaped":
        body = body.replace(key.encode(), "".join(f"\\u{ord(letter):04x}" for letter in key).encode())
    return Answer(body)


def _tell(value: Any, told: Iterator[str], name: str = "") -> Any:
    """A made-up reply with the key in each of its texts but the one that must be copied from the response."""
    if isinstance(value, dict):
        return {inner: _tell(item, told, inner) for inner, item in value.items()}
    if isinstance(value, list):
        return [_tell(item, told, name) for item in value]
    return value if not isinstance(value, str) else "Answer:" if name == "first_wrong_step" else next(told)


# shapes of keys ---------------------------------------------------------------------------------------------------


def _draw(rng: random.Random, length: int, letters: str = LETTERS) -> str:
    """Letters drawn one by one, each as likely as the next."""
    return "".join(rng.choice(letters) for _ in range(length))


SHAPES: dict[str, Callable[[random.Random], str]] = {
    "openai": lambda rng: f"sk-proj-{_draw(rng, 48)}",
    "anthropic": lambda rng: f"sk-ant-api03-{_draw(rng, 90)}",
    "hub": lambda rng: f"hf_{_draw(rng, 34)}",
    "groq": lambda rng: f"gsk_{_draw(rng, 52)}",
    "google": lambda rng: f"AIza{_draw(rng, 35)}",
    "aws": lambda rng: f"AKIA{_draw(rng, 16, string.ascii_uppercase + string.digits)}",
    "signed": lambda rng: f"eyJ{_draw(rng, 20)}.eyJ{_draw(rng, 60)}.{_draw(rng, 43)}",
    "hexadecimal": lambda rng: rng.randbytes(16).hex(),
    "uuid": lambda rng: str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
    "bare": lambda rng: _draw(rng, 48),
    "base64": lambda rng: base64.urlsafe_b64encode(rng.randbytes(36)).decode(),
}

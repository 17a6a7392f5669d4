"""What a secret is: found wherever people paste one, masked in pieces, and nothing else is taken for one."""

from __future__ import annotations

import os
import random
import re
import string
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from errorbook.config import Config, parse
from errorbook.errors import ConfigError, DataError, ErrorbookError, ModelError
from errorbook.ledger.file import open_ledger
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.redact import redact
from errorbook.redact import MASK, PUBLIC, find_misplaced, mask, mask_run_file, mask_secret, publish_run_file

LETTERS = string.ascii_letters + string.digits


def draw(rng: random.Random, length: int, letters: str = LETTERS) -> str:
    return "".join(rng.choice(letters) for _ in range(length))


RNG = random.Random(7)
KEYS = {
    "openai": f"sk-proj-{draw(RNG, 48)}",
    "anthropic": f"sk-ant-api03-{draw(RNG, 90)}",
    "hub": f"hf_{draw(RNG, 34)}",
    "groq": f"gsk_{draw(RNG, 52)}",
    "aws": f"AKIA{draw(RNG, 16, string.ascii_uppercase + string.digits)}",
    "google": f"AIza{draw(RNG, 35)}",
    "token": f"eyJ{draw(RNG, 20)}.eyJ{draw(RNG, 60)}.{draw(RNG, 43)}",
    "bare": draw(RNG, 40),
}
UNMARKED = {
    "hexadecimal": draw(RNG, 32, "0123456789abcdef"),
    "uuid": "8f14e45f-ceea-467f-9d6a-1c2b3d4e5f60",
}
RUN = """
[run]
name = "x"
[target]
engine = "scripted"
[train]
method = "scripted"
[[tasks]]
name = "arithmetic"
[instructor]
kind = "openai"
"""
PLACES = {
    "variable": 'model = "m"\napi_key_env = "{key}"',
    "model": 'model = "{key}"',
    "path": 'model = "m"\nbase_url = "https://host.example/{key}/v1"',
    "fragment": 'model = "m"\nbase_url = "https://host.example/v1#{key}"',
    "query": 'model = "m"\nbase_url = "https://host.example/v1?api_key={key}"',
    "user": 'model = "m"\nbase_url = "https://me:{key}@host.example/v1"',
    "scheme": 'model = "m"\nbase_url = "htps:/{key}@host.example/v1"',
    "no address": 'model = "m"\nbase_url = "{key}"',
    "header": 'model = "m"\nheaders = {{X-Thing = "{key}"}}',
    "sampling": 'model = "m"\nsampling = {{user = "{key}"}}',
    "unknown": 'model = "m"\napi_key = "{key}"',
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", [*KEYS.values(), *UNMARKED.values()], ids=[*KEYS, *UNMARKED])
def test_a_key_in_the_run_file_itself_is_refused_and_not_told(place: str, key: str) -> None:
    from errorbook.setup.assemble import create_instructor

    with pytest.raises(ErrorbookError) as caught:
        create_instructor(parse(RUN + PLACES[place].format(key=key), source="run.toml"))
    assert key not in str(caught.value)
    assert not any(key[start : start + 16] in str(caught.value) for start in range(len(key) - 16))


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "Cookie"])
def test_a_literal_header_that_is_a_secret_is_refused_with_the_right_way(name: str) -> None:
    text = RUN + f'model = "m"\nheaders = {{"{name}" = "hunter2"}}'
    with pytest.raises(ConfigError, match=r'write "\$NAME" here') as caught:
        parse(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'model = "meta-llama/Llama-3.1-8B-Instruct-GPTQ-Int4"',
        'model = "ft:gpt-4o-mini-2024-07-18:org::AbCdEf12"',
        'model = "anthropic.claude-3-5-sonnet-20241022-v2:0"',
        'model = "m"\napi_key_env = "SOME_UNSET_API_KEY"',
        'model = "m"\nheaders = {X-Title = "my project", Authorization = "$MY_HEADER"}',
        'model = "m"\nbase_url = "https://my-resource.azure.example/openai/deployments/gpt4o-prod-01"',
        'model = "/models/snapshots/0123456789abcdef0123456789abcdef01234567"',
        'model = "m"\nsampling = {reasoning_effort = "high", seed = 7}',
    ],
)
def test_what_is_no_secret_is_taken(line: str) -> None:
    parse(RUN + line)


def test_the_value_of_a_named_variable_is_a_secret_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_WAY_IN", "open sesame please")
    text = RUN + 'model = "open sesame please"\napi_key_env = "MY_WAY_IN"'
    with pytest.raises(ConfigError, match=r"'instructor.model' holds what looks like a key"):
        parse(text)
    assert str(DataError("It said open sesame please.")) == f"It said {MASK}."
    monkeypatch.setenv("SOME_TOKEN", "another-value")
    assert mask("another-value") == MASK


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_is_masked_in_every_sentence_and_comment(key: str) -> None:
    assert key not in str(ModelError(f"The server said that {key} is wrong; change it."))
    kept = mask_run_file(f'[run]\nname = "x" # my key: {key}\n# {key}\n')
    assert key not in kept
    assert 'name = "x"' in kept


def test_a_comment_keeps_what_is_no_secret_and_values_stay() -> None:
    text = '[run]\nname = "a1b2c3"  # 3 cycles of 200\nrevision = "0123456789abcdef0123456789abcdef"\n'
    text += "# password: hunter2\n"
    assert mask_run_file(text) == text.replace("hunter2", MASK)


def test_the_ledger_keeps_a_run_file_without_what_its_comments_tell(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.state("run_file", f"# {KEYS['openai']}\n[run]\n")
        ledger.state("run_file", f"# {KEYS['openai']}\n[run]\n")
        assert ledger.fact("run_file") == f"# {MASK}\n[run]\n"


def test_a_key_that_a_server_tells_in_pieces_is_masked() -> None:
    key = "plain-old-key-of-some-server-1234"
    secrets = (key.encode(),)
    halves = key[:15], key[15:]
    spelt = "".join(f"\\u{ord(letter):04x}" for letter in key)
    for body in (
        {"content": key},
        {"content": [{"text": halves[0]}, {"text": halves[1]}]},
        {"content": halves[0], "refusal": halves[1]},
        {"content": "no" + key + "on", key: 1},
    ):
        kept = redact(msgspec.json.encode(body), secrets)
        assert not any(half.encode() in kept for half in halves)
    assert key not in str(msgspec.json.decode(redact(f'{{"content": "{spelt}"}}'.encode(), secrets)))
    assert redact(b'{"a": "\\u00e4 fine \xe2\x98\x83"}', secrets) == b'{"a": "\\u00e4 fine \xe2\x98\x83"}'
    assert mask_secret("abc", "abcdefghij") == "abc"


@pytest.mark.parametrize("value", ["two\nlines", "caf\u00e9-key-1234", "tab\tkey"])
def test_a_key_that_no_header_can_carry_is_a_sentence(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_KEY", value)
    endpoint = OpenAIChat("m", "http://127.0.0.1:9/v1", "ODD_KEY")
    with pytest.raises(ModelError, match="ODD_KEY holds a line break or another sign") as caught:
        endpoint.headers()
    assert value not in str(caught.value)


def test_a_variable_that_is_a_key_is_not_told() -> None:
    with pytest.raises(ModelError, match="The environment variable that is named") as caught:
        OpenAIChat("m", "http://127.0.0.1:9/v1", "hunter2secret").headers()
    assert "hunter2" not in str(caught.value)


def test_a_traceback_tells_no_secret() -> None:
    script = (
        "import os\nfrom errorbook.cli.streams import prepare\nprepare()\n"
        "raise RuntimeError('it was ' + os.environ['SOME_KEY'] + ' and ' + os.environ['OTHER'])"
    )
    told = {"SOME_KEY": "not-a-shape-at-all", "OTHER": KEYS["hub"]}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    assert "RuntimeError: it was [key] and [key]" in done.stderr


def test_nothing_misplaced_is_an_empty_text() -> None:
    assert find_misplaced({"run": {"name": "x"}, "tasks": [{"name": "a", "stop": ["\n"]}]}) == ""


# What strangers may read of a run file -------------------------------------------------------------------------------

HELD = {
    "target": {"options"},
    "instructor": {"options"},
    "tasks": {"stop", "system", "markers", "scorer_options", "options"},
    "strategy": {"encoder"},
    "train": {"options"},
    "compute": {"address", "store"},
    "sinks": {"options"},
}
"""Keys of our own sections that are never shown: texts of people, places, and the tables of options."""


def test_every_key_of_the_run_file_is_decided() -> None:
    for field in msgspec.structs.fields(Config):
        section = next((part for part in (field.type, *get_args(field.type)) if isinstance(part, type(Config))), None)
        assert section is not None, field.name
        keys = {key.name for key in msgspec.structs.fields(section)}
        assert keys - PUBLIC[field.name] == HELD.get(field.name, set()), field.name


CANARY = "canary-7f3a"
LEAKS = f"""
# {CANARY} in a comment, ask ops@corp.internal
[run]
name = "plain"  # {CANARY}
cycles = 2

[target]
engine = "openai"
model = "/srv/{CANARY}/model"
base_url = "https://gpu.{CANARY}.internal:8443/v1?api-key={CANARY}"
headers = {{ Cookie = "session={CANARY}", X-Team = "{CANARY}" }}
certificates = "/etc/{CANARY}.pem"
proxies = {{ https = "http://proxy.{CANARY}.lan:3128" }}

[instructor]
kind = "openai"
model = "gpt-4.1"
api_key_env = "CANARY_7F3A"
"x-{CANARY}" = 1
price_input = 2.5

[[tasks]]
name = "mine"
kind = "jsonl"
path = "//share/{CANARY}/q.jsonl"
system = "You work for {CANARY}."
train = 10
scorer_options = {{ rubric = "{CANARY}" }}

[strategy]
name = {{ error = 0.5, contrast = 0.5 }}

[compute]
engine = "ray"
address = "ray://{CANARY}:10001"

[[sinks]]
kind = "wandb"
entity = "{CANARY}"

[{CANARY}]
key = "{CANARY}"
"""


def test_a_published_run_file_holds_what_is_known_to_be_harmless() -> None:
    text = publish_run_file(LEAKS)
    assert CANARY not in text.lower()
    assert not re.search(r"internal|lan\b|corp|canary|https?:|@|srv|share", text, re.IGNORECASE)
    shown = tomllib.loads(text)
    assert shown["run"] == {"name": "plain", "cycles": 2}
    assert shown["instructor"] == {"kind": "openai", "model": "gpt-4.1", "price_input": 2.5}
    assert shown["tasks"] == [{"name": "mine", "kind": "jsonl", "train": 10}]
    assert shown["strategy"] == {"name": {"error": 0.5, "contrast": 0.5}}
    assert "# Left out: model, base_url, headers, certificates, proxies" in text
    assert "# Left out: api_key_env, a key" in text


@pytest.mark.parametrize(
    "value",
    [
        "https://host/v1?api-key=abc",
        "host.internal:8000/model",
        "localhost:8000",
        "10.0.0.7/llama",
        "gpu7.corp.example.com",
        "/home/ada/models/x",
        "~/models",
        "..\\\\models\\\\x",
        "C:/models/x",
        "sk-abcdefghijklmnopqrstuvwxyz",
        "Basic dXNlcjpwYXNzd29yZA==",
        "ada@example.org",
        "two\\nlines",
        "a\\u202eb",
        "d41d8cd98f00b204e9800998ecf8427e",
    ],
)
def test_a_shown_key_with_a_place_or_a_key_in_it_is_left_out(value: str) -> None:
    for line in (f'model = "{value}"', f'kind = ["{value}"]'):
        assert publish_run_file(f"[instructor]\n{line}\n").startswith("[instructor]\n# Left out:"), line


@pytest.mark.parametrize(
    "value",
    ["Qwen/Qwen2.5-1.5B-Instruct", "llama3:8b", "anthropic.claude-3-5-sonnet-20241022-v2:0", "gpt-4.1-mini", "Frage 2"],
)
def test_names_of_models_and_columns_are_shown(value: str) -> None:
    assert tomllib.loads(publish_run_file(f'[instructor]\nmodel = "{value}"\n'))["instructor"] == {"model": value}


def test_what_is_no_run_file_is_not_published() -> None:
    for text in ("", "not toml [", "run = 3", f"# {CANARY}\n", 'tasks = ["x"]'):
        assert publish_run_file(text) == "", text

"""What the tests of the engine share: a small record to ask for, asks by the dozen, and engines on a test server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from errorbook.llm import structured
from errorbook.llm.engine import Engine
from errorbook.llm.http import HttpLimits
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import Terms
from errorbook.llm.records import Ask
from errorbook.records import Message, Record


class Verse(Record, frozen=True, kw_only=True):
    line: str
    stress: int


SCHEMA = structured.schema_of(Verse)
READ = structured.check_form(Verse)


def ask(content: str, **changes: Any) -> Ask:
    settings = {"schema": SCHEMA, "max_tokens": 100, **changes}
    return Ask(messages=(Message(role="user", content=content),), **settings)


def asks(n: int, **changes: Any) -> Iterator[tuple[int, Ask]]:
    return ((number, ask(f"Write verse {number}.", **changes)) for number in range(n))


def engine(base_url: str, store: Path | None = None, **options: Any) -> Engine:
    options = {"terms": Terms(limits=HttpLimits(seconds=10.0), patience=1.0, first_wait=0.02, poll=0.02), **options}
    return Engine(OpenAIChat("poet", base_url=base_url), store=store, **options)


def kinds(results: list[Any]) -> dict[str, int]:
    return dict(Counter(type(result).__name__ for result in results))

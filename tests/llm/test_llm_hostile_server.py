"""A server that counts, packs or answers as none should costs no more than can be helped, and work ends with why."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_kit import READ, asks, engine

from benchmarks.torture.provider import Answer, chat, provider
from errorbook.errors import BudgetError, LedgerError, ModelError
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import NOTHING, Amount, Budget, Price, Purse, compute_spent
from errorbook.llm.endpoint import MOST_TOKENS, Reply
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Accepted
from errorbook.llm.store import MIGRATIONS, Store

VERSE = '{"line": "la", "stress": 1}'
PRICE = Price(input=2.0, output=8.0)
COUNTS: list[Any] = [
    -1,
    -(10**9),
    2**53,
    2**63,
    10**30,
    1e300,
    "twelve",
    "1e9",
    "-3",
    None,
    [],
    True,
    {"a": 1},
    1.5,
    12.0,
    "12",
    " 7.0 ",
]


@pytest.mark.parametrize("count", COUNTS, ids=str)
def test_absurd_counts_never_lower_what_is_spent_and_never_stop_the_store(count: Any, tmp_path: Path) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": count}
    believed = count in (1.5, 12.0, "12", " 7.0 ")
    results: list[Any] = []
    with (
        provider(lambda _: Answer(chat(VERSE, usage))) as url,
        engine(url, tmp_path / "calls.sqlite", budget=Budget(usd=0.05), price=PRICE, concurrency=4) as llm,
        nullcontext() if believed else pytest.raises(BudgetError, match=r"used up.* of it assumed"),
    ):
        results.extend(llm.ask(asks(60), READ))
    spent = llm.spent

    assert results
    assert 0 < spent.usd <= 0.05
    assert sum(result.usage.assumed_usd for result in results) == pytest.approx(spent.assumed / 10**9)
    assert spent.assumed == (0 if believed else spent.nano)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.one_of(st.none(), st.integers(-(10**20), 10**20))), max_size=30))
def test_what_is_spent_only_grows(steps: list[tuple[int, int | None]]) -> None:
    purse, before = Purse(Budget()), 0
    for held, count in steps:
        reserved = Amount(held, held, 1)
        told = OpenAIChat("m", base_url="http://h/v1").read(
            chat("x", {"prompt_tokens": count, "completion_tokens": count})
        )
        assert purse.reserve(reserved)
        purse.settle(reserved, compute_spent(reserved, told, PRICE))
        assert purse.spent.nano >= before
        assert 0 <= purse.spent.assumed <= purse.spent.nano
        before = purse.spent.nano
    assert purse.held == NOTHING


def test_the_first_reply_that_breaks_its_limit_ends_the_work_and_says_so(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def generous(request: bytes) -> Answer:
        asked.append(request)
        time.sleep(0.05)
        return Answer(chat(VERSE, {"prompt_tokens": 50, "completion_tokens": 1_000_000}))

    with provider(generous) as url:
        for store in (tmp_path / "one.sqlite", tmp_path / "two.sqlite"):
            asked.clear()
            with engine(url, store, budget=Budget(usd=0.5), price=PRICE, concurrency=32) as llm:
                got: list[Any] = []
                with pytest.raises(BudgetError, match=r"took \$8\.0001 for a request .* does not keep to the limit"):
                    got += llm.ask(asks(1 if store.name == "one.sqlite" else 100), READ)
            assert len(asked) == 1
    with provider(generous) as url, engine(url, price=PRICE) as llm:  # without a cap nothing is promised
        assert len(list(llm.ask(asks(5), READ))) == 5


def test_a_server_that_answers_garbage_is_left_after_five_replies(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def babble(request: bytes) -> Answer:
        asked.append(request)
        return Answer(b"<html>Welcome to the router</html>")

    with (
        provider(babble) as url,
        engine(url, tmp_path / "calls.sqlite", budget=Budget(usd=5.0), price=PRICE, concurrency=64) as llm,
        pytest.raises(ModelError, match="not once as a language model does"),
    ):
        list(llm.ask(asks(300), READ))
    spent = llm.spent

    assert len(asked) == 5
    assert 0 < spent.assumed == spent.nano < 0.05 * 10**9


def test_a_small_parcel_that_unpacks_to_hundreds_of_megabytes_is_left_closed() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(10**7)) for _ in range(40)) + packer.flush()
    started = time.monotonic()
    with (
        provider(lambda _: Answer(bomb, headers={"Content-Encoding": "gzip"})) as url,
        engine(url) as llm,
        pytest.raises(ModelError, match="larger than"),
    ):
        list(llm.ask(asks(1), READ))

    assert time.monotonic() - started < 20


def test_a_reply_that_is_packed_though_nobody_asked_is_read() -> None:
    packed = zlib.compress(chat(VERSE, {"prompt_tokens": 1, "completion_tokens": 1}), wbits=31)
    with provider(lambda _: Answer(packed, headers={"Content-Encoding": "gzip"})) as url, engine(url) as llm:
        [result] = llm.ask(asks(1), READ)

    assert isinstance(result, Accepted)


@pytest.mark.parametrize("deep", [b'{"a":' * 50_000, b"[" * 200_000, b'{"choices":' + b"[" * 100_000])
def test_envelopes_without_end_are_garbage_and_no_fault_of_ours(deep: bytes) -> None:
    for endpoint in (OpenAIChat("m", base_url="http://h/v1"), Anthropic("m", base_url="http://h")):
        with pytest.raises(Exception, match="the server sent no") as caught:
            endpoint.read(deep)
        assert type(caught.value).__name__ == "Garbled"


@pytest.mark.parametrize("cache", [None, -5, 7, "x", 10**12])
def test_anthropics_counts_are_believed_together_or_not_at_all(cache: Any) -> None:
    usage = {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": cache}
    body = json.dumps({"content": [{"type": "text", "text": "x"}], "usage": usage}).encode()
    reply = Anthropic("m", base_url="http://h").read(body)

    assert reply == Reply("x", {None: 10, 7: 17}.get(cache), 3, truncated=False)
    assert Anthropic("m", base_url="http://h").read(b'{"content": []}').input_tokens is None


def test_a_write_that_no_database_takes_ends_the_work_with_its_reason(tmp_path: Path) -> None:
    told: list[Any] = []
    store = Store(tmp_path / "calls.sqlite", lambda tickets, failure: told.append(failure))
    store.intend("a", Amount(10**30, 1, 1))
    with pytest.raises(LedgerError, match="could not be written"):
        store.flush()
    with pytest.raises(LedgerError):
        store.require_alive()
    assert isinstance(told[-1], LedgerError)
    store.close()
    with pytest.raises(LedgerError, match="has ended"):
        Store.require_alive(_dead(tmp_path))


def _dead(folder: Path) -> Store:
    store = Store(folder / "other.sqlite", lambda *_: None)
    store.close()
    return store


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1;")
        old.execute(
            "INSERT INTO calls (key, at, sends, held_nano, held_tokens, spent_nano) VALUES ('k', 0, 2, 5, 1, 9)"
        )
    store = Store(path, lambda *_: None)
    assert store.spent() == Amount(14, 1, 2, assumed=5)
    store.close()


def test_no_believed_count_can_overflow_what_is_kept() -> None:
    assert Price(input=1e5, output=1e5).nano(MOST_TOKENS, MOST_TOKENS) < 2**63

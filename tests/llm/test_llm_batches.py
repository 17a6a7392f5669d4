"""The providers' batch APIs over a real socket: submitted once, found again by any later process, half the price."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batch_kit import full_for_now
from llm_kit import READ, asks, engine, kinds

from benchmarks.torture.provider import Answer, service
from errorbook.errors import BudgetError, ModelError
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import Budget, Price
from errorbook.llm.engine import Engine
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import Terms
from errorbook.llm.records import Accepted, Failed
from errorbook.testing import Faults, Server, Settings, server

TERMS = Terms(first_wait=0.02, poll=0.02)
PRICE = Price(input=2.0, output=8.0)

Make = Callable[[Server], OpenAIChat | Anthropic]


def openai(provider: Server) -> OpenAIChat:
    return OpenAIChat("poet", base_url=provider.base_url)


def anthropic(provider: Server) -> Anthropic:
    return Anthropic("poet", base_url=provider.root)


both = pytest.mark.parametrize("make", [openai, anthropic])


def bill(provider: Server) -> float:
    stats = provider.stats()
    return (stats.input_tokens * PRICE.input + stats.output_tokens * PRICE.output) / 1e6


@both
def test_a_batch_answers_every_ask_for_half_the_price(make: Make, tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server(Settings(batch_seconds=0.05)) as provider:
        for _ in range(2):  # the second time from the store
            with Engine(make(provider), store=store, batch=True, price=PRICE, terms=TERMS) as llm:
                results = list(llm.ask(asks(40), READ))
                assert llm.purse.held.calls == 0
                assert llm.spent.usd == pytest.approx(bill(provider) / 2, abs=1e-6)
        stats = provider.stats()

    assert kinds(results) == {"Accepted": 40}
    assert (stats.batched, stats.requests) == (40, 40)


@both
def test_only_what_expired_or_was_invalid_is_submitted_again(make: Make) -> None:
    with server(faults=Faults(batch_expired=0.1, malformed=0.1)) as provider:
        with Engine(make(provider), batch=True, terms=TERMS, tries=9) as llm:
            results = list(llm.ask(asks(60), READ))
        stats = provider.stats()

    assert kinds(results) == {"Accepted": 60}
    assert stats.requests == 60 + stats.faults.get("batch_expired", 0) + stats.faults.get("malformed", 0)


@both
def test_a_batch_under_way_is_found_again(make: Make, tmp_path: Path) -> None:
    """The first process ends while the batch is worked on; the next one submits nothing."""
    store = tmp_path / "calls.sqlite"
    with server(Settings(batch_seconds=0.6)) as provider:
        with Engine(make(provider), store=store, batch=True, terms=TERMS, price=PRICE) as llm:
            results = llm.ask(asks(20), READ)
            llm._desk._poll = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[union-attr, method-assign]
            with pytest.raises(KeyboardInterrupt):
                list(results)
        assert provider.stats().batched == 20
        with Engine(make(provider), store=store, batch=True, terms=TERMS, price=PRICE) as llm:
            held = llm.spent
            assert kinds(list(llm.ask(asks(25), READ))) == {"Accepted": 25}
            assert llm.spent.usd == pytest.approx(bill(provider) / 2, abs=1e-6)

        assert held.calls == 20
        assert provider.stats().batched == 25


def test_what_a_batch_has_bought_serves_single_requests_too(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server() as provider:
        with engine(provider.base_url, store, batch=True) as llm:
            list(llm.ask(asks(10), READ))
        with engine(provider.base_url, store) as llm:
            list(llm.ask(asks(12), READ))

        assert (provider.stats().batched, provider.stats().requests) == (10, 12)


def test_a_budget_holds_for_batches() -> None:
    results: list[Any] = []
    with server() as provider, engine(provider.base_url, batch=True, budget=Budget(calls=15)) as llm:
        with pytest.raises(BudgetError, match="15 of 15 calls"):
            results.extend(llm.ask(asks(40), READ))

        assert provider.stats().requests == 15
    assert kinds(results) == {"Accepted": 15}


def test_a_server_without_schemas_gets_another_batch() -> None:
    with server(faults=Faults(refuse_schema=True)) as provider, engine(provider.base_url, batch=True) as llm:
        results = list(llm.ask(asks(10), READ))

    assert all(isinstance(result, Accepted | Failed) or "JSON" in result.reason for result in results)
    assert len(results) == 10


def test_a_server_without_batches_is_named() -> None:
    with (
        server() as provider,
        Engine(OpenAIChat("poet", base_url=provider.root), batch=True, terms=TERMS) as llm,
        pytest.raises(ModelError, match="base_url"),
    ):
        list(llm.ask(asks(3), READ))


@pytest.mark.parametrize("at", ["submission", "work"])
def test_a_queue_that_is_full_for_now_is_waited_for(at: str) -> None:
    with service(full_for_now(lambda number, _: number < 4, at)) as url, engine(url, batch=True, terms=TERMS) as llm:
        assert kinds(list(llm.ask(asks(6), READ))) == {"Accepted": 6}


def test_a_batch_that_never_fits_is_sent_in_parts() -> None:
    with service(full_for_now(lambda _, size: size > 3, "work")) as url, engine(url, batch=True, terms=TERMS) as llm:
        assert kinds(list(llm.ask(asks(8), READ))) == {"Accepted": 8}


def test_the_batch_api_may_be_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = full_for_now(lambda _, __: False, "work")
    seen: list[str] = []

    def answer(path: str, body: bytes) -> Answer:
        seen.append(path)
        away = "/batches/" in path and 3 < len(seen) < 20
        return Answer(b"<html>bad gateway</html>", 502) if away else whole(path, body)

    monkeypatch.setattr("errorbook.llm.batches.compute_backoff", lambda *_: 0.005)
    with service(answer) as url, engine(url, batch=True, terms=TERMS) as llm:
        assert kinds(list(llm.ask(asks(3), READ))) == {"Accepted": 3}


@pytest.mark.parametrize(
    ("status", "words", "end"),
    [(402, "Insufficient Balance", "wants its bill paid"), (400, "API key not valid", "does not accept the key")],
)
def test_a_line_of_a_batch_that_speaks_of_the_account_ends_the_work(status: int, words: str, end: str) -> None:
    whole = full_for_now(lambda *_: False, "work")
    refused = json.dumps({"status_code": status, "body": {"error": {"message": words}}})

    def answer(path: str, body: bytes) -> Answer:
        given = whole(path, body)
        if not path.endswith("/content"):
            return given
        lines = [json.loads(line) for line in given.body.splitlines()]
        return Answer("\n".join(json.dumps({**line, "response": json.loads(refused)}) for line in lines).encode())

    with service(answer) as url, engine(url, batch=True, terms=TERMS) as llm, pytest.raises(ModelError, match=end):
        list(llm.ask(asks(4), READ))

"""A cap is a cap: checked against what the server itself counted, over many prices and lengths, faults included."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llm_kit import READ, ask, asks, engine

from errorbook.errors import BudgetError
from errorbook.llm.budget import NOTHING, Amount, Budget, Price, Purse
from errorbook.llm.records import Accepted
from errorbook.testing import Faults, Settings, Stats, server

PRICES = st.floats(0.0, 200.0)


def billed(stats: Stats, price: Price) -> float:
    return (stats.input_tokens * price.input + stats.output_tokens * price.output) / 1e6


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    price_in=PRICES,
    price_out=PRICES,
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    longest=st.integers(1, 400),
    cap=st.floats(0.0, 0.2),
    faults=st.sampled_from([Faults(), Faults(cut_midway=0.1, malformed=0.1, server_error=0.1)]),
)
def test_a_cap_in_dollars_is_never_overshot(
    price_in: float, price_out: float, lengths: list[int], longest: int, cap: float, faults: Faults
) -> None:
    price = Price(input=price_in, output=price_out)
    prompts = [(key, ask(f"{key} " + "la " * length, max_tokens=longest)) for key, length in enumerate(lengths)]
    done: list[Any] = []
    with server(Settings(longest=longest), faults) as provider:
        with engine(provider.base_url, budget=Budget(usd=cap), price=price, concurrency=8) as llm:
            with suppress(BudgetError):
                done.extend(llm.ask(prompts, READ))
                assert len(done) == len(prompts)
            spent = llm.spent
        bill = billed(provider.stats(), price)

    assert bill <= cap + 1e-12
    assert spent.usd <= cap + 1e-9
    assert bill <= spent.usd + 1e-9


def test_what_is_recorded_is_what_is_billed(tmp_path: Path) -> None:
    price = Price(input=2.0, output=8.0)
    with server() as provider:
        with engine(provider.base_url, tmp_path / "calls.sqlite", price=price) as llm:
            results = list(llm.ask(asks(30), READ))
            spent = llm.spent
        bill = billed(provider.stats(), price)

    assert spent.usd == pytest.approx(bill, abs=1e-7)
    assert sum(result.usage.cost_usd for result in results) == pytest.approx(bill, abs=1e-7)


@pytest.mark.parametrize("budget", [Budget(calls=25), Budget(tokens=6000)])
def test_calls_and_tokens_are_capped_without_a_price(budget: Budget) -> None:
    results: list[Any] = []
    with server() as provider, engine(provider.base_url, budget=budget, concurrency=8) as llm:
        with pytest.raises(BudgetError, match=r"The budget is used up: .* raise the budget and run again"):
            results.extend(llm.ask(asks(200), READ))
        stats = provider.stats()

    assert results
    assert stats.requests <= (budget.calls or 200)
    assert stats.input_tokens + stats.output_tokens <= (budget.tokens or 10**9)


def test_the_last_dollar_is_waited_for_rather_than_given_up() -> None:
    """The worst case of two requests does not fit, but after each one there is room for the next."""
    budget = Budget(tokens=1000)
    with server() as provider, engine(provider.base_url, budget=budget, concurrency=8) as llm:
        results = list(llm.ask(asks(5), READ))

        assert provider.stats().peak_in_flight == 1
    assert len(results) == 5


def test_a_resumed_run_keeps_the_cap_and_what_was_bought(tmp_path: Path) -> None:
    store = tmp_path / "calls.sqlite"
    with server() as provider:
        for calls, more in ((10, True), (10, True), (30, True), (60, False)):
            results: list[Any] = []
            with engine(provider.base_url, store, budget=Budget(calls=calls)) as llm:
                try:
                    results.extend(llm.ask(asks(50), READ))
                    stopped = False
                except BudgetError:
                    stopped = True
            assert stopped is more
            assert provider.stats().requests == min(calls, 50)
    assert len(results) == 50
    assert sum(isinstance(result, Accepted) for result in results) == 50


def test_an_unknown_price_is_asked_for() -> None:
    with (
        engine("http://127.0.0.1:9/v1", budget=Budget(usd=1.0)) as llm,
        pytest.raises(BudgetError, match="price_input and price_output in dollars per million tokens"),
    ):
        list(llm.ask(asks(1), READ))


def test_two_engines_may_share_one_purse() -> None:
    with server() as one, server() as two, engine(one.base_url, budget=Budget(calls=20)) as first:
        with engine(two.base_url, budget=first.purse) as second:
            list(first.ask(asks(15), READ))
            with pytest.raises(BudgetError):
                list(second.ask(asks(15), READ))

        assert one.stats().requests + two.stats().requests == 20


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000), st.booleans()), max_size=50), st.integers(0, 5000)
)
def test_spent_and_held_never_pass_the_cap(steps: list[tuple[int, int, bool]], cap: int) -> None:
    purse = Purse(Budget(tokens=cap))
    open_ones: list[tuple[Amount, Amount]] = []
    for need, used, settle in steps:
        amount = Amount(0, need, 1)
        if purse.reserve(amount):
            open_ones.append((amount, Amount(0, min(used, need), 1)))
        if settle and open_ones:
            purse.settle(*open_ones.pop())
        assert purse.spent.tokens + purse.held.tokens <= cap
    for reserved, actual in open_ones:
        purse.settle(reserved, actual)

    assert purse.held == NOTHING


@given(st.integers(0, 10**7), st.integers(0, 10**6), PRICES, PRICES)
def test_costs_are_never_rounded_down(tokens_in: int, tokens_out: int, price_in: float, price_out: float) -> None:
    exact = (tokens_in * price_in + tokens_out * price_out) * 1000
    nano = Price(input=price_in, output=price_out).nano(tokens_in, tokens_out)

    assert exact * (1 - 1e-12) <= nano <= exact + 1 + exact * 1e-12

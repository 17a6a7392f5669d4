"""Prices from the list: this very model at this very address, the dearest of what may hold, and nothing by guessing."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from errorbook.adapters.instructors.endpoint import anthropic, openai
from errorbook.config import parse
from errorbook.errors import BudgetError
from errorbook.ledger.file import open_ledger
from errorbook.llm import prices
from errorbook.llm.budget import Price
from errorbook.llm.prices import look_up
from errorbook.setup.claim import claim
from errorbook.setup.plan import make_plan
from errorbook.setup.run_doctor import examine_run

OPENAI = "https://api.openai.com/v1"
RUN_FILE = """
[run]
name = "small"
budget_usd = 5.0

[target]
engine = "scripted"

[[tasks]]
name = "arithmetic"
train = 13
dev = 13
test = 13

[train]
method = "scripted"

[instructor]
kind = "openai"
"""


@pytest.fixture(scope="module")
def listed() -> Any:
    """The list itself."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def pick(listed: Any, wanted: Any) -> Any:
    """Some model of OpenAI's with one price that holds for ever."""
    models = next(provider for provider in listed.providers if provider.id == "openai").models
    return next(
        model
        for model in models
        if wanted(model) and isinstance(getattr(model.prices, "input_mtok", None), Decimal) and model.prices.output_mtok
    )


def test_a_price_is_that_of_the_list_with_its_source(listed: Any) -> None:
    model = pick(listed, lambda model: not model.deprecated)
    found = look_up(model.id, OPENAI)

    assert found is not None
    assert found.price == Price(input=float(model.prices.input_mtok), output=float(model.prices.output_mtok))
    assert "genai-prices 0." in found.source
    assert "newest price of 20" in found.source
    assert model.id in found.describe()
    assert found.warn() == ""


@pytest.mark.parametrize(
    ("model", "listed", "same"),
    [
        ("poet-2", "poet-2", True),
        ("poet-2-2026-01-31", "poet-2", True),
        ("poet-2-20260131", "poet-2", True),
        ("maker/poet-2:free", "maker/poet-2", True),
        ("models/poet-2-001", "poet-2", True),
        ("poet-2-latest", "poet-2", True),
        ("poet-2.5", "poet-2", False),
        ("poet-25", "poet-2", False),
        ("poet-2-large", "poet-2", False),
        ("poet", "poet-2", False),
        ("ft:poet-2:me", "poet-2", False),
    ],
)
def test_a_name_is_a_models_own_or_with_a_date(model: str, listed: str, same: bool) -> None:
    assert prices._is_same(model, listed) is same


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("MODEL", "http://localhost:8000/v1"),
        ("MODEL", "https://gpu-machine:8000/v1"),
        ("MODEL", "https://api.openai.com.example.org/v1"),
        ("MODEL", "https://example.org/v1"),
        ("MODEL-hyper", OPENAI),
        ("ft:MODEL:my-org::abc", OPENAI),
        ("no-such-model", OPENAI),
        ("", OPENAI),
    ],
)
def test_what_is_not_known_for_sure_has_no_price(model: str, base_url: str, listed: Any) -> None:
    known = pick(listed, lambda model: "-" not in model.id or model.id.count("-") == 1).id

    assert look_up(model.replace("MODEL", known), base_url) is None


def test_settings_that_cost_extra_have_no_price(listed: Any) -> None:
    model = pick(listed, lambda _: True).id

    assert look_up(model, OPENAI, {"top_p": 1}).price is not None  # type: ignore[union-attr]
    assert look_up(model, OPENAI, {"service_tier": "priority"}).price is None  # type: ignore[union-attr]


def test_the_dearest_of_what_may_hold_is_taken() -> None:
    from genai_prices.types import ModelPrice, Tier, TieredPrices

    steps = [Tier(start=32_000, price=Decimal(3)), Tier(start=200_000, price=Decimal(9))]
    tiers = TieredPrices(base=Decimal(1), tiers=steps)
    assert prices._read_price(ModelPrice(input_mtok=tiers, output_mtok=Decimal(4))) == Price(input=3.0, output=4.0)
    thinking = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2), output_reasoning_mtok=Decimal(8))
    assert prices._read_price(thinking) == Price(input=1.0, output=8.0)
    for other in ({"requests_kcount": Decimal(5), "output_mtok": Decimal(1)}, {}):
        assert prices._read_price(ModelPrice(input_mtok=Decimal(1), **other)) is None


def test_every_price_of_the_list_can_be_read_or_is_none(listed: Any) -> None:
    from datetime import UTC, datetime

    models = [model for provider in listed.providers for model in provider.models]
    found = [prices._read_price(model.get_prices(datetime.now(UTC))) for model in models]
    assert sum(price is not None for price in found) > 1000
    assert all(price is None or 0 <= price.input < 1000 for price in found)


def test_a_cap_needs_no_price_by_hand_and_a_price_by_hand_comes_first(
    listed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-nothing-is-sent")
    model = pick(listed, lambda model: not model.deprecated).id
    made = openai(model=model, budget_usd=1.0, workspace=str(tmp_path))

    assert made.price() == look_up(model, OPENAI).price  # type: ignore[union-attr]
    assert "genai-prices" in caplog.text
    given = openai(model=model, price_input=7.0, price_output=8.0)
    assert given.price() == Price(input=7.0, output=8.0)
    assert given.describe_price() == ""
    with pytest.raises(BudgetError, match="not known; give price_input"):
        openai(model="no-such-model", budget_usd=1.0, workspace=str(tmp_path))


def test_a_plan_says_where_its_price_is_from_and_that_a_model_goes_away(listed: Any) -> None:
    withdrawn = [
        (provider.api_pattern.replace("\\", ""), model.id)
        for provider in listed.providers
        for model in provider.models
        if model.deprecated and re.fullmatch(r"https://[a-z.\\]+", provider.api_pattern)
    ]
    base_url, model = next((host, name) for host, name in withdrawn if (one := look_up(name, host)) and one.price)
    text = f'{RUN_FILE}base_url = "{base_url}/v1"\nmodel = "{model}"\n'
    plan = make_plan(parse(text))
    assert plan.usd is not None
    assert any("genai-prices" in note and model in note for note in plan.notes)
    assert any("has announced to withdraw" in warning for warning in plan.warnings)

    plan = make_plan(parse(f"{text}price_input = 1.0\nprice_output = 2.0\n"))
    assert not any("genai-prices" in note for note in plan.notes)
    assert any("has announced to withdraw" in warning for warning in plan.warnings)
    plan = make_plan(parse(f'{RUN_FILE}model = "{pick(listed, lambda one: not one.deprecated).id}"\n'))
    assert not any("has announced to withdraw" in warning for warning in plan.warnings)


def test_the_doctor_of_a_run_names_the_price_and_calls_no_run_damaged(listed: Any, tmp_path: Path) -> None:
    model = pick(listed, lambda one: not one.deprecated).id
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        claim(ledger, parse(f'{RUN_FILE}model = "{model}"\n'))
    found = [one for one in examine_run(tmp_path) if one.name == "instructor"]

    assert len(found) == 1
    assert found[0].ok
    assert model in found[0].detail


def test_anthropics_own_models_have_prices_too(listed: Any) -> None:
    provider = next(provider for provider in listed.providers if provider.id == "anthropic")
    price = anthropic(model=provider.models[-1].id).price()

    assert price is not None
    assert price.output > price.input > 0


def test_a_server_of_ones_own_loads_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_find", None)

    assert openai(model="gpt-4o", base_url="http://localhost:8000/v1").describe_price() == ""

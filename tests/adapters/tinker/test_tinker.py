"""Tinker, with its own SDK over a real socket, against a server that trains a small model for real."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from recipe_kit import Interruption, child_of, recipe_of
from stand_in_tinker import KEY, Server, stand_in

from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tinker.spending import Bill, Cap, Prices
from errorbook.adapters.tinker.tinker_target import TinkerTarget
from errorbook.adapters.tinker.tinker_trainer import TinkerTrainer
from errorbook.config import parse
from errorbook.errors import BudgetError, ConfigError, ModelError, OutageError
from errorbook.interfaces import Metered, Target, Tied, Trainer, Weightless
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import note_paid, read_paid
from errorbook.records import Checkpoint, Generation, Lesson, Recipe, Training
from errorbook.setup.assemble import assemble
from errorbook.setup.plan import make_plan

# The SDK leaves sockets to the garbage collector; see also `running`.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

BASE = Checkpoint(base="tiny", base_fingerprint="f")
LESSONS = [
    Lesson(prompt=f"Calculate {number} + {number}.", completion=f"Answer: {2 * number}", source=f"s{number}")
    for number in range(8)
]
PROMPTS = [lesson.prompt for lesson in LESSONS[:4]]
GREEDY = Generation(max_new_tokens=8)


def recipe(**values: Any) -> Recipe:
    return recipe_of(**{"method": "tinker", "rank": 4, "learning_rate": 1e-2, "batch_size": 4, **values})


def silent(done: int, total: int) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def running(tiny_model: Path) -> Iterator[Server]:
    with stand_in(str(tiny_model), str(tiny_model)) as running:
        yield running
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TINKER_API_KEY", KEY)
    yield running
    running.change()


@pytest.fixture
def trainer(server: Server, tiny_model: Path) -> TinkerTrainer:
    return TinkerTrainer(str(tiny_model), base_url=server.root, patience=20, save_every=2)


@pytest.fixture
def target(server: Server, tiny_model: Path, tmp_path: Path) -> Iterator[TinkerTarget]:
    made = TinkerTarget(str(tiny_model), base_url=server.root, patience=20, workspace=str(tmp_path))
    yield made
    made.close()


def texts(target: Target, settings: Generation = GREEDY) -> list[str]:
    return [one.text for one in sorted(target.generate(PROMPTS, settings), key=lambda one: one.index)]


def trained(trainer: Trainer, root: Path, lessons: list[Lesson] = LESSONS, **values: Any) -> Training:
    return trainer.train(BASE, lessons, recipe(**values), root, silent)


def child(training: Training) -> Checkpoint:
    return replace(child_of(BASE, training), method="tinker")


def test_what_was_trained_there_is_an_adapter_here_and_answers_alike(
    trainer: TinkerTrainer, target: TinkerTarget, tiny_model: Path, tmp_path: Path, server: Server
) -> None:
    before = server.stats()["saved"]
    training = trained(trainer, tmp_path)
    local = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    base = texts(target)
    assert base == texts(local)
    for one in (target, local):
        one.use(child(training), tmp_path)
    assert texts(target) == texts(local) != base
    target.use(BASE, tmp_path)
    assert texts(target) == base
    target.close()
    told = server.stats()
    assert (training.lessons, training.steps, training.losses[-1] < training.losses[0]) == (8, 4, True)
    # No session is open, no model is held, and what is kept is what later cycles and exams need.
    assert (told["open"], told["models"], len(told["saved"]) - len(before)) == ([], [], 2)
    assert trained(trainer, tmp_path) == training


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_saved_state(
    trainer: TinkerTrainer, tmp_path: Path, server: Server
) -> None:
    whole = trained(trainer, tmp_path / "calm", epochs=3)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Interruption

    before = server.stats()["counts"]["optim_step"]
    with pytest.raises(Interruption):
        trainer.train(BASE, LESSONS, recipe(epochs=3), tmp_path / "killed", stop)
    seen: list[int] = []
    found = trainer.train(BASE, LESSONS, recipe(epochs=3), tmp_path / "killed", lambda done, _: seen.append(done))
    # Of six steps one was done twice: the one after the state of step 4.
    assert (seen, server.stats()["counts"]["optim_step"] - before) == ([5, 6], 7)
    assert (found.weights_hash, found.tokens) == (whole.weights_hash, whole.tokens)
    assert found.losses == pytest.approx(whole.losses, rel=1e-4)


@pytest.mark.slow
def test_a_later_cycle_trains_on_from_its_parent(trainer: TinkerTrainer, tmp_path: Path) -> None:
    first = trained(trainer, tmp_path)
    more = trainer.train(child(first), LESSONS, recipe(), tmp_path, silent)
    again = trainer.train(child(first), LESSONS, recipe(start="restart"), tmp_path, silent)
    assert more.losses[0] < 0.9 * first.losses[0]
    assert again.losses[0] == pytest.approx(first.losses[0], rel=1e-4)


@pytest.mark.slow
def test_preferences_are_learnt(trainer: TinkerTrainer, tmp_path: Path) -> None:
    pairs = [replace(lesson, rejected="Answer: no") for lesson in LESSONS[:6]] + LESSONS[6:]
    training = trained(trainer, tmp_path, pairs, objective="dpo", epochs=4)
    assert training.losses[-1] < training.losses[0]
    only = [replace(lesson, rejected="Answer: no") for lesson in LESSONS]
    first = trained(trainer, tmp_path, only, objective="dpo", beta=0.2).losses[0]
    assert first == pytest.approx(0.6931, abs=1e-3)  # nothing is gained yet: log 2


@pytest.mark.slow
def test_the_target_learns_from_itself(trainer: TinkerTrainer, tmp_path: Path) -> None:
    shown = [replace(one, context=f"{one.completion}\n{one.prompt}", max_new_tokens=6) for one in LESSONS]
    training = trained(trainer, tmp_path, shown, objective="self_distill", divergence="reverse")
    assert training.steps == 4
    assert training.losses[0] > 0
    assert "divergence = 'reverse'" in trainer.refuse(recipe(objective="self_distill"))


def test_nothing_is_asked_twice(target: TinkerTarget, tiny_model: Path, tmp_path: Path, server: Server) -> None:
    before = server.stats()["counts"].get("sampled", 0)
    first = texts(target)
    target.close()
    again = TinkerTarget(str(tiny_model), base_url=server.root, patience=20, workspace=str(tmp_path))
    assert texts(again) == first
    assert server.stats()["counts"]["sampled"] - before == 4
    assert [len(one) for _, one in again.generate_blocks([PROMPTS[:1], [], PROMPTS], GREEDY)] == [0, 1, 4]
    list(again.uncached.generate(PROMPTS, GREEDY))
    again.forget_unread()
    texts(again)
    assert server.stats()["counts"]["sampled"] - before == 12
    again.close()


def test_options_are_weighed_as_here(target: TinkerTarget, tiny_model: Path) -> None:
    local = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    options = [["A", "Bob"], ["no", "yes"]]
    there, here = (dict(one.log_likelihoods(PROMPTS[:2], options)) for one in (target, local))
    for index in (0, 1):
        assert there[index] == pytest.approx(here[index], rel=1e-3)


PRICED = {"price_prefill": 1000.0, "price_sample": 2000.0, "price_train": 3000.0}


@pytest.mark.slow
def test_tokens_are_paid_under_one_cap(server: Server, tiny_model: Path, tmp_path: Path) -> None:
    def make(usd: float) -> tuple[TinkerTarget, TinkerTrainer]:
        told: dict[str, Any] = {"base_url": server.root, "patience": 20, "budget_usd": usd, **PRICED}
        return (
            TinkerTarget(str(tiny_model), workspace=str(tmp_path), concurrency=1, **told),
            TinkerTrainer(str(tiny_model), **told),
        )

    target, trainer = make(1.0)
    read = 50  # a token is a byte: 50 of them are read, and 8 written at most, for less than 7 cents
    with pytest.raises(BudgetError, match="used up"):
        list(target.generate([*PROMPTS, *(f"{prompt} Now." for prompt in PROMPTS), *"abcdefghijklmnop"], GREEDY))
    assert 0.9 < target.spent_usd(tmp_path) <= 1.0
    with pytest.raises(BudgetError, match="the next request may need"):
        trained(trainer, tmp_path)
    target.close()
    target, trainer = make(20.0)
    spent = target.spent_usd(tmp_path)
    training = trained(trainer, tmp_path)
    assert target.spent_usd(tmp_path) - spent == pytest.approx(training.tokens * 3000 / 1e6)
    assert target.forecast_usd(read, 8) == pytest.approx(0.066)
    assert trainer.forecast_usd(1000, 0) == 3.0
    target.close()


def test_a_cap_that_cannot_be_kept_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="price_prefill, price_sample and price_train"):
        TinkerTarget("Qwen/Qwen3-32B", budget_usd=5.0, workspace=str(tmp_path))
    assert "price_train" in TinkerTrainer("Qwen/Qwen3-32B", budget_usd=5.0).refuse(recipe())
    assert TinkerTrainer("Qwen/Qwen3-8B", budget_usd=5.0).refuse(recipe()) == ""
    assert "price_train" in TinkerTrainer("Qwen/Qwen3-8B", budget_usd=5.0, base_url="http://x").refuse(recipe())
    with pytest.raises(ConfigError, match="belong together"):
        TinkerTarget("m", price_train=1.0)
    assert "take alpha out" in TinkerTrainer("m").refuse(recipe(alpha=16))


def test_a_request_in_the_air_at_a_kill_counts_as_spent(tmp_path: Path) -> None:
    cap = Cap(Prices(1.0, 2.0, 3.0), 5.0)
    with Bill(tmp_path, cap, "m") as bill:
        assert bill.hold("a", bill.prices.amount(read=1_000_000, written=500_000))
    with Bill(tmp_path, cap, "m") as bill:
        assert bill.spent_usd == 2.0
        assert not bill.hold("b", bill.prices.amount(trained=1_100_000))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"status": 402, "detail": "add credit"}, OutageError, "did not|empty|no answer"),
        (
            {"status": 403, "detail": "no such key"},
            ModelError,
            r"does not accept the key in TINKER_API_KEY \(no such key\)",
        ),
        ({"status": 400, "detail": "too long"}, ModelError, r"refused .* with status 400 \(too long\)"),
        ({"drop": True}, OutageError, "gave no answer within 1 seconds|failed at"),
        pytest.param({"status": 503}, OutageError, "gave no answer within 1 seconds|failed", marks=pytest.mark.slow),
    ],
)
def test_what_goes_wrong_there_is_one_sentence_and_the_same_command_goes_on(
    fault: dict[str, Any], error: type[Exception], words: str, server: Server, tiny_model: Path, tmp_path: Path
) -> None:
    target = TinkerTarget(str(tiny_model), base_url=server.root, patience=1, workspace=str(tmp_path))
    target.fingerprint  # noqa: B018 - opens the session while all is well
    server.change(**fault)
    with pytest.raises(error, match=words) as raised:
        texts(target)
    assert str(raised.value).count(". ") == 0
    assert "same command again" in str(raised.value)
    server.change()
    assert len(texts(target)) == 4
    target.close()


def test_a_wrong_key_or_model_is_told_at_once(
    server: Server, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"does not offer the model 'gpt2'; set model in .* it does: "):
        TinkerTarget("gpt2", base_url=server.root, patience=5, tokenizer=str(tiny_model)).fingerprint  # noqa: B018
    for key, words in (("tml-wrong", "does not accept the key"), ("sk-1", "begins with 'tml-'"), ("", "is not set")):
        monkeypatch.setenv("TINKER_API_KEY", key)
        with pytest.raises(ModelError, match=words):
            TinkerTarget(str(tiny_model), base_url=server.root, patience=5).fingerprint  # noqa: B018


@pytest.mark.slow
def test_a_network_that_drops_in_a_training_costs_the_steps_since_the_last_state(
    server: Server, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = TinkerTrainer(str(tiny_model), base_url=server.root, patience=3, save_every=1)

    def drop(done: int, total: int) -> None:
        if done == 2:
            server.change(drop=True)

    with pytest.raises(OutageError, match="same command again"):
        trainer.train(BASE, LESSONS, recipe(), tmp_path, drop)
    server.change()
    seen: list[int] = []
    trainer.train(BASE, LESSONS, recipe(), tmp_path, lambda done, _: seen.append(done))
    assert seen in ([2, 3, 4], [3, 4])


@pytest.mark.slow
def test_weights_that_are_gone_are_told(
    trainer: TinkerTrainer, target: TinkerTarget, tmp_path: Path, server: Server
) -> None:
    training = trained(trainer, tmp_path)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Interruption

    with pytest.raises(Interruption):
        trainer.train(BASE, LESSONS, recipe(seed=1), tmp_path, stop)
    server.change(forget=server.stats()["saved"])
    target.use(child(training), tmp_path)
    with pytest.raises(ModelError, match=r"no more.*set engine = 'transformers'"):
        texts(target)
    with pytest.raises(ModelError, match="lost the parent's weights"):
        trainer.train(child(training), LESSONS, recipe(seed=2), tmp_path, silent)
    with pytest.raises(ModelError, match=r"lost the state after step 2.*paid again"):
        trained(trainer, tmp_path, seed=1)
    assert trained(trainer, tmp_path, seed=1).steps == 4


RUN = """
[run]
name = "elsewhere"
[target]
engine = "tinker"
model = "Qwen/Qwen3-8B"
[[tasks]]
name = "arithmetic"
train = 13
dev = 26
test = 26
[train]
method = "{method}"
{more}
"""


def test_the_engine_takes_what_its_own_trainer_leaves(tmp_path: Path) -> None:
    parts = assemble(parse(RUN.format(method="tinker", more="save_every = 5")), tmp_path)
    assert isinstance(parts.target, Tied)
    assert not isinstance(parts.target, Weightless)  # what was trained there is in files here, to be exported
    assert isinstance(parts.trainer, Metered)
    for method, more in (("lora", ""), ("tinker", "scales = [0.5]")):
        with pytest.raises(ConfigError, match="set method = 'tinker' and scales"):
            assemble(parse(RUN.format(method=method, more=more)), tmp_path)


def test_a_plan_says_what_answers_and_training_may_cost(tmp_path: Path) -> None:
    plan = make_plan(parse(RUN.format(method="tinker", more="")))
    assert plan.host_usd
    assert plan.host_usd > 0
    dear = make_plan(parse(RUN.format(method="tinker", more="epochs = 4")))
    assert dear.host_usd
    assert dear.host_usd > plan.host_usd
    assert any("No budget is set" in warning for warning in plan.warnings)
    tight = parse(
        RUN.replace('name = "elsewhere"', 'name = "elsewhere"\nbudget_usd = 0.001').format(method="tinker", more="")
    )
    assert any("the run stops at its budget of" in warning for warning in make_plan(tight).warnings)
    unknown = parse(RUN.replace("Qwen3-8B", "Qwen3-32B").format(method="tinker", more=""))
    assert any("price_train in [target]" in warning for warning in make_plan(unknown).warnings)


def test_what_was_paid_is_in_the_ledger(ledger: Ledger) -> None:
    for usd in (0.0, 0.5, 0.5, 0.75):
        note_paid(ledger, usd)
    assert read_paid(ledger) == 0.75

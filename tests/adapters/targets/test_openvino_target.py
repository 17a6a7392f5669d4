"""The OpenVINO engine: the same prompts, the checkpoint's own weights and texts that nothing else decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from recipe_kit import recipe_of

pytest.importorskip("openvino_genai", reason="needs the extra 'openvino'")

from errorbook.adapters.targets import gguf_file, openvino_engine
from errorbook.adapters.targets.openvino import OpenVinoTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import ModelError
from errorbook.evaluate import evaluate, identify
from errorbook.interfaces import Likelihood, Paced, Target
from errorbook.plugins import create
from errorbook.records import Checkpoint, Generation, Lesson

BASE = Checkpoint(base="tiny", base_fingerprint="f" * 32)
PROMPTS = ["What is 2 + 3?", "Say something long and strange.", "a", "What is 2 + 3?"]
SETTINGS = Generation(max_new_tokens=24)


@pytest.fixture(scope="module")
def target(tiny_model: Path) -> OpenVinoTarget:
    return OpenVinoTarget(str(tiny_model), dtype="float32")


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Checkpoint, Path]]:
    def run(method: str) -> tuple[Checkpoint, Path]:
        root = tmp_path_factory.mktemp(method)
        recipe = recipe_of(method="full" if method == "full" else "lora", rank=4, learning_rate=0.02, epochs=4.0)
        lessons = [Lesson(prompt=f"Number {n}?", completion="blue", source="s") for n in range(8)]
        trainer = TransformersTrainer(str(tiny_model), device="cpu", dtype="float32")
        training = trainer.train(BASE, lessons, recipe, root, lambda done, total: None)
        checkpoint = msgspec.structs.replace(
            BASE,
            method=recipe.method,
            form=trainer.produces(recipe),
            folder=training.folder,
            weights_hash=training.weights_hash,
        )
        return checkpoint, root

    return run


def texts(target: Target, prompts: list[str] = PROMPTS, settings: Generation = SETTINGS) -> list[str]:
    found = sorted(target.generate(prompts, settings), key=lambda completion: completion.index)
    return [completion.text for completion in found]


def test_it_writes_what_transformers_writes(target: OpenVinoTarget, tiny_model: Path) -> None:
    other = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    expected = {completion.index: completion for completion in other.generate(PROMPTS, SETTINGS)}
    target.use(BASE, Path())
    assert {completion.index: completion for completion in target.generate(PROMPTS, SETTINGS)} == expected


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_checkpoint_is_answered_with_its_own_weights(
    method: str, target: OpenVinoTarget, tiny_model: Path, trained: Callable[[str], tuple[Checkpoint, Path]]
) -> None:
    checkpoint, root = trained(method)
    target.use(BASE, root)
    before = texts(target)
    target.use(checkpoint, root)
    after = texts(target)
    other = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    other.use(checkpoint, root)
    assert after == texts(other) != before
    target.use(BASE, root)
    assert texts(target) == before


def test_the_canary_notices_an_engine_with_other_weights(
    tiny_model: Path, trained: Callable[[str], tuple[Checkpoint, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, root = trained("lora")
    target = OpenVinoTarget(str(tiny_model), dtype="float32")
    base = gguf_file.write
    plain = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    plain.embed(["load"])
    # An engine that goes on with the base's weights, whatever it is given.
    monkeypatch.setattr(gguf_file, "write", lambda model, tokenizer, path: base(plain._model, tokenizer, path))
    target.use(checkpoint, root)
    with pytest.raises(ModelError, match=r"does not compute .* with the weights of this checkpoint"):
        texts(target)


def test_a_response_does_not_depend_on_its_neighbours(target: OpenVinoTarget) -> None:
    target.use(BASE, Path())
    many = [f"Question {n}: {'why ' * (n % 7)}?" for n in range(40)]
    assert texts(target, many) == [texts(target, [prompt])[0] for prompt in many]


def test_sampling_is_seeded_by_prompt_and_seed(target: OpenVinoTarget) -> None:
    target.use(BASE, Path())
    warm = Generation(max_new_tokens=24, temperature=1.0, seed=1)
    first = texts(target, PROMPTS, warm)
    assert first[0] == first[3]
    assert texts(target, PROMPTS, warm) == first
    assert texts(target, PROMPTS, msgspec.structs.replace(warm, seed=2)) != first


def test_a_generation_that_is_left_early_leaves_nothing_behind(target: OpenVinoTarget) -> None:
    target.use(BASE, Path())
    expected = texts(target)
    next(iter(target.generate(PROMPTS * 5, SETTINGS)))
    assert texts(target) == expected


def test_it_has_what_the_loop_asks_of_a_target(target: OpenVinoTarget, tiny_model: Path) -> None:
    assert isinstance(target, Likelihood)
    assert isinstance(target, Paced)
    plain = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    assert target.fingerprint != plain.fingerprint
    assert (target.embed(PROMPTS) == plain.embed(PROMPTS)).all()
    assert list(target.log_likelihoods(["a"], [["b", "c"]])) == list(plain.log_likelihoods(["a"], [["b", "c"]]))
    target.close()
    assert texts(target, ["a"])


def test_an_evaluation_streams_through_it(target: OpenVinoTarget) -> None:
    task = create("tasks", "arithmetic")
    scorer = create("scorers", task.scorer)
    examples = task.examples("dev", 12, 1)
    target.use(BASE, Path())
    evaluation = identify(target, BASE.hash, task, "dev", examples)
    found = [response for some in evaluate(target, task, scorer, evaluation, examples) for response in some]
    assert sorted(response.example for response in found) == sorted(example.id for example in examples)


def test_a_family_that_cannot_be_written_is_refused_with_the_way_out(tmp_path: Path, tiny_model: Path) -> None:
    config = msgspec.json.decode((tiny_model / "config.json").read_bytes())
    assert gguf_file.can_write(config)
    assert not gguf_file.can_write(config | {"model_type": "mamba"})
    assert not gguf_file.can_write(config | {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}})
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config | {"model_type": "mamba"}))
    with pytest.raises(ModelError, match="engine = 'transformers'"):
        texts(OpenVinoTarget(str(tmp_path), dtype="float32"))


def test_the_engines_odds_are_those_of_transformers_up_to_16_bits(target: OpenVinoTarget, tiny_model: Path) -> None:
    from errorbook.adapters.targets import loading

    model = loading.load_model(str(tiny_model), "cpu", "float32")
    target.use(BASE, Path())
    texts(target, ["a"])
    rows = [[5, 6, 7], [9, 10, 11, 12]]
    expected = openvino_engine.next_tokens(model, rows)
    found = list(openvino_engine.first_tokens(target._engine, rows))
    assert len(found) == len(rows)
    for row, (token, odds) in enumerate(found):
        assert odds == pytest.approx(expected[row][token], abs=0.02)


def test_a_response_ends_at_a_stop_in_both_engines(target: OpenVinoTarget, tiny_model: Path) -> None:
    target.use(BASE, Path())
    other = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")
    whole = texts(target)
    wanted = next(sign for sign in whole[1][2:12] if sign.isascii() and sign.isprintable())
    stopping = Generation(max_new_tokens=24, stop=(wanted,))
    for engine in (target, other):
        cut = {completion.index: completion for completion in engine.generate(PROMPTS, stopping)}
        assert cut[1].text == whole[1][: whole[1].index(wanted) + len(wanted)]
        assert cut[1].tokens < 24
        assert not cut[1].truncated
        for index, text in enumerate(whole):
            assert text.startswith(cut[index].text)

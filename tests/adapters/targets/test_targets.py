"""Targets: the decoding loop against transformers' own, switching checkpoints without a trace, and where models are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_kit import recipe_of

from errorbook.adapters.targets import conversation, embedded, loading
from errorbook.adapters.targets.decoding import RowLimits, decode
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.trainers.scripted import ScriptedTrainer
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import ModelError
from errorbook.records import Checkpoint, Completion, Example, Generation, Lesson

PROMPTS = ["Calculate 47 + 38.", "Hi", "Which animal says meow?", "", "Name a colour. " * 4, "1 + 1", "2 + 2"]
SHORT = Generation(max_new_tokens=24)
BASE = Checkpoint(base="tiny", base_fingerprint="f")


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache clean; the tests of the real model share it, since filling it takes long."""
    if "real" not in request.node.name:
        monkeypatch.setenv("ERRORBOOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def target(tiny_model: Path) -> TransformersTarget:
    return TransformersTarget(str(tiny_model), device="cpu", dtype="float32", batch_size=3)


def answers(target: Any, prompts: list[str], settings: Generation = SHORT) -> list[Completion]:
    return sorted(target.generate(prompts, settings), key=lambda completion: completion.index)


def trained(tiny_model: Path, root: Path, method: str = "lora", parent: Checkpoint = BASE) -> Checkpoint:
    """A checkpoint that was taught one strange answer."""
    lessons = [Lesson(prompt=prompt, completion="zzzz", source="s") for prompt in PROMPTS]
    recipe = recipe_of(method="lora" if method == "lora" else "full", epochs=6.0, rank=4, learning_rate=1e-2)
    training = TransformersTrainer(str(tiny_model), "cpu", "float32").train(
        parent, lessons, recipe, root, lambda done, total: None
    )
    return Checkpoint(
        base="tiny",
        base_fingerprint="f",
        parent=parent.hash,
        method=recipe.method,
        form=TransformersTrainer.produces(recipe),
        folder=training.folder,
        weights_hash=training.weights_hash,
    )


def test_every_prompt_is_answered_once_and_knows_its_prompt(target: TransformersTarget) -> None:
    completions = answers(target, PROMPTS)

    assert [completion.index for completion in completions] == list(range(len(PROMPTS)))
    assert len({completion.prompt_hash for completion in completions}) == len(PROMPTS)
    assert all(0 < completion.tokens <= 24 for completion in completions)
    assert all("<|im_" not in completion.text for completion in completions)


def test_greedy_text_is_that_of_transformers_and_independent_of_the_batch(
    target: TransformersTarget, tiny_model: Path
) -> None:
    import torch

    model = loading.load_model(str(tiny_model), "cpu", "float32")
    tokenizer = loading.load_tokenizer(str(tiny_model))
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([loading.prompt_ids(tokenizer, conversation.render(tokenizer, prompt))])
        output = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, pad_token_id=2
        )
        expected.append(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))

    assert len(set(expected)) > 3, "the tiny model says the same to everything, so this test shows nothing"
    assert [completion.text for completion in answers(target, PROMPTS)] == expected
    assert [answers(target, [prompt])[0].text for prompt in PROMPTS] == expected


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(3, 258), min_size=1, max_size=60), st.integers(1, 12))
def test_rows_end_at_their_first_end_token_whoever_else_goes_on(
    tiny_model: Path, ends: frozenset[int], cap: int
) -> None:
    model = loading.load_model(str(tiny_model), "cpu", "float32")
    prompts = [[1, 50 + row, 60 + 2 * row, *range(40, 40 + row)] for row in range(8)]
    free = dict(decode(model, prompts, [0] * 8, RowLimits(frozenset({2}), 2, cap, 0.0)))

    found = dict(decode(model, prompts, [0] * 8, RowLimits(frozenset({2, *ends}), 2, cap, 0.0)))

    assert found.keys() == free.keys() == set(range(8))
    for row, tokens in free.items():
        first = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
        assert found[row] == tokens[: first + 1]


def test_sampling_depends_on_seed_and_prompt_but_not_on_neighbours(target: TransformersTarget) -> None:
    hot = Generation(max_new_tokens=24, temperature=1.0, seed=1)
    texts = [completion.text for completion in answers(target, PROMPTS, hot)]

    assert [answers(target, [prompt], hot)[0].text for prompt in PROMPTS] == texts
    other = answers(target, PROMPTS, Generation(max_new_tokens=24, temperature=1.0, seed=2))
    assert [completion.text for completion in other] != texts
    assert [completion.text for completion in answers(target, PROMPTS)] != texts


def test_a_batch_that_does_not_fit_is_halved(
    tiny_model: Path, target: TransformersTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaForCausalLM

    expected = answers(target, PROMPTS)
    whole = LlamaForCausalLM.forward

    def small(self: Any, input_ids: Any, **options: Any) -> Any:
        if len(input_ids) > 2:
            raise MemoryError
        return whole(self, input_ids=input_ids, **options)

    monkeypatch.setattr(LlamaForCausalLM, "forward", small)
    crowded = TransformersTarget(str(tiny_model), device="cpu", dtype="float32", batch_size=7)

    assert answers(crowded, PROMPTS) == expected


@pytest.mark.parametrize("method", ["lora", "full"])
def test_switching_checkpoints_leaves_no_trace(
    method: str, target: TransformersTarget, tiny_model: Path, tmp_path: Path
) -> None:
    before = answers(target, PROMPTS)
    vectors = target.embed(PROMPTS)
    checkpoint = trained(tiny_model, tmp_path, method)

    target.use(checkpoint, tmp_path)
    taught = answers(target, PROMPTS)
    assert [completion.text for completion in taught] != [completion.text for completion in before]
    assert not np.array_equal(target.embed(PROMPTS), vectors)

    target.use(BASE, tmp_path)
    assert answers(target, PROMPTS) == before
    assert np.array_equal(target.embed(PROMPTS), vectors)

    target.use(checkpoint, tmp_path)
    target.close()
    assert answers(target, PROMPTS) == taught


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_scale_of_zero_is_the_base_and_a_half_lies_between(
    method: str, target: TransformersTarget, tiny_model: Path, tmp_path: Path
) -> None:
    import msgspec

    checkpoint = trained(tiny_model, tmp_path, method)
    vectors = {}
    for scale in (0.0, 0.5, 1.0):
        target.use(msgspec.structs.replace(checkpoint, scale=scale), tmp_path)
        vectors[scale] = target.embed(PROMPTS)
    target.use(BASE, tmp_path)
    base = target.embed(PROMPTS)

    assert np.allclose(vectors[0.0], base, atol=1e-6)
    assert 1e-4 < np.abs(vectors[0.5] - base).max() < np.abs(vectors[1.0] - base).max()


def test_embeddings_are_of_unit_length_and_independent_of_the_batch(target: TransformersTarget) -> None:
    vectors = target.embed(PROMPTS)

    assert vectors.dtype == np.float32
    assert vectors.shape == (len(PROMPTS), 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    alone = np.concatenate([target.embed([prompt]) for prompt in PROMPTS])
    assert np.allclose(vectors, alone, atol=1e-5)


def test_the_fingerprint_names_weights_template_and_number_format(tiny_model: Path, tmp_path: Path) -> None:
    def fingerprint(folder: Path, dtype: str = "float32") -> str:
        return TransformersTarget(str(folder), device="cpu", dtype=dtype).fingerprint

    copy = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
    same = fingerprint(copy)
    assert same == fingerprint(tiny_model)
    assert same != fingerprint(copy, "bfloat16")
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    other = fingerprint(copy)
    assert other != same
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert fingerprint(copy) not in {same, other}


def test_a_model_without_a_chat_template_reads_the_prompt_and_a_line_break(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    assert conversation.render(tokenizer, "Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    tokenizer.chat_template = None
    assert conversation.render(tokenizer, "Hi") == "Hi\n"


def test_bad_model_names_are_explained_in_one_sentence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        embedded.resolve(str(empty))
    shutil.copy(tiny_model / "config.json", empty)
    with pytest.raises(ModelError, match=r"no \.safetensors weights"):
        embedded.resolve(str(empty))
    with pytest.raises(ModelError, match="no model folder"):
        embedded.resolve("./missing")
    with pytest.raises(ModelError, match="neither a folder nor a model name"):
        embedded.resolve("not a name!")
    (empty / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="could not be loaded"):
        loading.load_model(str(empty), "cpu", "float32")


def test_offline_and_unknown_hub_names_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="could not be fetched from the hub") as caught:
        embedded.resolve("nobody/no-such-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"device": "cuda:99"}, {"dtype": "int3"}])
def test_bad_devices_and_formats_are_explained(options: dict[str, str], tiny_model: Path) -> None:
    import torch

    if "device" in options and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError):
        list(TransformersTarget(str(tiny_model), **options).generate(["Hi"], SHORT))  # type: ignore[arg-type]


def test_missing_weights_are_noticed_when_the_checkpoint_is_chosen(target: TransformersTarget, tmp_path: Path) -> None:
    gone = Checkpoint(base="tiny", base_fingerprint="f", method="lora", form="adapter", folder="checkpoints/gone")
    with pytest.raises(ModelError, match="weights are missing"):
        target.use(gone, tmp_path)


def arithmetic(n: int) -> tuple[list[Example], list[str]]:
    task = Arithmetic()
    examples = list(task.examples("dev", n, 3))
    return examples, [task.prompt(example.question) for example in examples]


def share_right(target: ScriptedTarget, n: int = 195) -> list[bool]:
    examples, prompts = arithmetic(n)
    completions = answers(target, prompts)
    pairs = zip(examples, completions, strict=True)
    return [completion.text == f"Answer: {example.answer}" for example, completion in pairs]


def test_the_scripted_target_improves_with_training_and_breaks_nothing(tmp_path: Path) -> None:
    target = ScriptedTarget(accuracy=0.3, gain=0.4)
    lesson = Lesson(prompt="p", completion="c", source="s")
    before = share_right(target)
    training = ScriptedTrainer().train(BASE, [lesson], recipe_of(), tmp_path, lambda done, total: None)
    target.use(
        Checkpoint(
            base="scripted",
            base_fingerprint="f",
            method="lora",
            form="adapter",
            folder=training.folder,
            parent=BASE.hash,
        ),
        tmp_path,
    )
    after = share_right(target)

    assert 0.2 < sum(before) / len(before) < 0.4
    assert 0.6 < sum(after) / len(after) < 0.8
    assert all(later for earlier, later in zip(before, after, strict=True) if earlier)
    target.use(BASE, tmp_path)
    assert share_right(target) == before


def test_the_scripted_target_knows_given_answers_and_obeys_the_cap() -> None:
    target = ScriptedTarget(accuracy=1.0, answers={"Which animal says meow?": "cat"})

    assert [one.text for one in answers(target, ["Which animal says meow?\nOne word."])] == ["Answer: cat"]
    assert [one.text for one in answers(ScriptedTarget(accuracy=0.0), ["Calculate 2 + 2."])] == ["Answer: 5"]
    (cut,) = answers(target, ["Calculate 2 + 2."], Generation(max_new_tokens=1))
    assert (cut.text, cut.truncated, cut.tokens) == ("Answer:", True, 1)


def test_a_scripted_checkpoint_without_weights_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a scripted one"):
        ScriptedTarget().use(
            Checkpoint(base="s", base_fingerprint="f", method="lora", form="adapter", folder="none"), tmp_path
        )


@pytest.mark.slow
def test_the_real_embedded_model_answers_sensibly_and_alike_in_any_batch() -> None:
    tokenizer = loading.load_tokenizer(embedded.resolve("smollm2-135m-instruct"))
    assert tokenizer.tokenize("x  12\n\n5") == ["x", "ĠĠ", "1", "2", "ĊĊ", "5"]  # digits one by one, as it was trained
    target = TransformersTarget("smollm2-135m-instruct", batch_size=8)
    prompts = [f"What is the capital of {country}?" for country in ("France", "Italy", "Japan", "Egypt")]
    prompts += [f"Calculate {number} + {number}." for number in range(2, 6)]
    settings = Generation(max_new_tokens=32)
    together = [completion.text for completion in answers(target, prompts, settings)]

    assert "Paris" in together[0]
    assert "Tokyo" in together[2]
    alone = [answers(target, [prompt], settings)[0].text for prompt in prompts]
    assert sum(one == other for one, other in zip(together, alone, strict=True)) > len(prompts) / 2

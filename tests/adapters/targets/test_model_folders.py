"""Folders of models that cannot be used as they are: one sentence for each, and nothing wrong without a word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from recipe_kit import recipe_of

from errorbook.adapters.targets import gguf_file, loading
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.errors import ModelError
from errorbook.records import Checkpoint, Generation, Lesson


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def configure(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def ask(folder: Path) -> list[str]:
    target = TransformersTarget(str(folder), device="cpu", dtype="float32")
    return [found.text for found in target.generate(["1 + 1"], Generation(max_new_tokens=4))]


def add_token(folder: Path, token: str) -> Any:
    tokenizer = loading.load_tokenizer(str(folder))
    tokenizer.add_special_tokens({"additional_special_tokens": [token]})
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.mark.parametrize(
    "quantised",
    [
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
    ],
    ids=lambda settings: settings["quant_method"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_quantised_base_is_refused_with_the_way_that_is_right(folder: Path, quantised: dict[str, Any]) -> None:
    configure(folder, quantization_config=quantised)
    with pytest.raises(ModelError, match=rf"quantised \({quantised['quant_method']}\).*method = 'qlora'"):
        ask(folder)


def test_code_that_comes_with_a_model_is_neither_asked_about_nor_run(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", answer)
    (folder / "own.py").write_text("raise SystemExit('it ran')")
    configure(folder, model_type="own", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    with pytest.raises(ModelError, match=r"needs Python code of its own|could not be loaded"):
        ask(folder)
    with pytest.raises(ModelError, match="needs Python code of its own"):
        loading.load_model(str(folder), "cpu", "float32")
    assert "y/N" not in "".join(capfd.readouterr())


def test_weights_that_are_numbers_and_compute_none_are_told(folder: Path) -> None:
    import torch

    def weigh() -> list[Any]:
        target = TransformersTarget(str(folder), device="cpu", dtype="float32")
        return list(target.log_likelihoods(["1 + 1"], [["2", "3"]]))

    assert ask(folder)
    assert weigh()
    model = loading.load_model(str(folder), "cpu", "float32")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(1e37)
        model.model.layers[1].mlp.down_proj.weight.mul_(1e37)
    model.save_pretrained(folder)

    sentence = r"computes in float32 are no finite numbers; set dtype = 'float32' in \[target\], or download"
    with pytest.raises(ModelError, match=sentence):
        ask(folder)
    with pytest.raises(ModelError, match=sentence):
        weigh()


def test_a_token_without_an_embedding_is_named(folder: Path, tmp_path: Path) -> None:
    tokenizer = add_token(folder, "<|user|>")
    (folder / "chat_template.jinja").write_text("<|user|>{{ messages[0]['content'] }}")
    sentence = r"writes '<\|user\|>' as token 259, but the model has embeddings for 259 tokens; enlarge it"
    assert len(tokenizer) == 260
    with pytest.raises(ModelError, match=sentence):
        ask(folder)
    lesson = Lesson(prompt="1 + 1", completion="2", source="s")
    with pytest.raises(ModelError, match=sentence):
        TransformersTrainer(str(folder), "cpu", "float32").train(
            Checkpoint(base="tiny", base_fingerprint="f"), [lesson], recipe_of(), tmp_path, lambda done, total: None
        )


def test_tokens_that_nothing_uses_do_no_harm(folder: Path, tmp_path: Path) -> None:
    from gguf import GGUFReader

    before = ask(folder)
    tokenizer = add_token(folder, "<|spare|>")
    assert ask(folder) == before
    gguf_file.write(loading.load_model(str(folder), "cpu", "float32"), tokenizer, tmp_path / "m.gguf")
    read = GGUFReader(tmp_path / "m.gguf")
    assert len(read.fields["tokenizer.ggml.tokens"].data) == 259


def test_weights_beyond_16_bits_keep_32_in_a_gguf_file(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from gguf import GGUFReader

    model = loading.load_model(str(tiny_model), "cpu", "float32")
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[0, 0] = 70_000.0
    gguf_file.write(model, loading.load_tokenizer(str(tiny_model)), tmp_path / "m.gguf")
    tensors = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "m.gguf").tensors}
    assert tensors["blk.0.ffn_down.weight"].data.flatten()[0] == 70_000.0
    assert tensors["blk.1.ffn_down.weight"].data.dtype == "float16"


def test_a_prompt_does_not_end_with_the_token_that_ends_a_text(tiny_model: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = loading.load_tokenizer(str(tiny_model))
    tokenizer.chat_template = None
    plain = loading.prompt_ids(tokenizer, "Hi\n")
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", start), ("<|im_end|>", end)]
    )
    assert loading.prompt_ids(tokenizer, "Hi\n") == [start, *plain]
    assert loading.prompt_ids(tokenizer, "Hi\n<|im_end|>") == [start, *plain, end]
    assert loading.prompt_ids(tokenizer, "") == [start]

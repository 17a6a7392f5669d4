"""Contrasts by a text encoder: what a vector is, that each is made once, and what is said if there is no such model."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from retriever_kit import EXAMPLES, QUESTIONS, example, save_small_bert

from errorbook import plugins
from errorbook.adapters.retrievers import encoder as encoding
from errorbook.adapters.retrievers.encoder import Encoder
from errorbook.config import parse
from errorbook.errors import ModelError
from errorbook.interfaces import Retriever


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small BERT whose words are those of the questions."""
    return save_small_bert(tmp_path_factory.mktemp("bert"), QUESTIONS)


def test_a_vector_is_the_mean_of_the_last_hidden_states_and_does_not_depend_on_its_batch(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = [*QUESTIONS, "meow " * 200, ""]
    together = encoding._encode(bert, texts)
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    for text, vector in zip(texts, together, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=24)).last_hidden_state
        mean = states[0].mean(dim=0).numpy()
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    monkeypatch.setattr(encoding, "_TOKENS", 1)
    for one, other in zip(together, encoding._encode(bert, texts), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_each_text_is_encoded_once(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = encoding._encode

    def count(name: str, texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return encode(name, texts)

    monkeypatch.setattr(encoding, "_encode", count)
    retriever: Retriever = plugins.create("retrievers", "encoder", {"encoder": bert})

    first = retriever.nearest(EXAMPLES[:2], EXAMPLES, 3)
    assert retriever.nearest(EXAMPLES[:2], [*EXAMPLES, example(9, QUESTIONS[0])], 3) != first
    assert sorted(asked) == sorted(QUESTIONS)
    assert retriever.nearest(EXAMPLES[:2], EXAMPLES, 3) == first


def test_the_same_words_are_nearest(bert: str) -> None:
    [[(place, similarity), _]] = Encoder(bert).nearest([example(9, QUESTIONS[3])], EXAMPLES, 2)
    assert place == 3
    assert similarity == pytest.approx(1.0, abs=1e-5)


def test_a_decoder_without_a_padding_token_encodes_too(tiny_model: Path) -> None:
    found = Encoder(str(tiny_model)).nearest(EXAMPLES, EXAMPLES, 2)
    assert [len(row) for row in found] == [2] * len(EXAMPLES)


def test_an_encoder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json; give the folder"):
        Encoder(str(tmp_path)).nearest(EXAMPLES, EXAMPLES, 2)
    with pytest.raises(ModelError, match=r"check the path in \[strategy\] encoder"):
        Encoder(str(tmp_path / "missing")).nearest(EXAMPLES, EXAMPLES, 2)


def test_a_name_that_cannot_be_fetched_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        looked_up.append(address)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ModelError, match=r"could not be fetched .* local folder in \[strategy\] encoder"):
        Encoder("nobody/such-an-encoder").nearest(EXAMPLES, EXAMPLES, 2)
    assert len(looked_up) <= 2  # the library's own loading asks a dozen times, for most of a minute


def spoil_weight(folder: Path) -> None:
    import torch
    from transformers import BertModel

    model: Any = BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.encoder.layer[1].output.dense.weight[3, 5] = float("inf")
    model.save_pretrained(folder)


def drop_rows(folder: Path) -> None:
    from transformers import BertModel

    model = BertModel.from_pretrained(folder)
    model.resize_token_embeddings(9)
    model.save_pretrained(folder)


def write_one_with_a_decoder(folder: Path) -> None:
    from transformers import BartConfig, BartModel

    small: dict[str, Any] = {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
    }
    config: Any = BartConfig(vocab_size=60, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **small)
    BartModel(config).save_pretrained(folder)


def write_one_of_pictures(folder: Path) -> None:
    from transformers import ViTConfig, ViTModel

    config: Any = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ViTModel(config).save_pretrained(folder)


def bring_code(folder: Path) -> None:
    (folder / "mine.py").write_text("raise SystemExit('it ran')")
    settings = json.loads((folder / "config.json").read_text())
    mine = {"AutoConfig": "mine.Settings", "AutoModel": "mine.Mine", "AutoTokenizer": ["mine.T", None]}
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": "mine", "auto_map": mine}))


def quantise(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "quantization_config": {"quant_method": "hqq"}}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_weight, r"no finite numbers \(encoder\.layer\.1\.output\.dense\.weight\); download"),
        (drop_rows, r"but the model has embeddings for 9 tokens; enlarge it"),
        (write_one_with_a_decoder, r"\(bart\) is an encoder with a decoder.*; give another as encoder in"),
        (write_one_of_pictures, r"\(vit\) is no encoder of texts alone; give another as encoder in"),
        (bring_code, r"needs Python code of its own.*; give another as encoder in"),
        (quantise, r"quantised \(hqq\).*; give another as encoder in"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.filterwarnings("ignore")
def test_an_encoder_that_makes_no_vectors_is_one_sentence(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], sentence: str
) -> None:
    def answer(*_: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", answer)
    folder = Path(shutil.copytree(bert, tmp_path / "spoilt"))
    spoil(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        Encoder(str(folder)).nearest(EXAMPLES, EXAMPLES, 2)
    assert "\n" not in str(caught.value)


def test_a_relative_folder_is_taken_from_the_run_files_own(tmp_path: Path) -> None:
    text = '[run]\nname = "near"\n[[tasks]]\nname = "arithmetic"\n[strategy]\nretriever = "encoder"\nencoder = "./bert"'
    assert parse(text, folder=tmp_path).strategy.encoder == str(tmp_path / "bert")
    assert parse(text.replace("./bert", "owner/bert"), folder=tmp_path).strategy.encoder == "owner/bert"

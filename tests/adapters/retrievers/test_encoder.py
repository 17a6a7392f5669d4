"""Contrasts by a text encoder: what a vector is, that each is made once, and what is said if there is no such model."""

from __future__ import annotations

from collections.abc import Sequence
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
    with pytest.raises(ModelError, match=r"cannot be loaded .* as encoder in"):
        Encoder(str(tmp_path)).nearest(EXAMPLES, EXAMPLES, 2)


def test_a_relative_folder_is_taken_from_the_run_files_own(tmp_path: Path) -> None:
    text = '[run]\nname = "near"\n[[tasks]]\nname = "arithmetic"\n[strategy]\nretriever = "encoder"\nencoder = "./bert"'
    assert parse(text, folder=tmp_path).strategy.encoder == str(tmp_path / "bert")
    assert parse(text.replace("./bert", "owner/bert"), folder=tmp_path).strategy.encoder == "owner/bert"

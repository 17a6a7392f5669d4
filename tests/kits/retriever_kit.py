"""Questions of which some are near others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from errorbook.records import Example


def example(number: int, question: str) -> Example:
    return Example(id=str(number), task="t", split="train", question=question, answer="")


QUESTIONS = [
    "Calculate 47 + 38.",
    "Calculate 46 + 38.",
    "Which animal says meow?",
    "Which animal says woof?",
    "Convert three hours into minutes.",
]
EXAMPLES = [example(number, question) for number, question in enumerate(QUESTIONS)]


def save_small_bert(folder: Path, texts: Sequence[str]) -> str:
    """A small BERT with random weights that knows the words of these texts; returns its folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = sorted({word for text in texts for word in re.findall(r"\w+|\W", text.lower())} - {" "})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    wrap: Any = BertTokenizer
    wrap(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config: Any = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=24,
        initializer_range=0.4,  # else all texts are nearly the same to it
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return str(folder)

"""Tokenizers for chat templates of real models: bytes, and every special token that the template writes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("ERRORBOOK_DATA", "/nowhere")) / "chat_templates"
TEMPLATES = sorted(FOLDER.glob("*.jinja"))
"""The chat templates of the reference data, if they are there."""

_MARKS = re.compile(
    r"<\|[A-Za-z_]+\|>|<\|[a-z_]+>|<[a-z_]+\|>|<\uff5c[^>]+?\uff5c>|\[/?(?:INST|THINK|SYSTEM_PROMPT)\]|</?think>"
    r"|<SPECIAL_\d+>|<(?:start|end)_of_turn>|<sop>|\[gMASK\]"
)
PLAIN = {"<think>", "</think>"}
"""Tokens of their own that are not special: texts keep them."""
_ENDS = {
    "gemma": ("<bos>", "<eos>"),
    "DeepSeek": ("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
    "istral": ("<s>", "</s>"),
    "Llama-3": ("<|begin_of_text|>", "<|eot_id|>"),
    "granite": ("<|end_of_text|>", "<|end_of_text|>"),
    "Apertus": ("<s>", "</s>"),
    "gpt-oss": ("<|startoftext|>", "<|return|>"),
}


def tokenizer_of(template: Path, words: int = 0) -> Any:
    """A tokenizer with the template, and begin and end tokens as its model has them.

    Its tokens are bytes, and as many `words` as are learnt from the template's own text: its prompts are shorter then.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    text = template.read_text(encoding="utf-8")
    start, end = next(
        (ends for name, ends in _ENDS.items() if name in template.stem), ("<|endoftext|>", "<|endoftext|>")
    )
    marks = sorted({start, end, *_MARKS.findall(text)})
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    if words:
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        learning = trainers.BpeTrainer(
            vocab_size=len(alphabet) + words, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
        )
        raw.train_from_iterator([text, "Calculate and answer, step by step. " * 9], learning)
    raw.add_special_tokens([AddedToken(mark, special=True) for mark in marks if mark not in PLAIN])
    raw.add_tokens([AddedToken(mark, special=False) for mark in marks if mark in PLAIN])
    wrap: Any = PreTrainedTokenizerFast
    extra = [mark for mark in marks if mark not in PLAIN]
    return wrap(
        tokenizer_object=raw,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        additional_special_tokens=extra,
        chat_template=text,
        clean_up_tokenization_spaces=False,
    )

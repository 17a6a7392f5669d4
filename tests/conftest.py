"""A two-layer language model with random weights and a byte tokenizer: every part of the real road, in milliseconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from places import KITS

from errorbook.files import cache_root
from errorbook.ledger.file import Ledger, open_ledger

# Processes that a test starts find the kits as the test itself does.
os.environ["PYTHONPATH"] = os.pathsep.join([str(KITS), *filter(None, [os.environ.get("PYTHONPATH")])])

# How long one example takes says more of what else a machine does than of the code: no example has a limit of its own.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
# `make mutate` runs a test once for each change of the code that it reaches: a few examples each are enough there.
settings.register_profile("mutation", max_examples=20, deadline=None)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What clicks through pages in a real browser takes seconds, so it is slow as far as the marker goes.

    Files with slow tests come first: the quick ones then fill the time of whichever process is done sooner.
    """
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is answered by what another one asked; those of the answers' cache switch it on themselves."""
    monkeypatch.setenv("ERRORBOOK_NO_CACHE", "1")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger, open for writing."""
    with open_ledger(tmp_path, "write") as ledger:
        yield ledger


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests leave in the cache goes with them, but for the embedded model's weights, which take long to unpack."""
    kept, folder = cache_root(), tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("models", "hashes"):
            (kept / name).mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(kept / name, target_is_directory=True)
        patch.setenv("ERRORBOOK_CACHE", str(folder))
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a complete model: configuration, safetensors weights, tokenizer and chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "model"
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        # Larger than usual: the untrained model would else repeat one token whatever it reads.
        initializer_range=0.4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

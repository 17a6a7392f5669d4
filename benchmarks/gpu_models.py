"""Models and token rows for the measurements on a GPU: the embedded model if its weights are there, random ones else.

The speed of a model does not depend on what its weights are, and neither does whether two ways to compute agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.adapters.targets.embedded import EMBEDDED, resolve
from errorbook.adapters.trainers.batches import TokenRow

EMBEDDED_MODEL = "smollm2-135m-instruct"
Row = dict[str, Any]
"""One measurement: `name`, figures by name, and `ok` if there is a promise that it keeps or breaks."""
Rows = Iterator[Row]


class Setting(NamedTuple):
    """How a step is run: at small size on a CPU to see that it works, or in earnest; and a folder to write to."""

    small: bool
    device: str
    folder: Path


class Lengths(NamedTuple):
    """Tokens of a lesson: the beginning that all share, and between which numbers its prompt and completion are."""

    shared: int
    prompt: tuple[int, int]
    completion: tuple[int, int]


SHORT = Lengths(40, (30, 90), (40, 140))
"""Like the demo's lessons: about 190 tokens."""
LONG = Lengths(40, (200, 400), (250, 450))
"""About 690 tokens."""
TINY = Lengths(6, (3, 9), (4, 14))

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def config_of(shape: str, *, small: bool) -> Any:
    """The configuration of SmolLM2-135M ("135M") or Qwen2.5-1.5B ("1.5B"); a tiny one of the same family if small."""
    from transformers import LlamaConfig, Qwen2Config

    make: Any = {"135M": LlamaConfig, "1.5B": Qwen2Config}[shape]
    sizes = {
        "135M": {"vocab": 49_152, "hidden": 576, "between": 1_536, "layers": 30, "heads": 9, "groups": 3},
        "1.5B": {"vocab": 151_936, "hidden": 1_536, "between": 8_960, "layers": 28, "heads": 12, "groups": 2},
        "tiny": {"vocab": 300, "hidden": 64, "between": 128, "layers": 2, "heads": 4, "groups": 2},
    }["tiny" if small else shape]
    return make(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["hidden"],
        intermediate_size=sizes["between"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_key_value_heads=sizes["groups"],
        max_position_embeddings=8_192,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.04,
    )


def random_model(shape: str, setting: Setting, dtype: str, seed: int = 0) -> Any:
    """A model of that shape with random weights, made on the device itself, in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    with torch.device(setting.device):
        make: Any = AutoModelForCausalLM.from_config
        model = make(config_of(shape, small=setting.small), dtype=getattr(torch, dtype))
    return model.eval()


def random_rows(vocabulary: int, count: int, lengths: Lengths, seed: int = 0) -> list[TokenRow]:
    """Lessons of random tokens that begin alike."""
    draw = random.Random(seed)

    def tokens(number: int) -> list[int]:
        return [draw.randrange(3, vocabulary) for _ in range(number)]

    shared = tokens(lengths.shared)
    rows = []
    for _ in range(count):
        prompt = [*shared, *tokens(draw.randint(*lengths.prompt))]
        rows.append(TokenRow((*prompt, *tokens(draw.randint(*lengths.completion)), 2), len(prompt)))
    return rows


def has_weights() -> bool:
    """Whether the embedded model's own weights are on this machine."""
    return find_spec(EMBEDDED[EMBEDDED_MODEL].package) is not None


def model_of(setting: Setting) -> str:
    """The name of the embedded model, or the folder of a random one of its shape if its weights are not there.

    At small size it is the random one of tiny shape.
    """
    if has_weights() and not setting.small:
        resolve(EMBEDDED_MODEL)
        return EMBEDDED_MODEL
    folder = setting.folder / "random-model"
    if not folder.is_dir():
        tokenizer = _byte_tokenizer()
        random_model("135M", setting, "bfloat16" if setting.device != "cpu" else "float32").save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def _byte_tokenizer() -> Any:
    """A tokenizer of single bytes: it needs no vocabulary of anybody's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    wrap: Any = PreTrainedTokenizerFast
    return wrap(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=_TEMPLATE,
    )

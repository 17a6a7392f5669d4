"""A causal language model of transformers written as one GGUF file: its weights, its shape and its tokenizer.

Covers the decoder families in `FAMILIES` with byte-level BPE vocabularies. Weights are kept in 16 bits; nothing is
quantised here. How the tokenizer cuts text is the caller's to say; an engine that is given token ids does not need it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.errors import ModelError

FAMILIES = ("llama", "qwen2", "qwen3")
"""Values of a model's `model_type` that can be written."""
_NORMAL, _CONTROL, _ADDED, _UNUSED = 1, 3, 4, 5  # the GGUF codes of kinds of tokens


class Labels(NamedTuple):
    """What weights do not say: a name, how text is cut (llama.cpp's word), whether a prompt gets a start token."""

    name: str = ""
    cut: str = "default"
    starts: bool = False


def can_write(config: dict[str, Any]) -> bool:
    """Whether a model with this config.json can be written: known family, ordinary rotary positions, full attention."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    ordinary = scaling.get("rope_type", scaling.get("type", "default")) == "default"
    full = not config.get("use_sliding_window") and not config.get("mlp_bias")
    return config.get("model_type") in FAMILIES and ordinary and full


def write(model: Any, tokenizer: Any, path: Path, labels: Labels | None = None) -> None:
    """Write the model's present weights and its tokenizer to `path`.

    Raises:
        ModelError: A weight or the vocabulary is of a kind that GGUF has no place for here.
    """
    import gguf
    import numpy as np
    import torch

    config = model.config
    family = next(arch for arch in gguf.MODEL_ARCH if gguf.MODEL_ARCH_NAMES[arch] == config.model_type)
    writer = gguf.GGUFWriter(path, config.model_type)
    labels = labels or Labels()
    writer.add_name(labels.name or config.model_type)
    _describe(writer, config)
    _add_vocabulary(writer, tokenizer, config.vocab_size, labels)
    names = gguf.get_tensor_name_map(family, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        written = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if written is None:
            raise ModelError(f"The weight '{name}' has no name in GGUF; set engine = 'transformers' in [target].")
        wide = tensor.ndim == 1 or float(tensor.abs().max()) > torch.finfo(torch.float16).max
        stored = torch.float32 if wide else torch.float16
        array = _as_stored(name, tensor.detach().cpu().to(stored).numpy(), config)
        writer.add_tensor(written, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, config: Any) -> None:
    """The model's shape, as llama.cpp names its parts."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    rope: dict[str, Any] = getattr(config, "rope_parameters", None) or {"rope_theta": config.rope_theta}
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_rope_dimension_count(width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(1)  # mostly 16-bit floats


def _add_vocabulary(writer: Any, tokenizer: Any, rows: int, labels: Labels) -> None:
    """Tokens in the order of their ids, one for each row of the embeddings, and the merges.

    A token beyond the rows is left out: the model cannot read it, and readers refuse the file.

    Raises:
        ModelError: The tokens are not of byte-level BPE.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    if described["model"]["type"] != "BPE" or described["model"].get("byte_fallback"):
        raise ModelError(
            "This model's vocabulary is not byte-level BPE, which GGUF is written for here; "
            "set engine = 'transformers' in [target]."
        )
    vocabulary = dict(described["model"]["vocab"]) | {item["content"]: item["id"] for item in described["added_tokens"]}
    kinds = {item["content"]: _CONTROL if item["special"] else _ADDED for item in described["added_tokens"]}
    size = rows  # embeddings are often padded to a round number
    tokens, types = [f"<|unused_{number}|>" for number in range(size)], [_UNUSED] * size
    for token, number in ((token, number) for token, number in vocabulary.items() if number < rows):
        tokens[number], types[number] = token, kinds.get(token, _NORMAL)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in described["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(labels.cut)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges or [f"{tokens[0]} {tokens[0]}"])  # readers refuse a file without any
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if tokenizer.bos_token_id is not None and tokenizer.bos_token_id < rows:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id < rows:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(labels.starts)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _as_stored(name: str, array: Any, config: Any) -> Any:
    """Llama's queries and keys are stored with the two halves of each head interleaved, as GGUF rotates them."""
    if config.model_type != "llama" or not ("q_proj" in name or "k_proj" in name):
        return array
    heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
    split = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return split.swapaxes(1, 2).reshape(array.shape)

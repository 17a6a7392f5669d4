"""Small models with random weights in the shapes of current families, by the name of a real chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 8192,
    "initializer_range": 0.4,
}
MIXED = {"num_local_experts": 4, "num_experts_per_tok": 2}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "Apertus-8B-Instruct": ("ApertusConfig", {}),
    "GLM-4.7-Flash": (
        "Glm4MoeLiteConfig",
        {
            **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 16},
            **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
            **{"num_key_value_heads": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
        },
    ),
    "HuggingFaceTB-SmolLM3-3B": ("SmolLM3Config", {}),
    "LFM2.5-Instruct": ("Lfm2Config", {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}),
    "NVIDIA-Nemotron-Nano-v2": (
        "NemotronHConfig",
        {
            **{"layers_block_type": ["mamba", "attention"], "mamba_num_heads": 4, "mamba_head_dim": 16},
            **{"ssm_state_size": 8, "n_groups": 1, "chunk_size": 8},
        },
    ),
    "Qwen-QwQ-32B": ("Qwen2Config", {}),
    "Qwen-Qwen2.5-7B-Instruct": ("Qwen2Config", {}),
    "Qwen-Qwen3-0.6B": ("Qwen3Config", {}),
    "Qwen3.5-4B": (
        "Qwen3_5TextConfig",
        {
            **{"layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2},
            **{"linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
        },
    ),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": ("LlamaConfig", {}),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("Qwen2Config", {}),
    "google-gemma-2-2b-it": ("Gemma2Config", {"sliding_window": 4096}),
    "google-gemma-4-31B-it": (
        "Gemma4TextConfig",
        {
            **{"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4096, "global_head_dim": 8},
            **{"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": "vocab", "num_kv_shared_layers": 0},
        },
    ),
    "ibm-granite-granite-3.3-2B-Instruct": ("GraniteConfig", {}),
    "ibm-granite-granite-4.1": ("GraniteConfig", {}),
    "llm-jp-llm-jp-4.1-8b-thinking": ("LlamaConfig", {}),
    "meta-llama-Llama-3.1-8B-Instruct": ("LlamaConfig", {}),
    "meta-llama-Llama-3.2-3B-Instruct": ("LlamaConfig", {"tie_word_embeddings": True}),
    "microsoft-Phi-3.5-mini-instruct": ("Phi3Config", {"sliding_window": 4096}),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("Ministral3Config", {}),
    "mistralai-Mistral-Nemo-Instruct-2407": ("MistralConfig", {"sliding_window": None}),
    "openai-gpt-oss-120b": (
        "GptOssConfig",
        MIXED | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4096},
    ),
    "openbmb-MiniCPM5-1B": ("LlamaConfig", {}),
}
"""Configuration class and what differs from `SMALL`, by the template's name."""


def write_model(folder: Path, shape: str, tokenizer: Any) -> Path:
    """Write a whole model into the folder: configuration, weights, tokenizer, chat template."""
    import torch
    import transformers

    name, own = SHAPES[shape]
    size = len(tokenizer)
    own = {key: size if value == "vocab" else value for key, value in own.items()}
    kind: Any = getattr(transformers, name)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    config = kind(**{**SMALL, "vocab_size": size, **ends, **own})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make: Any = transformers.AutoModelForCausalLM
        make.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

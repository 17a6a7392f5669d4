"""Small models of many architectures with random weights, each as a folder with the tiny model's tokenizer.

What is small is named as each configuration class names it; a class that the installed transformers lacks is skipped.
Windows are shorter than the tests' prompts, so that they matter.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

_SIZES: dict[str, Any] = {
    **{"vocab_size": 259, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
_WINDOW = {"sliding_window": 16}
_LINEAR = {
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_ROUTED = {
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    **{"moe_intermediate_size": 16, "first_k_dense_replace": 1},
}
_LATENT = {
    **_ROUTED,
    **{"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 12},
    **{"num_key_value_heads": 4, "head_dim": 4},
}
_STATES = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16}
_IN_TURN = ["full_attention", "sliding_attention"] * 2
_SEEING = {
    "vision_config": {
        **{"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"image_size": 28, "patch_size": 14},
    },
}
_CONVOLVING = {"layer_types": ["conv", "full_attention"] * 2}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024},
    "bloom": {"n_head": 4, "n_layer": 2},
    "mistral": _WINDOW,
    "phi3": _WINDOW,
    "gemma2": _WINDOW,
    "gemma3_text": {**_WINDOW, "layer_types": _IN_TURN},
    "gemma4_text": {
        **_WINDOW,
        "layer_types": _IN_TURN,
        **{"vocab_size_per_layer_input": 259, "hidden_size_per_layer_input": 8, "global_head_dim": 16},
    },
    "cohere2": {**_WINDOW, "layer_types": _IN_TURN},
    "exaone4": {**_WINDOW, "layer_types": _IN_TURN},
    "gpt_oss": {**_WINDOW, "layer_types": _IN_TURN, "num_local_experts": 4, "num_experts_per_tok": 2},
    "llama4_text": {"num_local_experts": 2, "attention_chunk_size": 16, "intermediate_size_mlp": 48},
    "mixtral": {"num_local_experts": 4},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": _EXPERTS,
    "glm4_moe": _ROUTED,
    "deepseek_v3": _LATENT,
    "deepseek_v32": {**_LATENT, "index_topk": 8, "index_n_heads": 2, "index_head_dim": 8},
    "qwen3_next": {**_LINEAR, **_EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3_5_text": _LINEAR,
    "qwen3_5_moe_text": {**_LINEAR, **_EXPERTS, "shared_expert_intermediate_size": 16},
    "lfm2": _CONVOLVING,
    "lfm2_moe": {**_CONVOLVING, **_EXPERTS, "num_dense_layers": 1},
    "granitemoehybrid": {
        **_STATES,
        **{"layer_types": ["mamba", "attention"] * 2, "num_local_experts": 0, "num_experts_per_tok": 0},
        **{"mamba_expand": 2, "shared_intermediate_size": 48},
    },
    "bamba": {**_STATES, "attn_layer_indices": [1, 3]},
    "falcon_h1": {**_STATES, "mamba_d_ssm": 64},
    "olmo_hybrid": _LINEAR,
    "zamba2": {
        **{"mamba_d_state": 8, "mamba_headdim": 8, "mamba_ngroups": 1, "n_mamba_heads": 8, "mamba_expand": 2},
        **{
            "chunk_size": 16,
            "num_mem_blocks": 1,
            "layers_block_type": ["mamba", "hybrid"] * 2,
            "num_key_value_heads": 4,
        },
    },
    "nemotron_h": {
        **{"layers_block_type": ["mamba", "attention", "mamba", "mlp"], "mamba_num_heads": 8, "mamba_head_dim": 8},
        **{"ssm_state_size": 8, "n_groups": 1, "chunk_size": 16},
    },
    "minimax": {"num_local_experts": 2},
    "jamba": {
        **{"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
        **{"expert_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    },
    "mamba": {"state_size": 8, "time_step_rank": 4},
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "expand": 2, "chunk_size": 16},
    "falcon_mamba": {"state_size": 8, "time_step_rank": 4},
    "recurrent_gemma": {
        **{"lru_width": 32, "attention_window_size": 16, "block_types": ["recurrent", "attention"]},
    },
    "gemma3": {"text_config": {**_SIZES, **_WINDOW, "layer_types": _IN_TURN}, **_SEEING},
    "gemma4": {
        "text_config": {
            **{**_SIZES, **_WINDOW, "layer_types": _IN_TURN, "vocab_size_per_layer_input": 259},
            **{"hidden_size_per_layer_input": 8, "global_head_dim": 16},
        },
        **_SEEING,
    },
    "qwen3_5": {"text_config": {**_SIZES, **_LINEAR}},
}
"""By `model_type`: what its configuration is given besides the sizes that most know."""


_LOUDER = {"bloom": 16, "nemotron_h": 6, "lfm2_moe": 6}


def build(name: str, tokens: Path, folder: Path) -> Path | None:
    """A folder of a model of this kind, or None if transformers knows none; `tokens` has the tokenizer."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    if name not in CONFIG_MAPPING:
        return None
    known = CONFIG_MAPPING[name]
    own = ARCHITECTURES[name]
    names = {*known().to_dict(), *known.attribute_map} if "text_config" not in own else set()
    config = known(**{**{name: size for name, size in _SIZES.items() if name in names}, **own})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make: Any = AutoModelForCausalLM.from_config
        model = make(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:  # untrained weights would repeat one token whatever they read
                weight.mul_(_LOUDER.get(name, 4))
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokens / file).is_file():
            shutil.copy(tokens / file, folder / file)
    return folder

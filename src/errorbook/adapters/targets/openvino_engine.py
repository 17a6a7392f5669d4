"""What OpenVINO GenAI is asked to do: build a pipeline from a GGUF file, continue token rows, tell next-token odds.

The cache of prompt beginnings stays off: it would make a response depend on what was asked before it, in the last bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from errorbook.adapters.targets.decoding import RowLimits

_BATCH_TOKENS = 2048
"""Tokens computed in one step, of prompts and responses together: enough to keep a CPU's matrix units busy."""


def load_tokenizer(path: Path) -> Any:
    """The tokenizer that a pipeline wants to be given; reading it takes longer than the weights do."""
    import openvino_genai

    return openvino_genai.Tokenizer(str(path))


def build(path: Path, tokens: Any, dtype: str, batch_size: int) -> Any:
    """A pipeline that computes in `dtype` and writes up to `batch_size` responses at once."""
    import openvino_genai

    plan = openvino_genai.SchedulerConfig()
    plan.max_num_batched_tokens = _BATCH_TOKENS
    plan.max_num_seqs = batch_size
    plan.cache_size = 0  # grows as it is needed
    plan.enable_prefix_caching = False
    plan.dynamic_split_fuse = True
    precision = {"bfloat16": "bf16"}.get(dtype, "f32")
    options = {"INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": precision}
    if threads := os.environ.get("OMP_NUM_THREADS"):  # what limits PyTorch on a shared machine
        # One thread of bfloat16 kills the process on processors with AMX: OpenVINO divides by zero while it builds.
        options["INFERENCE_NUM_THREADS"] = "2" if threads == "1" and precision == "bf16" else threads
    return openvino_genai.ContinuousBatchingPipeline(str(path), tokens, plan, "CPU", **options)


def decode(
    engine: Any, prompts: Sequence[Sequence[int]], seeds: Sequence[int], limits: RowLimits
) -> Iterator[tuple[int, list[int]]]:
    """Continue every prompt; yields (prompt number, new token ids, the end token included) as they finish."""
    import openvino_genai

    written: dict[int, list[int]] = {number: [] for number in range(len(prompts))}
    running = {}
    for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        running[number] = engine.add_request(number, _tensor(prompt), _wish(limits, seed))
    still = openvino_genai.GenerationStatus.RUNNING
    try:
        while running:
            engine.step()
            for number, handle in list(running.items()):
                ended = handle.get_status() != still
                while handle.can_read():
                    for output in handle.read().values():
                        written[number] += output.generated_ids
                if not ended and limits.over is not None and limits.over(written[number]):
                    handle.stop()
                    ended = True
                if ended:
                    del running[number]
                    yield number, written.pop(number)
    finally:
        for handle in running.values():
            handle.cancel()
        while engine.has_non_finished_requests():
            engine.step()


def first_tokens(engine: Any, prompts: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
    """The likeliest next token of each prompt and its log-probability, in nats, as the engine computes it."""
    limits = RowLimits(frozenset(), 0, 1, 0.0)
    handles = []
    for number, prompt in enumerate(prompts):
        wish = _wish(limits, 0)
        wish.logprobs = 1
        handles.append(engine.add_request(number, _tensor(prompt), wish))
    while engine.has_non_finished_requests():
        engine.step()
    outputs = [handle.read_all()[0] for handle in handles]
    return [(output.generated_ids[0], output.generated_log_probs[0]) for output in outputs]


def next_tokens(model: Any, prompts: Sequence[Sequence[int]]) -> list[list[float]]:
    """Log-probabilities, in nats, of every next token of each prompt, as transformers computes them."""
    import torch

    rows = []
    with torch.inference_mode():
        for prompt in prompts:
            logits = model(input_ids=torch.tensor([list(prompt)]), use_cache=False).logits[0, -1]
            rows.append(logits.float().log_softmax(dim=-1).tolist())
    return rows


def _tensor(prompt: Sequence[int]) -> Any:
    import numpy as np
    import openvino

    return openvino.Tensor(np.array([prompt], dtype=np.int64))


def _wish(limits: RowLimits, seed: int) -> Any:
    import openvino_genai

    wish = openvino_genai.GenerationConfig()
    wish.max_new_tokens = limits.max_new_tokens
    wish.apply_chat_template = False
    if limits.ends:
        wish.eos_token_id = min(limits.ends)
        wish.stop_token_ids = set(limits.ends)
    wish.do_sample = limits.temperature > 0
    if wish.do_sample:
        wish.temperature, wish.top_p, wish.top_k, wish.rng_seed = limits.temperature, 1.0, 2**31, seed
    return wish

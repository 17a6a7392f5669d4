"""Answering on this device: how fast tokens come, whether company changes them, and whether an adapter shows.

Tokens per second are of decoding alone and of fixed length, on random weights: how fast they come does not depend on
what they are. `bandwidth` is what had to be read for them (the weights once a step, and each row's cache), by the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_machine import ceilings, free, peak_gb, wait
from benchmarks.gpu_models import TINY, Row, Rows, Setting, model_of, random_model, random_rows
from benchmarks.gpu_train import lessons_of, recipe_of, trained
from errorbook import plugins
from errorbook.adapters.targets import conversation, loading
from errorbook.adapters.targets.decoding import RowLimits, decode
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.targets.weights import Weights, load
from errorbook.records import Checkpoint, Generation

BATCHES = (1, 32, 128)
PROMPT, NEW = 128, 128


def decode_speed(setting: Setting) -> Rows:
    """Our loop and `generate`, at three sizes of a batch and both shapes, a warm-up before each."""
    ceiling = ceilings(setting)[1]
    prompt, new = (8, 4) if setting.small else (PROMPT, NEW)
    for shape in ("135M", "1.5B"):
        model = random_model(shape, setting, "bfloat16" if setting.device != "cpu" else "float32")
        model.generation_config.eos_token_id = None
        for batch in BATCHES[:2] if setting.small else BATCHES:
            lengths = TINY._replace(shared=prompt // 2, prompt=(prompt - prompt // 2,) * 2)
            ids = [list(row.ids[: row.prompt]) for row in random_rows(model.config.vocab_size, batch, lengths)]
            for name, ask in (("errorbook", _ours), ("generate", _generate)):
                ask(model, ids, 3)
                free(setting)
                wait(setting)
                begun = time.perf_counter()
                ask(model, ids, new)
                wait(setting)
                seconds = time.perf_counter() - begun
                read = _bytes_read(model, batch, prompt, new)
                yield {
                    "name": f"{shape}, batch {batch}, {name}",
                    "tokens_s": round(batch * new / seconds, 1),
                    "ms_a_step": round(1e3 * seconds / new, 2),
                    "bandwidth_gb_s": round(read / seconds / 1e9, 1),
                    "of_copy": round(read / seconds / 1e9 / ceiling, 4),
                    "peak_gb": peak_gb(setting),
                }
        del model
        free(setting)


def _ours(model: Any, ids: Sequence[Sequence[int]], new: int) -> None:
    limits = RowLimits(ends=frozenset({-1}), pad=0, max_new_tokens=new, temperature=0.0)
    list(decode(model, ids, list(range(len(ids))), limits))


def _generate(model: Any, ids: Sequence[Sequence[int]], new: int) -> None:
    import torch

    inputs = torch.tensor(ids, device=model.device)
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "pad_token_id": 0}
    model.generate(input_ids=inputs, attention_mask=torch.ones_like(inputs), **options)


def _bytes_read(model: Any, batch: int, prompt: int, new: int) -> int:
    """What `new` steps must read at least: all weights (the head's are the embeddings'), and the keys and values."""
    config = model.config
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    wide = config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * config.num_key_value_heads * wide * model.dtype.itemsize
    return int(new * weights + batch * token * sum(range(prompt, prompt + new)))


def batch_against_single(setting: Setting) -> Rows:
    """The same questions in one batch, alone, and by `generate`: equal texts, equal verdicts, and how fast each was."""
    task = plugins.create("tasks", "arithmetic")
    scorer = plugins.create("scorers", task.scorer)
    examples = task.examples("test", 6 if setting.small else 256, 1)
    prompts = [task.prompt(example.question) for example in examples]
    settings = Generation(max_new_tokens=8 if setting.small else task.max_new_tokens)
    target = TransformersTarget(model_of(setting))
    list(target.generate(prompts[:2], settings))
    together = _timed("errorbook, one batch", target, prompts, settings)
    yield together[0]
    again = _timed("errorbook, again", target, prompts, settings)
    yield {**again[0], **_agreement(together[1], again[1]), "ok": together[1] == again[1]}
    alone = [_texts(target, [prompt], settings)[0] for prompt in prompts[: 3 if setting.small else 12]]
    yield {"name": "errorbook, one at a time", **_agreement(together[1], alone)}
    theirs, row = _plain_generate(setting, prompts, settings)
    yield {**row, **_agreement(together[1], theirs)}
    verdicts = [
        [scorer.score(example, text).verdict for example, text in zip(examples, texts, strict=True)]
        for texts in (together[1], theirs)
    ]
    equal = sum(one == other for one, other in zip(*verdicts, strict=True)) / len(examples)
    yield {
        "name": "verdicts",
        "equal_to_generate": round(equal, 4),
        "right": verdicts[0].count("right"),
        "right_generate": verdicts[1].count("right"),
        "ok": equal >= 0.9,
    }


def _timed(
    name: str, target: TransformersTarget, prompts: Sequence[str], settings: Generation
) -> tuple[Row, list[str]]:
    begun = time.perf_counter()
    found = sorted(target.generate(prompts, settings), key=lambda completion: completion.index)
    seconds = time.perf_counter() - begun
    tokens = sum(completion.tokens for completion in found)
    row = {"name": name, "items": len(prompts), "seconds": round(seconds, 2), "tokens_s": round(tokens / seconds, 1)}
    return row, [completion.text for completion in found]


def _texts(target: TransformersTarget, prompts: Sequence[str], settings: Generation) -> list[str]:
    return _timed("", target, prompts, settings)[1]


def _agreement(first: Sequence[str], second: Sequence[str]) -> Row:
    equal = [one == other for one, other in zip(first, second, strict=False)]
    return {"texts": len(equal), "equal_texts": sum(equal)}


def _plain_generate(setting: Setting, prompts: Sequence[str], settings: Generation) -> tuple[list[str], Row]:
    """`generate` on batches of 128 neighbours in length, padded on the left, as one would write it."""
    import torch

    target = TransformersTarget(model_of(setting))
    tokenizer = target.tokenizer
    device = loading.choose_device("auto")
    model = load(target._locate(), Weights(), device, loading.choose_dtype("auto", device))
    ids = [loading.prompt_ids(tokenizer, conversation.render(tokenizer, prompt)) for prompt in prompts]
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    end, found, tokens = tokenizer.eos_token_id, [""] * len(ids), 0
    begun = time.perf_counter()
    for start in range(0, len(order), 128):
        rows = order[start : start + 128]
        width = max(len(ids[row]) for row in rows)
        padded = torch.tensor([[end] * (width - len(ids[row])) + ids[row] for row in rows], device=device)
        mask = torch.tensor([[0] * (width - len(ids[row])) + [1] * len(ids[row]) for row in rows], device=device)
        options = {"max_new_tokens": settings.max_new_tokens, "do_sample": False, "pad_token_id": end}
        # Some models bring a penalty for repetition, which no other engine knows of.
        written = model.generate(input_ids=padded, attention_mask=mask, repetition_penalty=1.0, **options)
        for row, made in zip(rows, written[:, width:].tolist(), strict=True):
            length = made.index(end) + 1 if end in made else len(made)
            found[row] = tokenizer.decode(made[:length], skip_special_tokens=True)
            tokens += length
    seconds = time.perf_counter() - begun
    return found, {"name": "generate", "seconds": round(seconds, 2), "tokens_s": round(tokens / seconds, 1)}


def swap_adapters(setting: Setting) -> Rows:
    """Base, adapter, base again: the adapter shows in the answers, and nothing of it is left afterwards.

    The adapter is merged into the weights. Its log-probabilities must be those of PEFT's own unmerged layers.
    """
    model, root = model_of(setting), setting.folder / "swap"
    training = trained(model, lessons_of(setting), recipe_of(setting, steps=12), root)
    checkpoint = Checkpoint(base=model, base_fingerprint="", folder=training.folder, form="adapter", method="lora")
    base = Checkpoint(base=model, base_fingerprint="")
    prompts = [lesson.prompt for lesson in lessons_of(setting)[:8]]
    target, answers = TransformersTarget(model), []
    settings = Generation(max_new_tokens=8 if setting.small else 48)
    for wanted in (base, checkpoint, base, checkpoint):
        target.use(wanted, root)
        answers.append(_texts(target, prompts, settings))
    changed = sum(one != other for one, other in zip(answers[0], answers[1], strict=True))
    yield {"name": "adapter shows", "texts": len(prompts), "changed": changed, "ok": changed > 0}
    yield {"name": "base is whole again", "ok": answers[0] == answers[2]}
    yield {"name": "adapter comes back", "ok": answers[1] == answers[3]}
    yield _merged_against_peft(target._locate(), checkpoint, root, prompts)


def _merged_against_peft(folder: str, checkpoint: Checkpoint, root: Path, prompts: Sequence[str]) -> Row:
    """Mean difference of the next token's log-probabilities in nats: merging rounds the weights once more."""
    import torch

    device = loading.choose_device("auto")
    dtype = loading.choose_dtype("auto", device)
    tokenizer = loading.load_tokenizer(folder)
    plain = loading.load_model(folder, device, dtype)
    own = root / checkpoint.folder
    merged, apart = (
        load(folder, Weights(checkpoint, root), device, dtype),
        loading.apply_adapter(loading.load_model(folder, device, dtype), own, 1.0),
    )
    with torch.inference_mode():
        gaps, moved = [], []
        for prompt in prompts:
            ids = torch.tensor([loading.prompt_ids(tokenizer, conversation.render(tokenizer, prompt))], device=device)
            base, one, two = (m(input_ids=ids).logits[0, -1].float().log_softmax(-1) for m in (plain, merged, apart))
            likely = base.exp()
            gaps.append(float((likely * (one - two).abs()).sum()))
            moved.append(float((likely * (base - two).abs()).sum()))
    gap, move = sum(gaps) / len(gaps), sum(moved) / len(moved)
    return {
        "name": "merged against PEFT",
        "nats": round(gap, 5),
        "adapter_moves": round(move, 5),
        "ok": 1e-3 < move > 4 * gap,
    }

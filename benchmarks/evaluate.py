"""How fast each engine answers 256 arithmetic questions, against plain batched `generate` and lm-evaluation-harness.

    python -m benchmarks.evaluate [--items 256] [--checkpoint RUN_FOLDER] [--only NAME ...] [--json]

Every engine is given the same prompts, greedy decoding and the task's cap, in a process of its own; what counts are
the tokens of the responses up to their end token, per second from the first request to the last response, the weights
being loaded. `agree` is the share of items with the verdict that plain `generate` gets in bfloat16 with batches of 64;
the row "generate, batch 32" says how far that engine agrees with itself when only the batches change. With
--checkpoint the final checkpoint of a finished run is asked in place of the base. lm-evaluation-harness is measured
if it is installed (pip install lm-eval).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from errorbook import plugins
from errorbook.adapters.targets import conversation, loading
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.weights import Weights, load
from errorbook.ledger.file import open_ledger
from errorbook.records import Checkpoint, Decision, Generation

MODEL = "smollm2-135m-instruct"
REFERENCE = "generate, batch 64"


class Row(msgspec.Struct, kw_only=True):
    """One engine's figures; `verdicts` are those of the items in their order."""

    name: str
    seconds: float
    tokens: int
    verdicts: list[str]
    agree: float = 0.0
    ratio: float = 1.0

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def main() -> None:
    """Measure each engine in its own process, then print the table."""
    options = _options()
    if options.worker:
        print(msgspec.json.encode(measure(options.worker, options.items, options.checkpoint)).decode())
        return
    rows = [_spawn(name, options) for name in ENGINES if not options.only or name in options.only or name == REFERENCE]
    known = [row for row in rows if row is not None]
    first = next(row for row in known if row.name == REFERENCE)
    for row in known:
        row.ratio = row.rate / first.rate
        row.agree = sum(a == b for a, b in zip(row.verdicts, first.verdicts, strict=True)) / len(first.verdicts)
    if options.json:
        print(msgspec.json.encode(known).decode())
        return
    print(f"{options.items} items; {platform.machine()}, {os.cpu_count()} cores")
    for row in known:
        right = row.verdicts.count("right")
        print(
            f"{row.name:34} {row.rate:7.0f} tokens/s  {row.ratio:5.2f} x  {row.seconds:6.1f} s  agree {row.agree:6.1%}"
            f"  right {right}"
        )


def measure(name: str, items: int, run: Path | None) -> Row:
    """Ask one engine all items."""
    task = plugins.create("tasks", "arithmetic")
    scorer = plugins.create("scorers", task.scorer)
    examples = task.examples("test", items, 1)
    prompts = [task.prompt(example.question) for example in examples]
    wanted = Weights() if run is None else Weights(final_checkpoint(run), run)
    ask = ENGINES[name](wanted, Generation(max_new_tokens=task.max_new_tokens))
    ask(prompts[:2])  # loads the weights
    started = time.perf_counter()
    answers = ask(prompts)
    seconds = time.perf_counter() - started
    verdicts = [scorer.score(example, text).verdict for example, (text, _) in zip(examples, answers, strict=True)]
    return Row(name=name, seconds=round(seconds, 2), tokens=sum(count for _, count in answers), verdicts=verdicts)


def final_checkpoint(run: Path) -> Checkpoint:
    """The checkpoint that a finished run ended with."""
    with open_ledger(run / "ledger.sqlite", "read") as ledger:
        last = list(ledger.all(Decision))[-1]
        found = ledger.get(Checkpoint, last.checkpoint)
    if found is None:
        sys.exit(f"The run in '{run}' has not ended.")
    return found


Ask = Callable[[Sequence[str]], list[tuple[str, int]]]
"""Prompts -> text and number of tokens of each response, in the prompts' order."""


def _ours(engine: str) -> Callable[[Weights, Generation], Ask]:
    def make(wanted: Weights, settings: Generation) -> Ask:
        target = plugins.create("targets", engine, {"model": MODEL})
        if wanted.checkpoint is not None:
            target.use(wanted.checkpoint, wanted.root)

        def ask(prompts: Sequence[str]) -> list[tuple[str, int]]:
            found = sorted(target.generate(prompts, settings), key=lambda completion: completion.index)
            return [(completion.text, completion.tokens) for completion in found]

        return ask

    return make


def _generate(batch: int) -> Callable[[Weights, Generation], Ask]:
    """`generate` of transformers on batches of neighbours in length, padded on the left, in bfloat16."""

    def make(wanted: Weights, settings: Generation) -> Ask:
        import torch

        folder = resolve(MODEL)
        model, tokenizer = load(folder, wanted, "cpu", "bfloat16"), loading.load_tokenizer(folder)
        end = tokenizer.eos_token_id

        def ask(prompts: Sequence[str]) -> list[tuple[str, int]]:
            ids = [loading.prompt_ids(tokenizer, conversation.render(tokenizer, prompt)) for prompt in prompts]
            order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
            found: dict[int, tuple[str, int]] = {}
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                width = max(len(ids[row]) for row in rows)
                padded = torch.tensor([[end] * (width - len(ids[row])) + ids[row] for row in rows])
                mask = torch.tensor([[0] * (width - len(ids[row])) + [1] * len(ids[row]) for row in rows])
                written = model.generate(
                    input_ids=padded,
                    attention_mask=mask,
                    max_new_tokens=settings.max_new_tokens,
                    do_sample=False,
                    pad_token_id=end,
                )[:, width:].tolist()
                for row, tokens in zip(rows, written, strict=True):
                    length = tokens.index(end) + 1 if end in tokens else len(tokens)
                    found[row] = (tokenizer.decode(tokens[:length], skip_special_tokens=True), length)
            return [found[index] for index in range(len(prompts))]

        return ask

    return make


def _continuous(wanted: Weights, settings: Generation) -> Ask:
    """The continuous batching of transformers itself."""
    from transformers import GenerationConfig

    folder = resolve(MODEL)
    model, tokenizer = load(folder, wanted, "cpu", "bfloat16"), loading.load_tokenizer(folder)
    configure: Any = GenerationConfig
    config = configure(
        max_new_tokens=settings.max_new_tokens, do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=0
    )

    def ask(prompts: Sequence[str]) -> list[tuple[str, int]]:
        ids = [loading.prompt_ids(tokenizer, conversation.render(tokenizer, prompt)) for prompt in prompts]
        outputs = model.generate_batch(inputs=ids, generation_config=config, progress_bar=False)
        tokens = [outputs[f"req_{number}"].generated_tokens for number in range(len(ids))]
        return [(tokenizer.decode(row, skip_special_tokens=True), len(row)) for row in tokens]

    return ask


def _harness(wanted: Weights, settings: Generation) -> Ask:
    """The `hf` model of lm-evaluation-harness, given the rendered prompts as requests for text."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    folder = resolve(MODEL)
    tokenizer = loading.load_tokenizer(folder)
    model = HFLM(pretrained=load(folder, wanted, "cpu", "bfloat16"), tokenizer=tokenizer, batch_size=64)

    def ask(prompts: Sequence[str]) -> list[tuple[str, int]]:
        wish = {"until": [tokenizer.eos_token], "max_gen_toks": settings.max_new_tokens, "do_sample": False}
        requests: list[Any] = [
            Instance("generate_until", {}, (conversation.render(tokenizer, prompt), wish), number)
            for number, prompt in enumerate(prompts)
        ]
        texts = model.generate_until(requests, disable_tqdm=True)
        return [(text, len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1) for text in texts]

    return ask


ENGINES: dict[str, Callable[[Weights, Generation], Ask]] = {
    REFERENCE: _generate(64),
    "generate, batch 32": _generate(32),
    "continuous batching (transformers)": _continuous,
    "lm-evaluation-harness hf": _harness,
    "errorbook transformers": _ours("transformers"),
    "errorbook openvino": _ours("openvino"),
}


def _spawn(name: str, options: argparse.Namespace) -> Row | None:
    """One engine in a process of its own; None, with a word on stderr, if it cannot be measured."""
    if name == "lm-evaluation-harness hf" and find_spec("lm_eval") is None:
        print("lm-evaluation-harness is not installed and left out.", file=sys.stderr)
        return None
    given = ["--checkpoint", str(options.checkpoint)] if options.checkpoint else []
    command = [sys.executable, "-m", "benchmarks.evaluate", "--worker", name, "--items", str(options.items), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {(done.stderr.strip().splitlines() or ['it failed'])[-1][:160]}", file=sys.stderr)
        return None
    return msgspec.convert(json.loads(done.stdout.strip().splitlines()[-1]), Row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=256)
    parser.add_argument("--checkpoint", type=Path, help="folder of a finished run")
    parser.add_argument("--only", nargs="*", choices=sorted(ENGINES))
    parser.add_argument("--worker", choices=sorted(ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

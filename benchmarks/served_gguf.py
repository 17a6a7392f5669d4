"""Whether an exported GGUF file answers, behind llama.cpp's server, as Errorbook's own engines do.

    python -m benchmarks.served_gguf [--questions 50] [--engines transformers:float32 openvino:auto] [--json]

The embedded model is exported in 16 bits and served. Arithmetic questions are answered greedily by the server, through
the target `openai`, and by engines of this process. Of answers that differ it tells at which token they part and how
far apart the two tokens' logits are there in float32: a gap near nothing is a tie that rounding decides.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.llama_server import KEY, MISSING, is_installed, serving
from errorbook.adapters.targets import embedded, loading
from errorbook.adapters.targets.conversation import end_of_turn, render
from errorbook.adapters.targets.openai import OpenAITarget
from errorbook.adapters.targets.openvino import OpenVinoTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.config import Config, RunSection, TargetSection, TaskSection
from errorbook.evaluate import ask
from errorbook.exporting import gguf, weights
from errorbook.exporting.chosen import Chosen
from errorbook.interfaces import Target
from errorbook.records import Checkpoint, Generation

MODEL = "smollm2-135m-instruct"
SLOTS = 4


class Parting(NamedTuple):
    """Where two answers to one question part: at which token, what each writes there, and the gap of the logits."""

    question: int
    at: int
    own: str
    other: str
    gap: float


def questions(count: int) -> list[str]:
    """Prompts of the arithmetic task's test split, as an exam asks them."""
    task = Arithmetic()
    return [ask(task, example) for example in task.examples("test", count, seed=1)]


def export(folder: Path) -> Path:
    """The embedded model as `errorbook export --what gguf` writes it."""
    config = Config(
        run=RunSection(name="embedded"),
        target=TargetSection(model=MODEL, engine="transformers"),
        tasks=(TaskSection(name="arithmetic"),),
    )
    base = Checkpoint(base=MODEL, base_fingerprint="f" * 32)
    return gguf.write_gguf(weights.Source(config, folder, Chosen(base, "base")), folder)


def answers(target: Target, prompts: Sequence[str], tokens: int = 48) -> list[str]:
    """Greedy answers of at most so many tokens, in the order of the questions."""
    said = {item.index: item.text for item in target.generate(prompts, Generation(max_new_tokens=tokens))}
    return [said[index] for index in range(len(prompts))]


def find_partings(prompts: Sequence[str], own: Sequence[str], other: Sequence[str]) -> list[Parting]:
    """Where the answers differ, by the tokens and the float32 logits of the model itself."""
    differing = [number for number in range(len(prompts)) if own[number] != other[number]]
    if not differing:
        return []
    folder = embedded.resolve(MODEL)
    model, tokenizer = loading.load_model(folder, "cpu", "float32"), loading.load_tokenizer(folder)
    return [_part(model, tokenizer, number, (prompts[number], own[number], other[number])) for number in differing]


def _part(model: Any, tokenizer: Any, number: int, texts: tuple[str, str, str]) -> Parting:
    import torch

    prompt, *said = texts
    end = end_of_turn(tokenizer)
    own, other = (tokenizer.encode(text + end, add_special_tokens=False) for text in said)
    at = next(place for place, (left, right) in enumerate(zip(own, other, strict=False)) if left != right)
    read = loading.prompt_ids(tokenizer, render(tokenizer, prompt)) + own[:at]
    with torch.no_grad():
        logits = model(torch.tensor([read])).logits[0, -1]
    gap = float(logits[own[at]] - logits[other[at]])
    return Parting(number, at, tokenizer.decode([own[at]]), tokenizer.decode([other[at]]), gap)


def engine(name: str) -> Target:
    """An engine of this process, as "transformers:float32"."""
    kind, _, dtype = name.partition(":")
    return (OpenVinoTarget if kind == "openvino" else TransformersTarget)(MODEL, dtype=dtype)


def compare(prompts: Sequence[str], engines: Sequence[str], folder: Path) -> dict[str, list[Parting]]:
    """For each engine where its answers and those of the served file part."""
    file = export(folder)
    os.environ.setdefault(KEY, "key-of-the-benchmark")
    with serving(file, folder / "server.log", SLOTS) as url:
        target = OpenAITarget("exported", base_url=url, api_key_env=KEY, concurrency=SLOTS)
        served = answers(target, prompts)
        target.close()
    found = {}
    for name in engines:
        own = engine(name)
        found[name] = find_partings(prompts, answers(own, prompts), served)
        own.close()
    return found


def main() -> None:
    """Compare, and print a line for each engine and one for each parting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument(
        "--engines", nargs="+", default=["transformers:float32", "transformers:bfloat16", "openvino:auto"]
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not is_installed():
        sys.exit(MISSING)
    prompts = questions(given.questions)
    with tempfile.TemporaryDirectory() as space:
        found = compare(prompts, given.engines, Path(space))
    if given.json:
        print(json.dumps({name: [item._asdict() for item in partings] for name, partings in found.items()}))
        return
    for name, partings in found.items():
        gaps = [abs(item.gap) for item in partings]
        told = f", gaps {median(gaps):.3f} in the middle and {max(gaps):.3f} at most" if gaps else ""
        print(f"{name}: {len(prompts) - len(partings)} of {len(prompts)} answers equal{told}")
        for item in partings:
            print(f"  question {item.question} at token {item.at}: {item.own!r}, served {item.other!r}, {item.gap:.4f}")


if __name__ == "__main__":
    main()

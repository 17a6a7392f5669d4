"""Prints the section on a GPU of docs/performance.md from the files that `benchmarks/gpu.sh` wrote.

    python -m benchmarks.gpu_table benchmarks/results/gpu.json [MORE.json ...]

Of a step that several files hold, the last one that has rows counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_models import Row

COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "forward": (
        "Quick forward pass against the libraries' own: error against float32, bfloat16 products",
        ("loss_error", "row_error", "gradient_error", "peak_gb", "takes_packed"),
    ),
    "batch": (
        "The same questions together, alone, and by `generate`",
        ("items", "tokens_s", "texts", "equal_texts", "equal_to_generate", "right", "right_generate"),
    ),
    "swap": ("Base, adapter, base, adapter", ("texts", "changed", "nats", "adapter_moves")),
    "resume": (
        "A training twice, and killed and resumed (equal bits are promised on a CPU only)",
        ("steps", "two_equal", "resumed_equal", "last_losses"),
    ),
    "qlora": ("QLoRA", ("four", "sixteen", "first_loss", "last_loss", "before", "after", "peak_gb", "said")),
    "decode": (
        "Decoding 128 tokens after 128; the share is of the measured copy's bandwidth",
        ("tokens_s", "ms_a_step", "bandwidth_gb_s", "of_copy", "peak_gb"),
    ),
    "train": (
        "Training LoRA (rank 32); MFU is the share of the measured product's rate",
        ("tokens_s", "ms_a_step", "tflops", "of_product", "peak_gb", "last_loss"),
    ),
    "demo": (
        "The whole demo",
        ("seconds", "samples", "trained_tokens", "base_accuracy", "final_accuracy", "gain", "decisions", "stages"),
    ),
}
"""For each step its title and the figures that are shown; `demo_quick` is shown with `demo`."""
_WORDS = {"of_copy": "share", "of_product": "MFU", "tokens_s": "tokens/s", "ms_a_step": "ms a step", "ok": "holds"}


def main() -> None:
    """Print the section."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(render([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]))


def render(results: Sequence[dict[str, Any]]) -> str:
    """The section as Markdown."""
    steps = {step["name"]: step for result in results for step in result["steps"] if step["rows"]}
    empty = {
        step["name"]: step["status"] for result in results for step in result["steps"] if step["name"] not in steps
    }
    said = [f"{name} ({status})" for name, status in empty.items()]
    lines = ["## On a GPU", "", *_machine(steps.get("machine", {"rows": []})["rows"])]
    for name, (title, figures) in COLUMNS.items():
        rows = [row for part in (name, f"{name}_quick") if part in steps for row in steps[part]["rows"]]
        if rows:
            lines += ["", f"### {title}", "", *_table(rows, figures)]
    broken = [f"{step['name']}: {row['name']}" for step in steps.values() for row in step["rows"] if not _holds(row)]
    lines += ["", f"Did not hold: {'; '.join(broken) or 'nothing'}."]
    lines += [f"Without a result: {', '.join(said)}."] if said else []
    return "\n".join(lines)


def _machine(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["`benchmarks/gpu.sh`; the machine is not described."]
    found = {row["name"]: row for row in rows}
    machine = found["machine"]
    packages = ", ".join(f"{name} {machine[name]}" for name in ("torch", "transformers", "peft", "bitsandbytes"))
    text = [f"`benchmarks/gpu.sh` on {machine.get('gpu', 'a CPU')} ({machine['cores']} cores), {packages}."]
    if "copy" in found:
        product, copy = found["matrix product"], found["copy"]
        text[0] += (
            f" Measured ceilings: {product['tflops']:.0f} TFLOP/s in bfloat16 (datasheet {product['datasheet']:.0f}), "
            f"{copy['gb_s']:.0f} GB/s of a copy, bytes read and written (datasheet {copy['datasheet']:.0f})."
        )
    return text


def _table(rows: Sequence[Row], figures: Sequence[str]) -> list[str]:
    shown = [figure for figure in figures if any(row.get(figure) is not None for row in rows)]
    if any("ok" in row for row in rows):
        shown.append("ok")
    head = ["", *(_WORDS.get(figure, figure.replace("_", " ")) for figure in shown)]
    body = [[row["name"], *(_show(figure, row.get(figure)) for figure in shown)] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body)]


def _show(figure: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "**no**"}[value]
    if figure in {"of_copy", "of_product"}:
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_show('', part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(_show("", part) for part in value)
    return str(value)


def _holds(row: Row) -> bool:
    return row.get("ok") is not False


if __name__ == "__main__":
    main()

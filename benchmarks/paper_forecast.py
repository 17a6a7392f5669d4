"""What the six run files of the paper's recipe will take, as `errorbook plan` counts it: the table of docs/paper.md.

    ERRORBOOK_DATA=... python -m benchmarks.paper_forecast

Calls, tokens and dollars are those of the plans: bounds from above, since every train question is taken to be a
mistake. GPU hours are arithmetic on assumed speeds (`WRITES`, `LEARNS`), which nobody has measured here.
"""

from __future__ import annotations

from pathlib import Path

from errorbook.config import load
from errorbook.setup.plan import Plan, make_plan

FOLDER = Path(__file__).parents[1] / "examples" / "paper"
FILES = ("le", "lec", "le-then-lec", "lec-then-le", "fine-tuning", "auggpt")
WRITES, LEARNS = 2500, 4000
"""Tokens a second that one H100 is assumed to write with a 7B model in large batches, and to train all weights on."""
LESSON = 400
"""Tokens of one lesson, prompt and completion."""


def count_hours(plan: Plan) -> float:
    """GPU hours: the target's answers, and one epoch over the samples."""
    return (plan.generated_tokens / WRITES + plan.drafts * LESSON / LEARNS) / 3600


def main() -> None:
    """Print the table."""
    print("| run file | calls | tokens in | tokens out | dollars | target's answers | its tokens | GPU hours |")
    print("|---|---|---|---|---|---|---|---|")
    for name in FILES:
        plan = make_plan(load(FOLDER / f"{name}.toml"))
        dollars = "unknown" if plan.usd is None else f"{plan.usd:.2f}"
        numbers = [f"{plan.calls:,}", f"{plan.input_tokens or 0:,}", f"{plan.output_tokens or 0:,}", dollars]
        numbers += [f"{plan.responses:,}", f"{plan.generated_tokens:,}", f"{count_hours(plan):.1f}"]
        print(f"| `{name}.toml` | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    main()

"""The verification funnel of docs/verification.md, and the samples that were read by hand.

    ERRORBOOK_DATA=... python -m benchmarks.verify [--draw 30] [--seed 1] [--show] [--json]

Runs `errorbook verify` over the 4,000 samples that GPT-4 wrote, against every benchmark file of the data folder and
GSM8K's train questions. Prints the funnel, the time, and the line numbers of a seeded draw of rejected and accepted
samples; --show prints the samples, too. The judgements themselves are in the documentation.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import msgspec

from errorbook import plugins
from errorbook.cli.verify import funnel_text, load_held_out
from errorbook.importing.check_samples import FileFunnel, Rules, SampleOutcome, check_samples
from errorbook.importing.sample_rows import RecordedTask, read_questions
from errorbook.records import Rejection, digest

SAMPLES, TRAIN = "instructor/gpt4_contrast_gsm8k.jsonl", "gsm8k/train.jsonl"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The funnel, what it took, and the lines of the draw."""

    funnel: FileFunnel
    seconds: float
    cpu_seconds: float
    peak_mb: int
    rejected: list[int]
    accepted: list[int]


def main() -> None:
    """Run, print, draw."""
    options = _options()
    folder = os.environ.get("ERRORBOOK_DATA")
    if not folder:
        sys.exit("Set ERRORBOOK_DATA to the folder with the reference data.")
    wall, cpu = time.perf_counter(), time.process_time()
    scorer = plugins.create("scorers", "numeric")
    train = list(read_questions(Path(folder) / TRAIN, "gsm8k"))
    rules = Rules(RecordedTask("numeric"), scorer, load_held_out(folder), train, 10, 0.8)
    funnel, outcomes = check_samples(Path(folder) / SAMPLES, rules, keep=True)
    drawn = draw(outcomes, options.draw, options.seed)
    report = Report(
        funnel=funnel,
        seconds=round(time.perf_counter() - wall, 1),
        cpu_seconds=round(time.process_time() - cpu, 1),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        rejected=[outcome.line.row.number for outcome in drawn[0]],
        accepted=[outcome.line.row.number for outcome in drawn[1]],
    )
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    print(funnel_text(funnel))
    print(f"\n{report.seconds} s ({report.cpu_seconds} s of CPU), {report.peak_mb} MB at the peak")
    for name, outcomes in (("rejected", drawn[0]), ("accepted", drawn[1])):
        print(f"\n{name}: lines {', '.join(str(outcome.line.row.number) for outcome in outcomes)}")
        for outcome in outcomes if options.show else []:
            _show(outcome)


def draw(outcomes: list[SampleOutcome], size: int, seed: int) -> tuple[list[SampleOutcome], list[SampleOutcome]]:
    """Rejected and accepted samples by chance, in the order of the file; a changed decision moves no other sample."""
    sides: tuple[list[SampleOutcome], list[SampleOutcome]] = ([], [])
    for outcome in sorted(outcomes, key=lambda outcome: digest("draw", str(seed), str(outcome.line.row.number))):
        side = sides[0] if isinstance(outcome.decision, Rejection) else sides[1]
        if len(side) < size:
            side.append(outcome)
    first, second = (sorted(side, key=lambda outcome: outcome.line.row.number) for side in sides)
    return first, second


def _show(outcome: SampleOutcome) -> None:
    decision = outcome.decision
    why = f"{decision.reason}: {decision.detail}" if isinstance(decision, Rejection) else "accepted"
    draft = outcome.line.draft
    print(f"\n----- line {outcome.line.row.number}, {why}\nQ: {draft.question}\nS: {draft.solution}\nA: {draft.answer}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", type=int, default=30, help="how many of each to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print the drawn samples")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    main()

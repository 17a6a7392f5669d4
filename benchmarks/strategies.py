"""Compares strategies at equal budget: the same run file, seeds and number of samples; only the strategy differs.

    python -m benchmarks.strategies --out runs/strategies [--seeds 1 2 3] [--strategies error contrast undirected]

Each run is an ordinary, resumable run below --out, so the command can be stopped and given again. Runs of one seed ask
the base model the same questions, so its responses are taken over from the first of them. Prints a Markdown table
(accuracy on test at the end, for each seed, and the paired difference to the control) and writes the same as JSON
beside the runs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from errorbook.config import Config, load
from errorbook.ledger import keys
from errorbook.ledger.events import quiet
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Comparison, Decision, Evaluation, Outcome, Sample, Verdict
from errorbook.setup.session import open_run
from errorbook.stats import paired_interval

CONTROL = "undirected"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One finished run. `before` and `after` are accuracies on test by task, in [0, 1]; `seconds` is engine time.

    `dev` has the accuracy of each cycle's candidate on the learnt task, whether the gate accepted it or not.
    """

    strategy: str
    seed: int
    samples: list[int]
    decisions: list[Outcome]
    dev: list[float]
    seconds: int
    before: dict[str, float]
    after: dict[str, float]
    verdicts: dict[str, Verdict]


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy against the control on the same test questions and seeds; bounds are of the difference, at 95%."""

    strategy: str
    n: int
    better: int
    worse: int
    low: float
    high: float


def main() -> None:
    """Run what is not finished yet, then print the table."""
    options = _options()
    base = _with_budget(load(options.file), options)
    results = []
    for seed, strategy in itertools.product(options.seeds, options.strategies):
        config = replace(base, run=replace(base.run, seed=seed), strategy=replace(base.strategy, name=strategy))
        folder = options.out / f"{strategy}-{seed}"
        print(f"{strategy}, seed {seed} -> {folder}", file=sys.stderr, flush=True)
        first = options.out / f"{options.strategies[0]}-{seed}"
        if folder != first:
            _take_base_responses(first, config, folder)
        run(config, folder)
        results.append(_read(folder, strategy, seed, config))
        print(_line(results[-1]), file=sys.stderr, flush=True)
    against = _against_control(results)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    summary = {"machine": machine, "results": results, "against_control": against}
    (options.out / "strategies.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    print(f"{_table(results, against)}\n\nMachine: {machine}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=Path(__file__).with_suffix(".toml"), help="run file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--strategies", nargs="+", default=["error", "contrast", CONTROL])
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--samples", type=int, default=150, help="samples a cycle, the same for every strategy")
    return parser.parse_args()


def _with_budget(config: Config, options: argparse.Namespace) -> Config:
    """So many samples a cycle, however many mistakes there are."""
    strategy = replace(config.strategy, max_samples=options.samples, samples_per_error=options.samples)
    return replace(config, run=replace(config.run, cycles=options.cycles), strategy=strategy)


def _take_base_responses(source: Path, config: Config, folder: Path) -> None:
    """Copy the base model's evaluations from a finished run of the same seed: the same questions and settings."""
    with open_run(config, folder, quiet, "") as this, open_ledger(source) as ledger:
        for evaluation in ledger.all(Evaluation):
            if evaluation.checkpoint == this.base.hash and this.ledger.find(Evaluation, evaluation.hash) is None:
                this.ledger.open_evaluation(evaluation, cycle=0)
                this.ledger.append_responses(list(ledger.responses(evaluation)))


def _read(folder: Path, strategy: str, seed: int, config: Config) -> Result:
    cycles = range(1, config.run.cycles + 1)
    with open_ledger(folder) as ledger:
        found = [ledger.find(Comparison, keys.final_comparison(task.name)) for task in config.tasks]
        tests = [comparison for comparison in found if comparison is not None]
        decisions = [ledger.find(Decision, keys.decision(cycle)) for cycle in cycles]
        learnt = next(comparison for comparison in tests if comparison.role == "learn")
        evaluation = ledger.find(Evaluation, learnt.after)
        return Result(
            strategy=strategy,
            seed=seed,
            samples=[ledger.count(Sample, cycle) for cycle in cycles],
            decisions=[decision.outcome for decision in decisions if decision is not None],
            dev=[
                comparison.right_after / comparison.n
                for decision in decisions
                if decision is not None
                for comparison in decision.comparisons
                if comparison.role == "learn"
            ],
            seconds=round(sum(event.seconds for event in ledger.events())),
            before={comparison.task: comparison.right_before / comparison.n for comparison in tests},
            after={comparison.task: comparison.right_after / comparison.n for comparison in tests},
            verdicts=ledger.verdicts(evaluation) if evaluation is not None else {},
        )


def _against_control(results: Sequence[Result]) -> list[Paired]:
    """Pair each test question of each seed: strategy right and the control not, and the reverse."""
    control = {result.seed: result.verdicts for result in results if result.strategy == CONTROL}
    found = []
    for strategy in dict.fromkeys(result.strategy for result in results if result.strategy != CONTROL):
        pairs = [
            (verdict == "right", control[result.seed][key] == "right")
            for result in results
            if result.strategy == strategy and result.seed in control
            for key, verdict in result.verdicts.items()
        ]
        better, worse = pairs.count((True, False)), pairs.count((False, True))
        low, high = paired_interval(better, worse, len(pairs))
        found.append(Paired(strategy=strategy, n=len(pairs), better=better, worse=worse, low=low, high=high))
    return found


def _table(results: Sequence[Result], against: Sequence[Paired]) -> str:
    tasks = list(results[0].after)
    cycles = range(max(len(result.dev) for result in results))
    heads = [f"{name} test" for name in tasks] + [f"dev, candidate {cycle + 1}" for cycle in cycles]
    lines = [f"| strategy | samples | {' | '.join(heads)} | accepted cycles |"]
    lines.append("|" + "---|" * (len(heads) + 3))
    base = [f"{100 * statistics.mean(result.before[task] for result in results):.1f}%" for task in tasks]
    lines.append(f"| (base) | | {' | '.join([*base, *('' for _ in cycles)])} | |")
    for strategy in dict.fromkeys(result.strategy for result in results):
        own = [result for result in results if result.strategy == strategy]
        cells = [_cell([100 * result.after[task] for result in own]) for task in tasks]
        cells += [_cell([100 * result.dev[cycle] for result in own if cycle < len(result.dev)]) for cycle in cycles]
        outcomes = [outcome for result in own for outcome in result.decisions]
        samples = round(statistics.mean(sum(result.samples) for result in own))
        lines.append(
            f"| {strategy} | {samples} | {' | '.join(cells)} | {outcomes.count('accept')} of {len(outcomes)} |"
        )
    for paired in against:
        change = f"{100 * (paired.better - paired.worse) / max(paired.n, 1):+.1f} points"
        span = f"95% interval {100 * paired.low:+.1f} to {100 * paired.high:+.1f}"
        lines.append(f"\n{paired.strategy} against {CONTROL}, paired over {paired.n} test answers: {change} ({span}).")
    return "\n".join(lines)


def _line(result: Result) -> str:
    after = ", ".join(
        f"{task} {100 * result.before[task]:.1f} -> {100 * share:.1f}%" for task, share in result.after.items()
    )
    return f"  {after}; {' '.join(result.decisions)}; samples {result.samples}; {result.seconds} s"


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.1f}% ({', '.join(f'{value:.1f}' for value in values)})"


if __name__ == "__main__":
    main()

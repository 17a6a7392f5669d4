"""Error rates of the gate: what it accepts by luck, what it sees, and which losses of a guard it lets pass.

    python -m benchmarks.gate                simulate (minutes on one core), write benchmarks/results/gate.json
    python -m benchmarks.gate --sequential   the same for the sequential gate: benchmarks/results/gate-sequential.json
    python -m benchmarks.gate --page         docs/gate.md from the committed result files, in seconds

Verdicts are drawn, and the product's own `judge` decides on them. It trains nothing: how real candidates differ from
their parent is for the experiments to say.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec

from benchmarks import gate_sequential
from benchmarks.gate_draws import ALONE, change, compare_lots, draw_lot, redraw
from benchmarks.gate_settings import (
    ALPHA,
    DEVS,
    DISCORDANT,
    LAYOUTS,
    MARGIN,
    Generator,
    Row,
    Setting,
    describe,
    generator_of,
    list_useless,
    named_gain,
    share,
    table,
)
from errorbook.judge import judge
from errorbook.records import Comparison
from errorbook.stats import wilson

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "gate.json"
SEQUENTIAL = ROOT / "benchmarks" / "results" / "gate-sequential.json"
PAGE = ROOT / "docs" / "gate.md"


class Found(msgspec.Struct, frozen=True):
    """Everything that was simulated."""

    seed: int
    useless: tuple[Row, ...]
    power: tuple[Row, ...]
    guards: tuple[Row, ...]


# One run each ------------------------------------------------------------------------------------------------------


def accepts_useless(setting: Setting, generator: Generator) -> bool:
    """Whether a run whose candidates change verdicts without direction has one accepted."""
    rule, layout = setting.rule, LAYOUTS[setting.layout]
    current = draw_lot(setting.dev, layout, setting.unscorable, generator)
    held = [draw_lot(400, ALONE, setting.unscorable, generator, right=0.9) for _ in rule.guards]
    for _ in range(setting.cycles * setting.scales):
        learnt = compare_lots(current, redraw(current, 0.4, generator), "task", "learn")
        guards = [
            compare_lots(lot, redraw(lot, 0.05, generator), name, "guard", margin)
            for (name, margin), lot in zip(rule.guards, held, strict=True)
        ]
        if judge(rule, [learnt, *guards]).outcome == "accept":
            return True
    return False


def accepts_gain(setting: Setting, gain: float, discordant: float, generator: Generator) -> bool:
    """Whether one candidate with a true gain is accepted; `discordant` of the verdicts change."""
    before = draw_lot(setting.dev, LAYOUTS[setting.layout], 0.0, generator, right=None)
    fixed = (discordant + gain) / 2
    learnt = compare_lots(before, change(before, fixed, discordant - fixed, generator), "task", "learn")
    return judge(setting.rule, [learnt]).outcome == "accept"


def accepts_loss(setting: Setting, asked: int, loss: float, generator: Generator) -> bool:
    """Whether a clear gain is accepted with a true loss on the first of the guards, of which each asks so many.

    Three answers in a hundred of every guard are fixed and as many broken, before the loss.
    """
    before = draw_lot(setting.dev, ALONE, 0.0, generator, right=None)
    learnt = compare_lots(before, change(before, 0.4, 0.05, generator), "task", "learn")
    guards: list[Comparison] = []
    for place, (name, margin) in enumerate(setting.rule.guards):
        lot = draw_lot(asked, LAYOUTS[setting.layout], 0.0, generator, right=None)
        lost = change(lot, 0.03, 0.03 + (loss if place == 0 else 0.0), generator)
        guards.append(compare_lots(lot, lost, name, "guard", margin))
    return judge(setting.rule, [learnt, *guards]).outcome == "accept"


# All of them -------------------------------------------------------------------------------------------------------


def simulate(runs: int, seed: int) -> Found:
    """Every setting so many times; each has a generator of its own, so that one more changes no other."""
    return Found(
        seed=seed,
        useless=tuple(_count_useless(setting, runs, seed) for setting in list_useless()),
        power=tuple(_measure_power(runs, seed)),
        guards=tuple(_measure_guards(runs, seed)),
    )


def _count_useless(setting: Setting, runs: int, seed: int) -> Row:
    generator = generator_of(seed, "useless", setting)
    return Row(setting, runs, sum(accepts_useless(setting, generator) for _ in range(runs)))


def _measure_power(runs: int, seed: int) -> Iterator[Row]:
    for (cycles, scales), dev, layout in product(((1, 1), (3, 1), (5, 4)), DEVS, ("alone", "pairs", "tens")):
        setting = Setting(cycles, scales, 0, dev, layout)
        gain = named_gain(setting, setting.rule.alpha_each)
        for discordant in (DISCORDANT, 0.45) if gain is not None else ():
            if gain is None or gain > discordant:
                continue
            generator = generator_of(seed, "power", setting, discordant)
            accepted = sum(accepts_gain(setting, gain, discordant, generator) for _ in range(runs))
            yield Row(setting, runs, accepted, {"gain": gain, "discordant": discordant})


def _measure_guards(runs: int, seed: int) -> Iterator[Row]:
    settings = [Setting(1, 1, 1, 500), Setting(1, 1, 6, 500), Setting(1, 1, 1, 500, "pairs"), Setting(5, 4, 1, 500)]
    for setting, asked, loss in product(settings, (120, 500, 2000), (0.0, 0.025, 0.05, 0.075, 0.1)):
        generator = generator_of(seed, "guards", setting, asked, loss)
        accepted = sum(accepts_loss(setting, asked, loss, generator) for _ in range(runs))
        yield Row(setting, runs, accepted, {"asked": asked, "loss": loss})


# The page ----------------------------------------------------------------------------------------------------------


def make_page() -> str:
    """What was found, in words and tables; every number comes from the result files."""
    found = msgspec.json.decode(RESULT.read_bytes(), type=Found)
    looks = msgspec.json.decode(SEQUENTIAL.read_bytes(), type=gate_sequential.Found)
    about = _ABOUT.format(found.useless[0].runs, looks.useless[0].runs)
    return (
        "\n\n".join(
            (about, *_tell_useless(found), *_tell_power(found), *_tell_guards(found), *gate_sequential.tell(looks))
        )
        + "\n"
    )


_ABOUT = """# Error rates of the gate

Made by `python -m benchmarks.gate --page` from `gate.json` and `gate-sequential.json` in `benchmarks/results`, which
the same command writes in some minutes with `--runs {}`, and with `--sequential --runs {}`. Verdicts are drawn, and the
product's own `judge` decides on them; [the method](method.md#how-the-gate-decides) tells its rule. Alpha is 5% for the
whole run everywhere, and intervals are Wilson's at 95%."""


def _tell_useless(found: Found) -> Iterator[str]:
    worst = max(found.useless, key=lambda row: row.accepted / row.runs)
    above = sum(wilson(row.accepted, row.runs).low > ALPHA for row in found.useless)
    accepted, runs = sum(row.accepted for row in found.useless), sum(row.runs for row in found.useless)
    yield "## What is accepted by luck"
    yield (
        "Candidates of a useless run answer four groups of questions in ten anew, and so change verdicts without a"
        f" direction. Of {runs:,} such runs {accepted:,} had anything accepted, {share(accepted, runs)}. The most in"
        f" one setting is {share(worst.accepted, worst.runs)}; of {len(found.useless)} intervals {above or 'none'}"
        f" {'lie' if above > 1 else 'lies'} above alpha. Guards ask 400 questions each, of which a useless candidate"
        " answers one in twenty anew; their margin is 5 points. What they refuse is accepted less often."
    )
    yield table(
        ("cycles", "scales", "guards", "dev questions", "groups", "unscorable", "what counts", "runs accepted"),
        [
            (*describe(row), f"{row.setting.unscorable:.0%}", f"`{row.setting.counts}`", share(row.accepted, row.runs))
            for row in found.useless
        ],
    )


def _tell_power(found: Found) -> Iterator[str]:
    as_planned = [row for row in found.power if row.told["discordant"] == DISCORDANT]
    least = min(as_planned, key=lambda row: row.accepted / row.runs)
    accepted, runs = sum(row.accepted for row in as_planned), sum(row.runs for row in as_planned)
    below = sum(wilson(row.accepted, row.runs).high < 0.8 for row in as_planned)
    many = {row.setting: row for row in found.power if row.told["discordant"] != DISCORDANT}
    yield "## What is seen"
    yield (
        "`errorbook plan` names the smallest gain that the gate finds with a power of 80%, if three verdicts in ten"
        " change and the questions of a group change together. Candidates with just that gain were accepted in"
        f" {share(accepted, runs)} of all runs, and in {share(least.accepted, least.runs)} in the worst setting; of"
        f" {len(as_planned)} intervals {below or 'none'} {'lie' if below > 1 else 'lies'} below 80%. If more verdicts"
        " change than the plan takes for granted, the same gain is harder to see: the last column. A setting is left"
        " out if only a gain beyond 30 points would be seen."
    )
    yield table(
        ("looks", "dev questions", "groups", "gain that the plan names", "accepted", "accepted if 45% change"),
        [
            (
                str(row.setting.cycles * row.setting.scales),
                f"{row.setting.dev:,}",
                row.setting.layout,
                f"{100 * row.told['gain']:.1f} points",
                share(row.accepted, row.runs),
                share(many[row.setting].accepted, many[row.setting].runs),
            )
            for row in as_planned
        ],
    )


def _tell_guards(found: Found) -> Iterator[str]:
    at = [row for row in found.guards if row.told["loss"] == MARGIN]
    beyond = [row for row in found.guards if row.told["loss"] > MARGIN]
    (most, of), (least, fewest) = _most_accepted(at), _most_accepted(beyond)
    yield "## What a guard lets pass"
    yield (
        "A clear gain comes with a true loss on one guard, whose margin is 5 points. A loss of exactly the margin was"
        f" refused in {share(sum(row.runs - row.accepted for row in at), sum(row.runs for row in at))} of all runs,"
        f" and in {share(of - most, of)} in the worst setting. A loss of one and a half margins or more was refused"
        f" in {share(fewest - least, fewest)} or more. That is what a margin promises, however many questions the"
        " guard asks: 95% at the margin itself (by a score test, so to about a point), and more beyond it. A loss below"
        " the margin has no such promise. It is tolerable by the rule,"
        " and passes the more often, the more questions there are: set the margin to the smallest loss that must be"
        " refused. What questions buy is the other side: a candidate that costs nothing (the column of no loss; three"
        " answers in a hundred are fixed and three broken) is held back by a guard that asks too few."
    )
    losses = sorted({row.told["loss"] for row in found.guards})
    lines: dict[tuple[Setting, float], list[str]] = {}
    for row in found.guards:
        lines.setdefault((row.setting, row.told["asked"]), []).append(share(row.accepted, row.runs))
    yield "Runs accepted, by the true loss:"
    yield table(
        ("looks", "guards", "guard questions", "groups", *(f"{100 * loss:g} points" for loss in losses)),
        [
            (str(setting.cycles * setting.scales), str(setting.guards), f"{asked:,.0f}", setting.layout, *cells)
            for (setting, asked), cells in lines.items()
        ],
    )


def _most_accepted(rows: list[Row]) -> tuple[int, int]:
    worst = max(rows, key=lambda row: row.accepted / row.runs)
    return worst.accepted, worst.runs


def main() -> None:
    """Simulate and write both files, or the page alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each setting")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sequential", action="store_true", help="simulate the sequential gate instead")
    parser.add_argument("--page", action="store_true", help="make docs/gate.md and simulate nothing")
    options = parser.parse_args()
    if options.sequential:
        _write(SEQUENTIAL, gate_sequential.simulate(options.runs, options.seed))
    elif not options.page:
        _write(RESULT, simulate(options.runs, options.seed))
    PAGE.write_text(make_page(), encoding="utf-8")


def _write(path: Path, found: msgspec.Struct) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()

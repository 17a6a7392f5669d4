"""docs/gate.md says what its committed result files say, and the simulation pairs verdicts as the product does."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from benchmarks import gate, gate_sequential
from benchmarks.gate_draws import RIGHT, UNSCORABLE, Lot, compare_lots, draw_lot, redraw
from benchmarks.gate_settings import ALPHA, LAYOUTS, Row, generator_of, list_useless
from errorbook.judge import compare
from errorbook.records import Evaluation, Generation, Verdict
from errorbook.stats import wilson

FOUND = msgspec.json.decode(gate.RESULT.read_bytes(), type=gate.Found)
LOOKS = msgspec.json.decode(gate.SEQUENTIAL.read_bytes(), type=gate_sequential.Found)


def test_every_number_of_the_page_is_computed_from_the_result_files() -> None:
    assert gate.PAGE.read_text(encoding="utf-8") == gate.make_page(), "run 'make results'"


def test_rows_of_the_page_are_counts_of_the_files() -> None:
    section = gate.PAGE.read_text(encoding="utf-8").partition("## What is accepted by luck\n")[2].partition("\n## ")[0]
    cells = re.findall(r"\| ([\d.]+)% \([\d.]+ to [\d.]+\) \|$", section, re.M)

    assert [float(cell) for cell in cells] == [round(100 * row.accepted / row.runs, 1) for row in FOUND.useless]


@pytest.mark.parametrize("rows", [FOUND.useless, LOOKS.useless], ids=["in full", "in looks"])
def test_false_acceptances_stay_below_alpha(rows: tuple[Row, ...]) -> None:
    accepted, runs = sum(row.accepted for row in rows), sum(row.runs for row in rows)

    assert wilson(accepted, runs).high < ALPHA
    assert all(wilson(row.accepted, row.runs, 0.9999).low <= ALPHA for row in rows)


@pytest.mark.parametrize("rows", [FOUND.power, LOOKS.power], ids=["in full", "in looks"])
def test_the_gain_that_the_plan_names_is_seen(rows: tuple[Row, ...]) -> None:
    planned = [row for row in rows if row.told.get("discordant", 0.3) == 0.3]

    assert wilson(sum(row.accepted for row in planned), sum(row.runs for row in planned)).high >= 0.8
    assert all(wilson(row.accepted, row.runs, 0.9999).high >= 0.8 for row in planned)


def test_a_planted_loss_is_refused_and_blocks_save_two_fifths() -> None:
    planted = [row for row in FOUND.guards if row.told["loss"] > 0.05]
    saved = [gate_sequential.count_saved(LOOKS, setting) for setting in {row.setting for row in LOOKS.candidates}]

    assert all(wilson(row.runs - row.accepted, row.runs).low > 0.95 for row in planted)
    assert sum(saved) / len(saved) >= 0.4


@pytest.mark.parametrize("name", LAYOUTS)
def test_drawn_verdicts_are_paired_as_the_gate_pairs_them(name: str) -> None:
    generator = np.random.default_rng(3)
    before = draw_lot(53, LAYOUTS[name], 0.2, generator)
    after = redraw(before, 0.4, generator)
    groups = [[str(one) for one in np.flatnonzero(before.group == number)] for number in range(before.group[-1] + 1)]
    wanted = compare(_side("a", before), _side("b", after), "learn", 0.0, [group for group in groups if len(group) > 1])
    found = compare_lots(before, after, "task", "learn")

    for field in ("n", "fixed", "broken", "newly_readable", "no_longer_readable", "clusters"):
        assert getattr(found, field) == getattr(wanted, field)


def _side(checkpoint: str, lot: Lot) -> tuple[Evaluation, dict[str, Verdict]]:
    names: dict[int, Verdict] = {RIGHT: "right", UNSCORABLE: "unscorable"}
    evaluation = Evaluation(
        checkpoint=checkpoint,
        task="task",
        split="dev",
        target="t",
        examples="e",
        n=lot.n,
        generation=Generation(max_new_tokens=1),
        scorer="numeric",
    )
    return evaluation, {str(place): names.get(int(one), "wrong") for place, one in enumerate(lot.verdicts)}


def test_a_simulation_can_be_repeated() -> None:
    setting = next(iter(list_useless()))
    rates = [[gate.accepts_useless(setting, generator_of(5, setting)) for _ in range(20)] for _ in range(2)]

    assert rates[0] == rates[1]
    assert gate_sequential.accepts_useless(setting, generator_of(5, setting)) in {True, False}

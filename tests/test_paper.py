"""The run files of the paper's setting: planned as they are, and the small one run to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from errorbook.config import load
from errorbook.ledger import open_ledger
from errorbook.plan import make_plan
from errorbook.records import Decision

EXAMPLES = Path(__file__).parent.parent / "examples"
LEARNT = ["mmlu", "gsm8k", "mbpp"]
GUARDS = ["arc", "gsm_plus", "humaneval", "bbh"]

pytestmark = pytest.mark.skipif(
    not os.environ.get("ERRORBOOK_DATA"), reason="ERRORBOOK_DATA does not name the folder of reference data"
)


@pytest.mark.parametrize(("file", "strategy"), [("paper.toml", "contrast"), ("paper-error.toml", "error")])
def test_the_papers_setting_can_be_planned_without_a_warning(file: str, strategy: str) -> None:
    config = load(EXAMPLES / file)
    plan = make_plan(config)

    assert [task.task for task in plan.tasks] == LEARNT + GUARDS
    assert [task.name for task in config.learn()] == LEARNT
    assert (config.strategy.name, plan.cycles, config.strategy.max_samples) == (strategy, 3, 3000)
    assert plan.warnings == ()


def test_the_small_version_asks_twenty_questions_of_each_split() -> None:
    plan = make_plan(load(EXAMPLES / "paper-small.toml"))

    assert [(task.dev, task.test) for task in plan.tasks] == [(20, 20)] * 7
    assert [task.train for task in plan.tasks] == [20] * 3 + [0] * 4


@pytest.mark.slow
def test_the_small_version_runs_to_its_end(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "errorbook"
    command = [str(program), "run", str(EXAMPLES / "paper-small.toml"), "--out", str(tmp_path)]
    reply = subprocess.run(command, check=False, capture_output=True, text=True, timeout=580)

    assert reply.returncode in {0, 1}, reply.stderr
    with open_ledger(tmp_path) as ledger:
        decisions = list(ledger.all(Decision))
    assert [decision.cycle for decision in decisions] == [1]
    assert {comparison.task for comparison in decisions[0].comparisons} == {*LEARNT, *GUARDS}

"""An experiment with the scripted parts (a base run file and an experiment file), and results that were made up."""

from __future__ import annotations

import random
from pathlib import Path

from errorbook.experiment.results import ArmResult, Cost, Examined, Questions, Results, RunResult

RUN_FILE = """
[run]
name = "small"
cycles = 1

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.25

[instructor]
kind = "tutor"

[[tasks]]
name = "arithmetic"
train = 13
dev = 26
test = 26

[[tasks]]
name = "retention"
role = "guard"
train = 0
dev = 14
test = 14
margin = 0.5

[strategy]
retriever = "scripted"

[train]
method = "scripted"

[gate]
noise_floor = false
"""
EXPERIMENT = """
[experiment]
name = "trial"
run = "base.toml"
seeds = [1, 2]
samples = 10

[arms.undirected]

[arms.twice]
arm = "gold"
train.scales = [1.0, 2.0]
"""


def write_files(folder: Path, experiment: str = EXPERIMENT, run_file: str = RUN_FILE) -> Path:
    """Both files in the folder; returns the path of the experiment file."""
    (folder / "base.toml").write_text(run_file, encoding="utf-8")
    file = folder / "trial.toml"
    file.write_text(experiment, encoding="utf-8")
    return file


SEEDS = (1, 2, 3, 4)
RATES = {"base": 0.5, "undirected": 0.55, "error": 0.75, "gentle": 0.6}
TASKS = {"sums": "learn", "words": "learn", "facts": "guard"}
N = 40


def letters(source: random.Random, rate: float, n: int = N) -> str:
    return "".join("r" if source.random() < rate else source.choice("wu") for _ in range(n))


def make_run(arm: str, seed: int) -> RunResult:
    source = random.Random(f"{arm} {seed}")
    base = random.Random(seed)
    before = {task: letters(base, 0.5) for task in TASKS}
    first = Examined(checkpoint="base", cycle=0, outcome="base", verdicts=before)
    if arm == "base":
        return RunResult(arm=arm, seed=seed, examined=(first,))
    after = {task: letters(source, RATES[arm] if role == "learn" else 0.5) for task, role in TASKS.items()}
    taught = Examined(checkpoint="new", cycle=1, outcome="accept" if seed % 2 else "reject", verdicts=after)
    return RunResult(
        arm=arm,
        seed=seed,
        examined=(first, taught),
        outcome=1,
        kept=seed % 2,
        cost=Cost(samples=(100 + seed,), lessons=120, tokens=9000, calls=10, usd=0.5, minutes=seed / 2),
    )


def make_results() -> Results:
    return Results(
        name="made",
        control="undirected",
        seeds=SEEDS,
        arms=tuple(ArmResult(name=arm, samples=100, changes={"train.replay": 0.5}) for arm in RATES),
        model="none",
        version="0",
        machine="none",
        questions=tuple(
            Questions(
                seed=seed,
                task=task,
                role=role,  # type: ignore[arg-type]
                ids=tuple(f"{seed if task != 'facts' else ''}{task}{number}" for number in range(N)),
                together=((0, 1, 2),) if task == "sums" else (),
            )
            for seed in SEEDS
            for task, role in TASKS.items()
        ),
        runs=tuple(make_run(arm, seed) for seed in SEEDS for arm in RATES),
    )


RESULTS = make_results()

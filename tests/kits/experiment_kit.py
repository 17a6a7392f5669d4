"""An experiment with the scripted parts: a base run file and an experiment file in a folder."""

from __future__ import annotations

from pathlib import Path

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

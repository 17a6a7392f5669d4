"""A small run of two cycles with the scripted parts, as a configuration."""

from __future__ import annotations

from errorbook.config import Config, parse

RUN_FILE = """
[run]
name = "small"
cycles = 2
seed = 5

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.25

[[tasks]]
name = "arithmetic"
train = 39
dev = 78
test = 78

[[tasks]]
name = "retention"
role = "guard"
train = 14
dev = 70
test = 70
margin = 0.1

[strategy]
name = "contrast"
retriever = "scripted"

[train]
method = "scripted"
"""


def config(**changes: str) -> Config:
    text = RUN_FILE
    for old, new in changes.items():
        text = text.replace(f"{old} = ", f"{old} = {new} # ", 1)
    return parse(text)

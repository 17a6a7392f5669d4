"""The whole demo on this device, stage by stage; with the quick forward pass of a training as well, to compare."""

from __future__ import annotations

import os
import time
from importlib.resources import files
from typing import TYPE_CHECKING

from msgspec.structs import replace

from benchmarks.gpu_models import EMBEDDED_MODEL, Row, Rows, Setting, model_of
from benchmarks.gpu_train import unproven
from errorbook import loop
from errorbook.config import parse
from errorbook.ledger.file import open_ledger
from errorbook.report.build import build

if TYPE_CHECKING:
    from errorbook.config import Config


def run_demo(setting: Setting) -> Rows:
    """The demo as it is; on random weights it shows only that every stage runs."""
    yield _run(setting, "as it is", "")


def run_quick_demo(setting: Setting) -> Rows:
    """The demo with the quick forward pass: the training takes other time and rounds otherwise, and learns as much."""
    yield _run(setting, "quick", "1")


def _run(setting: Setting, name: str, value: str) -> Row:
    os.environ["ERRORBOOK_NO_CACHE"] = "1"
    folder = setting.folder / f"demo-{name}"
    config = _config(setting)
    begun = time.perf_counter()
    with unproven(value):
        loop.run(config, folder)
    seconds = time.perf_counter() - begun
    with open_ledger(folder) as ledger:
        report = build(ledger)
    learnt = report.tasks["arithmetic"]["test"]
    real = config.target.model == EMBEDDED_MODEL
    row: Row = {
        "name": f"demo, {name}" + ("" if real else ", random weights"),
        "seconds": round(seconds, 1),
        "stages": {stage: round(took, 1) for stage, took in report.stage_seconds.items()},
        "samples": report.funnel.samples,
        "trained_tokens": sum(training.tokens for training in report.trainings),
        "decisions": [cycle.decision for cycle in report.cycles],
        "base_accuracy": round(learnt.base.accuracy, 4),
    }
    if learnt.final is not None and learnt.difference is not None:
        difference = learnt.difference
        row["final_accuracy"] = round(learnt.final.accuracy, 4)
        row["gain"] = [round(number, 4) for number in (difference.value, difference.low, difference.high)]
    row["ok"] = report.finished and (not real or row["decisions"] == ["accept"])
    return row


def _config(setting: Setting) -> Config:
    text = files("errorbook").joinpath("demo.toml").read_text(encoding="utf-8")
    if setting.small:
        for wanted in ("train = 78", "dev = 117", "test = 156", "dev = 40", "test = 40", "train = 80", "dev = 64"):
            text = text.replace(wanted, f"{wanted.partition(' ')[0]} = 8")
        text = text.replace("test = 64", "test = 8")
    config = parse(text, source="demo.toml")
    return replace(config, target=replace(config.target, model=model_of(setting)))

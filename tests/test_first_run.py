"""A new user's way: an empty folder, a CSV and a key, to a report in four commands, with no file edited."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from command_kit import call
from places import ROOT

from errorbook import plugins
from errorbook.setup import plan_prompts, proposal
from errorbook.setup.surroundings import KEYS
from errorbook.setup.task_preview import Template
from errorbook.testing import Settings, server

TUTORIAL = ROOT / "docs" / "tutorial"


def script_models(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, str]) -> None:
    """The run file's own target and trainer are scripted ones, and prompts have no model's template."""
    create = plugins.create

    def scripted(kind: plugins.Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
        if kind == "targets":
            return create(kind, "scripted", {"answers": dict(answers), "gain": 0.4})
        return create(kind, "scripted") if kind in {"trainers", "retrievers"} else create(kind, name, options)

    monkeypatch.setattr(plugins, "create", scripted)
    for user in (proposal, plan_prompts):
        monkeypatch.setattr(user, "chat_template", lambda _: Template("", str, "As it is."))


@pytest.mark.slow
def test_from_an_empty_folder_a_csv_and_a_key_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [json.loads(line) for line in (TUTORIAL / "tickets.jsonl").read_text().splitlines()]
    with (tmp_path / "tickets.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Ticket", "Team"), *((row["question"], row["answer"]) for row in rows)])
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.syspath_prepend(str(TUTORIAL))
    script_models(monkeypatch, {row["question"]: row["answer"] for row in rows})

    with server(Settings(api_key="sk-own"), script=import_module("teacher").reply) as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-own")
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        made = call(tmp_path, "init", "--instructor-model", "m", "--budget", "5", "--cycles", "1", "--yes")
        assert made.returncode == 0, made.stderr
        assert provider.stats().requests == 1
        assert "Wrote run.toml" in made.stdout
        planned = call(tmp_path, "plan", "run.toml", "--json")
        assert planned.returncode == 0, planned.stderr
        assert json.loads(planned.stdout)["usd"] == 0
        ran = call(tmp_path, "run", "run.toml")
        assert ran.returncode in {0, 1}, ran.stderr
        shown = call(tmp_path, "report", "--format", "md")

    assert shown.returncode == 0, shown.stderr
    assert "tickets" in shown.stdout
    assert (tmp_path / "runs" / "tickets" / "report.html").stat().st_size > 10_000
    counts = json.loads(call(tmp_path, "status", "--json").stdout)
    assert counts["samples"] > 0

"""What a visitor of the repository relies on: the citation can be read, and every gate runs the same commands."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import pytest
from places import ROOT

yaml: Any = pytest.importorskip("yaml")  # has no types


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def commands_of(goal: str) -> list[str]:
    """The commands of a goal of the Makefile, with the folder of programs written out."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    [recipe] = re.findall(rf"^{goal}:.*\n((?:\t.*\n)+)", text, re.M)
    return [line.removeprefix("\t@").replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]


def test_the_citation_names_the_software_and_the_paper() -> None:
    citation = read_yaml("CITATION.cff")
    [paper] = citation["references"]

    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys(), "what version 1.2.0 of the format demands"
    assert {"type", "title", "authors"} <= paper.keys(), "and what it demands of a reference"
    assert citation["title"] == "Errorbook"
    assert paper["title"].startswith("LLMs-as-Instructors: Learning from Errors")
    assert [author["family-names"] for author in paper["authors"]][:3] == ["Ying", "Lin", "Cao"]
    assert len(paper["authors"]) == 8
    assert paper["identifiers"][0]["value"] == "arXiv:2407.00497"


def test_the_citation_has_the_licence_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert read_yaml("CITATION.cff")["license"] == package["license"]


def test_pre_commit_runs_what_make_check_runs() -> None:
    [local] = read_yaml(".pre-commit-config.yaml")["repos"]

    assert local["repo"] == "local", "it asks nothing of the network"
    assert [hook["entry"] for hook in local["hooks"]] == commands_of("check")
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    assert not any(hook["pass_filenames"] for hook in local["hooks"])


def test_the_workflow_runs_the_script_that_everybody_can_run() -> None:
    workflow = read_yaml(".github/workflows/ci.yml")
    [job] = workflow["jobs"].values()
    script = ROOT / ".ci" / "run"

    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(script, os.X_OK)
    assert re.findall(r"^step make --no-print-directory (\w+)$", script.read_text(encoding="utf-8"), re.M) == [
        "setup",
        "check",
        "test",
    ]
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("name", ["CHANGELOG.md", "SECURITY.md", "CITATION.cff", "CONTRIBUTING.md"])
def test_the_readme_leads_to_each(name: str) -> None:
    assert f"]({name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / name).is_file()


def test_the_changelog_has_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    kinds = re.findall(r"^### (.+)$", text, re.M)

    assert re.findall(r"^## (.+)$", text, re.M) == ["[Unreleased]"]
    assert kinds
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

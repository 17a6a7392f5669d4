"""Secrets and places of a run file, put wherever people put them, are in no card, no report and on no page."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
import synthetic_run
from msgspec.structs import replace
from server_kit import WEB, serving
from synthetic_run import write_run

from errorbook.cli.main import run_command
from errorbook.cli.report import FORMATS, build_report, render_report
from errorbook.config import ComputeSection, InstructorSection, SinkSection
from errorbook.ledger.file import open_ledger
from errorbook.ledger.run_view import Change, list_changes, name_instructor, note_change

CANARY = "canary9c1e"
WAYS = {
    "base_url": f"https://user:{CANARY}@llm.{CANARY}.internal:8443/v1?api-key={CANARY}",
    "headers": {"Cookie": f"session={CANARY}", "X-Team": CANARY},
    "certificates": f"/etc/{CANARY}/ca.pem",
    "proxies": {"https": f"http://proxy.{CANARY}.lan:3128"},
    "workspace": CANARY,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run whose run file is full of canaries."""
    folder = tmp_path_factory.mktemp("canaries")
    config = replace(
        synthetic_run.CONFIG,
        instructor=InstructorSection(kind="openai", options={"model": "gpt-4.1", **WAYS}),
        compute=ComputeSection(address=f"ray://{CANARY}:10001", store=f"/srv/{CANARY}"),
        sinks=(SinkSection(kind="mlflow", options={"uri": f"http://{CANARY}/"}),),
        tasks=tuple(replace(task, system=f"You work for {CANARY}.") for task in synthetic_run.CONFIG.tasks),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(synthetic_run, "CONFIG", config)
        write_run(folder / "run", both=True)
    text = f"# {CANARY}\n[run]\nname = 'synthetic' # {CANARY}\n[instructor]\nkind = 'openai'\n"
    text += f"base_url = '{WAYS['base_url']}'\nheaders = {{ Cookie = '{CANARY}' }}\n"
    with open_ledger(folder / "run", "write") as ledger:
        ledger.state("run_file", text)
        for key in ("instructor.options.base_url", f"instructor.options.headers.{CANARY}", "instructor.options.model"):
            note_change(ledger, Change(cycle=1, key=key, before=f"https://{CANARY}/", after=f"http://{CANARY}.lan/v1"))
    return folder


def test_no_report_holds_one(root: Path) -> None:
    made = build_report(root / "run")
    for form in FORMATS:
        assert CANARY not in render_report(made, form, to_file=True).lower(), form
    assert made.instructor == "openai (gpt-4.1)"
    assert "openai (gpt-4.1)" in render_report(made, "md", to_file=True)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "custom"),
        ({"model": 3}, "custom"),
        ({"model": "llama3:8b"}, "custom (llama3:8b)"),
        ({"model": "/srv/models/x"}, "custom"),
        ({"model": "http://gpu.internal/x"}, "custom"),
    ],
)
def test_an_instructor_is_named_with_its_model_and_never_with_a_place(options: dict[str, object], name: str) -> None:
    config = replace(synthetic_run.CONFIG, instructor=InstructorSection(kind="custom", options=options))
    assert name_instructor(config) == name


def test_no_card_holds_one(root: Path, tmp_path: Path) -> None:
    for what in (["card"], ["samples"], ["samples", "--format", "datasets"]):
        out = tmp_path / "-".join(what)
        assert run_command(["export", str(root / "run"), "--what", *what, "--out", str(out)]) == 0
        for card in out.rglob("*.md"):
            assert CANARY not in card.read_text(encoding="utf-8").lower(), what


def test_no_page_holds_one(root: Path) -> None:
    with serving(root) as address:
        waiting, seen = [f"{address}/"], set[str]()
        while waiting and len(seen) < 40:
            link = waiting.pop(0).partition("#")[0]
            if link in seen:
                continue
            seen.add(link)
            text = WEB.get(link, follow_redirects=True).text
            assert CANARY not in text.lower(), link
            found = (urljoin(link, unescape(one)) for one in re.findall(r'href="([^"]*)"', text))
            waiting += [one for one in found if one.startswith(address)]
    assert len(seen) == 40


def test_a_change_of_the_run_file_is_told_with_values_that_are_harmless(root: Path) -> None:
    with open_ledger(root / "run", "write") as ledger:
        note_change(ledger, Change(cycle=2, key="run.cycles", before="2", after="3"))
        note_change(ledger, Change(cycle=2, key="instructor.options.model", before="gpt-4.1", after="llama3:8b"))
        told = list_changes(ledger)
    assert [(item.key, item.before, item.after) for item in told] == [
        ("instructor.options.base_url", "…", "…"),
        ("instructor.options.headers", "…", "…"),
        ("instructor.options.model", "…", "…"),
        ("run.cycles", "2", "3"),
        ("instructor.options.model", "gpt-4.1", "llama3:8b"),
    ]

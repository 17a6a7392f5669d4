"""The lock file agrees with pyproject.toml, and the wheel works where neither this tree nor PyTorch is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = ROOT / "requirements" / "lock.txt"


def pins() -> dict[str, str]:
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    assert all(len(pair) == 2 for pair in pairs), "every line of the lock is NAME==VERSION"
    return dict(pairs)


BORROWED = {"reasoning-gym", "lm-eval", "inspect", "vllm", "wandb", "mlflow", "trackio"}
"""Extras that lead to other projects: large, partly compiled on installation, and so not locked."""


def declared() -> list[Requirement]:
    offered = PROJECT["project"]["optional-dependencies"]
    assert offered.keys() >= BORROWED
    extras = [items for name, items in offered.items() if name not in BORROWED]
    dev = PROJECT.get("dependency-groups", {}).get("dev", [])
    lists = [PROJECT["project"]["dependencies"], PROJECT["build-system"]["requires"], dev, *extras]
    return [Requirement(item) for items in lists for item in items]


def run(folder: Path, *command: str | Path, expect: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run a command outside this tree, with nobody at the keyboard. Tracebacks are never acceptable."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    reply = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=folder,
        env={**clean, "ERRORBOOK_CACHE": str(folder / "cache")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    said = (
        f"{' '.join(map(str, command))} ended with {reply.returncode}\n{reply.stdout[-2000:]}\n{reply.stderr[-4000:]}"
    )
    assert "Traceback" not in reply.stderr, said
    assert reply.returncode in expect, said
    return reply


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_meets_every_declared_requirement(requirement: Requirement) -> None:
    version = pins().get(canonicalize_name(requirement.name))

    assert version is not None, f"{requirement.name} is not locked: run 'make lock'"
    assert requirement.specifier.contains(version, prereleases=True)


def test_the_lock_leaves_the_build_of_pytorch_to_the_machine() -> None:
    versions = pins()

    assert next(iter(versions)) == "torch"
    assert not [name for name, version in versions.items() if "+" in version]
    assert not [name for name in versions if name.startswith(("nvidia", "cuda", "triton"))]


def test_the_makefile_and_the_lock_do_not_name_a_registry() -> None:
    for path in (ROOT / "Makefile", LOCK, ROOT / "pyproject.toml"):
        assert "index-url" not in path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(folder, sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    return next(folder.glob("errorbook-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The folder of programs of an environment that holds the wheel and its declared dependencies only."""
    environment = wheel.parent / "environment"
    run(wheel.parent, sys.executable, "-m", "venv", environment)
    programs = environment / "bin"
    run(wheel.parent, programs / "python", "-m", "pip", "install", "-qq", "-c", LOCK, wheel)
    return programs


@pytest.mark.slow
def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in (ROOT / "src" / "errorbook").rglob("*") if path.is_file())
    sources = {path.relative_to(ROOT / "src").as_posix() for path in files if path.parent.name != "__pycache__"}
    extra = {name for name in names - sources if ".dist-info/" not in name}

    assert {"errorbook/py.typed", "errorbook/demo.toml"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert sources - names == set()
    assert extra == set()


@pytest.mark.slow
def test_the_installed_program_starts_without_pytorch(installed: Path, tmp_path: Path) -> None:
    packages = json.loads(run(tmp_path, installed / "python", "-m", "pip", "list", "--format", "json").stdout)
    help_text = run(tmp_path, installed / "errorbook", "--help").stdout

    assert {"torch", "transformers", "scikit-learn"} & {package["name"] for package in packages} == set()
    for command in ("demo", "init", "plan", "run", "exam", "status", "report", "doctor"):
        assert command in help_text


@pytest.mark.slow
def test_the_doctor_says_that_pytorch_is_missing_and_what_to_do(installed: Path, tmp_path: Path) -> None:
    reply = run(tmp_path, installed / "errorbook", "doctor", expect=(0, 1))

    assert "torch" in reply.stdout
    assert "pip install" in reply.stdout


@pytest.mark.slow
def test_init_writes_a_run_file_that_plan_can_read(installed: Path, tmp_path: Path) -> None:
    run(tmp_path, installed / "errorbook", "init", "--yes")
    (run_file,) = tmp_path.glob("*.toml")
    planned = json.loads(run(tmp_path, installed / "errorbook", "plan", run_file, "--json").stdout)

    assert isinstance(planned, dict)
    assert planned


@pytest.mark.slow
def test_a_scripted_run_completes_offline_and_is_not_repeated(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "scripted.toml").write_bytes((ROOT / "examples" / "scripted.toml").read_bytes())
    command = (installed / "errorbook", "run", "scripted.toml", "--out", "book", "--json")

    first = json.loads(run(tmp_path, *command, expect=(0, 1)).stdout)
    again = json.loads(run(tmp_path, *command, expect=(0, 1)).stdout)
    report = run(tmp_path, installed / "errorbook", "report", "book", "--format", "md").stdout

    assert [cycle["decision"] for cycle in first["cycles"]]
    assert {cycle["decision"] for cycle in first["cycles"]} <= {"accept", "reject", "stop"}
    assert first["tasks"]
    assert (again["cycles"], again["tasks"]) == (first["cycles"], first["tasks"])
    assert "arithmetic" in report

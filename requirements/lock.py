"""Prints a new lock file: the newest versions that pyproject.toml allows, as pip resolves them on this machine.

`make lock` runs it. PyTorch alone keeps its version, because a new one may lack a build for a machine that matters: to
move it, edit its line in lock.txt first. It does not install anything, and it does not pin the weights of the embedded
model (the Makefile does) nor the libraries that a GPU build of PyTorch brings along: those follow from the build.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

HEADER = """\
# Every version that this project is developed and tested with: run time, extras and the dev tools.
# Made by `make lock` from pyproject.toml; read by `make setup`. To move PyTorch, edit its line and
# run `make lock` again; edit nothing else by hand.
#
# PyTorch comes first and without a build suffix such as '+cpu': pip takes the build that its own configuration offers
# for this machine. There are no hashes for that reason, and no GPU libraries: a GPU build of PyTorch asks for its own.
"""
NOT_LOCKED = {"reasoning-gym", "lm-eval", "inspect", "vllm", "wandb", "mlflow", "trackio"}
"""Extras that lead to other projects or serve on GPUs: large, and some of them compile on installation."""
GPU_LIBRARY = re.compile(r"nvidia-|cuda-|triton")


def requirements(project: Path) -> list[str]:
    """Everything that a developer's environment needs, as pyproject.toml asks for it."""
    data = tomllib.loads(project.read_text(encoding="utf-8"))
    offered = data["project"]["optional-dependencies"]
    extras = [items for name, items in offered.items() if name not in NOT_LOCKED]
    groups = [*extras, *data["dependency-groups"].values(), data["build-system"]["requires"]]
    return [*data["project"]["dependencies"], *(item for group in groups for item in group)]


def kept(lock: Path) -> list[str]:
    """The line of the present lock file that stays."""
    return [line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("torch==")]


def resolve(wanted: list[str]) -> dict[str, str]:
    """Name and version of each distribution that pip would install into an empty environment."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-qq", "--report", "-"]
    reply = subprocess.run([*command, *wanted], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found = (item["metadata"] for item in json.loads(reply.stdout)["install"])
    return {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"].split("+")[0] for item in found}


def main() -> None:
    """Write the lock file to stdout."""
    here = Path(__file__).parent
    versions = resolve(requirements(here.parent / "pyproject.toml") + kept(here / "lock.txt"))
    names = sorted((name for name in versions if not GPU_LIBRARY.match(name)), key=lambda name: (name != "torch", name))
    sys.stdout.write(HEADER + "".join(f"{name}=={versions[name]}\n" for name in names))


if __name__ == "__main__":
    main()

"""Everything about the GPU that was never measured, as one command that fits ten minutes; see `benchmarks/gpu.sh`.

    benchmarks/gpu.sh [--dry-run] [--steps NAME ...] [--minutes 9.5] [--out FOLDER]

First whether it is right, then how fast it is. Every step has a process and a time limit of its own, so that one that
fails or hangs stops no other. What a step finds is written to OUT/gpu.json as soon as it is found, and to OUT/gpu.log
as text. Exit code 1 if a promise was broken or a step failed. `--dry-run` runs every step at small size on a CPU.
`python -m benchmarks.gpu_table OUT/gpu.json ...` prints the tables of docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks.gpu_models import Row, Setting
from benchmarks.gpu_pack import APART


class Step(NamedTuple):
    """A function of a module beside this one, and the seconds that it may take at most."""

    module: str
    function: str
    seconds: int


STEPS = {
    "machine": Step("gpu_machine", "describe", 60),
    "forward": Step("gpu_forward", "compare", 100),
    "batch": Step("gpu_answer", "batch_against_single", 120),
    "swap": Step("gpu_answer", "swap_adapters", 75),
    "resume": Step("gpu_train", "resume", 150),
    "qlora": Step("gpu_train", "qlora", 60),
    "decode": Step("gpu_answer", "decode_speed", 100),
    "train": Step("gpu_train", "training_speed", 150),
    "demo": Step("gpu_demo", "run_demo", 150),
    "demo_quick": Step("gpu_demo", "run_quick_demo", 120),
}
"""In their order: what is right comes before what is quick."""
WITHOUT_WEIGHTS = ("machine", "forward", "decode", "train")
"""The steps that need random weights only."""
_MARK = "ROW "


def main() -> None:
    """Run the steps one after another, or in a worker the one that it was started for."""
    options = _options()
    if options.worker:
        _work(options.worker, Setting(options.dry_run, _device(options.dry_run), Path(options.folder)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "gpu.log").open("a", encoding="utf-8") as log, tempfile.TemporaryDirectory() as space:
        sys.exit(_run_all(options, log, space))


def _run_all(options: argparse.Namespace, log: IO[str], space: str) -> int:
    ends = time.monotonic() + 60 * options.minutes
    result: dict[str, Any] = {"small": options.dry_run, "started": datetime.now(UTC).isoformat(timespec="seconds")}
    result["commit"] = _commit()
    result["steps"] = []
    for name in options.steps or STEPS:
        left = ends - time.monotonic()
        found: dict[str, Any] = {"name": name, "status": "running", "rows": []}
        result["steps"].append(found)
        begun = time.monotonic()
        if left < 5:
            found["status"] = "no time left"
        else:
            command = [sys.executable, "-m", "benchmarks.gpu", "--worker", name, "--folder", f"{space}/{name}"]
            command += ["--dry-run"] if options.dry_run else []
            _say(log, f"== {name}")

            def keep(row: Row, found: dict[str, Any] = found) -> None:
                found["rows"].append(row)
                _write(options.out, result)
                _say(log, _line(row))

            longest = STEPS[name].seconds * (4 if options.dry_run else 1)  # a busy machine may hold it up
            found["status"] = _watch(command, min(longest, left), keep, log)
        found["seconds"] = round(time.monotonic() - begun, 1)
        _write(options.out, result)
        _say(log, f"   {name}: {found['status']}, {found['seconds']} s")
    return int(_summarise(result, log))


def _watch(command: list[str], seconds: float, keep: Callable[[Row], None], log: IO[str]) -> str:
    """Run a step's process and keep its rows as they come; says how it ended."""
    late: list[str] = []
    tail: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=_environment(command),
    ) as process:

        def end() -> None:
            late.append("time limit")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        clock = threading.Timer(seconds, end)
        clock.start()
        for line in process.stdout or ():
            if line.startswith(_MARK):
                keep(json.loads(line.removeprefix(_MARK)))
            elif line.strip():
                tail = [*tail[-20:], line.rstrip()]
        code = process.wait()
        clock.cancel()
    if late or not code:
        return late[0] if late else "done"
    for line in tail:
        _say(log, f"   | {line}")
    return f"failed: {tail[-1][:300] if tail else code}"


def _environment(command: list[str]) -> dict[str, str]:
    """Only QLoRA's step sees bitsandbytes that was packed: PEFT imports it if it is there, and it may not fit."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if "qlora" in command:
        paths += [str(Path(path) / APART) for path in paths]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _work(name: str, setting: Setting) -> None:
    setting.folder.mkdir(parents=True, exist_ok=True)
    step = STEPS[name]
    for row in getattr(importlib.import_module(f"benchmarks.{step.module}"), step.function)(setting):
        print(_MARK + json.dumps(row), flush=True)


def _device(small: bool) -> str:
    """The GPU, or the CPU for a dry run; without a GPU nothing is measured in earnest."""
    import torch

    if small:
        return "cpu"
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU here; use --dry-run to see that the steps run.")
    return "cuda"


def _summarise(result: dict[str, Any], log: IO[str]) -> bool:
    """Say what was not done and what broke; returns whether anything did."""
    bad = [f"{step['name']}: {step['status']}" for step in result["steps"] if step["status"] != "done"]
    bad += [
        f"{step['name']}: '{row['name']}' does not hold"
        for step in result["steps"]
        for row in step["rows"]
        if row.get("ok") is False
    ]
    _say(log, f"== {len(bad)} to look at" if bad else "== everything held")
    for sentence in bad:
        _say(log, f"   {sentence}")
    return bool(bad)


def _line(row: Row) -> str:
    verdict = {True: "ok ", False: "BAD", None: "   "}[row.get("ok")]
    figures = ", ".join(f"{key} {_short(value)}" for key, value in row.items() if key not in {"name", "ok"})
    return f"   {verdict} {row['name']}: {figures}"


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _say(log: IO[str], text: str) -> None:
    print(text, flush=True)
    print(text, file=log, flush=True)


def _write(out: Path, result: dict[str, Any]) -> None:
    making = out / "gpu.json.part"
    making.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    making.replace(out / "gpu.json")


def _commit() -> str:
    """The version of the code; a copy of the tree without git says so."""
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/gpu.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="every step at small size on the CPU")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), metavar="NAME", help=f"of {' '.join(STEPS)}")
    parser.add_argument("--minutes", type=float, default=9.5, help="for all steps together; %(default)s by default")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--worker", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

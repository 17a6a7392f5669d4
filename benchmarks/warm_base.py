"""Makes the warm base of the experiments: a model that is already right on about two thirds of the embedded task.

    python -m benchmarks.warm_base [--out runs/proof]

It is the embedded model after one cycle of 1,500 undirected samples (`benchmarks/experiments/runs/warm_base.toml`),
merged into a model of its own below --out. Takes ten minutes on two cores; what is finished is not done again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

RUN_FILE = Path(__file__).parent / "experiments" / "runs" / "warm_base.toml"


def main() -> None:
    """Run the cycle and export the merged model, unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/proof"))
    out: Path = parser.parse_args().out
    model = out / "warm-base"
    if (model / "export.json").exists():
        print(f"The model is in {model}.")
        return
    run = out / "warm-base-run"
    out.mkdir(parents=True, exist_ok=True)
    for command in (
        ["run", str(RUN_FILE), "--out", str(run)],
        ["export", str(run), "--what", "merged", "--out", str(model), "--force"],
    ):
        subprocess.run([sys.executable, "-m", "errorbook", *command], check=True)


if __name__ == "__main__":
    main()

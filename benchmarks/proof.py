"""Runs the experiments in `benchmarks/experiments`, and makes docs/results.md from the result files.

    python -m benchmarks.proof [NAME ...] [--out runs/proof]
    python -m benchmarks.proof --page

The first takes hours. It can be stopped, killed and given again, and a second one beside it takes the runs that nobody
works on. It writes one result file an experiment to `benchmarks/results/experiments`: verdicts by question and costs,
no texts. The second takes seconds; `make results` is the same. A test holds the page to what the files say.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from errorbook.experiment.file import load
from errorbook.experiment.page import write_page
from errorbook.experiment.results import read_results, write_results
from errorbook.experiment.runner import run_experiment
from errorbook.files import write_file
from errorbook.render.terminal import show_progress

HERE = Path(__file__).parent
EXPERIMENTS = HERE / "experiments"
RESULTS = HERE / "results" / "experiments"
PAGE = HERE.parent / "docs" / "results.md"
_ABOUT = """\
Made by `make results` from the files in `benchmarks/results/experiments`, which `python -m benchmarks.proof` writes. A
test recomputes this page from them. How to make such an experiment is told [here](howto/experiment.md)."""


def main() -> None:
    """Run what is not finished yet, or make the page."""
    options = _options()
    if options.page:
        write_file(PAGE, make_page())
        return
    for name in options.names or sorted(file.stem for file in EXPERIMENTS.glob("*.toml")):
        experiment = load(EXPERIMENTS / f"{name}.toml")
        found = run_experiment(experiment, options.out / experiment.name, _tell, show_progress)
        write_results(RESULTS / f"{name}.json", found)
        _tell(f"{name}: {len(found.runs)} runs are finished, {found.missing} are missing")


def make_page() -> str:
    """The page of all committed result files, in the order of their names."""
    return write_page([read_results(file) for file in sorted(RESULTS.glob("*.json"))], about=_ABOUT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="experiments, by the name of their file; all if none is given")
    parser.add_argument("--out", type=Path, default=Path("runs/proof"))
    parser.add_argument("--page", action="store_true", help="make docs/results.md and run nothing")
    return parser.parse_args()


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""Attack the product for an hour, or for as long as told, and say what broke.

    python -m benchmarks.torture [--minutes N] [--seed N] [--only PART ...] [--json] [--page FILE]

Each module of this folder that has a function `torment` is a part; the time is shared evenly between them. Exit code 1
if anything broke. Every failure is printed with what repeats it. Nothing here needs a model or the network. `--page`
replaces the table between the two marks of a page, such as docs/reliability.md, by the counts of this run.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import cast

import msgspec

from benchmarks import torture
from benchmarks.scale import machine
from benchmarks.torture.part import Outcome, Part

MARKED = re.compile(r"(<!-- torture: begin -->\n).*(<!-- torture: end -->)", re.DOTALL)
"""What a page holds between the two marks is ours to write."""


def main() -> None:
    """Run the parts one after another and print one line for each, then every failure."""
    parts = find_parts()
    options = _parser(sorted(parts)).parse_args()
    names = options.only or sorted(parts)
    share = options.minutes * 60 / len(names)
    outcomes: dict[str, Outcome] = {}
    for name in names:
        begun = time.monotonic()
        outcomes[name] = parts[name](share, options.seed)
        if not options.json:
            print(_line(name, outcomes[name], time.monotonic() - begun), flush=True)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(outcomes)).decode())
    if options.page:
        write_table(options.page, outcomes, options.minutes, options.seed)
    sys.exit(any(outcome.broken for outcome in outcomes.values()))


def find_parts() -> dict[str, Part]:
    """The parts by name: the modules beside this one that have a function `torment`."""
    names = [module.name for module in pkgutil.iter_modules(torture.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.torture.{name}") for name in names}
    return {name: cast(Part, module.torment) for name, module in modules.items() if hasattr(module, "torment")}


def write_table(page: Path, outcomes: dict[str, Outcome], minutes: float, seed: int) -> None:
    """Replace the table of a page. Raises ValueError if the page has no marks."""
    text = page.read_text(encoding="utf-8")
    if not MARKED.search(text):
        raise ValueError(f"'{page}' has no marks for the table; write '<!-- torture: begin -->' and the end into it.")
    lines = ["| part | tried | broken |", "|---|---:|---:|"]
    lines += [f"| {name} | {outcome.tried:,} | {len(outcome.broken)} |" for name, outcome in outcomes.items()]
    lines += ["", "| part | measured | value |", "|---|---|---:|"]
    for name, outcome in outcomes.items():
        lines += [f"| {name} | {key} | {value:.4g} |" for key, value in outcome.figures.items()]
    said = f"`python -m benchmarks.torture --minutes {minutes:g} --seed {seed}`, {date.today():%Y-%m-%d}, {machine()}:"
    body = "\n".join([said, "", *lines, ""])
    page.write_text(MARKED.sub(lambda mark: mark[1] + body + mark[2], text), encoding="utf-8")


def _line(name: str, outcome: Outcome, seconds: float) -> str:
    figures = "".join(f", {key} {value:.4g}" for key, value in outcome.figures.items())
    verdict = f"{len(outcome.broken)} BROKEN" if outcome.broken else "held"
    return "\n".join(
        [f"{name:<16} {outcome.tried:>7} tried, {verdict} ({seconds:.0f} s{figures})"]
        + [f"    {sentence}" for sentence in outcome.broken]
    )


def _parser(names: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="for all parts together; %(default)s by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"only these: {' '.join(names)}")
    parser.add_argument("--page", type=Path, help="write the counts into this page's table")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    main()

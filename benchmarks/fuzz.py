"""Coverage-guided fuzzing of what reads texts that others wrote: numbers, equations, an instructor's replies, logs.

    python -m benchmarks.fuzz TARGET [--seconds N] [--seed N]

Atheris mutates the inputs of `tests/torture/corpus`, and goes on with those that reach new code. A finding is an
exception that the reader does not declare, or an input that takes more than a second of processor time, which the
instrumented code reaches some times sooner than the real one. Each kind is printed once, with the file that repeats it;
the exit code is 1 then. Inputs that reached new code lie in build/fuzz. Atheris is no dependency of this project. What
it kept is read again by `tests/torture/test_corpus.py`, without it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "torture" / "corpus"
OUT = ROOT / "build" / "fuzz"
SLOW_S = 1.0
HANG_S = 60
"""After this long libFuzzer ends an input, and with it the whole try."""
_LONGEST = 4_096

Reader = Callable[[bytes], object]


def load_numbers() -> Reader:
    """Every number of a text, and the one that it closes with."""
    from errorbook.adapters.scorers import numbers, numeric

    def read(data: bytes) -> None:
        text = _text(data)
        numbers.read_single(text)
        plain = numbers.normalize_numbers(text)
        places = [(found.start, found.end) for found in numbers.find_readings(plain)]
        flat = [0, *(place for pair in places for place in pair), len(plain)]
        if flat != sorted(flat):
            raise ValueError(f"the numbers stand at {places}")
        numbers.find_ordinals(plain)
        numeric.extract(text, text[:200])

    return read


def load_equations() -> Reader:
    """The equations of a solution, and its conclusion."""
    from errorbook.checks import equations, final_number

    def read(data: bytes) -> None:
        text = _text(data)
        for equation in equations.find_equations(text):
            if not equation.text.strip():
                raise ValueError("an equation without a text")
        final_number.find_conclusion(text)

    return read


def load_replies() -> Reader:
    """A reply as each of the types that an instructor is asked for."""
    from errorbook.adapters.instructors import replies
    from errorbook.llm.records import InvalidReply
    from errorbook.llm.structured import make_reader
    from errorbook.sandbox.patience import BusyError

    checks: list[tuple[type[Any], Callable[[Any, str], object]]] = [
        (replies.Analysis, replies.check_analysis),
        (replies.ContrastAnalysis, replies.check_analysis),
        (replies.WorkedDrafts, lambda reply, _: replies.check_worked(reply, numeric=True)),
        (replies.ChoiceDrafts, lambda reply, _: replies.check_choice(reply, 0, 1)),
        (replies.CodingDrafts, lambda reply, _: replies.check_coding(reply)),
        (replies.BlindAnswer, lambda reply, text: replies.check_blind(reply, ("a", "b") if len(text) % 2 else ())),
    ]
    readers = [(make_reader(kind), check) for kind, check in checks]

    def read(data: bytes) -> None:
        text = _text(data)
        for reader, check in readers:
            try:
                check(reader(text), text)
            except (InvalidReply, BusyError):
                continue

    return read


def load_logs() -> Reader:
    """A file as a log of any format."""
    from errorbook.errors import UserError
    from errorbook.importing.logs.formats import read_log

    def read(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.write(data)
            file.flush()
            try:
                read_log(Path(file.name))
            except UserError:
                return

    return read


TARGETS: dict[str, Callable[[], Reader]] = {
    "numbers": load_numbers,
    "equations": load_equations,
    "replies": load_replies,
    "logs": load_logs,
}


def main() -> None:
    """Fuzz one target until the time is up."""
    options = _parser().parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("Fuzzing needs atheris: run '.venv/bin/pip install atheris', and try again.", file=sys.stderr)
        sys.exit(2)
    with atheris.instrument_imports(include=["errorbook"]):
        read = TARGETS[options.target]()
    folder = OUT / options.target
    folder.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_len={_LONGEST}", f"-seed={options.seed}", f"-timeout={HANG_S}", "-rss_limit_mb=4096"]
    files = [f"-artifact_prefix={folder.parent}/{options.target}-", str(folder), str(CORPUS / options.target)]
    watch = _Watch(options.target, read, time.monotonic() + options.seconds)
    atheris.Setup([sys.argv[0], "-verbosity=0", *limits, *files], watch.attempt)
    atheris.Fuzz()


def try_input(read: Reader, data: bytes) -> str:
    """What is wrong with the reading of an input, with the place in the code; an empty text if nothing is."""
    begun = time.thread_time()
    try:
        read(data)
    except Exception as error:  # whatever it is, the reader does not declare it
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
    return "slow" if time.thread_time() - begun > SLOW_S else ""


class _Watch:
    """Counts what was tried, and keeps one input for each kind of finding."""

    def __init__(self, target: str, read: Reader, until: float) -> None:
        self._target, self._read, self._until = target, read, until
        self._tried = 0
        self._found: dict[str, Path] = {}

    def attempt(self, data: bytes) -> None:
        """Try one input; the first after the end of the time ends the process, since libFuzzer never returns."""
        if time.monotonic() > self._until:
            self._finish()
        self._tried += 1
        fault = try_input(self._read, data)
        if fault and fault not in self._found:
            path = OUT / f"{self._target}-found-{len(self._found) + 1}"
            path.write_bytes(data)
            self._found[fault] = path
            print(f"{fault}: {path}", flush=True)

    def _finish(self) -> None:
        kept = len(list((OUT / self._target).iterdir()))
        print(f"{self._target}: {self._tried:,} executions, {len(self._found)} kinds of finding, {kept} inputs kept")
        sys.stdout.flush()
        os._exit(bool(self._found))


def _text(data: bytes) -> str:
    """Any bytes as a text; halves of characters stay in it, as JSON can bring them."""
    return data.decode("utf-8", "surrogateescape")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=180.0, help="%(default)s by default")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()

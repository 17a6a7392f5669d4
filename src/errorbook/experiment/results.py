"""What an experiment found, as a small file: verdicts by question, decisions and costs, and no text of any answer.

Everything that is said of an experiment is computed from this file alone. Verdicts are strings of one letter a
question (`r`, `w` or `u`), in the order of the questions' ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from errorbook.errors import DataError
from errorbook.files import write_file
from errorbook.records import Role

RESULTS = "results.json"
"""Name of the result file in the experiment's folder."""
PAGE = "results.md"
"""Name of the page beside it."""
FORMAT = 1
"""Raised if older files can no longer be read."""


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """An arm as the experiment file has it; `changes` are by dotted key."""

    name: str
    ready: str = ""
    samples: int
    trains: bool = True
    changes: dict[str, Any] = {}


class Questions(msgspec.Struct, frozen=True, kw_only=True):
    """The test questions of one seed and task: short ids, and which of them belong together (by place)."""

    seed: int
    task: str
    role: Role
    ids: tuple[str, ...]
    together: tuple[tuple[int, ...], ...] = ()


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint of a run with its verdicts by task. Cycle 0 is the base; `outcome` is what the gate said of it.

    The gate judges one candidate of each cycle, so the others (of other adapter scales) are `beside`.
    """

    checkpoint: str
    cycle: int
    scale: float = 1.0
    outcome: Literal["base", "accept", "reject", "beside"]
    verdicts: dict[str, str]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a run took. `samples` are those that were trained on, by cycle, and `lessons` the same with rehearsal.

    `minutes` are those of its own work: analysing, writing, verifying, answers that only this arm asks for, training.
    Examining questions is left out, since arms share the answers of the same model.
    """

    samples: tuple[int, ...] = ()
    rejections: int = 0
    lessons: int = 0
    steps: int = 0
    tokens: int = 0
    calls: int = 0
    usd: float = 0.0
    minutes: float = 0.0


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One arm and seed. `outcome` and `kept` are places in `examined`: what the last training made, and the final one.

    `outcome` is the last candidate that the gate judged, whatever it said, or the base if nothing was trained.
    """

    arm: str
    seed: int
    examined: tuple[Examined, ...]
    outcome: int = 0
    kept: int = 0
    reasons: tuple[str, ...] = ()
    cost: Cost = Cost()


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A whole experiment so far. `run_file` is what strangers may read of the base run file."""

    format: int = FORMAT
    name: str
    about: str = ""
    control: str
    seeds: tuple[int, ...]
    arms: tuple[ArmResult, ...]
    model: str
    version: str
    machine: str
    run_file: str = ""
    questions: tuple[Questions, ...] = ()
    runs: tuple[RunResult, ...] = ()

    @property
    def missing(self) -> int:
        """How many runs are not there yet."""
        return len(self.arms) * len(self.seeds) - len(self.runs)


def name_run(arm: str, seed: int) -> str:
    """The folder of one arm and seed in the experiment's folder."""
    return f"{arm}-{seed}"


def write_results(path: Path, results: Results) -> None:
    """Write the file as a whole, one line a run."""
    fields = msgspec.to_builtins(results)
    lists = {name: fields.pop(name) for name in ("arms", "questions", "runs")}
    head = msgspec.json.format(msgspec.json.encode(fields), indent=1).decode().rstrip().removesuffix("}").rstrip()
    parts = [
        f' "{name}": [\n' + ",\n".join(f"  {msgspec.json.encode(item).decode()}" for item in items) + "\n ]"
        for name, items in lists.items()
    ]
    write_file(path, head + ",\n" + ",\n".join(parts) + "\n}\n")


def is_results(content: bytes) -> bool:
    """Whether a file's content is that of a result file, so that it may be written anew."""
    try:
        return msgspec.json.decode(content, type=Results).format == FORMAT
    except msgspec.DecodeError:
        return False


def read_results(path: Path) -> Results:
    """Read a result file.

    Raises:
        DataError: It cannot be read, or is none.
    """
    try:
        results = msgspec.json.decode(path.read_bytes(), type=Results)
    except OSError as error:
        raise DataError(f"The result file '{path}' cannot be read ({error.strerror}); check the path.") from None
    except msgspec.DecodeError as error:
        raise DataError(f"'{path}' is no result file of an experiment ({error}); name one that is.") from None
    if results.format != FORMAT:
        raise DataError(f"'{path}' was written by another version of Errorbook; read it with that one.")
    return results

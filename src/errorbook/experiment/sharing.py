"""What the base answered in one run, taken over by another of the same seed: an evaluation that is the same in all.

An evaluation's identity covers weights, chat template, engine, questions and settings, so nothing is taken over that
would have been answered otherwise. It asks nothing.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from errorbook.config import Config
from errorbook.ledger.events import quiet
from errorbook.ledger.file import open_ledger
from errorbook.ledger.run_view import is_complete
from errorbook.setup.assemble import SPLITS
from errorbook.setup.session import open_run


def take_base_answers(source: Path, config: Config, folder: Path, run_file: str) -> None:
    """Begin the run in `folder` with the base's answers of the run in `source`, as far as it would ask the same.

    A kill in the middle loses nothing: what is not there is asked.

    Raises:
        UserError: The run cannot be begun, or the other one cannot be read.
    """
    with open_run(config, folder, quiet, run_file) as this, open_ledger(source) as known:
        for course in this.parts.courses:
            for split in SPLITS:
                wanted = course.evaluation(this.parts.target, this.base, split)
                apart = course.examining().evaluation(this.parts.target, this.base, split)
                found = next((item for item in (wanted, apart) if is_complete(known, item)), None)
                if found is not None and wanted.n:
                    this.ledger.open_evaluation(wanted)
                    answers = (replace(answer, evaluation=wanted.hash) for answer in known.responses(found))
                    this.ledger.append_responses(list(answers))

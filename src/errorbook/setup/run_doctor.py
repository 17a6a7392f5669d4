"""Whether a run's folder is whole: its ledger and its checkpoints; and a copy of what is, if it is not.

It changes nothing in the folder that it looks at. What is wrong with a ledger is found in `ledger/health`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from errorbook.adapters.instructors.forecast import Listed
from errorbook.adapters.targets.loading import weights_hash
from errorbook.errors import LedgerError, UserError
from errorbook.files import create_folder
from errorbook.ledger.file import open_ledger
from errorbook.ledger.health import check_ledger
from errorbook.ledger.run_view import read_config
from errorbook.ledger.salvage import Salvage, salvage
from errorbook.ledger.schema import LEDGER
from errorbook.records import Checkpoint
from errorbook.setup.assemble import create_instructor
from errorbook.setup.doctor import Finding

_SHOWN = 3
_CHECKED = {
    "pages": "the pages of the ledger",
    "tables": "its tables",
    "facts": "what was noted once",
    "records": "its records",
    "responses": "its responses",
    "events": "its notes of stages",
    "references": "references between records",
}


def examine_run(folder: Path) -> list[Finding]:
    """Every check of the run in `folder`.

    Raises:
        LedgerError: There is no ledger, or it is of another version of Errorbook.
    """
    path = _find_ledger(folder)
    damage = check_ledger(path)
    findings = []
    for table, name in _CHECKED.items():
        wrong = [item.what for item in damage if item.table == table]
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        detail = f"{'; '.join(wrong[:_SHOWN])}{more}" if wrong else "as they were written"
        findings.append(Finding(name=name, ok=not wrong, needed=True, detail=detail))
    return findings if damage else [*findings, _examine_checkpoints(path), *_examine_instructor(path)]


def salvage_run(folder: Path, fresh: Path) -> Salvage:
    """Make the folder `fresh` with what is whole of the ledger in `folder`, and with all else that lies there.

    Raises:
        LedgerError: There is no ledger, nothing of it can be read, or `fresh` is there already or cannot be written.
    """
    path = _find_ledger(folder)
    if fresh.exists():
        raise LedgerError(f"'{fresh}' is there already; give --salvage a new folder.")
    if fresh.resolve().is_relative_to(path.parent.resolve()):
        raise LedgerError(f"'{fresh}' lies in the run's own folder; give --salvage a folder beside it.")
    try:
        with create_folder(fresh) as made:
            found = salvage(path, made / LEDGER)
            beside = shutil.ignore_patterns(f"{LEDGER}*", "ledger.lock")
            shutil.copytree(path.parent, made, ignore=beside, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or "not every file can be copied"
        raise LedgerError(
            f"The folder '{fresh}' cannot be written ({reason}); free its disk, or name another."
        ) from error
    return found


def _find_ledger(folder: Path) -> Path:
    path = folder / LEDGER if folder.is_dir() else folder
    if not path.is_file():
        raise LedgerError(f"There is no ledger at '{path}'; give the folder of a run that was started.")
    return path


def _examine_instructor(path: Path) -> list[Finding]:
    """What the list of prices says of an instructor behind an endpoint. One that goes away makes no run less whole."""
    with open_ledger(path) as ledger:
        config = read_config(ledger)
    try:
        instructor = create_instructor(config)
    except UserError:  # of a plugin or a key that this machine lacks, say
        return []
    told = (instructor.warn_of_model(), instructor.describe_price()) if isinstance(instructor, Listed) else ()
    return [Finding(name="instructor", ok=True, needed=False, detail=said.rstrip(".")) for said in told if said]


def _examine_checkpoints(path: Path) -> Finding:
    """Whether the folders of the checkpoints are there, with the weights that were examined."""
    with open_ledger(path) as ledger:
        checkpoints = [item for item in ledger.all(Checkpoint) if item.folder and item.form != "served"]
    wrong = sorted({what for item in checkpoints for what in _check_weights(item, path.parent)})
    detail = "; ".join(wrong) or f"{len({item.folder for item in checkpoints})} folders, as they were written"
    return Finding(name="checkpoints", ok=not wrong, needed=True, detail=detail)


def _check_weights(checkpoint: Checkpoint, root: Path) -> Iterator[str]:
    folder = root / checkpoint.folder
    if not folder.is_dir():
        yield f"the folder '{checkpoint.folder}' is missing"
    elif any(folder.glob("*.safetensors")) and weights_hash(folder) != checkpoint.weights_hash:
        yield f"the weights in '{checkpoint.folder}' are not those that were trained"

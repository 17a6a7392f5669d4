"""What people change: samples struck out, edited or restored, and scores corrected; theirs, beside the original.

A ledger has one writer, and a run is that writer for hours. So a correction is recorded at once if nobody writes. If
somebody does, it is left in the run's folder as a file, and the run collects it at two fixed points of each cycle:
before its mistakes are studied and before its training begins. It is recorded with the cycle that uses it first. What a
cycle does depends on the corrections up to its own number alone, so that a killed and resumed run repeats itself. Dev
and test are never rescored for the gate: its rule was fixed before the run. Which edits may be trained on: `apply`.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from filelock import FileLock, Timeout
from msgspec.structs import replace

from errorbook.corrections.check_edit import refuse_edit, rewrite_draft
from errorbook.errors import LedgerError, UserError
from errorbook.files import write_file
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.run_view import read_config
from errorbook.records import Call, Correction, Decision, Draft, Lesson, Marked, Rejection, Response, Sample, Training
from errorbook.verify import name_checks

Receipt = Literal["recorded", "waiting"]
"""Whether a correction stands in the ledger, or waits for the run that is writing to it."""

INBOX = "corrections"
"""The folder, below a run's, in which corrections wait."""
_PATIENCE = 10.0


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A correction that the run has not collected yet, with the key that it will have in the ledger."""

    key: str
    correction: Correction


class Recorded(NamedTuple):
    """A correction of the ledger, its key, and the first cycle that uses it."""

    correction: Correction
    key: str
    cycle: int


def author() -> str:
    """The name of the account that asks, or nothing if it has none."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return ""


# Giving one --------------------------------------------------------------------------------------------------------


def submit(folder: Path, correction: Correction) -> Receipt:
    """Record a correction, or leave it for the run that is writing; the same one again changes nothing.

    Raises:
        UserError: It fits no sample or response of this run, says nothing, or may not be trained on.
        LedgerError: The ledger or its folder cannot be used.
    """
    with open_ledger(folder) as ledger:
        require_fitting(ledger, correction)
    inbox = folder / INBOX
    try:
        inbox.mkdir(exist_ok=True)
        with FileLock(inbox / ".lock", timeout=_PATIENCE):  # one at a time, so that their order is plain
            with open_ledger(folder) as ledger:
                _leave(ledger, correction)
            return _carry(folder)
    except Timeout:
        raise LedgerError(f"Another correction is being written to '{inbox}'; try again.") from None
    except OSError as error:
        raise LedgerError(
            f"The folder '{folder}' cannot be written ({error.strerror}); free it, or its disk."
        ) from None


def _carry(folder: Path) -> Receipt:
    """Record what waits, unless a run holds the writer's lock: then it is the run that does."""
    if not _files(folder):
        return "recorded"
    try:
        with open_ledger(folder, "write") as ledger:
            collect(ledger)
    except LedgerError as error:
        if isinstance(error.__context__, Timeout):
            return "waiting"
        raise
    return "recorded"


def _leave(ledger: Ledger, correction: Correction) -> None:
    """Write one file of the inbox, whole or not at all, unless it says what is said already."""
    files = _files(ledger.root)  # before the ledger is read: what is collected meanwhile is then in both
    waiting = [item for _, item in files if item.correction.subject == correction.subject]
    known = [Waiting(key=item.key, correction=item.correction) for item in list_corrections(ledger, correction.subject)]
    said = [*known, *waiting]
    if said and said[-1].correction == correction:
        return
    number = 1 + max((keys.correction_number(item.key) for item in said), default=0)
    item = Waiting(key=keys.correction(correction.kind, correction.subject, number), correction=correction)
    place = 1 + max((int(path.name.partition("-")[0]) for path, _ in files), default=0)
    path = ledger.root / INBOX / f"{place:08}-{correction.hash}.json"  # names sort in the order of writing
    write_file(path, msgspec.json.encode(item))


def require_fitting(ledger: Ledger, correction: Correction) -> None:
    """Refuse a correction that fits nothing in this ledger.

    Raises:
        UserError: Says what is missing.
    """
    if correction.kind == "score":
        if correction.verdict is None:
            raise UserError("A corrected score needs a verdict; choose right, wrong or unscorable.")
        if ledger.response(correction.subject) is None:
            raise UserError(f"This run has no response {correction.subject}; choose one from its book.")
        return
    draft = ledger.get(Draft, correction.subject)
    if draft is None or ledger.find(Sample, draft.hash) is None:
        raise UserError(f"This run has no sample of a draft {correction.subject}; only samples can be changed.")
    if correction.kind == "edit":
        _require_texts(draft, correction)
        others = (item.correction for item in find_newest(ledger).values() if item.correction.kind == "edit")
        fault = refuse_edit(ledger, rewrite_draft(draft, correction), draft.hash, others=others)
        if fault is not None:
            reason = fault.reason.replace("_", " ")
            raise UserError(f"The edit cannot be trained on ({reason}: {fault.detail}); change it.")


def _require_texts(draft: Draft, edit: Correction) -> None:
    needed = ("question", "solution") if draft.tests else ("question", "answer", "solution")
    empty = [name for name in needed if not getattr(edit, name).strip()]
    if empty:
        raise UserError(f"The edit leaves the {' and the '.join(empty)} empty; fill in every text, or strike it out.")
    if all(getattr(edit, name).strip() == getattr(draft, name).strip() for name in ("question", "answer", "solution")):
        raise UserError("The edit is the sample as it was written; change a text, or restore the original.")


# The inbox ---------------------------------------------------------------------------------------------------------


def list_waiting(folder: Path) -> list[Waiting]:
    """The corrections that no run has collected yet, in their order. A file that holds none is left as it is."""
    return [item for _, item in _files(folder)]


def collect(ledger: Ledger) -> int:
    """Record what waits, each with the first cycle that can use it; says how many. Safe to be killed at any moment."""
    waiting = _files(ledger.root)
    for _, item in waiting:
        cycle = find_first_use(ledger, item.correction)
        ledger.append(item.correction, item.key, cycle, parent=item.correction.subject)
    for path, _ in waiting:  # after the commits: a file that is met again has a known key, and is not appended twice
        path.unlink(missing_ok=True)
    return len(waiting)


def find_first_use(ledger: Ledger, correction: Correction) -> int:
    """The first cycle that a correction given now can change; one more than the planned ones if there is none.

    Mistakes are being studied once the cycle has an instructor's call, and its samples are fixed with its lessons.
    """
    planned = read_config(ledger).run.cycles
    for cycle in range(1, planned + 1):
        if not ledger.find(Decision, keys.decision(cycle)) and not _is_past(ledger, correction, cycle):
            return cycle
    return planned + 1


def _is_past(ledger: Ledger, correction: Correction, cycle: int) -> bool:
    if correction.kind == "score":
        return ledger.count(Call, cycle) > 0
    return ledger.find(Training, keys.training(cycle)) is not None or ledger.count(Lesson, cycle) > 0


def _files(folder: Path) -> list[tuple[Path, Waiting]]:
    files = []
    for path in sorted((folder / INBOX).glob("[0-9]*-*.json")):
        try:
            files.append((path, msgspec.json.decode(path.read_bytes(), type=Waiting)))
        except (msgspec.DecodeError, FileNotFoundError):  # no correction, or collected this very moment
            continue
    return files


# Using them --------------------------------------------------------------------------------------------------------


def list_corrections(ledger: Ledger, subject: str) -> list[Recorded]:
    """Every recorded correction of one draft or response, in their order."""
    recorded: list[Recorded] = []
    for cycle in range(1, read_config(ledger).run.cycles + 2):
        for correction in ledger.all(Correction, cycle, subject):
            recorded.append(Recorded(correction, keys.correction(correction.kind, subject, len(recorded) + 1), cycle))
    return recorded


def find_newest(ledger: Ledger, cycle: int | None = None) -> dict[str, Recorded]:
    """The correction that counts for each subject, up to a cycle's own number, or all of them."""
    last = read_config(ledger).run.cycles + 1 if cycle is None else cycle
    subjects = {correction.subject for each in range(1, last + 1) for correction in ledger.all(Correction, each)}
    newest: dict[str, Recorded] = {}
    for subject in sorted(subjects):
        newest[subject] = [item for item in list_corrections(ledger, subject) if item.cycle <= last][-1]
    return newest


def mark_responses(ledger: Ledger, cycle: int, responses: Mapping[str, Response]) -> dict[str, Marked]:
    """The train responses, by example id, with the verdicts that people gave up to this cycle.

    A verdict is of a text: another checkpoint that gives the same answer to the same question gets it as well, unless
    it has one of its own. Which mistakes are studied, what serves as contrast and what is rehearsed depends on it; dev
    and test stay as scored.
    """
    marked = {example: Marked(response=mine, verdict=mine.score.verdict) for example, mine in responses.items()}
    own = set[str]()
    for correction, _, _ in find_newest(ledger, cycle).values():
        known = ledger.response(correction.subject) if correction.kind == "score" else None
        mine = responses.get(known.example) if known else None
        if known is None or mine is None or mine.split != "train" or mine.example in own:
            continue
        if (mine.task, mine.text) == (known.task, known.text):
            marked[mine.example] = Marked(response=mine, verdict=correction.verdict or mine.score.verdict)
            own.update({mine.example} if mine.hash == known.hash else ())
    return marked


def correct_samples(ledger: Ledger, cycle: int | None, samples: Sequence[Sample]) -> list[Sample]:
    """The samples with what people made of them up to a cycle's own number (None: all): none struck out, edits in.

    A sample whose edit a training refused is left out: the person did not want the original. See `apply`.
    """
    chosen, found = find_newest(ledger, cycle), []
    for sample in samples:
        made: Sample | None = sample
        if sample.draft in chosen:
            refused = ledger.find(Rejection, chosen[sample.draft].key)
            made = None if refused else correct_sample(sample, chosen[sample.draft].correction)
        if made is not None:
            found.append(made)
    return found


def correct_sample(sample: Sample, correction: Correction) -> Sample | None:
    """The sample after one correction: None if it is struck out; an edit says whose it is among its checks."""
    if correction.kind == "strike":
        return None
    if correction.kind != "edit":
        return sample
    same = (correction.question, correction.answer) == (sample.question, sample.answer)
    return replace(
        sample,
        question=correction.question,
        answer=correction.answer,
        solution=correction.solution,
        accepted=sample.accepted if same else (),  # by another answer or to another question nobody vouches for them
        # The person vouches for the answer; a scorer reads it when a run trains on it.
        checks=(f"edited by {correction.author or 'a person'}", *name_checks("scorer", "answer")),
    )


def list_left_out(ledger: Ledger, cycle: int) -> set[str]:
    """The drafts of a cycle's own samples that its training left out: struck out, or edited into what was refused."""
    gone = set()
    for subject, item in find_newest(ledger, cycle).items():
        unfit = item.correction.kind == "strike" or ledger.find(Rejection, item.key) is not None
        if unfit and next(ledger.all(Sample, cycle, subject), None) is not None:
            gone.add(subject)
    return gone

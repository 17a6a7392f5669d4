"""Step 4's first half: the samples as people corrected them, at the fixed point before a cycle's training.

An edit goes through the checks of every sample once more, now with the run's own scorers and all that is held out, so
that nobody trains on a dev or test question by mistake. What is refused is recorded under the correction's own key, and
its sample is left out. It decides nothing about who may correct what: see `inbox`.
"""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.checks.taken import Refusal
from errorbook.corrections.check_edit import find_evidence, refuse_edit, rewrite_draft
from errorbook.corrections.inbox import Recorded, correct_samples, find_newest
from errorbook.records import Correction, Draft, Rejection, Sample
from errorbook.setup.session import Run
from errorbook.verify import Known, find_faults


def apply_corrections(this: Run, cycle: int, samples: Sequence[Sample]) -> list[Sample]:
    """The samples without those struck out and with the edits that pass, by the corrections up to this cycle."""
    given, standing = {sample.draft for sample in samples}, list[Correction]()
    for subject, item in find_newest(this.ledger, cycle).items():
        if subject in given and item.correction.kind == "edit" and _passes(this, item, standing):
            standing.append(item.correction)
    return correct_samples(this.ledger, cycle, samples)


def _passes(this: Run, item: Recorded, standing: Sequence[Correction]) -> bool:
    """Check one edit; a refusal is recorded beside the sample, in no cycle, so that no count of drafts changes."""
    draft = this.ledger.get(Draft, item.correction.subject)
    if draft is None or this.ledger.find(Rejection, item.key) is not None:
        return False
    edited = rewrite_draft(draft, item.correction)
    refusal = _fault(this, edited, item, standing)
    if refusal is None:
        return True
    rejection = Rejection(draft=edited.hash, task=draft.task, reason=refusal.reason, detail=refusal.detail)
    this.ledger.append(rejection, item.key, parent=draft.hash)
    return False


def _fault(this: Run, edited: Draft, item: Recorded, standing: Sequence[Correction]) -> Refusal | None:
    tasks = {course.name: (course.task, course.scorer) for course in this.parts.courses}
    known = Known(tasks=tasks, evidence=find_evidence(this.ledger, edited))
    # Against the samples of the cycles up to the edit's own, whichever cycle asks: the answer must stay the same.
    return next(find_faults(edited, known), None) or refuse_edit(
        this.ledger,
        edited,
        item.correction.subject,
        upto=item.cycle,
        others=standing,
        more=this.parts.protected,
    )

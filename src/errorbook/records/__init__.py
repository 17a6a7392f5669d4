"""Every record that crosses a stage: frozen, typed, and named by the hash of its content.

A record holds content only. Times that differ between two identical runs live elsewhere in the ledger, so that a run
that was killed and resumed ends with the same records as one that was not. This folder knows no files and no models.
"""

from errorbook.records.answering import (
    Completion,
    Contrast,
    Evaluation,
    Example,
    Generation,
    Marked,
    Mistake,
    Neighbours,
    Noise,
    Response,
    Score,
    Split,
    Verdict,
)
from errorbook.records.base import (
    Record,
    content_hash,
    digest,
    encode,
    without_defaults,
)
from errorbook.records.deciding import (
    Comparison,
    Decision,
    Outcome,
    Role,
    Rule,
)
from errorbook.records.training import (
    Checkpoint,
    Form,
    Lesson,
    Objective,
    Recipe,
    Start,
    Training,
)
from errorbook.records.writing import (
    Assignment,
    Call,
    Correction,
    Diagnosis,
    Draft,
    Failure,
    Rejection,
    Sample,
    Vote,
)

__all__ = [
    "Assignment",
    "Call",
    "Checkpoint",
    "Comparison",
    "Completion",
    "Contrast",
    "Correction",
    "Decision",
    "Diagnosis",
    "Draft",
    "Evaluation",
    "Example",
    "Failure",
    "Form",
    "Generation",
    "Lesson",
    "Marked",
    "Mistake",
    "Neighbours",
    "Noise",
    "Objective",
    "Outcome",
    "Recipe",
    "Record",
    "Rejection",
    "Response",
    "Role",
    "Rule",
    "Sample",
    "Score",
    "Split",
    "Start",
    "Training",
    "Verdict",
    "Vote",
    "content_hash",
    "digest",
    "encode",
    "without_defaults",
]

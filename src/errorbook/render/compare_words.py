"""Two checkpoints compared, in words: the same for the terminal and the browser's pages. It computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from errorbook.render.task_words import task_words
from errorbook.render.words import PAIRED, count, form_text, groups_text

if TYPE_CHECKING:
    from errorbook.report.compare_runs import CheckpointChoice, Compared, Paired


def choice_text(choice: CheckpointChoice) -> str:
    """What a checkpoint is: 'the base model', 'the candidate of cycle 2, rejected'."""
    if choice.name == "base":
        return "the base model"
    if choice.name == "final":
        return "the model that was kept" + ", the base model" * choice.is_base
    scale = f" at scale {choice.scale:g}" if choice.scale != 1 else ""
    if choice.decision is None:
        return f"a candidate{scale}"
    return f"the candidate{scale} of cycle {choice.decision.cycle}, {choice.decision.outcome}ed"


def list_remarks(row: Paired) -> Iterator[str]:
    """What the difference of one task and split is made of, and why it is not the training's alone."""
    where = f"{task_words(row.task)} ({row.split})"
    if row.form is not None:
        yield f"{where}: {form_text(row.fixed, row.broken, row.form)}"
    if row.groups < row.n:
        yield f"{where}: {groups_text(row.n, row.groups)}"
    if row.other_target:
        yield f"{where}: The two sides have different base weights, chat templates or engines."
    if row.reworded:
        yield (
            f"{where}: Of the first {count(row.looked_at, 'question')}, {row.reworded} were put in other words to the"
            " second side: the difference is not the models' alone."
        )


def comparison_notes(compared: Compared) -> Iterator[str]:
    """How to read the numbers: what they are, and what they are not."""
    a, b = compared.a, compared.b
    yield (
        "Paired on the same questions: the difference is B minus A in points with Tango's 95% interval, p of"
        f" {PAIRED}. An unscorable answer counts as not right."
    )
    if (a.folder, a.checkpoint) == (b.folder, b.checkpoint):
        yield "Both sides are the same checkpoint of the same run."
    if len(compared.tasks) > 1:
        yield f"{len(compared.tasks)} tests are shown at once; 'p (Holm)' is corrected for that."
    if a.folder != b.folder:
        yield "Two runs may differ in more than one thing: the difference is an association, not proof of a cause."
    if any(row.split == "dev" for row in compared.tasks):
        yield "The gate chose on dev, so dev favours a model that was kept; test was read once, after all decisions."

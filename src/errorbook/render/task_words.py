"""The name of an evaluation's task as people read it. A task is answered for other purposes than the run's exams."""

from __future__ import annotations

_PURPOSES = {"experiment": "for the experiment", "practice": "practice"}
"""Why a task was answered apart from the exams of its run."""


def task_words(task: str) -> str:
    """The task of an evaluation; if it was answered for a purpose of its own, with it: 'sums (for the experiment)'."""
    name, _, purpose = task.rpartition(":")
    if not name:
        return task
    if purpose.startswith("draw "):
        return f"{name} ({purpose})"
    return f"{name} ({_PURPOSES[purpose]})" if purpose in _PURPOSES else task

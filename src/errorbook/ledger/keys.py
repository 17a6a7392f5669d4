"""The keys of records: which piece of work a record answers. Resuming skips known keys, so each key is made here alone.

A key never holds what differs between two equal runs, such as a time. It is unique among the records of one kind.
"""

from __future__ import annotations

BASE = "base"
"""The checkpoint that the run began with."""
RULE = "rule"
"""The gate's first rule."""


def later_rule(number: int) -> str:
    """The key of a rule that holds since cycles were added; they count from 2."""
    return f"{RULE}:{number}"


def examples(task: str, split: str) -> str:
    """The beginning of the keys of a split's examples."""
    return f"{task}:{split}:"


def example(task: str, split: str, id: str) -> str:
    """The key of one example."""
    return examples(task, split) + id


def unjudged(evaluation: str, example: str) -> str:
    """The key of a response to one example that has no verdict yet; the evaluation is given by its hash."""
    return f"{evaluation}:{example}"


def groups(task: str, split: str) -> str:
    """The key of which questions of a split belong together."""
    return f"{task}:{split}"


def blocks(task: str) -> str:
    """The key of the order in which a task's dev questions are asked in blocks."""
    return f"blocks:{task}"


def decision(cycle: int) -> str:
    """The key of what the gate said about a cycle."""
    return f"cycle:{cycle}"


def diagnosis(response: str, strategy: str) -> str:
    """The key of the diagnosis of a response, given by its hash, and of the neighbours that it was shown."""
    return f"{response}:{strategy}"


def call(purpose: str, subject: str) -> str:
    """The key of an instructor's call, and of the failure that came of it: `purpose` is diagnose, write or vote."""
    return f"{purpose}:{subject}"


def draft(assignment: str, index: int) -> str:
    """The key of one of the drafts of an assignment, given by its hash."""
    return f"{assignment}:{index}"


def noise(task: str) -> str:
    """The key of a task's noise floor."""
    return f"noise:{task}"


def lesson(cycle: int, hash: str) -> str:
    """The key of one lesson of a cycle's training."""
    return f"{cycle}:{hash}"


def training(cycle: int) -> str:
    """The key of a cycle's training."""
    return f"training:{cycle}"


def candidate(cycle: int, scale: float) -> str:
    """The key of the checkpoint that a cycle made at one adapter scale."""
    return f"candidate:{cycle}:{scale:g}"


def final_comparison(task: str, again: str = "") -> str:
    """The key of the comparison of the base and the final checkpoint on a task's test split.

    `again` is the final checkpoint's hash if cycles were added after test had been read for another one.
    """
    return f"final:{task}:test:{again}" if again else f"final:{task}:test"


def correction(kind: str, subject: str, number: int) -> str:
    """The key of a subject's correction; they count from 1."""
    return f"{kind}:{subject}:{number}"


def correction_number(key: str) -> int:
    """The number in a correction's key."""
    return int(key.rpartition(":")[2])

"""Step 1, data selection: Task -> Examples that probe the ability to improve (paper section 2.2).

Checks that what a task hands over is usable. It does not decide which question is in which split: the task does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from errorbook.errors import DataError
from errorbook.interfaces import Task
from errorbook.records import Example, Split, own_context


def select(task: Task, split: Split, n: int, seed: int) -> tuple[Example, ...]:
    """The first `n` examples of a split, in the task's own fixed order; the same in every cycle.

    Asking the same train questions again in each cycle is what makes the fate of a mistake (fixed, stubborn,
    relapsed, newly broken) a fact instead of an estimate.

    Raises:
        DataError: The split is empty, an id occurs twice, or an example is of another split or task.
    """
    if n == 0:
        return ()
    examples = tuple(task.examples(split, n, seed))
    if not examples:
        raise DataError(f"The {split} split of '{task.name}' is empty; give it examples or set {split} = 0.")
    _refuse_duplicates(examples, task.name)
    for example in examples:
        if example.split != split or example.task != task.name:
            raise DataError(
                f"Example '{example.id}' of '{task.name}' says {example.task}/{example.split}, but was asked for as"
                f" {task.name}/{split}; correct the task plugin."
            )
    return examples


MOST_SHARED = 0.2
"""Share of the questions of dev or test that may be train questions as well: simple data repeat themselves."""


def refuse_shared(task: str, examples: Mapping[Split, Sequence[Example]]) -> None:
    """Refuse dev or test questions that are learnt from, such as one file for all splits.

    Raises:
        DataError: More than `MOST_SHARED` of them are train questions as well.
    """
    train = {_normal(example) for example in examples.get("train", ())}
    for split in ("dev", "test"):
        asked = examples.get(split, ())
        shared = [example for example in asked if _normal(example) in train]
        if len(shared) > MOST_SHARED * len(asked):
            raise DataError(
                f"{len(shared)} of {len(asked)} {split} questions of '{task}' are train questions as well (the first:"
                f" '{shared[0].question[:60]}'); what is learnt from cannot show a gain, so give {split} others."
            )


def _normal(example: Example) -> tuple[str, ...]:
    said = (*(message.content for message in own_context(example.before)), example.question, *example.choices)
    return tuple(" ".join(text.casefold().split()) for text in said)


def _refuse_duplicates(examples: Sequence[Example], name: str) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"The id '{example.id}' occurs twice in '{name}'; give each example its own id.")
        seen.add(example.id)

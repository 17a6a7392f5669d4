"""The retention guard: notices that a target forgot what it could do before it was trained.

Training on one narrow skill can overwrite others ("catastrophic forgetting"), and a gain on that skill does not show
it: a model that answers everything with a sum may score better on sums. So this task asks short questions that have
nothing to do with arithmetic and that a small, untouched instruct model mostly answers: facts, word forms, everyday
categories, copying a sentence. What counts is the paired difference between two checkpoints on the same questions,
not the score: a fall beyond the margin means that training damaged something it was not about.

Each question is asked alone, without examples or a format, because whether the model still follows a plain request is
part of what may be lost. `skill` is the kind of question, so a report can say what was lost.

Limits: items are short English questions at the level of a 135-million-parameter model, so a strong model answers
nearly all of them and only heavy damage shows; long answers, dialogue, code and safety are not looked at; "contains"
scoring cannot see fluent nonsense around a right word. Of some thirty kinds that were tried, the 14 on which that small
model was right in 70 % or more were kept; single items were never picked by its answers (see `retention_items`).
"""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.adapters.tasks.retention_items import ITEMS
from errorbook.records import Example, Split, digest

_SPLITS: tuple[Split, ...] = ("train", "dev", "dev", "test", "test")


class Retention:
    """Short non-arithmetic questions: two fifths each for dev and test, one for train.

    As a guard's train split it is shown to no instructor: the target's own right answers to it are rehearsed.
    """

    @property
    def name(self) -> str:
        """The task's name in the ledger."""
        return "retention"

    @property
    def scorer(self) -> str:
        """The answer has to occur in the response as whole words."""
        return "contains"

    @property
    def max_new_tokens(self) -> int:
        """Enough for one sentence around the answer, too little to list many guesses."""
        return 32

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's examples, the first `n` in an order that the seed shuffles; the splits do not depend on it."""
        chosen = [example for example in _all() if example.split == split]
        return sorted(chosen, key=lambda example: digest("order", str(seed), example.id))[:n]

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The question alone."""
        return question

    def completion(self, solution: str, answer: str) -> str:
        """The first right answer alone."""
        return answer.split("|", 1)[0]


def _all() -> list[Example]:
    found = []
    for kind, (template, rows) in ITEMS.items():
        for row in rows.split(";"):
            word, _, answer = (part.strip() for part in " ".join(row.split()).partition(" = "))
            question = template.format(word)
            # By content, so that adding or reordering items never moves another one to the other split.
            key = digest("retention", question)
            found.append(
                Example(
                    id=key[:16],
                    task="retention",
                    split=_SPLITS[int(key, 16) % 5],
                    question=question,
                    answer=answer or word,
                    skill=kind,
                )
            )
    return found

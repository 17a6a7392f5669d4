"""MMLU: four-option questions on 57 subjects (Hendrycks et al. 2021, arXiv 2009.03300).

What is learnt from are the 1,816 questions of MMLU's own dev and validation splits, as in the paper; a fifth of them,
by hash, are dev here. MMLU's auxiliary training questions are not used: they come from other benchmarks, ARC among
them, which would spoil those as guards. Test is MMLU's own; if the data have none, it is another fifth of the
1,816, and dev stays the same. Metric: the letter is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Portion, Spec, field
from errorbook.adapters.tasks.collection import Quiz
from errorbook.adapters.tasks.items import Item
from errorbook.adapters.tasks.multiple_choice import letter, options, quiz
from errorbook.plugins import Tokens

_LABELS = "ABCD"


def _read(row: Mapping[str, Any], _: str) -> Item:
    gold = field(row, "answer")
    if "choices" in row:  # the hub's rows: a list of options, and the place of the right one
        choices = tuple(str(choice).strip() for choice in row["choices"])
        answer = letter(gold, [str(number) for number in range(len(choices))])
    else:
        choices = options(row, _LABELS)
        answer = letter(gold, _LABELS)
    return Item(question=field(row, "question").strip(), answer=answer, choices=choices, skill=field(row, "subject"))


SPEC = Spec(
    name="mmlu",
    scorer="choice",
    instruction=wording.LETTER,
    read=_read,
    files={"train": "train", "test": "test"},
    dataset="cais/mmlu",
    portions=(Portion("dev", "train", "all"), Portion("validation", "train", "all"), Portion("test", "test", "all")),
)


def mmlu(
    path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 400, answer: str = "text"
) -> Quiz:
    """MMLU: four-option questions on 57 subjects; `answer = "likelihood"` weighs the options instead."""
    return quiz(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens), answer)

"""ARC, Challenge set: science exam questions with three to five options (Clark et al. 2018, arXiv 1803.05457).

Train, dev and test are ARC's own; if the data have its test questions only, half of them, by hash, are dev. Labels
1 to 4 become letters. Metric: the letter is right.
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


def _read(row: Mapping[str, Any], _: str) -> Item:
    if isinstance(row.get("choices"), Mapping):  # the hub's rows
        labels, texts, gold = row["choices"]["label"], row["choices"]["text"], field(row, "answerKey")
        choices = tuple(str(text).strip() for text in texts)
    else:
        labels, gold = [str(label) for label in row.get("label") or ()], field(row, "answer")
        choices = options(row, labels)
    return Item(
        question=field(row, "question").strip(), answer=letter(gold, labels), choices=choices, id=field(row, "id")
    )


_SUBSET = "ARC-Challenge"

SPEC = Spec(
    name="arc",
    scorer="choice",
    instruction=wording.LETTER,
    read=_read,
    files={"train": "train", "dev": "dev", "validation": "dev", "test": "test"},
    dataset="allenai/ai2_arc",
    portions=(
        Portion("train", "train", _SUBSET),
        Portion("validation", "dev", _SUBSET),
        Portion("test", "test", _SUBSET),
    ),
)


def arc(
    path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 400, answer: str = "text"
) -> Quiz:
    """ARC-Challenge: science exam questions with options; `answer = "likelihood"` weighs the options instead."""
    return quiz(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens), answer)

"""GSM8K: grade-school word problems whose answer is a number (Cobbe et al. 2021, arXiv 2110.14168).

Train and test are the benchmark's own; dev is a fifth of train, by hash. Metric: the final number is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Portion, Spec, benchmark, field
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.items import Item
from errorbook.errors import DataError
from errorbook.plugins import Tokens

_CALCULATOR = re.compile(r"<<[^<>\n]*>>")


def split_solution(text: str) -> tuple[str, str]:
    """Reasoning and final number of a worked answer "... #### 18"; calculator annotations are taken out."""
    reasoning, _, number = text.partition("####")
    return _CALCULATOR.sub("", reasoning).strip(), number.strip().replace(",", "")


def _read(row: Mapping[str, Any], _: str) -> Item:
    solution, answer = split_solution(field(row, "answer"))
    if not answer:
        raise DataError("has no '####' with a number after it in its answer; add it")
    return Item(question=field(row, "question").strip(), answer=answer, solution=solution)


SPEC = Spec(
    name="gsm8k",
    scorer="numeric",
    instruction=wording.NUMBER,
    read=_read,
    files={"train": "train", "test": "test"},
    dataset="openai/gsm8k",
    portions=(Portion("train", "train", "main"), Portion("test", "test", "main")),
)


def gsm8k(path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 400) -> Collection:
    """GSM8K: grade-school word problems, answered with a number."""
    return benchmark(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens))

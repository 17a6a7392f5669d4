"""GSM-Plus: GSM8K's test questions, each changed in eight ways (Li et al. 2024, arXiv 2402.19255).

It is a test set only: half of the 300 original questions, with all their variants, are dev and half are test. There
is no train split. An eighth of the questions lack a fact and have the answer "None". Because the originals are GSM8K's
*test* questions, a gate that decides on this dev split has seen relatives of what `gsm8k` reports on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Portion, Spec, benchmark, field
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.gsm8k import split_solution
from errorbook.adapters.tasks.items import Item
from errorbook.plugins import Tokens

_INSTRUCTION = f'{wording.NUMBER} If the question cannot be answered, end with "Answer: None".'


def _read(row: Mapping[str, Any], _: str) -> Item:
    return Item(
        question=field(row, "question").strip(),
        answer=field(row, "answer").strip().replace(",", ""),
        solution=split_solution(field(row, "solution"))[0],
        skill=field(row, "perturbation_type"),
        group=field(row, "seed_question"),
    )


SPEC = Spec(
    name="gsm_plus",
    scorer="numeric",
    instruction=_INSTRUCTION,
    read=_read,
    files={"testmini": "test"},
    dataset="qintongli/GSM-Plus",
    portions=(Portion("testmini", "test"),),
)


def gsm_plus(path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 400) -> Collection:
    """GSM-Plus: GSM8K questions changed in eight ways, answered with a number or "None"; dev and test only."""
    return benchmark(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens))

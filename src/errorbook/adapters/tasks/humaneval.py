"""HumanEval: 164 Python functions to complete, judged by tests (Chen et al. 2021, arXiv 2107.03374).

It is a test set only: half of it, by hash, is dev, and there is no train split. The model is asked for the whole
program, not for a continuation. Metric: pass@1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Portion, Spec, benchmark, field
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.items import Item
from errorbook.plugins import Tokens


def _read(row: Mapping[str, Any], _: str) -> Item:
    prompt = field(row, "prompt")
    return Item(
        question=prompt.strip(),
        answer=(prompt + field(row, "canonical_solution")).strip(),
        tests=f"{field(row, 'test').strip()}\ncheck({field(row, 'entry_point')})",
        id=field(row, "task_id"),
    )


SPEC = Spec(
    name="humaneval",
    scorer="code",
    instruction=wording.PROGRAM,
    read=_read,
    files={"test": "test"},
    dataset="openai/openai_humaneval",
    portions=(Portion("test", "test"),),
    completion=wording.word_program,
)


def humaneval(path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 512) -> Collection:
    """HumanEval: Python functions to complete, judged by tests; dev and test only."""
    return benchmark(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens))

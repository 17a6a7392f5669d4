"""Kinds of response that were once judged wrongly, each in several wordings, and what stands close to each kind.

The cases are in `kinds.jsonl`, those of other languages than English in `languages.jsonl`; one more case is one more
line there.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from errorbook import plugins
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.interfaces import Scorer
from errorbook.records import Example, Score


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One response and the verdict that it deserves."""

    scorer: str
    kind: str
    question: str
    options: tuple[str, ...]
    gold: str
    text: str
    verdict: str


CASES = [
    msgspec.json.decode(line, type=Case)
    for name in ("kinds.jsonl", "languages.jsonl")
    for line in (Path(__file__).parent / name).read_bytes().splitlines()
]


def judge(case: Case) -> Score:
    example = Example(
        id="1", task="t", split="dev", question=case.question or "q", answer=case.gold, choices=case.options
    )
    scorer: Scorer = plugins.create("scorers", case.scorer)
    return scorer.score(example, case.text)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.kind}: {case.text[:30]}") for case in CASES])
def test_a_kind_of_response(case: Case) -> None:
    score = judge(case)
    assert score.verdict == case.verdict, score


@pytest.mark.parametrize("base", ["_8", "_{8}"])
def test_a_base_is_part_of_the_number(base: str) -> None:
    example = Example(id="1", task="t", split="dev", question="q", answer=f"251{base}")
    assert Numeric().score(example, "\\boxed{251_8}").verdict == "right"
    assert Numeric().score(example, "\\boxed{251_9}").verdict == "wrong"

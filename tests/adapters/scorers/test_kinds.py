"""Kinds of response that were once judged wrongly, each in several wordings, and what stands close to each kind.

The cases are in `kinds.jsonl`, those of other languages than English in `languages.jsonl`, those with several
right answers in `several.jsonl`; one more case is one more line there.
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
    accepted: tuple[str, ...] = ()


CASES = [
    msgspec.json.decode(line, type=Case)
    for name in ("kinds.jsonl", "languages.jsonl", "several.jsonl")
    for line in (Path(__file__).parent / name).read_bytes().splitlines()
]


def judge(case: Case) -> Score:
    example = Example(
        id="1",
        task="t",
        split="dev",
        question=case.question or "q",
        answer=case.gold,
        choices=case.options,
        accepted=case.accepted,
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


@pytest.mark.parametrize(
    ("markers", "text"),
    [
        (("Vastaus:",), "Vastaus: 18\n\nSelitys: 3 kirjaa maksaa 6 euroa kappaleelta."),
        (("svaret \u00e4r",), "D\u00e4rf\u00f6r: Svaret  \u00e4r 18. Det \u00e4r 3 g\u00e5nger 6."),
        (("RESULT >>",), "RESULT >> 18 (of 20)"),
        (("\u7ed3\u8bba",), "\u7ed3\u8bba\uff1a18\u3002\u4e00\u5171\u670920\u4e2a\u3002"),
    ],
)
def test_a_task_adds_words_that_announce(markers: tuple[str, ...], text: str) -> None:
    example = Example(id="1", task="t", split="dev", question="q", answer="18")

    assert plugins.create("scorers", "numeric", {"markers": list(markers)}).score(example, text).verdict == "right"
    assert plugins.create("scorers", "exact", {"markers": list(markers)}).score(example, text).verdict == "right"


def test_a_letter_behind_a_tasks_own_words_is_no_article() -> None:
    scorer = plugins.create("scorers", "choice", {"markers": ["Vastaus on"]})
    example = Example(id="1", task="t", split="dev", question="q", answer="A", choices=("Oslo", "Bern"))

    assert scorer.score(example, "Vastaus on A koska Oslo on satama.").verdict == "right"
    assert scorer.score(example, "Vastaus on B.").verdict == "wrong"

"""Retrievers: exact nearest neighbours, nobody their own, whatever measures nearness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from errorbook import plugins
from errorbook.interfaces import Retriever
from errorbook.records import Example
from errorbook.retrievers.hidden import Hidden, top
from errorbook.retrievers.scripted import ScriptedRetriever
from errorbook.retrievers.tfidf import Tfidf
from errorbook.targets.scripted import ScriptedTarget
from errorbook.targets.transformers import TransformersTarget


def example(number: int, question: str) -> Example:
    return Example(id=str(number), task="t", split="train", question=question, answer="")


QUESTIONS = [
    "Calculate 47 + 38.",
    "Calculate 46 + 38.",
    "Which animal says meow?",
    "Which animal says woof?",
    "Convert three hours into minutes.",
]
EXAMPLES = [example(number, question) for number, question in enumerate(QUESTIONS)]
RETRIEVERS = [Hidden(ScriptedTarget()), Tfidf(), ScriptedRetriever()]


@pytest.mark.parametrize("retriever", RETRIEVERS, ids=lambda retriever: type(retriever).__name__)
def test_near_questions_are_found_first_and_never_the_question_itself(retriever: Retriever) -> None:
    found = retriever.nearest(EXAMPLES, EXAMPLES, 2)

    assert [next(place for place, _ in row) for row in found[:4]] == [1, 0, 3, 2]
    for number, row in enumerate(found):
        assert number not in [place for place, _ in row]
        assert len(row) == 2
        similarities = [similarity for _, similarity in row]
        assert similarities == sorted(similarities, reverse=True)
        assert all(-1 <= similarity <= 1 for similarity in similarities)


@pytest.mark.parametrize("retriever", RETRIEVERS, ids=lambda retriever: type(retriever).__name__)
def test_few_or_no_candidates_are_no_error(retriever: Retriever) -> None:
    assert list(retriever.nearest(EXAMPLES[:2], [], 3)) == [[], []]
    assert list(retriever.nearest([], EXAMPLES, 3)) == []
    assert [len(row) for row in retriever.nearest(EXAMPLES[:1], EXAMPLES, 99)] == [len(EXAMPLES) - 1]
    assert [len(row) for row in retriever.nearest(EXAMPLES[:1], [example(9, "")], 3)] in ([0], [1])


@given(
    arrays.arrays(np.float32, (3, 6), elements=st.floats(-1, 1, width=32)),
    st.integers(0, 7),
)
def test_top_agrees_with_sorting_everything(similarities: np.ndarray, k: int) -> None:
    queries = [example(number, "q") for number in range(3)]
    candidates = [example(number, "q") for number in range(2, 8)]  # the last query is the first candidate

    found = top([similarities[:2], similarities[2:]], queries, candidates, k)

    for number, row in enumerate(similarities.tolist()):
        expected = sorted(((place, value) for place, value in enumerate(row)), key=lambda pair: (-pair[1], pair[0]))
        assert found[number] == [pair for pair in expected if not (number == 2 and pair[0] == 0)][:k]


def test_hidden_reads_the_targets_own_states(tiny_model: Path) -> None:
    target = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")

    found = Hidden(target).nearest([example(9, QUESTIONS[2])], EXAMPLES, 1)

    ((place, similarity),) = found[0]
    assert place == 2
    assert similarity == pytest.approx(1.0, abs=1e-5)


def test_the_loop_can_hand_the_target_over_by_option() -> None:
    assert isinstance(plugins.create("retrievers", "hidden", {"target": ScriptedTarget()}), Hidden)

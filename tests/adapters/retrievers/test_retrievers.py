"""Retrievers: exact nearest neighbours, nobody their own, whatever measures nearness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from retriever_kit import EXAMPLES, QUESTIONS, example

from errorbook import plugins
from errorbook.adapters.retrievers.hidden import Hidden
from errorbook.adapters.retrievers.scripted import ScriptedRetriever
from errorbook.adapters.retrievers.searching import COLUMNS, ROWS, find_largest, find_nearest
from errorbook.adapters.retrievers.tfidf import Tfidf
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.interfaces import Retriever

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
def test_the_largest_are_those_of_sorting_everything(similarities: np.ndarray, k: int) -> None:
    places, values = find_largest(lambda rows, columns: similarities[rows, columns], 3, 6, k)

    expected = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    assert places.tolist() == expected.tolist()
    assert values.tolist() == np.take_along_axis(similarities, expected, axis=1).tolist()


@pytest.mark.parametrize("k", [1, 11, 200])
def test_many_tiles_find_what_one_would_and_equal_ones_by_their_place(k: int) -> None:
    rng = np.random.default_rng(k)
    similarities = rng.integers(-90, 90, (ROWS + 7, 2 * COLUMNS + 301)).astype(np.float32)  # each value many times

    places, _ = find_largest(
        lambda rows, columns: similarities[rows, columns], len(similarities), similarities.shape[1], k
    )

    for row in range(0, len(similarities), 97):
        assert places[row].tolist() == np.argsort(-similarities[row], kind="stable")[:k].tolist()


def test_vectors_are_compared_exactly_wherever_they_stand() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((COLUMNS + 60, 24)).astype(np.float32)
    vectors[40] = vectors[COLUMNS + 40] = vectors[7]

    places, similar = find_nearest(vectors[:50], vectors, 3)

    exact = vectors[:50].astype(np.float64) @ vectors.T.astype(np.float64)
    assert set(places[7].tolist()) == {7, 40, COLUMNS + 40}
    assert places[7].tolist() == places[40].tolist() == [7, 40, COLUMNS + 40]
    assert places[:7].tolist() == np.argsort(-exact[:7], axis=1)[:, :3].tolist()
    assert similar == pytest.approx(np.take_along_axis(exact, places, axis=1), abs=1e-12)


def test_what_a_vector_cannot_hold_hides_no_other() -> None:
    class Overflowing(ScriptedTarget):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            found = super().embed(texts)
            found[-1] = np.nan
            return found

    found = Hidden(Overflowing()).nearest(EXAMPLES[:1], EXAMPLES, 4)

    assert found[0][0][0] == 1
    assert [similarity for place, similarity in found[0] if place == len(EXAMPLES) - 1] in ([], [0.0])


def test_hidden_reads_the_targets_own_states(tiny_model: Path) -> None:
    target = TransformersTarget(str(tiny_model), device="cpu", dtype="float32")

    found = Hidden(target).nearest([example(9, QUESTIONS[2])], EXAMPLES, 1)

    ((place, similarity),) = found[0]
    assert place == 2
    assert similarity == pytest.approx(1.0, abs=1e-5)


def test_the_loop_can_hand_the_target_over_by_option() -> None:
    assert isinstance(plugins.create("retrievers", "hidden", {"target": ScriptedTarget()}), Hidden)

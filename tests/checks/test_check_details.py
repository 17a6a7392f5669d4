"""What the checks of texts show and where they stop: exact words, lengths, hashes and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from errorbook.checks.giveaways import find_leak
from errorbook.checks.hashes import bands, hash_ngrams, hash_text, hash_words
from errorbook.checks.hedging import find_break, find_doubt
from errorbook.checks.near_duplicates import Nearness
from errorbook.checks.ngram_overlap import Match, Overlaps

FAR = "x" * 100
SPACE = " " * 100


@pytest.mark.parametrize(
    ("question", "leak"),
    [
        ("> ## Answer", "> ## Answer"),
        ("# Pears\n**Final Answer**: 8", "**Final Answer*"),
        ("# Pears\nHow many?", ""),
        (f"Answer: {FAR}", f"Answer: {FAR}"[:80]),
        ("Pears\n  The final answer is: 8 pears\nHow many?", "The final answer is: 8 pears"),
        ("Now the answer is 8, so how many?", "the answer is 8, so how many?"),
        ("How many?\nTo find it, add", "To find it, add"),
        (f"How many?\nTo find it, {FAR}", f"To find it, {FAR}"[:80]),
        ("How many?\n \nTo find it, add", "To find it, add"),
        ("How many?\nGood. To find it, add", ""),
        ("How many? To find it, add", ""),
        ("How many? \nTo find it, add", ""),
        ("How many?\n", ""),
        ("How many? 3 + 5 = 8", ""),
        ("How many? 3 + 5 = 8; x = y", "3 + 5 = 8"),
        ("How many? so, 3 + 5 = 8", "3 + 5 = 8"),
        ("How many? Why? so, 3 + 5 = 8", "3 + 5 = 8"),
        ("Why? So, 3 + 5 = 8 holds. How many?", ""),
        (f"How many? so, 3 +{SPACE}5 = 8", f"3 +{SPACE}"[:80]),
        ("How many? We have x = y", ""),
        ("How many? x = y = z", ""),
        ("How many? We have x = y = z", "We have x = y = z"),
        (f"How many? We have x = y = {FAR}", f"We have x = y = {FAR}"[:80]),
        ("We have 3 + 5 = 8 = x", ""),
        ("We have 3 + 5 = 8 = x, how many?", ""),
        (">>> twice(4)\nAnswer: 8", ""),
    ],
)
def test_what_a_question_gives_away(question: str, leak: str) -> None:
    assert find_leak(question) == leak


@pytest.mark.parametrize(
    ("solution", "left_open"),
    [
        ("a = 1\nb = 2 + 3", "b = 2 + 3"),
        ("b = 2 + 3\na", ""),
        ("  a = 3 + 4  ", "a = 3 + 4"),
        ("a = -(3)", ""),
        ("a = 2(3)", ""),
        ("3 + 4 = 2(3)", ""),
        ("a = -(3 + 4)", "a = -(3 + 4)"),
        ("a = b = 2 + 3", "a = b = 2 + 3"),
        ("2 = 3 + 4 = 7", ""),
        ("= 3 + 4", "= 3 + 4"),
        ("a = 3 + 4.5.", ""),
        ("x" * 991 + " = 3 + 4", "x" * 991 + " = 3 + 4"),
        ("x" * 992 + " = 3 + 4", ""),
    ],
)
def test_a_calculation_is_left_open_only_in_the_last_line(solution: str, left_open: str) -> None:
    assert find_break(solution) == left_open
    assert find_doubt(solution) == left_open


def test_doubt_goes_before_a_break_and_layout_is_not_shown() -> None:
    assert find_doubt("Oh,\n my mistake:  a = 3 + 4") == "Oh, my mistake: a = 3 + 4"
    assert find_doubt(f"{'x' * 27} my mistake {'y' * 40}") == f"{'x' * 27} my mistake {'y' * 29}"
    assert find_doubt("Let’s re-do it.") == "Let’s re-do it."


A_B_C = ["a", "b", "c"]


def test_hashes_are_the_same_in_every_version() -> None:
    """A ledger of another day is searched by them."""
    assert (hash_text(["a", "b"]), hash_text([])) == (18429100309458631331, 16476032584258269876)
    assert hash_text(["ab"]) != hash_text(["a", "b"])
    assert hash_words(["a", "b"]).tolist() == [4681665781835383343, 9543904841865449333]
    assert hash_ngrams(hash_words(A_B_C), 2).tolist() == [3675239392993425973, 11561817905117750885]
    assert hash_ngrams(hash_words("abcdef"), 5).tolist() == [9029737693774593270, 2666969034307790208]
    assert hash_ngrams(hash_words(A_B_C), 5).tolist() == [15990340653944117955]
    assert len(hash_ngrams(hash_words([]), 5)) == 0


def test_a_run_of_no_words_is_one_of_a_single_word() -> None:
    single = [407738291609537008, 1185000270487455519, 1837561146405008491]
    assert [hash_ngrams(hash_words(A_B_C), n).tolist() for n in (1, 0, -1)] == [single] * 3


def test_the_bands_of_a_set_do_not_depend_on_its_order() -> None:
    keys = bands(hash_words(A_B_C), 7)
    assert keys[:2].tolist() == [342386440106594568, 11309303867022990127]
    assert keys[-1] == 9045161458936421819
    assert bands(hash_words(["c", "a", "b", "a"]), 7).tolist() == keys.tolist()
    assert len({*keys.tolist(), *bands(hash_words(A_B_C), 8).tolist()}) == 24


def test_of_equal_runs_the_first_text_is_named() -> None:
    overlaps = Overlaps([["z", "z", "z"], *(["a", "b", "c", str(i % 7)] for i in range(300))], 3)
    assert overlaps.find(["a", "b", "c"]) == Match(1, "a b c")
    assert overlaps.find(["b", "c", "4", "b"]) == Match(5, "b c 4")


def test_common_phrasing_is_dropped_once_for_all_texts() -> None:
    overlaps = Overlaps([A_B_C, ["d", "e", "f"], A_B_C], 3, [["x"], A_B_C, ["d", "e", "x"]])
    assert overlaps.find(A_B_C) is None
    assert overlaps.find(["d", "e", "f"]) == Match(1, "d e f")
    assert Overlaps([[]], 3, [A_B_C]).find(A_B_C) is None


def test_of_many_questions_the_newest_64_are_compared() -> None:
    near = Nearness(0.8)
    for place in range(100):
        near.add("a b c d" + "!" * place)
    assert near.find("A b c d") == "a b c d" + "!" * 36
    for place in range(100, 1_100):
        near.add("a b c d" + "!" * place)
    assert near.find("A b c d") == "a b c d" + "!" * 1_036


def test_a_question_that_shares_no_band_is_not_compared() -> None:
    asked = "wa wb wc wd we wf wg wh wi wj wk wl wm wn wo wp wq wr ws wt"
    near = Nearness(0.8)
    near.add("wa wb wc wd zg wf wg wh wi wj za wl wm wn wo zf wq wr ws wt")  # shares a band, and a third of the triples
    near.add("zb wb wc wd we wf wg wh wi wj wk wl wm wn wo wp wq wr ws zb")  # 0.8 of the triples, and no band
    assert near.find(asked) is None


def test_the_keys_of_one_question_are_not_used_for_another() -> None:
    near = Nearness(0.8)
    assert near.find("One for all and all for one") is None
    near.add("How many pears are there now")
    assert near.find("One for all and all for one") is None
    assert near.find("how many pears are there now") == "How many pears are there now"


def test_two_questions_without_words_are_near() -> None:
    near = Nearness(0.8)
    near.add("?")
    assert near.find("!") == "?"
    assert near.find("! one") is None


class Told:
    """Gives each text the vector that it was told, and notes what it was asked."""

    def __init__(self, vectors: Mapping[str, tuple[float, float]]) -> None:
        self._vectors = vectors
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        return np.array([self._vectors[text] for text in texts], dtype=np.float32)


def test_the_nearest_meaning_counts_from_0_97_and_only_with_the_same_numbers() -> None:
    told = Told({"q 1": (1, 0), "a 1": (0.96, 0), "b 1": (0.97, 0), "c 1": (0.5, 0), "d 2": (1, 0), "e 1": (0.969, 0)})
    near = Nearness(0.8, told)
    assert near.find("q 1") is None
    for text in ("e 1", "a 1", "d 2"):
        near.add(text)
    assert near.find("q 1") is None
    near.add("b 1")
    near.add("c 1")
    assert near.find("q 1") == "b 1"
    assert told.asked == [["q 1", "e 1", "a 1"], ["q 1", "e 1", "a 1", "b 1", "c 1"]]


def test_the_meanings_of_the_newest_64_are_compared() -> None:
    names = ["one", *(f"{'y' * place} z" for place in range(1, 66))]
    told = Told(dict.fromkeys(names, (0, 1)) | {"one": (1, 0), "q": (1, 0)})
    near = Nearness(0.8, told)
    for name in names[:64]:
        near.add(name)
    assert near.find("q") == "one"
    near.add(names[64])
    assert near.find("q") is None
    assert told.asked == [["q", *names[:64]], ["q", *names[1:65]]]

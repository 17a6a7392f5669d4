"""The pure helpers that compare texts: exact on small cases that can be worked out by hand."""

from __future__ import annotations

import pytest

from errorbook.checks.final_number import find_conclusion
from errorbook.checks.hedging import find_break, find_doubt
from errorbook.checks.near_duplicates import Nearness
from errorbook.checks.ngram_overlap import Match, Overlaps
from errorbook.checks.tokens import jaccard, ngrams, numbers, words


def test_words_and_numbers_of_a_text() -> None:
    assert words("Tom's 3 Cats, 1,000.5% = x!") == ("tom", "s", "3", "cats", "1,000.5", "%", "=", "x")
    assert numbers("1,000 of 2.5 and 7.") == ("1000", "2.5", "7")


def test_runs_of_words() -> None:
    assert ngrams(["a", "b", "c", "d"], 2) == {("a", "b"), ("b", "c"), ("c", "d")}
    assert ngrams(["a", "b", "c", "d"], 3) == {("a", "b", "c"), ("b", "c", "d")}
    assert ngrams(["a", "b"], 2) == ngrams(["a", "b"], 5) == {("a", "b")}
    assert ngrams([], 2) == {()}


def test_the_overlap_of_two_sets() -> None:
    left, right = ngrams(["a", "b", "c"], 1), ngrams(["b", "c", "d", "e"], 1)
    assert jaccard(left, right) == 2 / 5
    assert jaccard(left, left) == jaccard(frozenset(), frozenset()) == 1.0
    assert jaccard(left, frozenset()) == 0.0


HELD = [["one", "two", "three", "four", "five"], ["two", "three", "four", "nine"], ["x", "y"]]


def test_the_first_shared_run_is_found_as_far_as_it_goes() -> None:
    overlaps = Overlaps(HELD, 3)
    assert overlaps.find(["so", "one", "two", "three", "four", "then"]) == Match(0, "one two three four")
    assert overlaps.find(["three", "four", "nine"]) == Match(1, "three four nine")
    assert overlaps.find(["two", "three", "four"]) == Match(0, "two three four"), "the first text of equals"
    assert overlaps.find(["one", "two", "three"]) == Match(0, "one two three")
    assert overlaps.find(["one", "two"]) is None
    assert overlaps.find(["x", "y"]) == Match(2, "x y"), "a short text counts as a whole"
    assert overlaps.find([]) is None
    assert overlaps.find(["nothing", "of", "this", "is", "there"]) is None


def test_what_is_common_phrasing_does_not_count() -> None:
    overlaps = Overlaps(HELD, 3, [["zero", "two", "three", "four", "zero"]])
    assert overlaps.find(["two", "three", "four"]) is None
    assert overlaps.find(["one", "two", "three", "four", "five"]) == Match(0, "one two three")
    assert Overlaps([], 3, HELD).find(["one", "two", "three"]) is None
    assert Overlaps([], 3).find(["one", "two", "three"]) is None


TEXT = "A baker bakes {} loaves of bread each day and sells {} of them in the morning. How many are left over?"


def test_nearly_the_same_words_with_the_same_numbers_are_near() -> None:
    near = Nearness(0.8)
    assert near.find(TEXT.format(20, 5)) is None
    assert [near.add(TEXT.format(20, 5)), near.add("How much is 3 and 4?"), near.add(TEXT.format(20, 6))] == [0, 1, 2]
    assert near[1] == "How much is 3 and 4?"
    assert near.find(TEXT.format(20, 6).replace("over", "now")) == TEXT.format(20, 6)
    assert near.find(TEXT.format(20, 7)) is None, "other numbers make another question"
    assert near.find(TEXT.format(6, 20)) is None, "and so does another order"
    assert near.find("What do 3 and 4 make together, Tom?") is None


def test_the_threshold_is_the_share_of_word_triples() -> None:
    first, second = "a b c d e f g h i j k l", "a b c d e f g h i j k m"  # 9 of 11 triples are shared
    for threshold, found in ((9 / 11, first), (9 / 11 + 0.001, None)):
        near = Nearness(threshold)
        near.add(first)
        assert near.find(second) == found


def test_a_thousand_questions_are_kept_and_found() -> None:
    near = Nearness(0.8)
    texts = [TEXT.format(number, number + 1) for number in range(1_100)]
    assert [near.add(text) for text in texts] == list(range(1_100))
    assert near.find(texts[0]) == texts[0]
    assert near.find(texts[1_050]) == texts[1_050]


@pytest.mark.parametrize(
    ("solution", "number"),
    [
        ("3 * 4 = 12\nShe pays $12 for the 3 packets.", "12"),
        ("3 * 4 = 12\nShe pays $13.", ""),
        ("3 * 4 = 12\n12 / 2 = 6\nSo 6 of 12.", "6"),
        ("x = 12", "12"),
        ("3 * 4 = 12\n\n\n", "12"),
        ("3 * 4 = 2 * 6\n12", ""),
        ("12", ""),
        ("", ""),
        ("= \nSo 3.", ""),
        ("3 * 4 = 12" + "\nand so on" * 10 + "\nSo 12.", "12"),
        ("3 * 4 = 12" + "\nand so on" * 11 + "\nSo 12.", ""),
        ("5 = 5\n3 * 4 = 12", "12"),
    ],
)
def test_the_number_that_a_solution_comes_to(solution: str, number: str) -> None:
    assert find_conclusion(solution) == number


@pytest.mark.parametrize(
    ("solution", "left_open"),
    [
        ("3 + 4 = 7", ""),
        ("So the total = 3 + 4", "So the total = 3 + 4"),
        ("So the total = 3 + 4\n", "So the total = 3 + 4"),
        ("So the total = 3 + 4\nwhich is 7", ""),
        ("The total = 3 + 4 pens, sure", ""),
        ("The total = -3", ""),
        ("The total = 1/2", ""),
        ("The total = 3 + 4 " + "x" * 1_000, ""),
        ("No equation", ""),
        ("Ends in =", "Ends in ="),
        ("So they need:", "So they need:"),
        ("He multiplies 3 by the", "He multiplies 3 by the"),
        ("So 6 * 4", ""),
        ("12 * 5 *", "12 * 5 *"),
        ("6 boxes * 4 pens", "6 boxes * 4 pens"),
        ("3 + 4 = 7 = 2 + 5", "3 + 4 = 7 = 2 + 5"),
    ],
)
def test_a_solution_that_breaks_off(solution: str, left_open: str) -> None:
    assert find_break(solution) == left_open
    assert find_doubt(solution) == left_open


def test_doubt_is_shown_with_the_words_around_it() -> None:
    before, after = "x" * 40, "y" * 40
    assert find_doubt(f"{before} my mistake {after}") == f"{'x' * 29} my mistake {'y' * 29}"
    assert find_doubt("My mistake!") == "My mistake!"
    assert find_doubt("The student’s answer is 3.") == "The student’s answer is 3."

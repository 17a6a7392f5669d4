"""Answers that are no amount of what is asked for, headings that are taken off, and writing that is no calculation."""

from __future__ import annotations

import pytest

from errorbook.checks.equations import find_equations
from errorbook.checks.giveaways import find_leak, take_off_heading
from errorbook.checks.ngram_overlap import Overlaps
from errorbook.checks.quantities import find_misfit
from errorbook.checks.tokens import words

MISFITS = [
    ("20% of the 27 pupils are boys. How many boys are there?", "27 * 0.2 = 5.4", "5.4"),
    ("How many ducks are left?", "So 7.5 ducks are left.", "7.5"),
    ("How many more red books has Al?", "9 / 2 = 4.5", "4.5"),
    ("How many $20 bills does he hold?", "450 / 20 = 22.5", "22.5"),
    ("How many children sing?", "17/2 children sing.", "17/2"),
    ("A third of the 20 hens lay. How many eggs are there?", "20 / 3 = 6.67, so we round down to 6 hens.", "6"),
    ("A fifth of the 18 runners stop. How many run on?", "3.6, but we cannot have a fraction of a runner, so 3.", "15"),
    ("Half of 9 cats sleep. How many are awake?", "We can\u2019t have half a cat, so 4 sleep.", "5"),
    ("How many minutes does it take?", "90 / 60 = 1.5\nSo it takes 1.5 hours.", "1.5"),
    ("How many feet long is it?", "It is 24 inches long.", "24"),
    ("How many kilograms are left?", "So 500 grams are left.", "500"),
]
FITS = [
    ("20% of the 25 pupils are boys. How many boys are there?", "25 * 0.2 = 5", "5"),
    ("How many hours does it take?", "So it takes 1.5 hours.", "1.5"),
    ("How many pizzas are left?", "So 2.5 pizzas are left.", "2.5"),
    ("How many books does each child read on average?", "9 / 2 = 4.5", "4.5"),
    ("How many boxes does she need to buy?", "7 / 2 = 3.5, so we round up to 4 boxes.", "4"),
    ("How many $20 bills can he get?", "4.5, but he cannot get half a bill, so 4.", "4"),
    ("How many minutes does it take?", "It takes 90 minutes (1.5 hours).", "90"),
    ("How many pages?", "", ""),
    ("", "", "7.5"),
    ("What is the price?", "Each book costs $4.50.", "$4.50"),
]


@pytest.mark.parametrize(("question", "solution", "answer"), MISFITS)
def test_an_answer_that_is_no_amount_of_what_is_asked_for(question: str, solution: str, answer: str) -> None:
    assert find_misfit(question, solution, answer)


@pytest.mark.parametrize(("question", "solution", "answer"), FITS)
def test_an_answer_that_fits(question: str, solution: str, answer: str) -> None:
    assert find_misfit(question, solution, answer) == ""


@pytest.mark.parametrize(
    "heading",
    [
        "#### Question:\n",
        "**Question:** ",
        "Question 3: ",
        "### Problem\n",
        "[QUESTION] ",
        "## New Question:\n\n",
        "Q: ",
        "__Exercise 2__\n",
        "#### Question: #### Question:\n",
        "Sample question: ",
        "**Practice Problem**\n",
    ],
)
def test_a_heading_is_taken_off(heading: str) -> None:
    assert take_off_heading(f"{heading}Ann has 3 pears. How many?").strip() == "Ann has 3 pears. How many?"


@pytest.mark.parametrize(
    "question",
    ["Problem solving is fun. How much?", "Questions are 3 points each.", "The problem is hard.", "Q", "Question:", ""],
)
def test_what_is_no_heading_stays(question: str) -> None:
    assert take_off_heading(question) == question


def test_a_heading_in_the_middle_is_still_a_leak() -> None:
    assert find_leak(take_off_heading("#### Question:\nHow many?\n#### Answer: 5")) == "#### Answer:"


@pytest.mark.parametrize(
    "text",
    [
        "Ages 25-45 = 12 people",
        "pages 10\u201318 = 8 pages",
        "Group 3-5 = 7 kids",
        "levels 1-9 = 9 levels",
        "the 18-64 = 60%",
        "5 dollars 50 cents + 1 = 7",
        "5 dollars and 50 cents + 1 = 7",
        "2 hours 30 minutes + 15 = 165",
        "3 feet 4 inches + 2 = 42",
        "1 pound 8 ounces * 2 = 48",
        "It is 14, 400 + 5 = 14, 405",
        "$. 84 * 2 = 1.68",
        "500 / 2/5 = 50",
        "80 megabits + 20 megabits = 100,000,000 bits",
    ],
)
def test_what_is_no_calculation_is_not_judged(text: str) -> None:
    assert [equation.text for equation in find_equations(text) if not equation.holds] == []


@pytest.mark.parametrize(
    "text", ["45-25 = 21", "3 - 5 = 2", "50 cents + 1 = 7", "8 / 3 = 2.67 = 2.7 + 1 = 3", "9 / 2 = 4"]
)
def test_a_wrong_calculation_is_still_found(text: str) -> None:
    assert [equation for equation in find_equations(text) if not equation.holds]


def test_a_machines_last_digits_are_no_mistake() -> None:
    assert all(
        equation.holds for equation in find_equations("8 / 3 = 2.6666666666666665 and 0.1 + 0.2 = 0.30000000000000004")
    )


PHRASE = "how many more does he need to buy if he wants to have"
HELD = [
    f"Al keeps 3 lizards in his attic and {PHRASE} one for each cousin?",
    f"A rower owns eight kayaks; the harbour is full, so {PHRASE} as large a fleet by June?",
]
FILLER = [
    f"A {word} of {word}s costs {n} and he wants to have it, how many more does it need?"
    for n, word in enumerate("abcdefghij", 20)
]


def test_a_run_that_unlike_questions_share_is_phrasing() -> None:
    held = Overlaps([words(text) for text in [*HELD, *FILLER]], 10, particular=True)
    assert held.find(words(f"Bo collects 7 stamps and {PHRASE} forty?")) is None
    assert held.find(words(f"Bo now {HELD[0][3:-20]}")) is not None


def test_a_run_that_variants_of_one_question_share_is_not() -> None:
    variants = [HELD[0].replace("3", str(n)) for n in (3, 5, 9)]
    held = Overlaps([words(text) for text in variants], 10, particular=True)
    assert held.find(words(f"Bo {HELD[0][3:]}")) is not None


def test_a_run_of_words_that_all_questions_have_is_phrasing() -> None:
    common = [
        f"the {one} of the {two} is the {three} of the day"
        for one in "abcdefghij"
        for two in "klmno"
        for three in "pqr"
    ]
    rare = "zebras quietly juggle the old copper lamps near a frozen northern harbour"
    held = Overlaps([words(text) for text in [*common, rare]], 8, particular=True)
    assert held.find(words("so the a of the k is the p of the day")) is None
    assert held.find(words(f"so {rare}")) is not None

"""The scorers: what is read as an answer, what is refused, and that odd text never breaks them."""

from __future__ import annotations

from fractions import Fraction

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.adapters.scorers.contains import Contains
from errorbook.adapters.scorers.exact import Exact
from errorbook.adapters.scorers.numbers import read_quantity
from errorbook.adapters.scorers.numeric import Numeric, extract
from errorbook.interfaces import Scorer
from errorbook.records import Example

SCORERS: list[Scorer] = [Numeric(), Exact(), Contains()]


def example(answer: str) -> Example:
    return Example(id="1", task="t", split="dev", question="q", answer=answer)


RIGHT = [
    ("42", "Answer: 42"),
    ("42", "**Answer:** 42"),
    ("42", "**Answer: 42**"),
    ("42", "Answer:\n\n42"),
    ("42", "answer = 42."),
    ("42", "Answer (in dollars): 42.00 dollars"),
    ("42", "#### 42"),
    ("42", "### Final Answer\n\n**42**"),
    ("42", "The answer is 42"),
    ("42", "The answer is: 42"),
    ("42", "The final answer is $42$."),
    ("42", "The answer to 40 + 2 is 42."),
    ("42", "The final answer is:\n$$\\boxed{42}$$"),
    ("42", "Answer: 41. No, wait.\nAnswer: 42"),
    ("42", "Answer: 42\nThis is the final answer."),
    ("42", "Answer: 42\n\nAnswer:"),
    ("42", "The answer is as follows. \\boxed{42}"),
    ("42", "So \\boxed{7} + 35 is \\boxed{42}, with 3 to spare"),
    ("42", "We get 6 * 7 = 42."),
    ("42", "1. Take 6.\n2. Multiply by 7 to get 42.\n3. Done."),
    ("42", "1. Take 6.\n2. It is 42\n3."),
    ("42", "42. Let me know if you need more!"),
    ("42", "42."),
    ("42", "Step 1: it is 42\nStep 2: check it"),
    ("42", "It is 42, and this is the 3rd time, in m^2, of x2."),
    ("18", "Answer: $18 per day, 7 days a week"),
    ("18", "Answer: 18 km"),
    ("18", "Answer: 18km/h"),
    ("18", "Answer: 18%"),
    ("18", "Answer: \\$18"),
    ("18", "Answer: \u20ac 18"),
    ("18", "Answer: \\(18\\text{ km}\\)"),
    ("18", "Answer: 18 m\u00b2"),
    ("$18", "Answer: 18 USD"),
    ("1234567", "Answer: 1,234,567"),
    ("1234567", "Answer: 12,34,567"),
    ("1234567", "Answer: 1{,}234{,}567"),
    ("1234567", "Answer: 1\u202f234\u202f567"),
    ("0.75", "Answer: 3/4"),
    ("3/4", "Answer: 0.75"),
    ("3/4", "Answer: \\frac{3}{4}"),
    ("3/4", "Answer: \u00be"),
    ("3/4", "Answer: three quarters"),
    ("1 3/4", "Answer: 1.75"),
    ("1.75", "Answer: 1 3/4 cups"),
    ("1.75", "Answer: 1 and 3/4"),
    ("7.5", "Answer: 7 and a half"),
    ("0.5", "Answer: .5"),
    ("-5", "Answer: -5"),
    ("-5", "Answer: \u22125"),
    ("-5", "Answer: -$5"),
    ("-5", "Answer: $-5"),
    ("-5", "Answer: negative 5"),
    ("-5", "The answer is minus five"),
    ("-5", "It drops to -5 degrees"),
    ("1500", "Answer: 1.5e3"),
    ("1500", "Answer: 1.5 \u00d7 10\u00b3"),
    ("1500", "Answer: 1.5 \\times 10^{3}"),
    ("3000000", "Answer: 3 million"),
    ("7", "Answer: seven"),
    ("7", "Seven apples."),
    ("25", "Answer: twenty-five (25)"),
    ("205", "Answer: two hundred and five"),
    ("12000", "Answer: twelve thousand"),
    ("42", "Answer: \u0664\u0662"),
    ("42", "Answer: \uff14\uff12"),
    ("7", "Answer: 3 + 4 = 7"),
    ("7", "Answer: x = 7"),
    ("7", "Answer: 3 apples + 4 apples = 7 apples"),
    ("7", "The answer is 7 because 2 + 5 = 7, not 9"),
    ("3", "Answer: 12/4 = 3"),
    ("3", "Answer: 12 / 4"),
    ("7 remainder 3", "Answer: 7 remainder 3"),
    ("7 remainder 3", "Answer: 7 R 3"),
    ("7 remainder 3", "Answer: 7r3"),
    ("7 remainder 3", "Answer: 7 r 3"),
    ("7 R3", "The answer is 7 with a remainder of 3."),
    ("7 r 3", "Answer: 7, remainder 3"),
    ("7 r 3", "Answer: 7 (remainder 3)"),
    ("7 r 3", "Answer: seven remainder three"),
    ("7 r 3", "The quotient is 7. The remainder is 3."),
    ("7 r 3", "The quotient is 7 and the remainder is 3."),
    ("7", "Answer: 7 remainder 0"),
]
WRONG = [
    ("123459", "Answer: 123456", "123456"),
    ("5", "Answer: 25", "25"),
    ("25", "Answer: 5", "5"),
    ("7", "Answer: $18 per day, 7 days a week", "$18"),
    ("0.333333", "Answer: 1/3", "1/3"),
    ("7 remainder 3", "Answer: 7", "7"),
    ("7 remainder 3", "Answer: 3", "3"),
    ("7 remainder 3", "Answer: 7 remainder 2", "7 remainder 2"),
    ("7", "Answer: 7 remainder 3", "7 remainder 3"),
    ("5", "Answer: negative 5", "negative 5"),
    ("5", "Answer: -5", "-5"),
    ("9007199254740993", "Answer: 9007199254740992", "9007199254740992"),
    ("6", "Answer: 5. Or is it \\boxed{6}?", "5"),
]
REFUSED = [
    ("", "none"),
    ("   \n\t ", "none"),
    ("I'm sorry, I cannot help with that.", "none"),
    ("No one knows.", "none"),
    (".", "none"),
    ("1. First, we\n2.", "none"),
    ("We have 5 apples and 3 pears.\nAnswer:", "marker"),
    ("We have 5 apples.\nAnswer: I don't know", "marker"),
    ("Answer: 3 + 4", "marker"),
    ("Answer: 3 or 4", "marker"),
    ("Answer: 3, 4", "marker"),
    ("Answer: 10-12", "marker"),
    ("Answer: 3,5", "marker"),
    ("Answer: 12:30", "marker"),
    ("Answer: 1.2.3", "marker"),
    ("Answer: 5/0", "marker"),
    ("Answer: 1e9999", "marker"),
    ("Answer: 5^2", "marker"),
    ("Answer: 5**2", "marker"),
    ("Answer: two three", "marker"),
    ("So we compute 12 * 5", "last number"),
    ("It is 3 or 4", "last number"),
    ("\\boxed{x} from 5", "boxed"),
]


@pytest.mark.parametrize(("gold", "text"), RIGHT)
def test_numeric_right(gold: str, text: str) -> None:
    score = Numeric().score(example(gold), text)
    assert score.verdict == "right", score
    assert score.extracted
    assert score.method in {"marker", "boxed", "last number"}


@pytest.mark.parametrize(("gold", "text", "extracted"), WRONG)
def test_numeric_wrong(gold: str, text: str, extracted: str) -> None:
    score = Numeric().score(example(gold), text)
    assert (score.verdict, score.extracted) == ("wrong", extracted)


@pytest.mark.parametrize(("text", "method"), REFUSED)
def test_numeric_refuses_to_guess(text: str, method: str) -> None:
    score = Numeric().score(example("5"), text)
    assert (score.verdict, score.extracted, score.method) == ("unscorable", "", method)


def test_numeric_needs_a_numeric_gold_answer() -> None:
    assert Numeric().score(example("Paris"), "Answer: 5").verdict == "unscorable"
    assert Numeric().score(example("3 or 4"), "Answer: 3").verdict == "unscorable"


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_equality_is_exact(gold: int, given_answer: int) -> None:
    for written in (str(given_answer), f"{given_answer:,}"):
        verdict = Numeric().score(example(str(gold)), f"First 7, then 8.\nAnswer: {written} apples.").verdict
        assert verdict == ("right" if gold == given_answer else "wrong")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_decimals_are_read_exactly(value: object) -> None:
    found = read_quantity(str(value))
    assert found is not None
    assert found.value == Fraction(str(value))


@given(st.fractions(min_value=0, max_value=10**6))
def test_fractions_are_read_exactly(value: Fraction) -> None:
    found = read_quantity(f"{value.numerator}/{value.denominator}")
    assert found is not None
    assert found.value == value


@settings(max_examples=300, deadline=None)  # the first symbolic comparison starts a process
@given(st.text(), st.text())
def test_no_text_breaks_a_scorer(gold: str, text: str) -> None:
    for scorer in SCORERS:
        for response in (text, f"Answer: {text}", f"\\boxed{{{text}", f"7 {text} 3"):
            score = scorer.score(example(gold), response)
            assert score.verdict in {"right", "wrong", "unscorable"}
            assert scorer.score(example(gold), response) == score


PIECES = ["Answer:", "the answer is ", "####", "\\boxed{", "}", "1", "23", ",", ".", " ", "\n", "-", "+", "=", "/", "$"]
PIECES += ["one", "hundred", "and", "remainder", "r", "e", "^", "**", "half", "million", "or", "x", "(", ")", "\u00b2"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
@hypothesis.example(["Answer:", " ", "23"])
def test_what_is_extracted_can_be_read_again(pieces: list[str]) -> None:
    found = extract("".join(pieces))
    assert (read_quantity(found.text) if found.quantity is not None else None) == found.quantity


REPEATED = ["1", "a", " ", "1 ", "1,", "-", "$", "one ", "answer: ", "the answer is ", "\\boxed{", "\\frac{", "*", "1a"]
REPEATED += [
    "x = 1 ",
    "1 + ",
    "\u0661",
    "\n",
    "1.\n",
    "5 and ",
    "5 remainder ",
    "the answer to ",
    "5 apples ",
    "```",
    "####",
]


@pytest.mark.timeout(120)  # a step for each pair of characters would take days
@pytest.mark.parametrize("piece", REPEATED)
def test_time_is_linear(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    for scorer in SCORERS:
        assert scorer.score(example("5"), text).verdict in {"right", "wrong", "unscorable"}


@pytest.mark.parametrize(
    ("gold", "text", "verdict"),
    [
        ("Paris", "paris.", "right"),
        ("Paris", "Answer: **Paris**", "right"),
        ("Paris", "Paris\nIt is in France.", "right"),
        ("New York", "  new   york ", "right"),
        ("B", "The answer is (b)", "right"),
        ("C++", "C++", "right"),
        ("C++", "C", "wrong"),
        ("3.5", "35", "wrong"),
        ("-5", "5", "wrong"),
        ("Paris", "The city of Paris", "wrong"),
        ("Paris", "Paris\nAnswer: Rome", "wrong"),
        ("+", "+", "right"),
        ("Paris", "...", "unscorable"),
        ("Paris", "", "unscorable"),
    ],
)
def test_exact(gold: str, text: str, verdict: str) -> None:
    assert Exact().score(example(gold), text).verdict == verdict


@pytest.mark.parametrize(
    ("gold", "text", "verdict"),
    [
        ("Paris", "The capital of France is Paris.", "right"),
        ("Kyiv|Kiev", "It is KIEV!", "right"),
        ("New Delhi", "new\ndelhi", "right"),
        ("cat", "category", "wrong"),
        ("s'il vous plaît", "On dit \u00ab S\u2019il vous plaît \u00bb", "right"),
        ("5", "It is 5.5", "wrong"),
        ("Paris", "Rome", "wrong"),
        ("Paris", " !? ", "unscorable"),
        ("|", "Rome", "unscorable"),
    ],
)
def test_contains(gold: str, text: str, verdict: str) -> None:
    assert Contains().score(example(gold), text).verdict == verdict


def test_contains_says_which_alternative() -> None:
    assert Contains().score(example("sad|unhappy"), "He is unhappy").extracted == "unhappy"

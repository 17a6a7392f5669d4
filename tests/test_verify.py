import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook.adapters.scorers.numeric import Numeric
from errorbook.checks.equations import find_equations, find_wrong_equation
from errorbook.checks.taken import Protected, Taken
from errorbook.records import Draft, Example, Rejection, Sample, Split
from errorbook.verify import verify


class Sums:
    """A task that can recompute `a + b` and nothing else."""

    name = "sums"
    scorer = "numeric"
    max_new_tokens = 32

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        return ()

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        return question

    def completion(self, solution: str, answer: str) -> str:
        return f"{solution}\nAnswer: {answer}"

    def solve(self, question: str) -> str | None:
        numbers = [int(word) for word in re.findall(r"\d+", question)]
        return str(sum(numbers)) if len(numbers) == 2 and "+" in question else None


TASKS = {"sums": (Sums(), Numeric())}


def draft(question: str, answer: str = "", solution: str = "") -> Draft:
    answer = answer or Sums().solve(question) or "0"
    return Draft(
        assignment="a",
        diagnosis="d",
        index=0,
        task="sums",
        question=question,
        answer=answer,
        solution=solution or f"The sum is {answer}.",
    )


def example(question: str, answer: str, split: Split) -> Example:
    return Example(id=question, task="sums", split=split, question=question, answer=answer)


def outcome(
    item: Draft,
    taken: Sequence[str] = (),
    protected: Sequence[Example] = (),
    train: Sequence[Example] = (),
    trust: bool = False,
) -> Sample | Rejection:
    shelf, guard = Taken(0.8, taken), Protected(protected, train, 8)
    return next(verify([item], TASKS, shelf, guard, trust))


def reason(*args: object, **options: object) -> str:
    found = outcome(*args, **options)  # type: ignore[arg-type]
    return found.reason if isinstance(found, Rejection) else "sample"


def test_a_sound_draft_becomes_a_sample() -> None:
    found = outcome(draft("Calculate 12 + 30."))
    assert isinstance(found, Sample)
    assert "answer" in found.checks


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (draft("Calculate 12 + 30.", answer="43"), "wrong_answer"),
        (draft("Say hello five times.", answer="5"), "unverifiable"),
        (draft("Calculate 12 + 30.", solution="2 + 0 = 3\n12 + 30 = 42"), "wrong_step"),
        (draft("   ", answer="1"), "format"),
        (draft("Calculate 12 + 30.", answer="many"), "format"),
    ],
)
def test_reasons(item: Draft, expected: str) -> None:
    assert reason(item) == expected


def test_trusting_skips_only_the_answer() -> None:
    assert reason(draft("Calculate 12 + 30.", answer="43"), trust=True) == "sample"
    assert reason(draft("Calculate 12 + 30.", answer="43"), taken=["Calculate 12 + 30."], trust=True) == "duplicate"


def test_duplicates_by_wording_and_layout() -> None:
    taken = ["Calculate 12 + 30 for me, please, and take your time with the sum."]
    assert reason(draft("calculate  12+30 for me, please, and take your time with the sum")) == "sample"
    assert reason(draft("CALCULATE 12 + 30 for me please and take your time with the sum"), taken=taken) == "duplicate"
    near = draft("Calculate 12 + 30 for me, please, and take your time with the sums.")
    assert reason(near, taken=taken) == "near_duplicate"
    other = draft("Calculate 12 + 31 for me, please, and take your time with the sum.")
    assert reason(other, taken=taken) == "sample"


def test_contamination_by_question_words_or_calculation() -> None:
    held = example(
        "Ann keeps bees. She sold 12 + 30 jars of honey on a cold market day in May. How many?", "42", "test"
    )
    whole = outcome(draft(held.question), protected=[held])
    assert isinstance(whole, Rejection)
    assert whole.reason == "contaminated"
    span = outcome(
        draft("On a cold market day in May, she sold 5 + 6 jars of honey on a cold market day in May."), (), [held]
    )
    assert isinstance(span, Rejection)
    assert "honey on a cold market day" in span.detail
    assert reason(draft("What is 30 + 12?"), protected=[held]) == "contaminated"


def test_common_phrasing_is_not_contamination() -> None:
    phrase = "Work out the following sum with care and patience now: {} + {}"
    held, train = example(phrase.format(12, 30), "42", "dev"), example(phrase.format(5, 6), "11", "train")
    assert reason(draft(phrase.format(7, 8)), protected=[held]) == "contaminated"
    assert reason(draft(phrase.format(7, 8)), protected=[held], train=[train]) == "sample"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=30))
def test_every_draft_has_one_outcome_and_no_question_passes_twice(pairs: list[tuple[int, int]]) -> None:
    drafts = [draft(f"Calculate {a} + {b}.") for a, b in pairs]
    found = list(verify(drafts, TASKS, Taken(0.8), Protected([], [], 8)))
    assert [item.draft for item in found] == [item.hash for item in drafts]
    questions = [item.question for item in found if isinstance(item, Sample)]
    assert len(questions) == len(set(questions)) == len(set(pairs))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("7 + 6 = 13, write 3, carry 1", [True]),
        ("17 / 5 = 3 remainder 2", [True]),
        ("17 / 5 = 3 remainder 3", [False]),
        ("<<48/2=24>> and $18*2=$36", [True, True]),
        ("1,000 + 5 = 1,005; 10 / 3 = 3.33; 2 + 3 * 4 = 20", [True, True, False]),
        ("3 × 4 = 13", [False]),
        ("5 / 0 = 1", []),
        ("x + 5 = 9 and 20% + 1 = 3 and f(2 + 2) = 5", []),
        ("12 + 30 = 40 + 2", []),
        ("", []),
    ],
)
def test_equations_are_read_exactly_or_not_at_all(text: str, holds: list[bool]) -> None:
    assert [found.holds for found in find_equations(text)] == holds


@given(st.text())
def test_any_text_can_be_read_for_equations(text: str) -> None:
    assert find_wrong_equation(text) in text


def test_a_megabyte_is_read_quickly() -> None:
    assert find_wrong_equation("1 + " * 250_000) == ""
    assert find_wrong_equation("1" * 1_000_000) == ""

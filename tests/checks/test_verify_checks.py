"""What `verify` asks of a draft beyond its answer: leaks, doubts, votes, tests of programs, and overlap at scale."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from errorbook.adapters.scorers.code import Code
from errorbook.adapters.scorers.exact import Exact
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.tasks.wording import word_program
from errorbook.checks.equations import find_equations
from errorbook.checks.final_number import find_conclusion
from errorbook.checks.giveaways import find_leak
from errorbook.checks.hashes import hash_ngrams
from errorbook.checks.hedging import find_doubt
from errorbook.checks.ngram_overlap import Overlaps
from errorbook.checks.taken import Protected, Refusal, Taken
from errorbook.checks.tokens import words
from errorbook.records import Draft, Example, Rejection, Sample, Split
from errorbook.sandbox.cell import find_lack
from errorbook.verify import REASONS, Evidence, Known, find_faults, hide_answer, verify

needs_sandbox = pytest.mark.skipif(find_lack() is not None, reason=f"no sandbox here: {find_lack()}")


class Plain:
    """A task without a solver: nothing but votes can vouch for an answer."""

    name = "plain"
    scorer = "numeric"
    max_new_tokens = 32

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        return ()

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        return question

    def completion(self, solution: str, answer: str) -> str:
        return f"{solution}\nAnswer: {answer}" if answer else solution


class Coding(Plain):
    """A task whose answers are programs."""

    def completion(self, solution: str, answer: str) -> str:
        return word_program(solution, answer)


PROGRAM = "def twice(n):\n    return 2 * n"


def program(assertion: str) -> Draft:
    tests = f"def check(candidate):\n    assert {assertion}\ncheck(twice)"
    return draft("Write twice(n).", answer=PROGRAM, solution="Multiply by two.", tests=tests)


def draft(question: str, answer: str = "8", solution: str = "3 + 5 = 8", **more: object) -> Draft:
    given: dict[str, object] = {"assignment": "a", "diagnosis": "d", "index": 0, "task": "plain"}
    return Draft(question=question, answer=answer, solution=solution, **(given | more))  # type: ignore[arg-type]


def outcome(item: Draft, evidence: Evidence | bool = True, scorer: object = None) -> Sample | Rejection:
    tasks = {"plain": (Coding() if isinstance(scorer, Code) else Plain(), scorer or Numeric())}
    return next(verify([item], tasks, Taken(0.8), Protected([], [], 8), evidence))  # type: ignore[arg-type]


def reason(item: Draft, evidence: Evidence | bool = True, scorer: object = None) -> str:
    found = outcome(item, evidence, scorer)
    assert isinstance(found, Sample) or found.reason in REASONS
    return "sample" if isinstance(found, Sample) else found.reason


QUESTION = "Ann has 3 pears and buys 5 more. How many pears has she now?"


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (["8"], "sample"),
        (["8", "8", "9"], "sample"),
        (["8", "9"], "unverifiable"),
        (["8", "", ""], "unverifiable"),
        (["9", "9", "8"], "wrong_answer"),
        (["I do not know", "many", "8"], "unverifiable"),
        ([], "unverifiable"),
    ],
)
def test_more_than_half_of_the_blind_votes_must_agree(votes: list[str], expected: str) -> None:
    item = draft(QUESTION)
    assert reason(item, Evidence(votes={item.hash: votes})) == expected


def test_a_voter_sees_neither_answer_nor_solution() -> None:
    item = draft(QUESTION, choices=("8", "9"))
    shown = hide_answer(item)
    assert (shown.question, shown.choices, shown.id) == (item.question, item.choices, item.hash)
    assert (shown.task, shown.split) == (item.task, "train")
    assert (shown.answer, shown.solution, shown.tests) == ("", "", "")


def test_options_must_differ() -> None:
    options = ("red", "Red ", "blue")
    item = draft("Which colour?", answer="blue", solution="It is blue.", choices=options)
    assert reason(item, True, Exact()) == "format"


@needs_sandbox
@pytest.mark.parametrize(
    ("assertion", "expected"),
    [("candidate(4) == 8", "sample"), ("candidate(4) != 7", "weak_tests"), ("candidate(4) == 9", "format")],
)
def test_programs_need_tests_that_tell_programs_apart(assertion: str, expected: str) -> None:
    assert reason(program(assertion), Evidence(), Code()) == expected


@needs_sandbox
def test_tabs_of_a_program_are_no_backslashes() -> None:
    sound = program("candidate(4) == 8")
    tabbed = msgspec.structs.replace(sound, answer="def twice(n):\n\tif n == 0: return 0\n\n\tan = n\n\treturn an + n")
    assert reason(tabbed, Evidence(), Code()) == "sample"
    assert reason(msgspec.structs.replace(tabbed, solution="Twice is y\tan 2."), Evidence(), Code()) == "format"


@needs_sandbox
def test_tests_that_the_wrong_response_passes_are_weak() -> None:
    item = program("candidate(2) == 4")
    wrong = Evidence(wrong={item.hash: "```python\ndef twice(n):\n    return n * n\n```"})
    assert reason(item, wrong, Code()) == "weak_tests"


@pytest.mark.parametrize(
    "tail",
    [
        "\n\n#### Calculation:\n3 + 5 = 8",
        "\n[Answer] 8",
        "\n**Correct Approach:** add them",
        "\nAnswer: 8",
        " The answer is 8.",
        "\n\nTo find out, we add 3 and 5: 3 + 5 = 8",
        "\n[Student's WRONG ANSWER] 3 * 5 = 15",
    ],
)
def test_answers_and_headings_in_the_question_are_leaks(tail: str) -> None:
    assert find_leak(QUESTION) == ""
    assert find_leak(QUESTION + tail)
    assert reason(draft(QUESTION + tail)) == "leak"


@pytest.mark.parametrize(
    "question",
    [
        "Solve for x: 2x + 3 = 9. What is x?",
        "How long does it take, in minutes? (Remember, 1 hour = 60 minutes.)",
        "Ann got 4 answers wrong in a quiz of 40 questions. How many answers were right?",
        "What is the best answer? Options:\n(A) yes\n(B) no",
        "def twice(n):\n    # Solution: double it\n",
        "Each step of the stairs is 20 cm high. How high are 5 steps?",
    ],
)
def test_ordinary_questions_are_no_leaks(question: str) -> None:
    assert find_leak(question) == ""


@pytest.mark.parametrize(
    "solution",
    [
        "We get 4.5 boxes, indicating a mistake in the setup.",
        "Let's re-evaluate: 3 + 5 = 8",
        "Unlike the student's wrong answer, we add: 3 + 5 = 8",
        "3 + 5 = 8\n\n2. **Question:** Bob has 4 pears.",
        "Total = pears + apples\nTotal = 3 + 5",
    ],
)
def test_solutions_that_doubt_themselves_or_break_off_are_rejected(solution: str) -> None:
    assert find_doubt(solution)
    assert reason(draft(QUESTION, solution=solution)) == "doubt"


def test_plain_solutions_raise_no_doubt() -> None:
    assert find_doubt("First, 3 + 5 = 8.\nSo she made no mistake and has 8 pears = 2 / 3 of all.") == ""
    assert find_doubt("Half of it:\n= 1/2") == ""


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("Total = 60 - 12\nTotal = $48\nSo she paid $48 for the 120 packets.", "$48"),
        ("3 + 5 = 8\nSo it is 9.", ""),
        ("No calculation.", ""),
    ],
)
def test_the_last_calculation_says_which_closing_number_is_the_answer(solution: str, answer: str) -> None:
    assert find_conclusion(solution) == answer


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("6 pounds / (1/4 pound per jar) = 24 jars", [True]),
        ("5 guests * 2 skewers per guest = 10 skewers", [True]),
        ("20% of $50 = $10; 1/4 of 20 = 6", [True, False]),
        ("cost = 3 * 5 = 10 + 5 = 15", [True, True]),
        ("cost = 3 * $5\ncost = $16", [False]),
        ("cost = 3 * $5\n     = $15", [True]),
        (r"\[ 3 \times 4 + \frac{6}{4} = 13.5 \text{ cups} \]", [True]),
        ("10 / 3 = 3.33 and 3.33 * 3 = 10", [True, True]),
        ("11 / 3 = 3.66 and 11 / 3 = 3.67 and 11 / 3 = 3.7", [True, True, True]),
        ("11 / 3 = 3.6667 and 11 / 3 = 3.65", [True, False]),
        ("7 / 2 = 3", [False]),
        ("7 / 2 = 3, rounded down", [True]),
        ("2 1/2 * 4 = 10; 3(4 + 5) = 27; -3 + 5 = 2", [True, True, True]),
        ("5/20 * 100 = 25%; 5 / 20 = 25%; 100% - 20% = 80%", [True, True, True]),
        ("12,000 / 12.57 ≈ 955", [True]),
        # Not plain arithmetic, or not certain: never judged.
        ("2x + 3 = 9; 3 * y = 12; 2^3 + 1 = 9; sqrt 16 + 1 = 5", []),
        ("Day 2 - 5 = 9; 5 more than 3 * 2 = 11", []),
        ("90 minutes + 30 minutes = 2 hours; 3 * 0.5 = 1 hour 30 minutes", []),
        ("11 + 3 = 2 pm; 6:00 + 18 = 24", []),
        ("1/4 cup = 15 jars; 13 * 1 = 13.\\overline{3}", []),
    ],
)
def test_equations_with_units_chains_and_rounding(text: str, holds: list[bool]) -> None:
    assert [found.holds for found in find_equations(text)] == holds


@given(st.integers(-999, 999), st.integers(1, 999), st.sampled_from("+-*"), st.integers(-3, 3))
def test_an_equation_holds_just_when_python_says_so(a: int, b: int, sign: str, off: int) -> None:
    value = {"+": a + b, "-": a - b, "*": a * b}[sign] + off
    assert [found.holds for found in find_equations(f"So {a} {sign} {b} = {value} pears.")] == [off == 0]


def test_near_duplicates_by_meaning_where_an_embedding_is_given() -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1.0, 0.0] if "pears" in text else [0.0, 1.0] for text in texts], dtype=np.float32)

    taken = Taken(0.8, [QUESTION], embed)
    other = "She owned 3 pears. Then 5 pears came. Count the pears."
    assert taken.clash(other) is not None
    assert Taken(0.8, [QUESTION]).clash(other) is None
    assert taken.clash(other.replace("3", "4")) is None
    assert taken.clash("She owned 3 plums. Then 5 came.") is None


def test_the_whole_shared_span_is_shown() -> None:
    held = words("On a cold market day in May she sold twelve jars of honey")
    found = Overlaps([words("nothing of the kind at all"), held], 4).find(
        words("Bob said: on a cold market day in June")
    )
    assert found is not None
    assert (found.text, found.span) == (1, "on a cold market day in")


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=6), st.lists(st.sampled_from("abcd"), max_size=8)
)
def test_an_overlap_is_found_just_when_there_is_one(texts: list[list[str]], words: list[str]) -> None:
    def grams(sequence: list[str]) -> set[tuple[str, ...]]:
        return {tuple(sequence[i : i + 3]) for i in range(len(sequence) - 2)}

    texts = [text for text in texts if len(text) >= 3]
    shared = set[tuple[str, ...]]().union(*map(grams, texts)) & grams(words)
    found = Overlaps(texts, 3).find(words) if len(words) >= 3 else None
    assert (found is not None) == bool(shared)


def test_calculations_protect_only_the_tasks_that_are_calculations() -> None:
    held = Example(id="1", task="words", split="test", question="Ann had 2 of 7 plums.", answer="5")
    assert Protected([held], [], 8).clash("Bob lost 2 of his 7 pens.", "5") is not None
    assert Protected([held], [], 8, sums={"sums"}).clash("Bob lost 2 of his 7 pens.", "5") is None


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(1, 14))
def test_a_run_of_words_has_one_hash_wherever_it_stands(numbers: list[int], n: int) -> None:
    hashes = hash_ngrams(np.array(numbers, dtype=np.uint64), n)
    n = max(1, min(n, len(numbers)))

    runs = [np.array(numbers[start : start + n], dtype=np.uint64) for start in range(len(numbers) - n + 1)]

    assert hashes.tolist() == [int(hash_ngrams(run, n)[0]) for run in runs if len(run)]
    assert len(set(hashes.tolist())) == len({tuple(run.tolist()) for run in runs if len(run)})


@pytest.mark.parametrize("field", ["question", "answer", "solution", "tests"])
def test_a_part_that_is_far_too_long_is_the_only_fault(field: str) -> None:
    """Other checks of such a text would take minutes."""
    long = msgspec.structs.replace(draft("How many?"), **{field: "It might be 3 + 5 = 9. " * 5_000})

    [found] = find_faults(long, Known())

    assert found == Refusal("format", f"the {field} has more than 100,000 characters")

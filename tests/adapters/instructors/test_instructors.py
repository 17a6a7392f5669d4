"""The tutor's diagnoses and drafts, the noise that must never be right, and the scripted fake."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.adapters.instructors.noise import Noise
from errorbook.adapters.instructors.scripted import ScriptedInstructor
from errorbook.adapters.instructors.tutor import Tutor
from errorbook.adapters.instructors.tutor_faults import MEANINGS, carry_places
from errorbook.adapters.instructors.tutor_reading import read_steps
from errorbook.adapters.tasks.arithmetic_problems import LEVELS, SKILLS, make
from errorbook.adapters.tasks.arithmetic_solver import solve
from errorbook.interfaces import Instructor
from errorbook.plugins import create
from errorbook.records import Assignment, Contrast, Diagnosis, Draft, Example, Failure, Mistake, Response, Score


def example(question: str, answer: str, solution: str, skill: str = "add_carry", level: int = 1) -> Example:
    return Example(
        id=f"t-{question}",
        task="arithmetic",
        split="train",
        question=question,
        answer=answer,
        solution=solution,
        skill=skill,
        difficulty=level,
    )


def response(question: Example, text: str, verdict: str = "wrong", extracted: str = "") -> Response:
    score = Score(verdict="right" if verdict == "right" else "wrong", extracted=extracted)
    return Response(
        evaluation="e",
        example=question.hash,
        task="arithmetic",
        split="train",
        prompt_hash="p",
        text=text,
        tokens=9,
        truncated=False,
        score=score,
    )


def mistake(question: Example, text: str, *right: Example, extracted: str = "") -> Mistake:
    contrasts = tuple(
        Contrast(
            example=other,
            response=response(other, f"{other.solution}\nAnswer: {other.answer}", "right"),
            similarity=0.9,
        )
        for other in right
    )
    strategy = "contrast" if contrasts else "error"
    return Mistake(
        example=question, response=response(question, text, extracted=extracted), strategy=strategy, contrasts=contrasts
    )


def diagnose(wrong: Mistake) -> Diagnosis:
    [(_, diagnosis, call)] = Tutor().diagnose([wrong])
    assert isinstance(diagnosis, Diagnosis)
    assert call.purpose == "diagnose"
    assert call.subject == wrong.response.hash
    assert call.cost_usd == 0
    assert diagnosis.call == call.hash
    return diagnosis


ADD = example("Calculate 47 + 38.", "85", "7 + 8 = 15, write 5, carry 1\n4 + 3 + 1 = 8\n47 + 38 = 85")
ADD3 = example(
    "Calculate 487 + 356.",
    "843",
    "7 + 6 = 13, write 3, carry 1\n8 + 5 + 1 = 14, write 4, carry 1\n4 + 3 + 1 = 8\n487 + 356 = 843",
    level=3,
)
SUB = example("What is 51 - 17?", "34", "11 - 7 = 4, borrow 1\n5 - 1 - 1 = 3\n51 - 17 = 34", "subtract_borrow")
MUL = example("Calculate 47 * 6.", "282", "40 * 6 = 240\n7 * 6 = 42\n240 + 42 = 282", "multiply", 3)
DIV = example("Calculate 136 / 8.", "17", "1 * 8 = 8\n13 - 8 = 5\n7 * 8 = 56\n136 / 8 = 17", "divide")
REM = example(
    "Divide 20 by 3 and give the quotient and the remainder.",
    "6 remainder 2",
    "6 * 3 = 18\n20 - 18 = 2\n6 * 3 + 2 = 20",
    "divide_remainder",
)
ORDER = example("What is 20 - 3 * 4?", "8", "3 * 4 = 12\n20 - 12 = 8", "order_of_operations")
FRACTION = example("Work out 1/2 + 1/3.", "5/6", "1/2 = 3/6\n1/3 = 2/6\n3/6 + 2/6 = 5/6", "fractions", 3)
PART = example("What is 2/3 of 9?", "6", "9 / 3 = 3\n3 * 2 = 6", "fractions")
PERCENT = example("What is 10% of 60?", "6", "10 * 60 = 600\n600 / 100 = 6", "percentages", 2)
UNITS = example("Convert 4 hours to minutes.", "240", "4 * 60 = 240", "unit_conversion")
WORDS = example(
    "A shop has 3 boxes with 4 stickers in each box. It sells 5 stickers. How many stickers are left?",
    "7",
    "3 * 4 = 12\n12 - 5 = 7",
    "word_two_step",
    2,
)

CASES = [
    (ADD, "7 + 8 = 15, write 5, carry 1\n4 + 3 = 7\n47 + 38 = 75\nAnswer: 75", "dropped_carry", "4 + 3 = 7"),
    (ADD, "First, we add 47 and 38 to get 75. So the answer is 75.", "dropped_carry", "add 47 and 38 to get 75"),
    (ADD, "47 + 38 = 75\nAnswer: 75", "dropped_carry", "47 + 38 = 75"),
    (ADD, "Answer: 75", "dropped_carry", "Answer: 75"),
    (ADD, "7 + 8 = 15, write 5, carry 1\n4 + 3 + 1 = 7\nAnswer: 75", "dropped_carry", "4 + 3 + 1 = 7"),
    (ADD, "7 + 8 = 15, write 5\n4 + 3 = 7\nAnswer: 75", "dropped_carry", "7 + 8 = 15, write 5"),
    (ADD3, "The sum of 487 and 356 is 743.\nAnswer: 743", "dropped_carry", "sum of 487 and 356 is 743"),
    (SUB, "11 - 7 = 4, borrow 1\n5 - 1 = 4\n51 - 17 = 44\nAnswer: 44", "dropped_borrow", "5 - 1 = 4"),
    (SUB, "51 minus 17 equals 46.\nAnswer: 46", "dropped_borrow", "51 minus 17 equals 46"),
    (SUB, "1 - 7 = 6\n5 - 1 = 4\nAnswer: 46", "dropped_borrow", "1 - 7 = 6"),
    (SUB, "51 + 17 = 68\nAnswer: 68", "wrong_operation", "51 + 17 = 68"),
    (SUB, "1. 51 + 17 = 147\n2. Answer: 147", "wrong_operation", "51 + 17 = 147"),
    (REM, "20 / 3 = 30 remainder 3\nAnswer: 30", "miscalculated", "20 / 3 = 30 remainder 3"),
    (WORDS, "3 + 4 = 7 boxes\n7 - 5 = 2\nAnswer: 2", "wrong_operation", "3 + 4 = 7"),
    (WORDS, "There are 3 × 4 = 12 stickers.\nThen 12 + 5 = 17.\nAnswer: 17", "wrong_operation", "12 + 5 = 17"),
    (ORDER, "20 - 3 = 17\n17 * 4 = 68\nAnswer: 68", "wrong_order", "20 - 3 = 17"),
    (ORDER, "20 - 3 * 4 = 68\nAnswer: 68", "wrong_order", "20 - 3 * 4 = 68"),
    (ORDER, "Answer: 68", "wrong_order", "Answer: 68"),
    (WORDS, "3 * 4 = 12\nAnswer: 12", "stopped_early", "Answer: 12"),
    (WORDS, "The shop has 3 boxes of 4, and 3 x 4 = 12. #### 12", "stopped_early", "#### 12"),
    (MUL, "40 * 6 = 240\n7 * 6 = 42\nAnswer: 240", "stopped_early", "Answer: 240"),
    (WORDS, "3 * 4 = 12\n12 - 5 = 7\nSo there we have it.", "answer_not_stated", "So there we have it."),
    (MUL, "40 * 6 = 240\n7 * 6 = 48\n240 + 48 = 288\nAnswer: 288", "miscalculated", "7 * 6 = 48"),
    (DIV, "1 * 8 = 8\n13 - 8 = 5\n7 * 8 = 54\nAnswer: 17", "miscalculated", "7 * 8 = 54"),
    (WORDS, "3 * 7 = 21\n21 - 5 = 16\nAnswer: 16", "copied_wrong_number", "3 * 7 = 21"),
    (ADD, "Let us add 49 and 38 which gives 87. Answer: 87", "copied_wrong_number", "add 49 and 38 which gives 87"),
    (WORDS, "3 * 4 = 12\n12 - 5 = 7\nAnswer: 9", "copied_wrong_number", "Answer: 9"),
    (MUL, "40 * 6 = 24\n7 * 6 = 42\n24 + 42 = 66\nAnswer: 66", "place_value", "40 * 6 = 24"),
    (MUL, "47 * 6 = 2820\nAnswer: 2820", "place_value", "47 * 6 = 2820"),
    (MUL, "47 * 6 = 242\nAnswer: 242", "dropped_carry", "47 * 6 = 242"),
    (REM, "20 divided by 3 is 6\nAnswer: 6", "remainder_dropped", "20 divided by 3 is 6"),
    (REM, "6 * 3 = 18\n20 - 18 = 2\nAnswer: 6", "remainder_dropped", "Answer: 6"),
    (FRACTION, "1/2 + 1/3 = 2/5\nAnswer: 2/5", "ignored_fraction", "1/2 + 1/3 = 2/5"),
    (PART, "2 * 9 = 18\nAnswer: 18", "ignored_fraction", "Answer: 18"),
    (PERCENT, "10 * 60 = 600\nAnswer: 600", "ignored_percent", "Answer: 600"),
    (PERCENT, "60 - 10 = 50\nAnswer: 50", "ignored_percent", "60 - 10 = 50"),
    (UNITS, "4 * 100 = 400\nAnswer: 400", "ignored_unit_factor", "4 * 100 = 400"),
    (UNITS, "Answer: 4", "ignored_unit_factor", "Answer: 4"),
    (ADD, "I like turtles.", "off_track", "I like turtles."),
    (ADD, "", "off_track", ""),
]


@pytest.mark.parametrize(("question", "text", "kind", "step"), CASES)
def test_a_realistic_wrong_response_is_diagnosed(question: Example, text: str, kind: str, step: str) -> None:
    diagnosis = diagnose(mistake(question, text))
    assert (diagnosis.error_kind, diagnosis.first_wrong_step) == (kind, step)
    assert diagnosis.first_wrong_step in text
    assert diagnosis.misconception.startswith(MEANINGS[kind])
    assert diagnosis.border == ""


def test_the_cases_cover_every_kind() -> None:
    assert {kind for _, _, kind, _ in CASES} == set(MEANINGS)


SIGNS = [
    "+",
    "-",
    " - ",
    "*",
    "/",
    " = ",
    "(",
    ")",
    "\n",
    "%",
    "$",
    " x ",
    ".",
    "####",
    " is ",
    "boxes",
    "add 4 and 5 to get ",
]
NUMBERS = ["47", "38", "0", "99999999999999999", "1,234", ".5", "²", "\u0661"]
WORDINGS = ["Answer: ", ", write 5", ", carry 1", ", borrow 1", " remainder 2"]
PIECES = st.sampled_from([*SIGNS, *NUMBERS, *WORDINGS])


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=25).map("".join)),
    question=st.sampled_from([ADD, SUB, MUL, REM, ORDER, FRACTION, PART, PERCENT, UNITS, WORDS]),
    extracted=st.sampled_from(["", "75", "7 remainder 3", "1/0"]),
)
def test_any_text_is_diagnosed_and_the_step_is_quoted_from_it(text: str, question: Example, extracted: str) -> None:
    wrong = mistake(question, text, extracted=extracted)
    diagnosis = diagnose(wrong)
    assert diagnosis.error_kind in MEANINGS
    assert diagnosis.first_wrong_step in text
    assert all(equation.text == text[equation.start : equation.end] for equation in read_steps(text))
    [(_, drafts, _)] = Tutor().write(
        [Assignment(task="arithmetic", index=0, count=2, mistake=wrong, diagnosis=diagnosis)]
    )
    assert len(drafts) == 2 if not isinstance(drafts, Failure) else pytest.fail(drafts.reason)


def test_reading_takes_no_quadratic_time_on_long_text() -> None:
    assert len(read_steps("47 + 38 = 85\n" * 400)) == 400
    assert read_steps("(" * 5000 + "1 + " * 5000) == []


@settings(max_examples=200, deadline=None)
@given(skill=st.sampled_from(SKILLS), level=st.sampled_from(LEVELS), seed=st.integers(0, 10**6))
def test_gold_steps_read_as_sound(skill: str, level: int, seed: int) -> None:
    problem = make(skill, level, random.Random(seed))
    assert problem.steps
    for step in problem.steps:
        [equation] = read_steps(step)
        assert equation.holds
        assert equation.text == step


@settings(max_examples=200, deadline=None)
@given(skill=st.sampled_from(SKILLS), level=st.sampled_from(LEVELS), seed=st.integers(0, 10**6), data=st.data())
def test_one_spoilt_step_is_found_where_it_stands(skill: str, level: int, seed: int, data: st.DataObject) -> None:
    problem = make(skill, level, random.Random(seed))
    place = data.draw(st.integers(0, len(problem.steps) - 1))
    left, right = problem.steps[place].rsplit(" = ", 1)
    digits = right.split(",")[0].split("/")[0]
    spoilt = f"{left} = {int(digits) + data.draw(st.integers(1, 9))}"
    text = "\n".join((*problem.steps[:place], spoilt, *problem.steps[place + 1 :], f"Answer: {problem.answer}0"))
    question = example(problem.question, problem.answer, "\n".join(problem.steps), skill, level)
    assert diagnose(mistake(question, text)).first_wrong_step == spoilt


def test_an_unknown_skill_is_a_failure_and_not_an_exception() -> None:
    foreign = mistake(example("Who wrote Emma?", "Austen", "", skill=""), "Answer: Brontë")
    [(_, outcome, _)] = Tutor().diagnose([foreign])
    assert isinstance(outcome, Failure)
    assert outcome.subject == foreign.response.hash
    assert "does not know examples without a skill" in outcome.reason
    diagnosis = Diagnosis(
        response="r", example="e", task="t", strategy="error", error_kind="x", misconception="y", skill="poetry"
    )
    task = Assignment(task="t", index=0, count=1, mistake=foreign, diagnosis=diagnosis)
    [(_, drafts, call)] = Tutor().write([task])
    assert isinstance(drafts, Failure)
    assert (drafts.stage, drafts.subject, call.subject) == ("instruct", task.hash, task.hash)


# --- the border (LEC)

PLAIN1 = example("Calculate 21 + 34.", "55", "1 + 4 = 5\n2 + 3 = 5\n21 + 34 = 55", "add_no_carry")
WORDY = example(
    "Ben has 47 red apples and then he buys another 38 green apples today.", "85", ADD.solution, "add_carry", 1
)
PLAIN_PEER = example("Calculate 41 + 38.", "79", "1 + 8 = 9\n4 + 3 = 7\n41 + 38 = 79", "add_carry", 1)


@pytest.mark.parametrize(
    ("wrong", "right", "difficulty", "words"),
    [
        (ADD3, (ADD,), 2, "right at level 1 but wrong at level 3; right up to 2 digits, wrong with 3"),
        (ADD3, (PLAIN1,), 1, "None of the nearest right answers is in add carry (they are in add no carry)"),
        (ADD, (PLAIN_PEER,), 1, "right without a carry, wrong with one"),
        (WORDY, (ADD,), 1, "right on the same operation as a bare calculation, wrong in words"),
        (ADD, (ADD,), 1, "looks like a slip"),
        (SUB, (example("What is 58 - 17?", "41", "58 - 17 = 41", "subtract_borrow"),), 1, "without a borrow"),
    ],
)
def test_contrasts_locate_the_border(wrong: Example, right: tuple[Example, ...], difficulty: int, words: str) -> None:
    diagnosis = diagnose(mistake(wrong, "I like turtles.", *right))
    assert words in diagnosis.border
    assert diagnosis.difficulty == difficulty
    assert len(diagnosis.contrasts) == len(right)


# --- writing


def directed(wrong: Mistake, count: int = 8, index: int = 0) -> Assignment:
    return Assignment(task="arithmetic", index=index, count=count, mistake=wrong, diagnosis=diagnose(wrong))


def written(instructor: Instructor, assignment: Assignment) -> list[Draft]:
    [(_, drafts, call)] = instructor.write([assignment])
    assert not isinstance(drafts, Failure)
    assert call.subject == assignment.hash
    assert [draft.assignment for draft in drafts] == [assignment.hash] * assignment.count
    assert [draft.index for draft in drafts] == list(range(assignment.count))
    assert {draft.call for draft in drafts} == {call.hash}
    return list(drafts)


@pytest.mark.parametrize("instructor", [Tutor(seed=3), Noise(seed=3)])
def test_equal_assignments_give_equal_drafts(instructor: Instructor) -> None:
    assignment = directed(mistake(ADD3, "487 + 356 = 743\nAnswer: 743"))
    assert written(instructor, assignment) == written(type(instructor)(seed=3), assignment)  # type: ignore[call-arg]
    assert written(instructor, assignment) != written(type(instructor)(seed=4), assignment)  # type: ignore[call-arg]
    other = directed(mistake(ADD3, "487 + 356 = 743\nAnswer: 743"), index=1)
    assert written(instructor, assignment) != written(instructor, other)


@settings(max_examples=60, deadline=None)
@given(case=st.sampled_from(CASES), contrast=st.booleans(), index=st.integers(0, 10**4), seed=st.integers(0, 99))
def test_every_directed_draft_is_right_and_new(
    case: tuple[Example, str, str, str], contrast: bool, index: int, seed: int
) -> None:
    question, text, _, _ = case
    wrong = mistake(question, text, *([ADD, PLAIN1] if contrast else []))
    drafts = written(Tutor(seed=seed), directed(wrong, count=6, index=index))
    assert all(solve(draft.question) == draft.answer for draft in drafts)
    assert question.question not in {draft.question for draft in drafts}
    assert len({draft.question for draft in drafts}) == 6
    assert all(draft.diagnosis == diagnose(wrong).hash for draft in drafts)


def test_undirected_drafts_cover_everything_evenly() -> None:
    drafts = [
        draft for index in range(39) for draft in written(Tutor(), Assignment(task="arithmetic", index=index, count=2))
    ]
    assert Counter((draft.skill, draft.difficulty) for draft in drafts) == {
        (skill, level): 2 for skill in SKILLS for level in LEVELS
    }
    assert all(solve(draft.question) == draft.answer and draft.diagnosis == "" for draft in drafts)


def _drills(wrong: Mistake, assignments: int = 20) -> list[Draft]:
    """Drafts of many assignments without those that rehearse the whole distribution."""
    drafts = [
        draft for index in range(assignments) for draft in written(Tutor(), directed(wrong, count=4, index=index))
    ]
    return [draft for draft in drafts if draft.index != 3]


def test_a_dropped_carry_is_drilled_with_carries_at_the_same_column() -> None:
    drafts = _drills(mistake(ADD3, "487 + 356 = 743\nAnswer: 743"))
    assert {draft.skill for draft in drafts} == {"add_carry"}
    steps = [[e.numbers for e in read_steps(draft.solution) if e.operators == ("+",)] for draft in drafts]
    assert all(any(carry_places(int(a), int(b)) for a, b in pairs) for pairs in steps)
    assert {draft.difficulty for draft in drafts} == {2, 3}, "the failing level and the one below"


def test_a_wrong_fact_is_drilled_itself() -> None:
    drafts = _drills(mistake(MUL, "40 * 6 = 240\n7 * 6 = 48\n240 + 48 = 288\nAnswer: 288"), assignments=100)
    fact = [
        any(
            {str(n).rstrip("0") for n in e.numbers} == {"7", "6"}
            for e in read_steps(draft.solution)
            if e.operators == ("*",)
        )
        for draft in drafts
    ]
    assert 0.5 < sum(fact) / len(drafts) < 0.7, "three drills in five are meant to be of the fact itself"


def test_a_wrong_sub_step_of_a_word_problem_is_taught_by_itself() -> None:
    question = example(
        "Ben has 47 shells, buys 38 more and then gives away 5. How many shells does Ben have now?",
        "80",
        "47 + 38 = 85\n85 - 5 = 80",
        "word_two_step",
        2,
    )
    skills = Counter(draft.skill for draft in _drills(mistake(question, "47 + 38 = 75\n75 - 5 = 70\nAnswer: 70")))
    assert set(skills) == {"word_two_step", "add_carry"}


def test_contrast_drills_the_mistake_and_climbs_from_the_border() -> None:
    wrong = mistake(ADD3, "487 + 356 = 743\nAnswer: 743", ADD)
    assert Counter(draft.difficulty for draft in _drills(wrong)) == {3: 40, 2: 20}


# --- noise


@pytest.mark.parametrize("index", range(20))
def test_noise_is_half_wrong_half_irrelevant_and_never_right(index: int) -> None:
    drafts = written(Noise(), directed(mistake(ADD, "Answer: 75"), count=10, index=index))
    solved = [solve(draft.question) for draft in drafts]
    assert sum(answer is None for answer in solved) == 5
    assert all(answer != draft.answer for draft, answer in zip(drafts, solved, strict=True))
    values = [
        (Fraction(answer), Fraction(draft.answer))
        for draft, answer in zip(drafts, solved, strict=True)
        if answer is not None and "remainder" not in answer
    ]
    assert values
    assert all(right != given for right, given in values)


def test_noise_diagnoses_at_random_but_repeatably() -> None:
    wrong = [mistake(ADD, f"Answer: {number}") for number in range(100, 160)]
    kinds = [outcome for _, outcome, _ in Noise(seed=1).diagnose(wrong)]
    assert kinds == [outcome for _, outcome, _ in Noise(seed=1).diagnose(wrong)]
    assert len({outcome.error_kind for outcome in kinds if isinstance(outcome, Diagnosis)}) > 8


# --- scripted


def test_the_script_is_dealt_in_turn_and_failures_are_made_to_order() -> None:
    wrong, other = mistake(ADD, "Answer: 75"), mistake(SUB, "Answer: 46")
    fake = ScriptedInstructor(
        script={ADD.id: [("1 + 1?", "2"), ("2 + 2?", "4", "2 + 2 = 4")], "": [("3 + 3?", "6")]},
        fail=[SUB.id],
        fail_writing=[SUB.id],
    )
    outcomes = [outcome for _, outcome, _ in fake.diagnose([wrong, other])]
    assert [type(outcome) for outcome in outcomes] == [Diagnosis, Failure]
    assert [draft.answer for draft in written(fake, directed(wrong, count=3))] == ["2", "4", "2"]
    assert [draft.answer for draft in written(fake, directed(wrong, count=3, index=1))] == ["4", "2", "4"]
    assert written(fake, Assignment(task="t", index=0, count=1))[0].question == "3 + 3?"
    [(_, failure, _)] = fake.write([directed(other)])
    assert isinstance(failure, Failure)


def test_without_a_script_the_mistake_is_restated() -> None:
    first, second = written(ScriptedInstructor(), directed(mistake(ADD, "Answer: 75"), count=2))
    assert (first.question, first.answer) == ("Practice 1: Calculate 47 + 38.", "85")
    assert second.solution == ADD.solution
    [(_, drafts, _)] = ScriptedInstructor().write([Assignment(task="t", index=0, count=2)])
    assert drafts == []


@pytest.mark.parametrize("name", ["tutor", "noise", "scripted"])
def test_each_is_found_by_its_entry_point(name: str) -> None:
    assert create("instructors", name).name == name

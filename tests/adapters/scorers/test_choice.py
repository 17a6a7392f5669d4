"""The choice scorer: every way in which models name an option, and when it refuses to guess."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from errorbook.adapters.scorers.choice import Choice
from errorbook.interfaces import Scorer
from errorbook.records import Example, Score

CITIES = ("Rome", "Berlin", "Paris", "New York")
QUESTION = "What is the capital of France?"


def ask(text: str, answer: str = "C", choices: tuple[str, ...] = CITIES, question: str = QUESTION) -> Score:
    example = Example(id="1", task="t", split="dev", question=question, answer=answer, choices=choices)
    return Choice().score(example, text)


NAMES_C = [
    "C",
    " c",
    "(C)",
    "[C]",
    "C.",
    "C)",
    "C:",
    "c)",
    "**C**",
    "**C.** Paris",
    "C. Paris",
    "C) Paris\n\nIt lies on the Seine.",
    "C - Paris",
    '"C"',
    "Option C",
    "Choice (C)",
    "Answer: C",
    "Answer:C",
    "answer: c",
    "ANSWER: C",
    "Answer:\nC",
    "Answer: **C**",
    "**Answer:** (C)",
    "Answer: C. Paris",
    "Answer: C, Paris",
    "Answer: $C$",
    "Answer: \\(C\\)",
    "Answer: \\text{C}",
    "Answer: \\boxed{C}",
    "\\boxed{C}",
    "$\\boxed{\\text{C}}$",
    "\\boxed{\\textbf{(C)}}",
    "\\boxed{C. Paris}",
    "[[C]]",
    "<answer>C</answer>",
    '{"answer": "C"}',
    "#### C",
    "### Final Answer\n\n**C**",
    "The answer is C",
    "The answer is (C)",
    "The answer is (C).",
    "The answer is: C",
    "The answer is option C.",
    "The answer is letter C.",
    "The answer is C because it is the capital.",
    "The answer is C, Paris.",
    "The answer is C: Paris",
    "The answer is therefore C.",
    "The answer to the question is C.",
    "The answer would be C.",
    "The correct answer is C. The others are not in France.",
    "The correct option is c)",
    "The correct choice is (c).",
    "The best choice would be C.",
    "The most suitable answer to this question is C.",
    "So the answer is (C)",
    "Hence, C is the correct answer.",
    "Therefore, option C is correct.",
    "Therefore, option (C) Paris is the correct answer.",
    "Option C would be the most suitable answer.",
    "I would choose C.",
    "I'll go with option C.",
    "My answer is C!",
    "Let us think.\nIt is in France.\n\nC",
    "Let us think.\nIt is in France.\n\n**C. Paris**",
    "The capital is C. Paris. It lies on the Seine, far from Berlin.",
    "The capital of France is Paris (C). Berlin is the capital of Germany.",
    "The capital of France would be:\n\nC. Paris",
    "Paris",
    "paris.",
    "**Paris**",
    "The answer is Paris.",
    "The answer is Paris, not Rome.",
    "The capital of France is Paris.",
    'The capital is called "Paris." Many know Rome too.',
    "Paris is the correct answer.",
    "At first sight, the answer is B. But no, the answer is C.",
    "The answer is A. Wait, that is in Italy. The correct answer is C.",
    "A. Rome is in Italy, so it is wrong. The answer is C.",
    "The answer is not B. The answer is C.",
    "The answer is not A, B or D. The answer is C.",
    "Not B, since that is in Germany. The answer is C.",
    "The answer is C, not B.",
    "The answer is C, although B is a capital too.",
    "The answer is C. If it were Germany, the answer would be B.",
    "The answer is C. The answer would be B if it were Germany.",
    "Option A is incorrect. Option B is wrong. Option D is not the correct answer. Option C is the correct answer.",
    "C. Paris\n\nOption A is incorrect, since Rome is in Italy. Option B is in Germany.",
    "C\n\nQ: What is the capital of Italy?\nA: The answer is A.",
    "The answer is C.\n\nQuestion: What is the capital of Italy?\nAnswer: A",
    "A city is asked for. I think that a good guess would be the one on the Seine: the answer is C.",
]
NAMES_NOTHING = [
    "",
    " \n ",
    "...",
    "I do not know.",
    "I think that a city in Europe is a capital.",
    "A good question! I am not sure.",
    "Vitamin C and C++ and C-reactive proteins are no cities.",
    "It is not B.",
    "The answer is not B.",
    "The answer is a city in Europe.",
    "The answer is A city",
    "It could be Rome or Berlin.",
    "It is difficult to say: option A and option B may both be valid, so it is impossible to determine.",
    "Answer:",
    "The answer is Z.",
]
NAMES_TWO = [
    "A and C",
    "Answer: B or C",
    "Answer: B, C",
    "Answer: B/C",
    "The answer is B and C.",
    "The answer is either (B) or (C).",
    "The correct answers are A, B and C.",
    "Options B and C are correct.",
    "The answer is:\nB. Berlin\nor\nC. Paris",
    "Both B and C",
    "The answer is C. Berlin.",
    "B. Paris",
]


@pytest.mark.parametrize("text", NAMES_C)
def test_an_option_is_understood(text: str) -> None:
    score = ask(text)
    assert (score.verdict, score.extracted) == ("right", "C"), score
    assert ask(text, answer="B").verdict == "wrong"


@pytest.mark.parametrize("text", NAMES_NOTHING)
def test_what_names_no_option_is_not_scored(text: str) -> None:
    score = ask(text)
    assert (score.verdict, score.extracted) == ("unscorable", ""), score


@pytest.mark.parametrize("text", NAMES_TWO)
def test_two_options_are_an_answer_to_neither(text: str) -> None:
    for answer in "ABCD":
        score = ask(text, answer)
        assert (score.verdict, score.extracted) == ("unscorable", ""), score


@pytest.mark.parametrize(
    "text",
    [
        "None of the above.",
        "The answer is none of the above.",
        "The correct answer is not among the given options.",
        "Therefore, none of the options A, B, C, or D is the correct answer.",
        "The options do not include the capital of France.",
    ],
)
def test_to_deny_every_option_is_wrong(text: str) -> None:
    score = ask(text)
    assert (score.verdict, score.extracted) == ("wrong", "none of them"), score


@pytest.mark.parametrize(
    ("choices", "answer", "text"),
    [
        (("Rome", "Berlin", "Oslo", "None of the above"), "D", "None of the above"),
        (("Rome", "Berlin", "Oslo", "None of the above"), "D", "The answer is none of the above."),
        (("Rome", "Berlin", "Oslo", "None of these"), "D", "Therefore, the answer is D. None of these."),
        (("cats", "dogs", "Both A and B", "Neither A nor B"), "C", "Both A and B"),
        (("cats", "dogs", "Both A and B", "Neither A nor B"), "C", "The answer is both A and B."),
        (("cats", "dogs", "Both A and B", "Neither A nor B"), "C", "The answer is A and B."),
        (("cats", "dogs", "Both A and B", "Neither A nor B"), "D", "D. Neither A nor B"),
        (("cats", "dogs", "mice", "All of the above"), "D", "The answer is A, B and C."),
        (("T cells", "B cells", "C cells", "stem cells"), "B", "The answer is B cells."),
        (("A Tale of Two Cities", "Emma", "Ulysses", "Dubliners"), "A", "The answer is A Tale of Two Cities."),
        (("2", "4", "6", "8"), "B", "2 + 2 is 4."),
        (("2", "4", "6", "8"), "B", "The answer is 4."),
        (("2", "-2", "4", "-4"), "B", "The answer is -2."),
        (("p<9", "p>9", "p<37", "p>37"), "B", "p > 9"),
        (("p<9", "p>9", "p<37", "p>37"), "C", "The answer is p < 37."),
        (("wrong", "not wrong", "right", "not right"), "B", "Not wrong"),
        (("wrong", "not wrong", "right", "not right"), "B", "The answer is B. Not wrong."),
        (("If a holds", "If b holds", "never", "always"), "A", "The answer is A. If a holds."),
        (("$\\frac{1}{2}$", "$\\frac{1}{3}$", "1", "0"), "A", "The answer is $\\frac{1}{2}$."),
        (("yes", "no"), "A", "Yes"),
        (tuple(f"thing {n}" for n in range(10)), "I", "The answer is I."),
        (tuple(f"thing {n}" for n in range(10)), "J", "I think that I know it: the answer is (J)."),
    ],
)
def test_the_text_of_an_option_is_understood(choices: tuple[str, ...], answer: str, text: str) -> None:
    score = ask(text, answer, choices)
    assert (score.verdict, score.extracted) == ("right", answer), score


def test_a_question_for_what_is_not_so_is_answered_by_a_denial() -> None:
    question = "Which of these is not a capital?"
    choices = ("Rome", "Berlin", "Milan", "Paris")
    assert ask("Milan is not a capital, unlike Rome and Berlin.", "C", choices, question).verdict == "right"
    assert ask("Milan (C) is not a capital.", "C", choices, question).verdict == "right"


@pytest.mark.parametrize("gold", ["C", "(C)", "C.", "Paris", " paris "])
def test_the_gold_answer_is_a_letter_or_a_text(gold: str) -> None:
    assert ask("The answer is C.", gold).verdict == "right"
    assert ask("The answer is Rome.", gold).verdict == "wrong"


def test_a_gold_answer_that_is_no_option_is_not_scored() -> None:
    assert ask("The answer is C.", "E").verdict == "unscorable"
    assert ask("The answer is C.", "Oslo").verdict == "unscorable"


def test_options_may_stand_in_the_question_alone() -> None:
    question = "Which one?\nOptions:\n(A) a falcon\n(B) an owl\n(C) a raven"
    assert ask("So the answer is (B).", "(B)", (), question).verdict == "right"
    assert ask("It is an owl.", "(B)", (), question).verdict == "right"


FAULTS = [
    pytest.param("ANSWER: $C$", id="inspect-5145-dollar-signs"),
    pytest.param("ANSWER: **C**", id="inspect-5145-bold"),
    pytest.param("ANSWER: \\boxed{C}", id="inspect-5145-boxed"),
    pytest.param("the answer is (C)", id="lm-eval-bbh-no-full-stop"),
    pytest.param("The answer is (C).", id="lm-eval-bbh-capital-The"),
    pytest.param("The answer, I think, is (C)", id="lm-eval-bbh-words-between"),
    pytest.param("A first guess is B. The answer is C.", id="lm-eval-3438-leftmost-match"),
    pytest.param("(A) and (B) are out. (D) is out too. So the answer is (C)", id="lm-eval-3438-leftmost-letter"),
]


@pytest.mark.parametrize("text", FAULTS)
def test_faults_of_other_evaluators(text: str) -> None:
    assert ask(text).verdict == "right"


LEADS = ["", "The answer is ", "Answer: ", "Let us think.\n\nThe correct option is ", "So the answer is ", "#### "]
FRAMES = ["{}", "({})", "{}.", "**{}**", "({}).", "\\boxed{{{}}}", "{} because it fits."]


@given(st.sampled_from(LEADS), st.sampled_from(FRAMES), st.integers(0, 3), st.integers(0, 3))
def test_only_the_gold_letter_is_right(lead: str, frame: str, said: int, gold: int) -> None:
    assume(lead or "because" not in frame)
    score = ask(lead + frame.format("ABCD"[said]), "ABCD"[gold])
    assert score.extracted == "ABCD"[said], score
    assert score.verdict == ("right" if said == gold else "wrong")


@given(st.permutations(CITIES), st.sampled_from([text for text in NAMES_C[:60] if "Paris" not in text]))
def test_letters_do_not_depend_on_the_texts(order: list[str], text: str) -> None:
    assert ask(text, "C", tuple(order)).verdict == "right"


PIECES = [
    *"ABCDaI",
    "the answer is ",
    "Answer:",
    "(",
    ")",
    ".",
    ",",
    " ",
    "\n",
    " or ",
    " and ",
    "not ",
    "Rome",
    "Paris",
]
PIECES += ["option ", "\\boxed{", "}", "$", "**", " is correct", "none of the options", "if ", "[[", "\\text{"]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.lists(st.text(max_size=12), max_size=6))
def test_no_text_breaks_the_scorer(text: str, choices: list[str]) -> None:
    scorer: Scorer = Choice()
    for texts in (CITIES, tuple(choices)):
        score = ask(text, "A", texts)
        assert score.verdict in {"right", "wrong", "unscorable"}
        assert (score.verdict == "unscorable") == (score.extracted == "")
        assert scorer.name == "choice"


REPEATED = ["a", "A ", "(", "A and ", "B, ", "the answer is ", "answer ", "option A ", "is ", "\n", "A.\n", "Rome "]
REPEATED += ["\\boxed{", "\\text{", "$", "not ", "none of the ", "most correct ", "Paris is the ", "x. ", '"', "C = "]


@pytest.mark.timeout(60)  # a step for each pair of characters would take hours
@pytest.mark.parametrize("piece", REPEATED)
def test_time_is_linear(piece: str) -> None:
    assert ask(piece * (300_000 // len(piece))).verdict in {"right", "wrong", "unscorable"}


RECORDED = "responses/mistral-7b-instruct/mmlu_{}.jsonl"
ADJUDICATED = {"right": (523, 12, 11), "wrong": (13, 332, 17)}
"""For each label the responses that this scorer calls right, wrong and unscorable; see docs/scorers.md."""


@pytest.mark.parametrize("label", ["right", "wrong"])
def test_recorded_responses_are_judged_as_adjudicated(label: str) -> None:
    if "ERRORBOOK_DATA" not in os.environ:
        pytest.skip("ERRORBOOK_DATA does not point at the reference data.")
    verdicts = {"right": 0, "wrong": 0, "unscorable": 0}
    for line in (Path(os.environ["ERRORBOOK_DATA"]) / RECORDED.format(label)).read_bytes().split(b"\n"):
        if not line:
            continue
        row = json.loads(line)
        choices = tuple(row[letter] for letter in "ABCD")
        verdicts[ask(row["response"], row["answer"], choices, row["question"]).verdict] += 1
    assert (verdicts["right"], verdicts["wrong"], verdicts["unscorable"]) == ADJUDICATED[label]

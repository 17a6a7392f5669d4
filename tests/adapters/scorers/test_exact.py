"""The exact scorer on the kinds of answer that BIG-Bench Hard has: words, pairs, numbers, brackets, lists, options."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.adapters.scorers.exact import Exact
from errorbook.records import Example, Score

OPTIONS = "Which comes last?\nOptions:\n(A) the falcon\n(B) the owl\n(C) the raven"


def ask(gold: str, text: str, question: str = "q", choices: tuple[str, ...] = ()) -> Score:
    example = Example(id="1", task="t", split="dev", question=question, answer=gold, choices=choices)
    return Exact().score(example, text)


FRAMES = [
    "{}",
    "{}.",
    "Answer: {}",
    "**Answer:** {}",
    "The answer is {}",
    "The answer is {}.",
    "So the answer is {}.",
    "the answer is: {}",
    "The final answer is {}.",
    "First, we think.\nWe think again. So the answer is {}.",
    "The answer is unknown at first. But the answer is {}.",
    "\\boxed{{{}}}",
    "#### {}",
    "So the answer is {}.\n\nQ: And what then?\nA: So the answer is nothing.",
]
GOLDS = ["True", "False", "yes", "No", "valid", "invalid", "24", "-35", "] ] }", ">", "( ( )", "apple bay cat", "Paris"]


@pytest.mark.parametrize("gold", GOLDS)
@pytest.mark.parametrize("frame", FRAMES)
def test_an_announced_answer_is_read(gold: str, frame: str) -> None:
    assert ask(gold, frame.format(gold)).verdict == "right", ask(gold, frame.format(gold))
    others = {other for other in GOLDS if other.casefold() != gold.casefold()}
    assert all(ask(other, frame.format(gold)).verdict != "right" for other in others)


@pytest.mark.parametrize(
    ("gold", "text", "verdict"),
    [
        ("Yes", "Yes, because they return to the start.", "right"),
        ("Yes", "The answer is yes, not no.", "right"),
        ("no", "No.", "right"),
        ("No", "The answer is Yes.", "wrong"),
        ("No", "There is no way to know whether it is true.", "unscorable"),
        ("Yes", "Yes or no? Hard to say.", "unscorable"),
        ("invalid", "The argument is invalid.", "right"),
        ("invalid", "Let us see. Therefore, the argument is deductively invalid.", "right"),
        ("invalid", "Therefore, the argument is not valid.", "right"),
        ("valid", "Therefore, the argument is not valid.", "wrong"),
        ("valid", "It is valid or invalid.", "unscorable"),
        ("True", "not True and False = not not False and", "unscorable"),
        ("True", "Z = True or False. So the answer is True.", "right"),
        ("24", "So the answer is 24.0", "right"),
        ("24", "The answer is 3 * 8 = 24.", "right"),
        ("24", "24 apples", "right"),
        ("24", "8 + 3 = (8 + 3) = (8 +", "unscorable"),
        ("24", "We first take 24 of the 30, then think for a long time about the rest of it.", "unscorable"),
        ("-35", "The answer is 35.", "wrong"),
        ("] >", "]>", "right"),
        ("] >", 'The answer is "] >".', "right"),
        ("] >", "So the answer is >].", "wrong"),
        ("] >", "We need nothing. So the answer is empty.", "wrong"),
        ("] >", "1: < ; stack: < [\n2: ( ; stack: <", "unscorable"),
        ("apple bay cat", "Answer: apple, bay, cat", "right"),
        ("apple bay cat", "The sorted answer is:\n1. apple\n2. bay\n3. cat\n\nThat is all.", "right"),
        ("apple bay cat", "The answer is apple cat bay.", "wrong"),
        ("apple bay cat", "The answer is apple bay.", "wrong"),
        ("Paris", "The answer is Paris, since it is the capital.", "right"),
        ("Paris", "The answer is Paris. It is the capital.", "right"),
        ("Paris", "The answer is Rome. Paris is not.", "wrong"),
        ("Paris", "We think about it for a while and then " + "go on to think about it " * 10, "unscorable"),
        ("Paris", "", "unscorable"),
        ("|", "Answer: |", "right"),
    ],
)
def test_each_kind_of_answer_is_compared_in_its_own_way(gold: str, text: str, verdict: str) -> None:
    score = ask(gold, text)
    assert score.verdict == verdict, score


@pytest.mark.parametrize(
    "text", ["So the answer is (B)", "So the answer is (B).", "B", "The answer is the owl.", "(B)"]
)
def test_an_option_is_judged_as_a_choice(text: str) -> None:
    assert ask("(B)", text, OPTIONS).verdict == "right"
    assert ask("(A)", text, OPTIONS).verdict == "wrong"
    assert ask("B", text, "Which comes last?", ("the falcon", "the owl", "the raven")).verdict == "right"


def test_options_that_have_no_letters_are_compared_as_words() -> None:
    assert ask("No", "So the answer is No.", "Do you return?\nOptions:\n- Yes\n- No").verdict == "right"


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        pytest.param("(A)", "the answer is (A)", id="lm-eval-bbh-no-full-stop"),
        pytest.param("(A)", "The answer is (A).", id="lm-eval-bbh-sentence-beginning-The-answer"),
        pytest.param("No", "The answer is No.", id="lm-eval-bbh-words-beginning-The-answer"),
        pytest.param("] ]", "The answer is ] ]", id="lm-eval-bbh-last-bracket-cut-off"),
    ],
)
def test_faults_of_other_evaluators(gold: str, text: str) -> None:
    assert ask(gold, text, OPTIONS).verdict == "right"


@given(st.lists(st.sampled_from("[](){}<>"), min_size=1, max_size=12), st.data())
def test_brackets_are_compared_one_by_one(brackets: list[str], data: st.DataObject) -> None:
    gold = " ".join(brackets)
    for written in (gold, "".join(brackets)):
        assert ask(gold, f"So the answer is {written}.").verdict == "right"
    at = data.draw(st.integers(0, len(brackets) - 1))
    shorter = brackets[:at] + brackets[at + 1 :]
    assert ask(gold, f"So the answer is {' '.join(shorter)}.").verdict != "right"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(GOLDS), st.text())
def test_no_text_breaks_the_scorer(gold: str, text: str) -> None:
    for response in (text, f"The answer is {text}", f"\\boxed{{{text}"):
        assert ask(gold, response).verdict in {"right", "wrong", "unscorable"}


@pytest.mark.parametrize(
    "piece", ["a", " ", "\n", "] ", "answer ", "the answer is ", "\\boxed{", "no ", "1 ", "}", "- "]
)
@pytest.mark.timeout(60)  # a step for each pair of characters would take hours
def test_time_is_linear(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    for gold in ("yes", "24", "] >", "Paris"):
        assert ask(gold, text).verdict in {"right", "wrong", "unscorable"}


ACCURACY = {
    "boolean_expressions": 92.8,
    "dyck_languages": 56.8,
    "logical_deduction_five_objects": 54.8,
    "multistep_arithmetic_two": 47.6,
    "reasoning_about_colored_objects": 91.6,
    "sports_understanding": 97.6,
    "tracking_shuffled_objects_three_objects": 78.4,
}


@pytest.mark.parametrize(("subtask", "accuracy"), ACCURACY.items())
def test_recorded_responses_have_the_published_accuracy(subtask: str, accuracy: float) -> None:
    if "ERRORBOOK_DATA" not in os.environ:
        pytest.skip("ERRORBOOK_DATA does not point at the reference data.")
    file = Path(os.environ["ERRORBOOK_DATA"]) / "responses" / "bbh_code-davinci-002" / f"{subtask}.jsonl"
    rows = [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
    right = [ask(row["target"], row["prediction"], row["input"]).verdict == "right" for row in rows]
    assert 100 * sum(right) / len(rows) == pytest.approx(accuracy)

"""The `numeric` scorer in depth: known faults of other scorers, real habits of models, algebra, threads and time."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook.adapters.scorers import symbolic
from errorbook.adapters.scorers.markers import cut_next_question, tidy
from errorbook.adapters.scorers.numbers import normalize_numbers, read_quantity, read_single
from errorbook.adapters.scorers.numeric import Numeric, extract
from errorbook.adapters.scorers.symbolic import is_symbolic
from errorbook.records import Example, Score


def judge(gold: str, text: str, question: str = "") -> Score:
    return Numeric().score(Example(id="1", task="t", split="dev", question=question or "q", answer=gold), text)


FAULTS = [
    pytest.param("42", "Answer: 42.00 dollars", "right", id="lm-eval: 42.00 dollars is 42"),
    pytest.param("18", "She sells 18 eggs... and so on..", "right", id="lm-eval: dots are no number"),
    pytest.param("18", "The answer is $18 per day, 7 days a week", "right", id="lm-eval: not the 7 of the week"),
    pytest.param("18", "#### $18", "right", id="lm-eval: dollar sign after ####"),
    pytest.param(
        "18", "#### 12\nNo: 3 eggs were missing.\n#### 18", "right", id="lm-eval 3438: not the leftmost match"
    ),
    pytest.param(
        "12", "#### 12\nNo: 3 eggs were missing.\n#### 18", "wrong", id="lm-eval 3438: the last match decides"
    ),
    pytest.param("18", "The answer is 18", "right", id="lm-eval: no full stop needed"),
    pytest.param("18", "The answer to this question is 18.", "right", id="lm-eval: a sentence beginning The answer"),
    pytest.param("123459", "Answer: 123456", "wrong", id="inspect: more than five digits count"),
    pytest.param("123456", "Answer: 123456", "right", id="inspect: all digits are read"),
    pytest.param("18", "\\boxed{18}", "right", id="inspect: boxed"),
    pytest.param("18", "18%", "right", id="inspect: percent"),
    pytest.param("18", "18km", "right", id="inspect: unit without a space"),
    pytest.param("5", "25", "wrong", id="inspect 3916: 25 is not 5"),
    pytest.param("25", "5", "wrong", id="inspect 3916: 5 is not 25"),
    pytest.param("18", "ANSWER: $18$", "right", id="inspect 5145: dollars of LaTeX"),
    pytest.param("72", "He is left with $72 ($144 - $72).", "right", id="last number: the remark in brackets"),
    pytest.param("42", "", "unscorable", id="a parse failure is no knowledge error"),
]


@pytest.mark.parametrize(("gold", "text", "verdict"), FAULTS)
def test_known_evaluation_faults(gold: str, text: str, verdict: str) -> None:
    assert judge(gold, text).verdict == verdict


HABITS = [
    # markers
    ("18", "9 * 2 = $<<9*2=18>>18 a day\nA: 18", "right", "marker"),
    ("18", "A: 18\nB: 20\nThe answer is 18", "right", "marker"),
    ("18", "<think>7 or 8?</think><answer>18</answer>", "right", "marker"),
    ("18", '{"steps": 3, "answer": 18}', "right", "marker"),
    ("18", "Ans: 18", "right", "marker"),
    ("18", "## Answer\n\n18", "right", "marker"),
    ("18", "Therefore, she makes #### 18 dollars every day", "right", "marker"),
    ("18", "First it costs #### 9 dollars. In the end that is #### 18 dollars.\nSo, 18 dollars.", "right", "marker"),
    ("3", "Calculate the answer:\nrest = 30 - 27 eggs\nrest = 3 eggs\nSo 3 eggs are left.", "right", "marker"),
    ("8", "Let's calculate the final answer. 5 + 3 = 8. So she has 8 apples.", "right", "last number"),
    ("140", "The answer is that she saves money over the course of 30 years: $140 ($200 - $60).", "right", "marker"),
    ("42", "#### 42\nThe answer is right because all the numbers above are larger than 5.", "right", "marker"),
    ("18", "A: 18\n\nQ: A train has 12 cars. How long is it?\nA: 240", "right", "marker"),
    ("18", "#### 18\n\nQuestion: Next one.\nAnswer: 99", "right", "marker"),
    ("18", "Question: 16 eggs, 7 used.\nAnswer: 18", "right", "marker"),
    # what follows the number
    ("3", "#### 3 30-minute episodes", "right", "marker"),
    ("5", "#### 5 8-point stags in the park", "right", "marker"),
    ("240", "#### 240 5 dollar notes", "right", "marker"),
    ("18", "#### 18, 3 of which are broken", "right", "marker"),
    ("6", "#### 6th place", "right", "marker"),
    ("4", "So, it broke in the 4th week.", "right", "last number"),
    ("6", "She overtakes 1 runner, so she ends in 6th place.", "right", "last number"),
    ("2", "#### 2:00 pm", "right", "marker"),
    ("118000", "#### 118 000", "right", "marker"),
    ("118250", "#### $118 250", "right", "marker"),
    ("118250", "#### 118 250", "unscorable", "marker"),
    ("64", "Answer: 55 (of the first box) + 9 (of the second) = 64 apples", "right", "marker"),
    ("90", "Answer: $90^\\circ$", "right", "marker"),
    # percent, scale and currency
    ("25", "Answer: 25%", "right", "marker"),
    ("0.25", "Answer: 25%", "right", "marker"),
    ("25%", "Answer: 0.25", "right", "marker"),
    ("25%", "Answer: 2500", "wrong", "marker"),
    ("25", "Answer: 0.25", "wrong", "marker"),
    ("1500000", "Answer: $1.5M", "right", "marker"),
    ("1200", "Answer: 12 hundred", "right", "marker"),
    # several readings
    ("2", "So it is 1.995 or 2 times bigger.", "right", "last number"),
    ("0.5", "So it is 1/2 or 0.5", "right", "last number"),
    ("5", "So it costs 500 cents, or $5, in all.", "right", "last number"),
    ("56", "The total is either 28 or 56", "unscorable", "last number"),
    ("5", "It takes 5 hours and 30 minutes", "unscorable", "last number"),
    ("5", "Answer: 5 hours 30 minutes", "unscorable", "marker"),
    # the end of the text
    ("25", "So 25 singers (15 + 10) joined.", "right", "last number"),
    ("80", "So he has 10 days (or 80 hours) left.", "right", "last number"),
    ("6", "Each friend gets 6 apples instead of the planned 9 apples.", "right", "last number"),
    ("8", "The price is $41.5+$8.3 = $<<41.5+8", "unscorable", "cut off"),
    ("13", "16 - 3 = <<16-3=13>> eggs are left", "right", "last number"),
    # no answer
    ("5", "She has 5 apples. How many he has cannot be determined.", "wrong", "abstains"),
    (
        "5",
        "We do not have enough information about the first 3 days. But then she has 5 apples.",
        "right",
        "last number",
    ),
    ("5", "I'm sorry, I cannot help with that.", "unscorable", "none"),
    ("None", "The price is not given, so we cannot determine the cost.", "right", "abstains"),
    ("None", "#### None", "right", "marker"),
    ("None", "The answer is unknown.", "right", "marker"),
    ("None", "She sells 9 eggs.\n#### 18", "wrong", "marker"),
    ("None", "So she sells 18 eggs.", "wrong", "last number"),
    ("None", "Let us see.", "unscorable", "none"),
]


@pytest.mark.parametrize(("gold", "text", "verdict", "method"), HABITS)
def test_habits_of_models(gold: str, text: str, verdict: str, method: str) -> None:
    score = judge(gold, text)
    assert (score.verdict, score.method) == (verdict, method), score


CLOSING = [
    ("9", "How many cakes does she bake in 4 weeks?", "So, she bakes 9 cakes in 4 weeks."),
    ("9", "How many cakes does she bake in four weeks?", "So, she bakes 9 cakes in 4 weeks."),
    ("9", "What do 2 pens and 3 books cost?", "So, he pays $9 to buy 2 pens and 3 books."),
    ("9", "How many in a 30-day month?", "So, he needs 9 in a full 30-day month."),
    ("4", "How many days does he need for 20 cakes?", "So, for 20 cakes, he needs 4 days."),
    ("4", "He has 4 cats and 5 dogs. How many cats?", "So, he has 4."),
    ("9", "How many weeks?", "So, it takes 9 weeks or 63 days."),
    ("63", "How many days?", "So, it takes 9 weeks or 63 days."),
    ("26", "How many billions of miles is it?", "So, it is 26 billion miles."),
    ("26000000000", "How many miles is it?", "So, it is 26 billion miles."),
]


@pytest.mark.parametrize(("gold", "question", "text"), CLOSING)
def test_the_closing_number_is_found_with_the_question(gold: str, question: str, text: str) -> None:
    score = judge(gold, text, question)
    assert score.verdict == "right", score


def test_scale_counts_where_the_question_does_not_ask_in_it() -> None:
    assert judge("26", "So, it is 26 billion miles.", "How many miles is it?").verdict == "wrong"


@given(st.integers(0, 10**9), st.sampled_from(["Answer: {}", "A: {}", "#### {}", "So it is {}", "\\boxed{{{}}}"]))
def test_every_form_gives_the_number_in_every_writing(value: int, form: str) -> None:
    for written in (f"{value:,}", f"${value}", f"{value}.00", f"{value}%", f"{value} km", f"\\${value:,}"):
        found = extract("Take 3 and 4.\n" + form.format(written)).quantity
        assert found is not None
        assert found.value == value


@given(st.text(alphabet="0123456789<>=*+-. $\n", max_size=60))
def test_annotations_never_outlive_plain_text(text: str) -> None:
    assert normalize_numbers(normalize_numbers(text)) == normalize_numbers(text) or "<" in normalize_numbers(text)


def test_a_restated_question_is_kept() -> None:
    text = tidy("Question: 3 eggs\nProblem: find it\nAnswer: 5")
    assert cut_next_question(text) == text


def test_right_off_the_main_thread() -> None:
    texts = [f"First 3, then 4.\nAnswer: {n:,}.00 dollars" for n in range(2000, 2200)]
    with ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(lambda text: judge("2100", text), texts))
    assert [score.verdict for score in scores].count("right") == 1
    assert scores[100].extracted == "2,100.00"


@pytest.mark.parametrize(
    "piece",
    [
        "<<",
        "<<1=",
        "<answer>",
        "A: 1\n",
        "Q: ",
        "Q:\n",
        "( 1",
        "(",
        "1 000 ",
        "%",
        "or 1 ",
        "cannot determine ",
        "1 apple ",
    ],
)
@pytest.mark.timeout(60)  # a step for each pair of characters would take days
def test_a_line_of_a_megabyte_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert judge("5", text, "How many of the 3 apples?").verdict in {"right", "wrong", "unscorable"}


PLAIN = (
    "18|$18|18 dollars|3/4|\\frac{3}{4}|5 m^2|18 m/s|90^\\circ|7 r 3|1.5 \\times 10^3|Paris|a|A|3 or 4|2-3 days|12:30"
)
PLAIN += "|x = 5||1,234|-5|10\\%"


@pytest.mark.parametrize("gold", PLAIN.split("|"))
def test_plain_golds_need_no_algebra(gold: str) -> None:
    assert not is_symbolic(gold, read_single(gold))


@pytest.mark.parametrize(
    "gold",
    ["\\sqrt{2}", "2\\pi", "x+1", "2x", "x^2-1", "(1,2)", "[0, 1)", "2^{10}", "\\frac{\\sqrt{3}}{2}", "y = 2x + 1"],
)
def test_symbolic_golds_do(gold: str) -> None:
    assert is_symbolic(gold, read_single(gold))


SYMBOLIC = [
    ("\\sqrt{2}", "The answer is $2^{1/2}$.", "right", "marker, symbolic"),
    ("\\sqrt{2}", "So we get \\boxed{\\sqrt{3}}", "wrong", "boxed, symbolic"),
    ("x+1", "Answer: 1 + x", "right", "marker, symbolic"),
    ("[0, 1)", "Answer: $[0,1)$", "right", "marker, symbolic"),
    ("(1,2)", "The answer is \\boxed{(2,1)}.", "wrong", "marker, symbolic"),
    ("x^2-1", "So it is\n\\[(x-1)(x+1)\\]", "right", "last line, symbolic"),
    ("2^{10}", "Answer: 1024", "right", "marker, symbolic"),
    ("2\\pi", "#### 6.28", "wrong", "marker, symbolic"),
    ("\\sqrt{2}", "I don't know.", "unscorable", "last line"),
    ("\\sqrt{2}", "", "unscorable", "none"),
]


@pytest.fixture(scope="module")
def _algebra() -> Iterator[None]:
    pytest.importorskip("math_verify", reason="needs the extra 'math'")
    yield
    symbolic.close()


@pytest.mark.usefixtures("_algebra")
def test_symbolic_answers_from_many_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda case: judge(case[0], case[1]), SYMBOLIC))
    assert [(score.verdict, score.method) for score in scores] == [case[2:] for case in SYMBOLIC]


@pytest.mark.usefixtures("_algebra")
@pytest.mark.timeout(120)  # the comparison itself would never end
def test_an_endless_comparison_is_killed_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    judge("x+1", "Answer: x")  # the worker is warm now
    monkeypatch.setattr(symbolic, "LIMIT_S", 1.0)
    score = judge("\\sqrt{2}", "Answer: 9^{9^{9^{9^9}}}")
    assert score.verdict == "unscorable"
    assert "took longer" in score.evidence
    monkeypatch.undo()
    assert judge("x+1", "Answer: 1+x").verdict == "right"


def test_without_math_verify_the_evidence_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    score = judge("\\sqrt{2}", "Answer: 5")
    assert score.verdict == "unscorable"
    assert "pip install 'errorbook[math]'" in score.evidence


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    assert judge("5", "Answer: 5").verdict == "right"
    assert set(threading.enumerate()) <= before


def recorded(name: str) -> list[dict[str, object]]:
    folder = os.environ.get("ERRORBOOK_DATA")
    path = Path(folder or ".") / "responses" / name
    if not folder or not path.is_file():
        pytest.skip("needs the reference data; set ERRORBOOK_DATA to its folder")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def gold_of(solution: object) -> str:
    return re.split(r"####|\nA:", str(solution))[-1].strip()


def disagreements(cases: list[tuple[str, str, str, bool]]) -> dict[int, str]:
    """Line number -> verdict of each case (question, gold, text, label) where the scorer and the label differ."""
    found: dict[int, str] = {}
    for line, (question, gold, text, label) in enumerate(cases, 1):
        verdict = judge(gold, text, question).verdict
        if verdict != ("right" if label else "wrong"):
            found[line] = verdict
    return found


def of(verdict: str, *lines: int) -> dict[int, str]:
    return dict.fromkeys(lines, verdict)


GPT3 = {
    "6b_finetuning": of("unscorable", 469),
    "6b_verification": of("unscorable", 633),
    "175b_finetuning": of("unscorable", 25, 82, 379),
    "175b_verification": {},
}


@pytest.mark.parametrize("model", GPT3)
def test_recorded_gpt3_responses_disagree_only_where_adjudicated(model: str) -> None:
    cases = []
    for row in recorded("gsm8k_gpt3_solutions.jsonl"):
        reply = row[model]
        assert isinstance(reply, dict)
        gold = gold_of(row["ground_truth"])
        cases.append((str(row["question"]), gold, str(reply["solution"]), bool(reply["is_correct"])))
    assert disagreements(cases) == GPT3[model]


def test_recorded_gpt35_responses_disagree_only_where_adjudicated() -> None:
    rows = recorded("gsm8k_gpt-3.5-turbo.jsonl")
    cases = [
        (str(row["question"]), gold_of(row["answer"]), str(row["model_prediction"]), bool(row["result"]))
        for row in rows
    ]
    empty = (265, 273, 432, 490, 511, 801, 1032, 1150, 1208)
    plans = (59, 80, 118, 192, 762, 852, 1100, 1135, 1215, 1278)
    assert disagreements(cases) == {
        **of("right", 6, 267, 740, 768, 939, 1034),
        **of("unscorable", *empty, *plans, 81, 560, 674, 881, 1207),
    }


def test_recorded_mistral_responses_disagree_only_where_adjudicated() -> None:
    rows = recorded("mistral-7b-instruct/gsm8k_right.jsonl")
    cases = [(str(row["question"]), gold_of(row["answer"]), str(row["response"]), True) for row in rows]
    abstains = (53, 157, 179, 480, 633, 1112, 1465)
    other = (119, 189, 240, 546, 556, 619, 812, 888, 907, 1147, 1267, 1300, 1382)
    assert disagreements(cases) == {**of("wrong", *abstains, *other), **of("unscorable", 409, 1227)}


def test_recorded_multistep_arithmetic_has_the_published_accuracy() -> None:
    rows = recorded("bbh_code-davinci-002/multistep_arithmetic_two.jsonl")
    published = recorded("bbh_code-davinci-002/multistep_arithmetic_two.metrics.jsonl")[0]["accuracy"]
    right = sum(judge(str(row["target"]), str(row["prediction"])).verdict == "right" for row in rows)
    assert 100 * right / len(rows) == pytest.approx(published)


def test_every_recorded_gold_answer_is_right_for_itself() -> None:
    rows = recorded("gsm8k_gpt-3.5-turbo.jsonl")
    assert rows
    for row in rows:
        assert judge(gold_of(row["answer"]), str(row["answer"]), str(row["question"])).verdict == "right"


def test_a_percent_sign_is_part_of_what_was_read() -> None:
    found = read_single("12.5 percent")
    assert found is not None
    assert (found.percent, found.text, found.quantity) == (True, "12.5 percent", read_quantity("12.5"))

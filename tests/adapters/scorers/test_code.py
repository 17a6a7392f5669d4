"""The code scorer: where it finds the program, what is right, wrong and unscorable, and known faults of others."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_kit import score_all

from errorbook.adapters.scorers.code import Code, prepare
from errorbook.interfaces import BatchScorer, Scorer
from errorbook.records import Example, Score
from errorbook.sandbox import fences, reading
from errorbook.sandbox.cell import find_lack
from errorbook.sandbox.pool import Outcome

needs_cells = pytest.mark.skipif(find_lack() is not None, reason=f"no sandbox here: {find_lack()}")

QUESTION = 'from typing import List\n\n\ndef total(items: List[int]) -> int:\n    """ Add up the items.\n    """\n'
TESTS = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n\ncheck(total)\n"
RIGHT = "def total(items: List[int]) -> int:\n    return sum(items)\n"
CODE = Code(seconds=3.0)


def example(question: str = QUESTION, tests: str = TESTS) -> Example:
    return Example(id="1", task="t", split="dev", question=question, answer="", tests=tests)


def fence(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}```\n"


def evidence(score: Score) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(score.evidence)
    return found


FOUND = {
    "a fenced block": (f"Here it is:\n\n{fence(RIGHT)}\nIt adds.", "fenced code"),
    "no language": (fence(RIGHT, ""), "fenced code"),
    "capital letters": (fence(RIGHT, "Python3"), "fenced code"),
    "tildes": (f"~~~\n{RIGHT}~~~", "fenced code"),
    "a fence that is not closed": (f"```python\n{RIGHT}", "fenced code"),
    "Windows line ends": (fence(RIGHT).replace("\n", "\r\n"), "fenced code"),
    "an indented block": (
        "1. Like this:\n\n" + "\n".join("   " + line for line in fence(RIGHT).split("\n")),
        "fenced code",
    ),
    "the last version": (fence("def total(items): return 7\n") + "Better:\n" + fence(RIGHT), "fenced code"),
    "an example behind it": (fence(RIGHT) + "Use it so:\n" + fence("print(total([1]))\n"), "fenced code"),
    "imports of its own": (
        fence("from functools import reduce\ndef total(x): return reduce(lambda a, b: a + b, x, 0)\n"),
        "fenced code",
    ),
    "a future import": (fence("from __future__ import annotations\n" + RIGHT), "fenced code"),
    "helpers in another block": (
        fence("def add(a, b): return a + b\n") + fence("def total(x):\n    return sum(x)\n"),
        "fenced code",
    ),
    "a lambda": (fence("total = lambda items: sum(items)\n"), "fenced code"),
    "a body": ('    """ Add. """\n    return sum(items)', "continuation"),
    "a body and more": ("    return sum(items)\n\ndef other():\n    pass\n\nThis adds.", "continuation"),
    "a body and a helper": ("    return add(items)\n\ndef add(x):\n    return sum(x)\n", "continuation"),
    "a body with tabs": (
        "    s = 0\n    for i in items:\n        s += i\n    return s\n\n\nprint('prose",
        "continuation",
    ),
    "a fence closed that nobody opened": ("    return sum(items)\n```\n\nThis adds them up.", "continuation"),
    "a whole function before such a fence": (f"{RIGHT}```\nIt uses `sum`.", "fenced code"),
    "an example behind such a fence": (f"{RIGHT}```\n\nUse it:\n" + fence("print(total([1]))\n"), "fenced code"),
    "a fence in the docstring": (
        fence('def total(items):\n    """Such as\n    ```\n    total([1])\n    ```\n    """\n    return sum(items)\n'),
        "fenced code",
    ),
    "a fence at the docstring's edge": (
        fence('def total(items):\n    """Such as\n```\ntotal([1])\n```\n"""\n    return sum(items)\n'),
        "fenced code",
    ),
    "a longer fence": (f"````python\n{RIGHT}# ```\n````\n", "fenced code"),
    "a last fence that is indented": (f"```python\n{RIGHT}    ```\n\nIt adds.", "fenced code"),
    "a few-shot mark behind it": (f"{RIGHT}[DONE]\n", "bare code"),
    "a few-shot mark and the next task": (f"{RIGHT}[DONE]\n\nHere is your task: Add.\n[BEGIN]\nx = 1\n", "bare code"),
    "a lone word behind it": (f"{RIGHT}\nDone\n", "bare code"),
    "a remark that parses": (f"{RIGHT}\nResult: correct\n", "bare code"),
    "a few-shot mark behind the body": ("    return sum(items)\n[END]", "continuation"),
    "the end of a turn": ("    return sum(items)<|im_end|>", "continuation"),
    "the end of a turn behind the fence": (f"{fence(RIGHT)}<|eot_id|>", "fenced code"),
    "a draft in the thought": (
        f"<think>\n{fence('def total(items): return 7')}</think>\n{fence(RIGHT)}",
        "fenced code",
    ),
    "a bare draft in the thought": (
        "<think>\ndef total(items):\n    return 7\n</think>\n\n    return sum(items)",
        "continuation",
    ),
    "a thought that is closed only": (f"def total(items): return 7\n</think>\n\n{RIGHT}", "bare code"),
    "marks of a chat in a string": (
        fence('MARKS = ("<think>", "</think>", "<|im_end|>")\n' + RIGHT),
        "fenced code",
    ),
    "a fenced body": (fence("    return sum(items)\n"), "continuation"),
    "a fenced body without indentation": (fence("return sum(items)\n"), "continuation"),
    "bare code": (RIGHT, "bare code"),
    "bare code in prose": (f"Sure, from me to you!\n\n{RIGHT}\nThis adds up.", "bare code"),
}


@needs_cells
def test_the_program_is_found_in_every_form_that_models_use() -> None:
    scores = score_all(CODE, [(example(), text) for text, _ in FOUND.values()])

    found = {name: (score.verdict, score.method) for name, score in zip(FOUND, scores, strict=True)}
    assert found == {name: ("right", method) for name, (_, method) in FOUND.items()}


WRONG = {
    "a wrong answer": fence("def total(items): return len(items)\n"),
    "another name": fence("def add_up(items): return sum(items)\n"),
    "a syntax error": fence("def total(items)\n    return sum(items)\n"),
    "a syntax error in a body": "    return sum(items\n",
    "a body that is cut off": '""" Add up the items.',
    "a body that lost its indentation": ' """ Add. """\n if items:\n return 1\n else:\n return 0',
    "a syntax error without a fence": " def total(items):\nreturn sum(items)\n",
    "an import that does not exist": fence("from typing import Int\n" + RIGHT),
    "a package that is not there": fence("import numpy\ndef total(items): return int(numpy.sum(items))\n"),
    "raises": fence("def total(items): raise NotImplementedError\n"),
    "nothing": fence("def total(items: List[int]) -> int:\n    pass\n"),
    "the question again": fence(QUESTION),
    "an error at the end": fence(RIGHT + "total()\n"),
    # Evaluation harnesses that took the exit code for the verdict called this right.
    "sys.exit(0) before the tests": fence("import sys\nsys.exit(0)\n" + RIGHT),
    # And this one hung a harness for hours.
    "never ends": fence("def total(items):\n    while True: pass\n"),
}


@needs_cells
def test_wrong_programs_are_wrong_with_the_evidence() -> None:
    scores = score_all(Code(seconds=1.0), [(example(), text) for text in WRONG.values()])

    assert {name: s.verdict for name, s in zip(WRONG, scores, strict=True)} == dict.fromkeys(WRONG, "wrong")
    assert all(evidence(score)["status"] in ("failed", "timeout") for score in scores)


@needs_cells
def test_a_body_continues_a_question_without_its_last_line_end() -> None:
    assert CODE.score(example(QUESTION.strip()), "    return sum(items)").verdict == "right"


@needs_cells
def test_the_evidence_names_the_failed_assertions_with_their_values() -> None:
    score = CODE.score(example(), fence("def total(items): return items[0]\n"))

    assert evidence(score) == {
        "status": "failed",
        "failed": 2,
        "notes": [
            {"test": "assert candidate([1, 2]) == 3", "got": "1", "expected": "3"},
            {"test": "assert candidate([]) == 0", "error": "IndexError: list index out of range"},
        ],
    }


@pytest.mark.parametrize(
    "text", ["", "   \n", "I cannot do that.", "Add the numbers up.\nThen return them.", "42", "\0"]
)
def test_a_response_without_code_is_unscorable(text: str) -> None:
    found = prepare(example(), text)

    assert found == Outcome(status="unscorable", why="the response holds no code", fault="no_code")
    assert CODE.find_flaw(example()) == ""


@pytest.mark.parametrize("tests", ["", "assert total([1 ==", "x = 1", "def check(candidate): pass\ncheck(3)"])
def test_tests_that_test_nothing_are_unscorable(tests: str) -> None:
    found = prepare(example(tests=tests), fence(RIGHT))

    assert isinstance(found, Outcome)
    assert (found.status, found.fault) == ("unscorable", "")
    assert CODE.find_flaw(example(tests=tests)) != ""


@needs_cells
@pytest.mark.parametrize(
    "tests",
    ["def check(candidate):\n    pass\ncheck(total)", "def check(candidate):\n    assert True\ncheck(total)"],
)
def test_a_run_without_a_test_is_unscorable_and_not_right(tests: str) -> None:
    """A benchmark was published in which 99 of 100 records ran no test."""
    assert CODE.score(example(tests=tests), fence(RIGHT)).verdict == "unscorable"


@needs_cells
def test_imports_of_the_tests_are_run() -> None:
    """MBPP lists imports that its assertions need; a harness that left them out failed right programs."""
    tests = "import math\nfrom fractions import Fraction\nassert total([Fraction(1, 2)]) == Fraction(1, 2)\n"

    assert CODE.score(example(tests=tests + "assert math.isclose(total([0.1]), 0.1)"), fence(RIGHT)).verdict == "right"


@needs_cells
def test_a_check_that_is_only_defined_is_called() -> None:
    tests = "def check(candidate):\n    assert candidate([2]) == 2\n"

    assert CODE.score(example(tests=tests), fence(RIGHT)).verdict == "right"
    assert CODE.score(example(tests=tests), "    return 0").verdict == "wrong"


@needs_cells
def test_plain_assertions_need_no_check() -> None:
    question = "Write a function `total` that adds up a list of numbers."

    assert (
        CODE.score(example(question, "assert total([1, 2]) == 3"), fence("def total(x): return sum(x)\n")).verdict
        == "right"
    )


@needs_cells
def test_what_the_question_defines_cannot_be_redefined_by_the_response() -> None:
    question = "def code(x):\n    return x + 5\n\n\ndef decode(x):\n    '''Undo `code`.'''\n"
    tests = "def check(candidate):\n    for n in range(9):\n        assert candidate(code(n)) == n\n\ncheck(decode)\n"
    forged = fence("def code(x): return x\ndef decode(x): return x\n")

    assert CODE.score(example(question, tests), forged).verdict == "wrong"
    assert CODE.score(example(question, tests), "    return x - 5").verdict == "right"


@needs_cells
def test_a_question_that_is_no_code_still_gives_its_imports() -> None:
    question = 'import math\n\n\ndef total(items):\n    """ A docstring that is not closed.\n'

    assert CODE.score(example(question), fence("def total(items): return int(math.fsum(items))\n")).verdict == "right"


@needs_cells
def test_one_response_is_scored_as_in_a_batch() -> None:
    texts = [fence(RIGHT), "no code", WRONG["nothing"]]

    assert [CODE.score(example(), text) for text in texts] == score_all(CODE, [(example(), text) for text in texts])


def test_it_is_a_scorer_that_takes_batches() -> None:
    scorer: Scorer = CODE

    assert isinstance(scorer, BatchScorer)
    assert scorer.name == "code"


PROSE = "Write a function `total` that adds up a list of numbers."
OWN_FAULTS = {
    "a module that nobody imports": (PROSE, "assert total([]) == 0\nassert np.isclose(total([]), 2)", "'np'"),
    "a division": (QUESTION, "x = 1 / 0\nassert total([x])", "ZeroDivisionError"),
    "beside an assertion that fails": (QUESTION, "assert total([1]) == 5\nassert [][3] == total([])", "IndexError"),
    "the question's code": ("KEY = {}['a']\n\n" + QUESTION, "assert total([]) == 0", "KeyError"),
}
"""Questions with tests that fail whatever the program, and a word of what is said of them."""
OTHERS = {
    "sound tests": TESTS,
    "words of ours in an error": "if total([1]) != 1:\n    raise ValueError('by themselves, which nobody defines')",
    "words of ours in a value": "assert total([1]) == \"the question's own code fails\", 'they fail by themselves'",
    "an order of objects": "class A: pass\nassert total([A()]) < 'which nobody defines'",
    "the code of the tests": "assert total('holds no code') == 3",
    "nothing": "",
}


@needs_cells
def test_tests_that_fail_by_themselves_are_told_by_their_kind_and_not_by_words() -> None:
    told = CODE.try_tests([example(question, tests) for question, tests, _ in OWN_FAULTS.values()])

    pairs = zip(told, OWN_FAULTS.values(), strict=True)
    assert [isinstance(said, str) and word in said for said, (_, _, word) in pairs] == [True] * 4, told
    assert CODE.try_tests([example(tests=tests) for tests in OTHERS.values()]) == [""] * len(OTHERS)


@needs_cells
def test_evidence_tells_people_why_and_nothing_else() -> None:
    score = CODE.score(example(*OWN_FAULTS["a division"][:2]), fence(RIGHT))

    assert score.verdict == "unscorable"
    assert set(evidence(score)) == {"status", "why"}


def test_a_text_that_holds_up_the_parser_is_wrong_if_its_tests_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(example(), "x")
    monkeypatch.setattr(reading, "SECONDS", 0.5)
    [reader] = reading._running
    os.kill(reader.process.pid, signal.SIGSTOP)
    found = prepare(example(), fence(RIGHT))

    assert isinstance(found, Outcome)
    assert (found.status, found.fault) == ("failed", "")


@given(st.text())
def test_odd_text_breaks_nothing(text: str) -> None:
    for prepared in (
        prepare(example(), text),
        prepare(example(), f"```\n{text}"),
        prepare(example(question=text, tests=text), text),
    ):
        assert isinstance(prepared, tuple) or prepared.status == "unscorable"


@given(
    st.lists(
        st.sampled_from(["```", "~~~", "```python", "x = 1", "", " ", "def total(x):", "    pass", "\t"]), max_size=12
    )
)
def test_odd_fences_break_nothing(lines: list[str]) -> None:
    text = "\n".join(lines)

    assert all(block.strip() for block in fences.find_fenced(text))
    prepare(example(), text)


# --- Conformance with recorded responses of real models ---

DATA = Path(os.environ.get("ERRORBOOK_DATA", ""))
needs_data = pytest.mark.skipif(
    not os.environ.get("ERRORBOOK_DATA"), reason="ERRORBOOK_DATA does not point at the reference data"
)

# Adjudicated one by one in docs/scorers.md.
LABEL_WRONG = {
    "mbpp_right": {848, 931},
    "mbpp_wrong": {518, 607, 621, 640, 658, 683, 685, 725, 830, 857, 860, 880, 913, 928, 937, 940, 946}
    | {540, 562, 565, 576, 665, 708},  # their stubs use a name that they do not import
}
NO_CODE = {671, 719}


def rows(name: str) -> list[dict[str, Any]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def asked(row: dict[str, Any]) -> Example:
    return example(row["prompt"], f"{row['test']}\ncheck({row['entry_point']})\n")


@needs_cells
@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mbpp_right", "mbpp_wrong"])
def test_recorded_responses_agree_with_their_labels_but_for_the_adjudicated_ones(name: str) -> None:
    recorded = rows(f"responses/mistral-7b-instruct/{name}.jsonl")

    scores = score_all(Code(), [(asked(row), row["response"]) for row in recorded])

    label = name.removeprefix("mbpp_")
    differing = {
        row["task_id"] for row, s in zip(recorded, scores, strict=True) if s.verdict not in (label, "unscorable")
    }
    unscorable = {row["task_id"] for row, s in zip(recorded, scores, strict=True) if s.verdict == "unscorable"}
    assert differing == LABEL_WRONG[name]
    assert unscorable <= NO_CODE


@needs_cells
@needs_data
@pytest.mark.slow
def test_recorded_right_completions_are_right() -> None:
    recorded = rows("responses/mistral-7b-instruct/mbpp_right.jsonl")

    scores = score_all(Code(), [(asked(row), row["completion"]) for row in recorded])

    assert [row["task_id"] for row, s in zip(recorded, scores, strict=True) if s.verdict != "right"] == []


@needs_cells
@needs_data
@pytest.mark.slow
def test_humaneval_reference_solutions_are_right_and_empty_ones_are_wrong() -> None:
    recorded = rows("humaneval/test.jsonl")

    right = score_all(Code(), [(asked(row), row["canonical_solution"]) for row in recorded])
    wrong = score_all(Code(), [(asked(row), "    pass\n") for row in recorded])

    assert Counter(score.verdict for score in right) == {"right": 164}
    assert Counter(score.verdict for score in wrong) == {"wrong": 164}

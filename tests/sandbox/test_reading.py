"""What a model wrote is parsed in another process: no text ends this one, fills it or holds it up."""

from __future__ import annotations

import os
import threading
import time

import pytest

from errorbook.adapters.instructors.replies import Coding, CodingDrafts, check_coding
from errorbook.errors import UnjudgedError
from errorbook.llm.records import InvalidReply
from errorbook.sandbox import programs, reading
from errorbook.sandbox.reading import UnreadableError, read

TESTS = "assert f(1) == 1"
NO_CODE = {"why": "the response holds no code", "fault": "no_code"}


def find(text: str, question: str = "Write `f`.", tests: str = TESTS) -> object:
    return read("find_job", question, tests, text)


def test_it_finds_what_the_function_itself_finds() -> None:
    text = "```python\ndef f(x): return x\n```"
    job = find(text)
    found = programs.find_program(text, "Write `f`.", "f")

    assert found is not None
    assert isinstance(job, list)
    assert (job[0], job[1], job[2]) == (list(found.parts), found.code, found.method)
    assert find("no code") == NO_CODE
    assert find(text, tests="assert f(") == {"why": "the tests do not parse", "fault": ""}


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["import os"] * 400 + ["and that is all, isn't it?"]),
        "\n".join(["def g(x): return x", "it's prose"] * 400),
        "\n".join(["    x = 1", "prose"] * 400),
        "def f(x): return " + "-" * 1500 + "1",
        "def f(x): return " + "(" * 5000,
        "```\n" * 3000,
    ],
    ids=["imports", "definitions in prose", "bodies in prose", "minus signs", "brackets", "fences"],
)
def test_long_and_deep_texts_take_no_time(text: str) -> None:
    begun = time.monotonic()
    find(text)
    find(text, question="def f(x):\n    'Say x.'\n")

    assert time.monotonic() - begun < 6


def test_a_text_that_ends_the_parser_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    find("x")
    [reader] = reading._running
    os.kill(reader.process.pid, 9)
    assert find("no code") == NO_CODE

    monkeypatch.setattr(reading, "SECONDS", 0.2)
    [reader] = reading._running
    os.kill(reader.process.pid, 19)  # stopped: it answers nothing
    with pytest.raises(UnreadableError, match="holds up the parser"):
        find("no code")
    monkeypatch.setattr(reading, "SECONDS", 5.0)
    assert find("no code") == NO_CODE


def test_threads_do_not_mix_their_answers() -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        for place in range(20):
            job = find(f"```python\ndef f(x): return {number * 100 + place}\n```")
            if not isinstance(job, list) or job[1] != f"def f(x): return {number * 100 + place}\n":
                wrong.append(str(job))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_draft_that_holds_up_the_parser_is_an_invalid_reply() -> None:
    program = "f = " + "-" * 100_000 + "1"
    draft = Coding(question="Write `f`.", program=program, entry_point="f", tests=(TESTS, TESTS), solution="So.")
    with pytest.raises(InvalidReply, match="not Python"):
        check_coding(CodingDrafts(drafts=(draft,)))


@pytest.mark.parametrize(
    ("question", "tests", "entry"),
    [
        ("Sort in place.", "x = [2, 1]\nsort_it(x)\nassert x == [1, 2]", "sort_it"),
        ("Write `g`.", "assert len(h(1)) == g(2)", "g"),
        ("Write a class Stack.", "s = Stack()\ns.push(1)\nassert s.pop() == 1", "Stack"),
        ("Write a decorator.", "@twice\ndef g(): return 1\nassert g() == 2", "twice"),
        ("Nothing.", "assert True", ""),
    ],
)
def test_the_function_under_test_is_found_wherever_the_tests_call_it(question: str, tests: str, entry: str) -> None:
    assert programs.find_entry_point(tests, question) == entry


def test_names_of_the_question_are_told_apart() -> None:
    asked = programs.read_tests("assert Point(1) + f(2) == helper(3)", "Write a dataclass Point and a function f.")

    assert asked.entry == "Point"
    assert asked.names == ("f",)
    assert asked.classes == ("Point",)


def test_a_stub_gets_the_names_that_it_uses_and_nobody_defines() -> None:
    stub = "from typing import List\n\ndef f(a: List[int], b: Dict[str, np.ndarray] = math.inf) -> Tree:\n    '?'\n"
    given = programs.complete_stub(stub, "f")
    space: dict[str, object] = {}
    exec(given + stub, space)

    assert "import math" in given
    assert "from typing import Dict" in given
    assert "List" not in given
    assert {"np", "Tree", "f"} <= set(space)
    assert programs.complete_stub("def f(x: int) -> str:\n    '?'\n", "f") == ""


@pytest.mark.parametrize(
    ("question", "classes"),
    [
        ("Write a function f.", ()),
        ("Write `f`, which returns a Vector of the class of f's argument.", ()),
        ("Implement a `Vector` class with addition, and f.", ("Vector",)),
        ("class Vector:\n    pass\n", ("Vector",)),
        ("Define the classes Shape, Vector and f.", ("f", "Vector")),
    ],
)
def test_only_classes_that_the_question_asks_for_are_classes(question: str, classes: tuple[str, ...]) -> None:
    """They alone have operators, so no other object can pass for a number."""
    assert programs.read_tests("assert f(1) == Vector(2)", question).classes == classes


def test_a_parser_that_does_not_start_is_no_fault_of_a_drafted_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reading.close()
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    draft = Coding(
        question="Double a number.",
        entry_point="double",
        solution="Add it to itself.",
        program="def double(x):\n    return x + x",
        tests=("assert double(2) == 4", "assert double(-3) == -6"),
    )

    with pytest.raises(UnjudgedError) as caught:
        check_coding(CodingDrafts(drafts=(draft,)))

    assert str(caught.value).startswith("1 of 1 drafted programs could not be judged (the parser does not start (")
    assert "give the same command again" in str(caught.value)

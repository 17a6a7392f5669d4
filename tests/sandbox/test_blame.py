"""Whose fault an error in tests is, and in which arguments the tests may see what the program did to them."""

from __future__ import annotations

import ast

import pytest

from errorbook.sandbox.blame import Names, list_safe_places
from errorbook.sandbox.faults import MARK


def blame(tests: str, f: object = None) -> str:
    """What is wrong with the tests, run with `f` in the place of the program."""
    names = Names(ast.parse(tests), "f")
    try:
        exec(compile(tests, "tests.py", "exec"), {"f": f or (lambda *values: 0)})
    except BaseException as error:
        return names.blame_tests(error, ("tests.py",))
    return "nothing was raised"


@pytest.mark.parametrize(
    "tests",
    [
        "assert 10 / f(1) == 2",
        "x = f(1)\ny = 10 / x",
        "for x in [f(1)]:\n    assert 1 / x",
        "a, b = f(1), 2\n1 / a",
        "def half(x):\n    return 1 / x\nassert half(f(1))",
        "def run():\n    return f(1)\nassert 1 / run()",
        "x = [3]\nf(x)\nassert x[1]",
        "assert f(1) < 'a'",
        "if f(1) == 0:\n    raise SystemExit(1)",
        "try:\n    f(1)\n    assert False\nexcept ValueError:\n    pass",
        "calls = []\nf(lambda: calls.append(1))\nassert calls == [1]",
        "assert [1 / x for x in [f(1)]]",
        "class T:\n    def run(self):\n        self.x = f(1)\nt = T()\nt.run()\nassert t.x == 1",
        "import io\nfrom contextlib import redirect_stdout\nout = io.StringIO()\nwith redirect_stdout(out):\n    f(1)\n"
        "assert out.getvalue() == 'x'",
    ],
)
def test_what_depends_on_the_program_is_its_fault(tests: str) -> None:
    assert blame(tests) == ""


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1) == 1 / 0",
        "assert 1 == 2",
        "import no_such_module",
        "raise SystemExit",
        "f(1)\nimport sys\nsys.exit(0)",
        "assert f(1) == int('two')",
        "cases = []\nassert f(cases[0])",
        "def mean(x):\n    return sum(x) / len(x)\nassert f(1) == mean([])",
        "import math\nassert f(1) == math.squareroot(4)",
    ],
)
def test_what_fails_by_itself_is_the_fault_of_the_tests(tests: str) -> None:
    assert "by themselves" in blame(tests)


def test_an_error_that_the_program_raised_is_its_own_wherever_it_comes_out() -> None:
    def f(*values: object) -> None:
        error = ValueError("no")
        setattr(error, MARK, True)
        raise error

    assert blame("g = f\nassert 1 == 1\ng(1)", f) == ""


def places(tests: str) -> list[list[int | str]]:
    tree = ast.parse(tests)
    return list(list_safe_places(tree, Names(ast.parse(tests), "f")).values())


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ("x = [1]\nr = f(x)\nassert x == [1]", [[0]]),
        ("x = [1]\nassert f(x) is None and x == [1]", [[0]]),
        ("x = [1]\ny = f(a=1, b=x)\nassert y is x", [["b"]]),
        ("x = [1]\nassert f(x) == sorted(x)", []),
        ("x = [1]\nr = f(x)\nassert r == x", []),
        ("x = [1]\nexpected = sorted(x)\nr = f(x)\nassert x == [1]", []),
        ("x = [1]\nr = f(x)\nassert x == f([1])", []),
        ("x = [1]\nr = f(x)\nassert len(x) == 1", [[0]]),
        ("x = [1]\nr = f(x)\ny = x\nassert y == [1]", []),
        ("x = [1]\nr = f(*x)\nassert x == [1]", []),
    ],
)
def test_arguments_change_only_if_no_expected_value_can_come_of_it(tests: str, expected: list[list[int | str]]) -> None:
    assert places(tests) == expected

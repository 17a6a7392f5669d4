"""The sandbox: what crosses to a program and back, what counts as passed, and what happens without bubblewrap."""

from __future__ import annotations

import ctypes
import math
import os
import socket
import subprocess
import sys
from collections import Counter, OrderedDict, deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook.errors import UserError
from errorbook.sandbox import cell, seccomp, wire
from errorbook.sandbox.pool import Job, Limits, Outcome, run_all

needs_cells = pytest.mark.skipif(cell.find_lack() is not None, reason=f"no sandbox here: {cell.find_lack()}")
LIMITS = Limits(seconds=2.0, memory=256 << 20)


def refuse(value: Any) -> Any:
    raise TypeError(f"{value!r} cannot cross")


def crossed(value: Any) -> Any:
    """The value after a trip over a real pair of sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours.fileno(), wire.encode(value, refuse))
        return wire.decode(wire.receive(theirs.fileno()), refuse)


def outcome(program: str, tests: str, entry: str = "f", prelude: str = "") -> Outcome:
    (found,) = run_all([Job(parts=(prelude, program), tests=tests, entry=entry, prelude=prelude)], LIMITS)
    return found


# --- What crosses ---

hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner),
    max_leaves=6,
)
values = st.recursive(
    hashable | st.complex_numbers(allow_nan=False) | st.just(...) | st.decimals(allow_nan=False) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(hashable, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_plain_values_cross_unchanged_in_value_and_type(value: Any) -> None:
    back = crossed(value)

    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        *(10**400, -(2**63), math.inf, -0.0, bytearray(b"x"), range(3, 9, 2), deque([1, 2]), {1, 2}, int, ValueError),
        *(Counter("aab"), OrderedDict(a=1), Fraction(1, 3), Decimal("1.50"), timedelta(days=-1, seconds=3)),
        *(datetime(2024, 2, 29, 12, tzinfo=UTC), date(1999, 12, 31), "\ud800", [[], (), {}], {(1, 2): [3]}),
    ],
    ids=repr,
)
def test_values_of_the_library_cross_unchanged(value: Any) -> None:
    assert crossed(value) == value
    assert type(crossed(value)) is type(value)


def test_not_a_number_crosses() -> None:
    assert math.isnan(crossed(math.nan))


class Liar(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __int__(self) -> int:
        return 42


class Pair(NamedTuple):
    left: int
    right: int


def test_a_subclass_crosses_as_the_built_in_value_that_it_is() -> None:
    assert type(crossed(Liar(1))) is int
    assert crossed(Liar(1)) == 1
    assert crossed(Pair(1, 2)) == (1, 2)


@pytest.mark.parametrize(
    "tree",
    [
        ["T", "print"],
        ["d", "Path"],
        ["x", "Popen", "ls"],
        ["i", "0y"],
        ["?"],
        [],
        ["n", "range"],
        ["s", ["l"]],
        ["f", 1],
    ],
)
def test_a_malformed_value_is_refused(tree: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError, IndexError)):
        wire.decode(tree, refuse)


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\0\0\0\2{[", b"\0\0\0\x031.5", b"\0\0\0\x03NaN", b"\0\0\0\x09half"]
)
def test_a_malformed_frame_closes_the_connection(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(data)
        ours.close()

        with pytest.raises(wire.ClosedError):
            wire.receive(theirs.fileno())


# --- What counts ---


@needs_cells
def test_every_assertion_is_counted_and_failed_ones_are_shown() -> None:
    found = outcome(
        "def f(x): return 10 // x", "assert f(2) == 5\nassert f(3) == 4\nassert f(0) == 1\nassert f(5) == 2"
    )

    assert (found.status, found.held, found.failed) == ("failed", 2, 2)
    assert [(note.got, note.expected, note.error) for note in found.notes] == [
        ("3", "4", ""),
        ("", "", "ZeroDivisionError: integer division or modulo by zero"),
    ]


PASSING = {
    "plain": ("def f(x): return x * 2", "assert f(2) == 4"),
    "check": ("def f(x): return x * 2", "def check(candidate):\n    assert candidate(2) == 4\ncheck(f)"),
    "keywords": ("def f(a, *, b=1): return a - b", "assert f(a=3, b=2) == 1"),
    "several functions": ("def f(x): return g(x)\ndef g(x): return x", "assert f(1) == g(1) == 1"),
    "library in the tests": ("def f(x): return x / 3", "assert math.isclose(f(1), 1 / 3)"),
    "random in the tests": ("def f(a, b): return a + b", "import random\nx = random.random()\nassert f(x, 1) == x + 1"),
    "an expected exception": (
        "def f(x): raise ValueError('no')",
        "try:\n    f(1)\nexcept ValueError as e:\n    assert str(e) == 'no'\nelse:\n    assert False",
    ),
    "sorts in place": ("def f(x): x.sort()", "x = [3, 1, 2]\nf(x)\nassert x == [1, 2, 3]"),
    "fills in place": (
        "def f(d, s): d['a'] = 1; s.add(2)",
        "d, s = {}, set()\nf(d, s)\nassert d == {'a': 1} and s == {2}",
    ),
    "a class": (
        "class f:\n    def __init__(self, n): self.n = n\n    def add(self, k): self.n += k; return self.n",
        "c = f(1)\nc.add(2)\nassert c.add(3) == 6 and c.n == 6",
    ),
    "a generator": ("def f(n): yield from range(n)", "assert list(f(3)) == [0, 1, 2] and sum(f(4)) == 6"),
    "a function back": ("def f(n): return lambda x: x + n", "assert f(1)(2) == 3"),
    "a type as an argument": ("def f(x, t): return isinstance(x, t)", "assert f(1, int) is True"),
    "a built-in as an argument": ("def f(x, g): return g(x)", "assert f([1, 2], len) == 2"),
    "an iterator of an object": (
        "class A(dict):\n    pass\ndef f(): return A(a=1).items()",
        "assert list(f()) == [('a', 1)]",
    ),
    "future import": ("from __future__ import annotations\ndef f(x: Nope): return x", "assert f(1) == 1"),
    "dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\ndef f(): return A(3)",
        "assert f().n == 3",
    ),
    "main block is not run": ("def f(): return 1\nif __name__ == '__main__':\n    exit(f)", "assert f() == 1"),
    "prints": ("def f():\n    print('x' * 99999)\n    return 1\nf()", "assert f() == 1"),
    "complains": ("import sys\ndef f():\n    sys.stderr.write('x' * 999999)\n    return 1", "assert f() == 1"),
    "async": ("import asyncio\nasync def g(): return 1\ndef f(): return asyncio.run(g())", "assert f() == 1"),
    "a temporary file": ("def f():\n    open('x', 'w').write('1')\n    return open('x').read()", "assert f() == '1'"),
}


@needs_cells
def test_what_honest_programs_and_tests_do_works() -> None:
    jobs = [Job(parts=(program,), tests=tests, entry="f") for program, tests in PASSING.values()]

    found = dict(zip(PASSING, run_all(jobs, LIMITS), strict=True))

    assert {name: (item.why, item.notes) for name, item in found.items() if item.status != "passed"} == {}


@needs_cells
@pytest.mark.parametrize("mode", ["", "async "])
def test_context_managers_of_both_kinds_are_told_the_same_of_an_error(mode: str) -> None:
    letter = "a" if mode else ""
    program = f"""
class f:
    def fail(self): raise OverflowError("too much", 7)
    {mode}def __{letter}enter__(self): return self
    {mode}def __{letter}exit__(self, kind, error, trace):
        self.told = [kind and kind.__name__, repr(error), trace]
        return True
"""
    tests = f"""
import asyncio
async def main():
    one = f()
    {mode}with one: one.fail()
    assert one.told == ["OverflowError", "OverflowError('too much', 7)", None]
    {mode}with one: raise LookupError("the tests' own")
    assert one.told == ["LookupError", "None", None]
    {mode}with one: pass
    assert one.told == [None, "None", None]
asyncio.run(main())
"""
    assert outcome(program, tests) == Outcome(status="passed", held=3)


CATCHING = {
    "with": "with Expects():\n    assert f(1) == 2",
    "async with": "async def main():\n    async with Expects():\n        assert f(1) == 2\nasyncio.run(main())",
    "except": "try:\n    assert f(1) == 2\nexcept AssertionError: pass",
    "except*": "try:\n    assert f(1) == 2\nexcept* AssertionError: pass",
    "inside": "async def main():\n    try:\n        async with Expects(), Expects():\n            raise ValueError\n"
    "    except* ValueError:\n        with Expects():\n            assert f(1) == 2\nasyncio.run(main())",
}
EXPECTS = """
import asyncio
class Expects:
    def __enter__(self): return self
    def __exit__(self, kind, error, trace): return kind is AssertionError
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace): return kind is AssertionError
"""


@needs_cells
@pytest.mark.parametrize("name", CATCHING)
def test_an_assertion_that_the_tests_catch_is_not_a_failed_one(name: str) -> None:
    tests = f"{EXPECTS}{CATCHING[name]}\nassert f(3) == 3"
    other = tests.replace("AssertionError", "KeyError")

    assert outcome("def f(x): return x", tests) == Outcome(status="passed", held=1)
    assert outcome("def f(x): return x", other).status == "failed"


@needs_cells
def test_helpers_and_classes_of_the_question_are_there_for_the_tests() -> None:
    question = """
class Node:
    def __init__(self, v, n=None):
        self.v, self.n = v, n

def one():
    return 1

def f(node):
    '?'
"""
    program = "def f(node): return node.v + (f(node.n) if node.n else 0)"

    assert outcome(program, "assert f(Node(1, Node(2))) == 2 + one()", prelude=question).status == "passed"


UNSCORABLE = {
    "the tests do not parse": "assert f(1 ==",
    "no assertion ran": "f(1)",
    "the tests never called": "assert True",
    "passes what cannot": "assert f(memoryview(b'1')) == 1",
    "compare two objects": "assert f(1) == f(2)",
    "compares names that nobody defines": "assert f(1) == undefined",
    "tests that do not end": "f(1)\nwhile True: pass",
    "tests that crash": "import os\nos._exit(0)",
}


@needs_cells
@pytest.mark.parametrize("name", UNSCORABLE)
def test_a_fault_of_the_tests_is_unscorable_and_never_wrong(name: str) -> None:
    question = "def f(x):\n    '''?'''\n"

    assert outcome("def f(x): return object()", UNSCORABLE[name], prelude=question).status == "unscorable"


@needs_cells
def test_an_endless_iterator_runs_out_of_time() -> None:
    program = "import itertools\ndef f(): return itertools.repeat(1)"

    assert outcome(program, "assert sum(f()) == 1").status == "timeout"


@needs_cells
@pytest.mark.parametrize(
    "tests",
    [
        "assert all(r == x + 1 for r, x in zip(list(map(f, [1, 2])), [1, 2]))",
        "for r in map(f, [1, 2]):\n    assert r == 7",
        "assert sum(map(f, [1, 2])) == 0",
        "assert not [r for r in map(f, [1, 2]) if r > 5]",
        "assert list(filter(f, [1, 2])) == []",
    ],
)
@pytest.mark.parametrize("raised", ["StopIteration", "StopIteration(3)", "next(iter([]))", "End()"])
def test_a_call_that_stops_an_iteration_ends_no_comparison(tests: str, raised: str) -> None:
    how = "return next(iter([]))" if raised.startswith("next") else f"raise {raised}"
    assert outcome(f"class End(StopIteration):\n    pass\ndef f(*x):\n    {how}", tests).status == "failed"


@needs_cells
def test_iterators_of_a_program_end_as_they_do_elsewhere() -> None:
    program = "def f(n):\n    yield from range(n)"
    tests = "it = f(1)\nassert next(it) == 0\nassert next(it, 5) == 5\nassert list(f(3)) == [0, 1, 2]"
    assert outcome(program, tests).status == "passed"


@needs_cells
def test_the_same_program_gets_the_same_outcome() -> None:
    program = "def f(x): return list({'a', 'b', 'c', 'd', 'e', 'f'})"
    tests = "import random\nassert f(1) == random.sample('abcdef', 6)"

    assert outcome(program, tests) == outcome(program, tests)


@needs_cells
def test_outcomes_come_in_the_order_of_the_jobs() -> None:
    jobs = [Job(parts=(f"def f(): return {n}",), tests=f"assert f() == {n // 2 * 2}", entry="f") for n in range(12)]

    found = [item.status for item in run_all(jobs, LIMITS, workers=3)]

    assert found == ["passed", "failed"] * 6


@needs_cells
def test_no_jobs_no_outcomes() -> None:
    assert run_all([]) == []


# --- What is missing ---


def test_without_bubblewrap_nothing_runs(tmp_path: Path) -> None:
    """In a fresh interpreter whose PATH has no bubblewrap."""
    marker = tmp_path / "ran"
    script = f"""
from errorbook.errors import UserError
from errorbook.sandbox.pool import Job, run_all
try:
    run_all([Job(parts=("open({str(marker)!r}, 'w')",), tests="assert True", entry="f")])
except UserError as error:
    print(error)
"""
    reply = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "sudo apt install bubblewrap" in reply.stdout
    assert not marker.exists()


def test_a_bubblewrap_that_does_not_start_is_explained(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    script = "from errorbook.sandbox.cell import find_lack\nprint(find_lack())"

    reply = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "Permission denied" in reply.stdout
    assert "sysctl" in reply.stdout


@needs_cells
def test_require_is_silent_where_a_cell_starts() -> None:
    try:
        cell.require_sandbox()
    except UserError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_well_formed(machine: str) -> None:
    for processes in (True, False):
        rules = seccomp.build_filter(processes, machine)
        assert rules is not None
        lines = [rules[start : start + 8] for start in range(0, len(rules), 8)]
        # Every jump lands inside the program and the last line is a return.
        assert all(number + 1 + max(line[2], line[3]) < len(lines) for number, line in enumerate(lines[:-1]))
        assert lines[-1][0] == 0x06


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.build_filter(False, "vax") is None


@pytest.mark.parametrize(("machine", "token"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_numbers_of_system_calls_are_those_of_libseccomp(machine: str, token: int) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not on this machine")
    _, calls = seccomp.DENIED[machine]
    here = calls | seccomp.NEWER | {"clone": seccomp.CLONE[machine], "clone3": seccomp.CLONE3}

    assert {name: library.seccomp_syscall_resolve_name_arch(token, name.encode()) for name in here} == here

"""Hostile programs: none passes, none does harm, and an honest program scores right after each of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from errorbook.sandbox.cell import find_lack
from errorbook.sandbox.pool import Job, Limits, Outcome, run_all

if find_lack() is not None:
    pytest.skip(f"no sandbox here: {find_lack()}", allow_module_level=True)

TESTS = """
def check(candidate):
    for x in (3, 8, 21):
        assert candidate(x) == (x * 7919 + 13) % 104729

check(f)
"""
HONEST = "def f(x): return (x * 7919 + 13) % 104729"
LIMITS = Limits(seconds=1.0, memory=256 << 20)


def programs(kind: str) -> dict[str, str]:
    """The programs of one file, by heading; `f` is what is tested in each."""
    text = (Path(__file__).parent / "hostile" / f"{kind}.md").read_text(encoding="utf-8")
    pieces = [piece.partition("\n") for piece in text.split("\n## ")[1:]]
    return {f"{kind}: {name}": rest.partition("```python\n")[2].partition("```")[0] for name, _, rest in pieces}


(INSIDE,) = programs("inside").values()
ALL = {
    name: source.replace("from inside import *\n", INSIDE)
    for kind in ("exit", "forgery", "flood", "loop", "intrusion")
    for name, source in programs(kind).items()
}


def job(source: str) -> Job:
    return Job(parts=(source,), tests=TESTS, entry="f")


def ancestors(process: str) -> list[str]:
    """The parents of a process, nearest first."""
    line: list[str] = []
    while process not in {"0", "1"}:
        try:
            # The name in brackets may hold anything; what follows its last bracket is the state and the parent.
            process = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            break
        line.append(process)
    return line


def processes() -> set[str]:
    """The cells' interpreters of this test process, or of nobody: those of tests that run beside it are left out."""
    beside = set()
    for place in Path("/proc").glob("[0-9]*"):
        if place.name != str(os.getpid()) and ancestors(place.name)[:1] == [str(os.getppid())]:
            beside.add(place.name)
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes()
        except OSError:
            continue
        if b"errorbook.sandbox import worker" in line and not beside & set(ancestors(place.parent.name)):
            found.add(place.parent.name)
    return found


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[Outcome, Outcome]]:
    """What each hostile program got, and what the honest program behind it got."""
    jobs = [job(source) for hostile in ALL.values() for source in (hostile, HONEST)]
    found = run_all(jobs, LIMITS, workers=2)
    return dict(zip(ALL, zip(found[::2], found[1::2], strict=True), strict=True))


def test_there_are_enough() -> None:
    assert len(ALL) >= 60


@pytest.mark.parametrize("name", ALL)
def test_no_hostile_program_passes_and_the_run_goes_on(name: str, outcomes: dict[str, tuple[Outcome, Outcome]]) -> None:
    hostile, honest = outcomes[name]

    assert hostile.status in ("failed", "timeout"), hostile
    assert honest.status == "passed", honest


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("intrusion")])
def test_intrusions_are_refused_by_the_system(name: str, outcomes: dict[str, tuple[Outcome, Outcome]]) -> None:
    hostile, _ = outcomes[name]

    # The line that intrudes raises, or the program is dead: `f` is never called.
    assert hostile.held + hostile.failed == 0, hostile
    assert hostile.why


def test_nothing_outlives_its_trial(outcomes: dict[str, tuple[Outcome, Outcome]]) -> None:
    end = time.monotonic() + 5
    while processes() and time.monotonic() < end:
        time.sleep(0.05)

    assert processes() == set()


PROBES: dict[str, tuple[str, Any]] = {
    "the environment": ("import os\ndef f(): return dict(os.environ)", {"HOME", "LANG", "PYTHONHASHSEED"}),
    "files at the root": ("import os\ndef f(): return os.listdir('/')", None),
    "files in the home": ("import os\ndef f(): return os.listdir(os.path.expanduser('~')) + os.listdir('/tmp')", []),
    "processes": ("import os\ndef f(): return os.path.exists('/proc')", False),
    "user and groups": (
        "import os\ndef f(): return 0 in (os.getuid(), os.geteuid(), os.getgid(), *os.getgroups())",
        False,
    ),
    "the system's files": ("import os\ndef f(): return os.path.exists('/etc/passwd')", False),
    "shells": ("import os\ndef f(): return os.path.exists('/bin/sh') or os.path.exists('/usr/bin/env')", False),
    "terminal": ("import os\ndef f(): return os.path.exists('/dev/tty')", False),
    "host name": ("import os\ndef f(): return os.uname().nodename", "cell"),
}


@pytest.mark.parametrize("name", PROBES)
def test_what_a_program_can_see(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "swordfish")
    source, expected = PROBES[name]
    seen = Job(parts=(source,), tests="assert f() == 'nothing'", entry="f")

    (outcome,) = run_all([seen], LIMITS)

    (note,) = outcome.notes
    assert "swordfish" not in note.got
    if isinstance(expected, set):
        assert {part for part in expected if part in note.got} == expected
        assert note.got.count(":") <= len(expected) + 1  # LC_CTYPE is Python's own
    elif expected is not None:
        assert note.got == repr(expected)
    else:
        assert set(note.got.strip("[]").replace("'", "").split(", ")) <= {
            *("cell", "dev", "etc", "home", "lib", "lib32", "lib64", "nix", "opt", "root", "tmp", "usr", "work")
        }


def test_the_parents_files_are_not_there(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    ledger.write_text("the run's ledger")
    places = [str(ledger), str(Path.home() / ".ssh"), str(Path(__file__)), f"/proc/{os.getpid()}/environ"]
    source = f"import os\ndef f(): return [p for p in {places!r} if os.path.exists(p)]"

    (outcome,) = run_all([Job(parts=(source,), tests="assert f() == []", entry="f")], LIMITS)

    assert outcome.status == "passed"
    assert ledger.read_text() == "the run's ledger"


def test_the_parents_descriptors_are_not_inherited() -> None:
    with Path(__file__).open() as kept:
        os.set_inheritable(kept.fileno(), True)
        source = "import os\ndef f():\n    n = 0\n    for fd in range(3, 64):\n        try: os.fstat(fd); n += 1\n"
        source += "        except OSError: pass\n    return n"

        (outcome,) = run_all([Job(parts=(source,), tests="assert f() == 1", entry="f")], LIMITS)

    assert outcome.status == "passed", outcome


def test_one_program_leaves_nothing_for_the_next() -> None:
    writes = "open('/tmp/left', 'w').write('x')\nopen('left', 'w').write('x')\ndef f(x): return 1"
    reads = "import os\ndef f(x): return os.listdir('/tmp') + os.listdir('.')"
    second = Job(parts=(reads,), tests="assert f(1) == []", entry="f")

    first, *others = run_all(
        [Job(parts=(writes,), tests="assert f(1) == 1", entry="f"), second, second], LIMITS, workers=1
    )

    assert first.status == "passed"
    assert [outcome.status for outcome in others] == ["passed", "passed"]


def test_a_helper_of_the_question_cannot_be_redefined() -> None:
    question = "def double(x):\n    return 2 * x\n\ndef halve(x):\n    '''Undo `double`.'''\n"
    forged = "def double(x): return x\ndef halve(x): return x"
    tests = "for n in range(1, 9):\n    assert halve(double(n)) == n"

    (outcome,) = run_all([Job(parts=(question, forged), tests=tests, entry="halve", prelude=question)], LIMITS)

    assert outcome.status == "failed"


def test_an_argument_changed_by_the_program_does_not_change_the_expected_value() -> None:
    forged = "def f(items):\n    items.clear()\n    return []"
    tests = "given = [3, 1, 2]\nassert f(given) == sorted(given)"

    (outcome,) = run_all([Job(parts=(forged,), tests=tests, entry="f")], LIMITS)

    assert outcome.status == "failed"
    assert outcome.notes[0].expected == "[1, 2, 3]"

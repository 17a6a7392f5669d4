"""Examples that nobody can answer rightly are found before anything is spent: few are left out, many are refused."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from errorbook import plugins
from errorbook.config import Config, parse
from errorbook.errors import DataError, UnjudgedError, UserError
from errorbook.files import cache_root
from errorbook.records import Example, NoVerdict, Score
from errorbook.setup import gold
from errorbook.setup.assemble import assemble
from errorbook.setup.gold import find_flaws
from errorbook.setup.plan import make_plan

RUN = """
[run]
name = "x"
[target]
engine = "scripted"
[instructor]
kind = "scripted"
[[tasks]]
name = "mine"
kind = "jsonl"
path = "data.jsonl"
scorer = "{scorer}"
train = 400
dev = 400
test = 400
{more}
[verify]
against = []
[train]
method = "scripted"
"""


def config(folder: Path, rows: list[dict[str, Any]], scorer: str, more: str = "") -> Config:
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return parse(RUN.format(scorer=scorer, more=more), folder=folder)


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(count)]


def options(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"Which {n}?", "answer": "ABC"[n % 3], "choices": [f"x{n}", f"y{n}", f"z{n}"]}
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("answer", "scorer", "why"),
    [("the colour of rain", "numeric", "not one number"), ("E", "choice", "none of its 3 options")],
)
def test_one_gold_answer_that_cannot_be_read_is_an_error_of_plan_and_run(
    answer: str, scorer: str, why: str, tmp_path: Path
) -> None:
    rows = numbers(100) if scorer == "numeric" else options(100)
    rows.append({**rows[0], "question": "And this one?", "answer": answer})
    more = "choices = 'choices'" if scorer == "choice" else ""
    made = config(tmp_path, rows, scorer, more)
    for step in (make_plan, lambda given: assemble(given, tmp_path / "out")):
        with pytest.raises(DataError) as caught:
            step(made)
        said = str(caught.value)
        assert said.startswith("1 of 101 examples of 'mine' cannot be answered rightly")
        assert "line 101 of 'data.jsonl'" in said
        assert why in said
        assert "correct these rows or delete them, or set another scorer" in said


@pytest.mark.parametrize(
    ("rows", "scorer", "more", "said"),
    [
        ([{**row, "answer": "the colour of rain"} for row in numbers(40)], "numeric", "", "40 of 40 examples"),
        (
            [{**row, "answer": "E"} for row in options(40)],
            "choice",
            "choices = 'choices'",
            "'E' is none of its 3 options",
        ),
        (
            [{**row, "answer": "1"} for row in numbers(40)],
            "code",
            "",
            "it has no tests",
        ),
        (
            [{"question": f"f{n}", "answer": "def f(): pass", "tests": "assert f( =="} for n in range(40)],
            "code",
            "tests = 'tests'",
            "tests do not parse",
        ),
        (
            [{"question": f"f{n}", "answer": "def f(): pass", "tests": f"x = {n}"} for n in range(40)],
            "code",
            "tests = 'tests'",
            "the tests call no function",
        ),
    ],
    ids=["text for numbers", "no such option", "no tests", "no Python", "no call"],
)
def test_many_bad_rows_are_refused_with_their_lines(
    rows: list[dict[str, Any]], scorer: str, more: str, said: str, tmp_path: Path
) -> None:
    made = config(tmp_path, rows, scorer, more)
    for step in (make_plan, lambda given: assemble(given, tmp_path / "out")):
        with pytest.raises(DataError) as caught:
            step(made)
        assert said in str(caught.value)
        assert "line " in str(caught.value)
        assert "and 37 more" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_labels_beside_the_options_are_read_and_must_be_as_many(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": f"Which {n}?", "answer": "2", "choices": {"text": [f"x{n}", f"y{n}"], "label": ["1", "2"]}}
        for n in range(40)
    ]
    parts = assemble(config(tmp_path, rows, "choice", "choices = 'choices'"), tmp_path)
    assert {example.answer for example in parts.courses[0].examples["train"]} == {"B"}

    rows[7]["choices"]["label"] = ["1", "2", "3"]
    with pytest.raises(DataError, match=r"line 8 .* has 2 options; give each one a label of its own"):
        make_plan(config(tmp_path, rows, "choice", "choices = 'choices'"))


def test_a_reference_solution_must_pass_its_tests(tmp_path: Path) -> None:
    pytest.importorskip("errorbook.sandbox.pool").require_sandbox()
    rows = [
        {
            "question": f"Return {n}.",
            "answer": f"def f():\n    return {n if n != 3 else 0}",
            "tests": f"assert f() == {n}",
        }
        for n in range(40)
    ]
    made = config(tmp_path, rows, "code", "tests = 'tests'")
    [note] = [note for note in make_plan(made).notes if "left out" in note]

    assert "line 4 of" in note
    assert "does not pass its tests" in note
    assert [note for note in make_plan(made).notes if "left out" in note] == [note]


def test_tests_that_fail_by_themselves_are_found_without_a_reference_solution() -> None:
    pytest.importorskip("errorbook.sandbox.pool").require_sandbox()
    tests = {n: f"assert f() == {n}" for n in range(8)}
    tests |= {3: "import pytest\nassert f() == 3", 4: "x = 1 / 0\nassert f() == 4", 5: "assert np.array(1) == f()"}
    tests[6] = "try:\n    f()\n    assert False\nexcept TooSmall:\n    pass"
    tests[7] = "s = Stack()\ns.push(1)\nassert s.pop() == 1"
    examples = [
        Example(id=str(n), task="t", split="train", question="Write it.", answer="", tests=text)
        for n, text in tests.items()
    ]

    flaws = find_flaws(plugins.create("tasks", "arithmetic"), plugins.create("scorers", "code"), examples)

    assert [flaw.example.id for flaw in flaws] == ["3", "4", "5"]
    assert "ModuleNotFoundError" in flaws[0].reason
    assert "ZeroDivisionError" in flaws[1].reason
    assert "'np', which nobody defines" in flaws[2].reason


@pytest.mark.parametrize("name", ["arithmetic", "arithmetic_transfer", "retention"])
def test_the_built_in_tasks_are_sound(name: str) -> None:
    task = plugins.create("tasks", name)
    examples = [example for split in ("train", "dev", "test") for example in task.examples(split, 60, 3)]
    assert find_flaws(task, plugins.create("scorers", task.scorer), examples) == []


def test_a_hundred_thousand_examples_take_seconds() -> None:
    from errorbook.records import Example

    task = plugins.create("tasks", "gsm8k")
    examples = [
        Example(id=str(n), task="gsm8k", split="train", question=f"{n}?", answer=str(n % 5000)) for n in range(100_000)
    ]
    started = time.process_time()
    assert find_flaws(task, plugins.create("scorers", "numeric"), examples) == []
    assert time.process_time() - started < 5


class Runner:
    """A scorer that runs programs: one example, by its id, fails, and others get no verdict, for which it may raise."""

    name = "runner"

    def __init__(self, failing: str = "", unjudged: str = "", lack: str = "") -> None:
        self.failing, self.unjudged, self.lack = failing, unjudged, lack
        self.ran: list[str] = []

    def find_flaw(self, example: Example) -> str:
        return ""

    def score(self, example: Example, text: str) -> Score:
        raise AssertionError("one at a time would take long")

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        self._require()
        return [told if isinstance(told := self._try(one), NoVerdict) else _score(told) for one, _ in pairs]

    def try_tests(self, examples: Sequence[Example]) -> list[str | NoVerdict]:
        self._require()
        return [self._try(example) for example in examples]

    def _try(self, example: Example) -> str | NoVerdict:
        self.ran.append(example.id)
        if example.id in self.unjudged:
            return NoVerdict(reason="the machine was too busy.")
        return "it fails by itself" if example.id in self.failing else ""

    def _require(self) -> None:
        if self.lack:
            raise UserError(self.lack)


def _score(fault: str) -> Score:
    return Score(verdict="wrong" if fault else "right", method="run")


def programs(answers: str = "solved", count: int = 9) -> list[Example]:
    answer, tests = "def f(): pass" if answers == "solved" else "", "assert f() is None"
    return [
        Example(id=str(n), task="t", split="train", question=f"{answers} {n}", answer=answer, tests=tests)
        for n in range(count)
    ]


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRORBOOK_CACHE", str(tmp_path / "cache"))


TASK = plugins.create("tasks", "arithmetic")


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize(("answers", "most"), [("solved", "_RUN"), ("bare", "_TRIED")])
def test_the_same_examples_are_left_out_at_every_start_and_run_once(
    answers: str, most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gold, most, 4)
    scorer = Runner(failing="268")

    found = [[flaw.example.id for flaw in find_flaws(TASK, scorer, programs(answers))] for _ in range(4)]

    assert found == [["2"]] * 4, "6 and 8 are beyond those that are tried, at every start"
    assert scorer.ran == ["0", "1", "2", "3"]
    assert find_flaws(TASK, Runner(failing="0"), programs(answers), marked_by="runner:other")[0].example.id == "0"


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("answers", ["solved", "bare"])
def test_a_run_does_not_start_where_its_programs_cannot_be_run_and_a_plan_does(answers: str) -> None:
    examples = programs(answers)
    away = Runner(lack="There is no sandbox here; install it.")

    with pytest.raises(UserError, match="There is no sandbox here"):
        find_flaws(TASK, away, examples)
    assert find_flaws(TASK, away, examples, lenient=True) == []
    assert [flaw.example.id for flaw in find_flaws(TASK, Runner(failing="37"), examples)] == ["3", "7"]
    for lenient in (False, True):  # nothing has to be run any more
        assert [flaw.example.id for flaw in find_flaws(TASK, away, examples, lenient=lenient)] == ["3", "7"]


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("answers", ["solved", "bare"])
def test_a_program_without_a_verdict_is_not_sound_by_that(answers: str) -> None:
    busy, examples = Runner(failing="15", unjudged="58"), programs(answers)

    with pytest.raises(UnjudgedError, match=r"^2 of 9 .* could not be judged \(the machine was too busy\); mend that"):
        find_flaws(TASK, busy, examples)
    assert [flaw.example.id for flaw in find_flaws(TASK, busy, examples, lenient=True)] == ["1"]
    assert busy.ran[9:] == ["5", "8"], "the others are known"
    assert [flaw.example.id for flaw in find_flaws(TASK, Runner(failing="15"), examples)] == ["1", "5"]


@pytest.mark.usefixtures("fresh_cache")
def test_what_was_tried_outlives_damage_to_its_file() -> None:
    scorer, examples = Runner(failing="4"), [*programs(), *programs("bare")]
    first = find_flaws(TASK, scorer, examples)
    assert [flaw.reason for flaw in first] == ["its reference solution does not pass its tests", "it fails by itself"]
    file = cache_root() / "references.jsonl"
    lines = file.read_bytes().splitlines()
    assert len(lines) == 18

    file.write_bytes(b"\n".join([*lines[:10], lines[10][:30], b"\xff\x00", b'["a", 3]', *lines[12:]]))
    scorer.ran.clear()

    assert find_flaws(TASK, scorer, examples) == first
    assert len(scorer.ran) == 2


def test_an_assembled_run_asks_for_a_sandbox_that_its_plan_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pytest.importorskip("errorbook.sandbox.pool")

    def lack() -> None:
        raise UserError("Model-written code cannot be run safely here: bubblewrap is not installed; install it.")

    monkeypatch.setattr(pool, "require_sandbox", lack)
    rows = [
        {"question": f"Double {n}.", "answer": f"def g():\n    return {2 * n}", "tests": f"assert g() == {2 * n}"}
        for n in range(30)
    ]
    made = config(tmp_path, rows, "code", "tests = 'tests'")

    assert make_plan(made).tasks[0].train > 0
    with pytest.raises(UserError, match="bubblewrap is not installed"):
        assemble(made, tmp_path / "out")


def test_a_busy_machine_says_nothing_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    from errorbook.sandbox import reading

    pytest.importorskip("errorbook.sandbox.pool").require_sandbox()
    reading.close()
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    scorer = plugins.create("scorers", "code")

    with pytest.raises(UnjudgedError, match="the parser does not start"):
        scorer.find_flaw(programs()[0])
    assert all(isinstance(told, NoVerdict) for told in scorer.try_tests(programs("bare", 2)))


def test_every_accepted_answer_must_be_right_by_itself(tmp_path: Path) -> None:
    rows = [
        *numbers(40),
        {"question": "Which two?", "answer": ["5", "soon"]},
        {"question": "Which one?", "answer": [5, 7]},
    ]
    with pytest.raises(DataError, match=r"1 of 42 examples .*line 41 of .*its answer 'soon' is not right"):
        assemble(config(tmp_path, rows, "numeric"), tmp_path / "out")


def test_letters_that_are_all_required_must_be_options(tmp_path: Path) -> None:
    more = 'choices = "choices"\nseveral = "all"'
    rows = [*options(40), {"question": "Which two?", "answer": ["A", "C"], "choices": ["x", "y", "z"]}]
    assert assemble(config(tmp_path, rows, "choice", more), tmp_path / "out").courses[0].left_out == ""

    rows[-1]["answer"] = ["A", "D"]
    with pytest.raises(DataError, match=r"line 41 of .*its answer 'A, D' is none of its 3 options"):
        assemble(config(tmp_path, rows, "choice", more), tmp_path / "out")


def test_words_that_announce_are_a_key_of_the_task(tmp_path: Path) -> None:
    assembled = assemble(config(tmp_path, numbers(40), "numeric", 'markers = ["Vastaus on"]'), tmp_path)
    scorer = assembled.courses[0].scorer
    example = Example(id="1", task="mine", split="dev", question="q", answer="18")

    assert scorer.score(example, "Vastaus on 18. Se on 3 kertaa 6.").verdict == "right"


def test_words_for_a_scorer_that_takes_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no key 'markers'"):
        make_plan(config(tmp_path, numbers(40), "contains", 'markers = ["Vastaus on"]'))

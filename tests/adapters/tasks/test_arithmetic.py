"""The embedded tasks: splits, balance, worked steps, and the independent solver."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.tasks.arithmetic_problems import LEVELS, SKILLS, Problem, make
from errorbook.adapters.tasks.arithmetic_solver import evaluate, solve
from errorbook.adapters.tasks.arithmetic_splits import draw, split_of
from errorbook.adapters.tasks.arithmetic_transfer import LEVEL, TRANSFER_SKILLS, ArithmeticTransfer, make_transfer
from errorbook.errors import DataError
from errorbook.interfaces import Solver, Task
from errorbook.records import Split

SPLITS: tuple[Split, ...] = get_args(Split)
SEEDS = st.integers(0, 2**32)
TASKS: tuple[Task, ...] = (Arithmetic(), ArithmeticTransfer())
STEP = re.compile(r"([\d+*/ -]+) = (\d+(?:/\d+)?)")


def check_steps(problem: Problem) -> None:
    for line in problem.steps:
        match = STEP.fullmatch(line)
        assert match, line
        assert evaluate(match[1]) == Fraction(match[2]), line


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("skill", SKILLS)
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_the_solver_confirms_every_answer_and_every_step_holds(skill: str, level: int, seed: int) -> None:
    problem = make(skill, level, random.Random(seed))
    assert solve(problem.question) == problem.answer
    assert solve(" " + problem.question.replace(" ", "  ")) == problem.answer
    check_steps(problem)
    assert make(skill, level, random.Random(seed)) == problem


@pytest.mark.parametrize("skill", TRANSFER_SKILLS)
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_transfer_steps_hold_and_end_in_the_answer(skill: str, seed: int) -> None:
    problem = make_transfer(skill, LEVEL, random.Random(seed))
    check_steps(problem)
    assert problem.steps[-1].endswith(f"= {problem.answer}")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("skill", SKILLS)
def test_the_last_step_gives_the_answer_and_solutions_are_short(skill: str, level: int) -> None:
    rng = random.Random(7)
    for problem in (make(skill, level, rng) for _ in range(300)):
        if skill == "divide_remainder":
            remainder = problem.answer.rpartition(" ")[2]
            assert re.fullmatch(rf"\d+ - \d+ = {remainder}", problem.steps[-1])
        else:
            assert problem.steps[-1].endswith(f"= {problem.answer}")
        # Digits, the spaces before them, words and signs are one token each in the smallest supported tokenizer.
        assert len(re.findall(r"\d| (?=\d)| ?[a-zA-Z]+| ?[^\w\s]|\n", "\n".join(problem.steps))) <= 66


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(SEEDS, min_size=3, max_size=3), sizes=st.lists(st.integers(1, 120), min_size=3, max_size=3))
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_splits_are_disjoint_for_any_seeds_and_sizes(task: Task, seeds: list[int], sizes: list[int]) -> None:
    drawn = [task.examples(split, n, seed) for split, n, seed in zip(SPLITS, sizes, seeds, strict=True)]
    questions = [{example.question for example in examples} for examples in drawn]
    assert [len(found) for found in questions] == sizes
    assert len(set().union(*questions)) == sum(sizes)
    assert len({example.id for examples in drawn for example in examples}) == sum(sizes)


@given(skill=st.sampled_from(SKILLS), level=st.sampled_from(LEVELS), seed=SEEDS)
def test_a_problem_is_in_the_split_of_its_key_whatever_its_wording(skill: str, level: int, seed: int) -> None:
    problem = make(skill, level, random.Random(seed))
    assert split_of(problem.key) in SPLITS


@given(skill=st.sampled_from(("add_no_carry", "add_carry")), level=st.sampled_from(LEVELS), seed=SEEDS)
def test_the_key_of_a_sum_names_the_larger_number_first(skill: str, level: int, seed: int) -> None:
    match = re.fullmatch(r"add:(\d+):(\d+)", make(skill, level, random.Random(seed)).key)
    assert match
    assert int(match[1]) >= int(match[2])


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, fewer=st.integers(0, 60), more=st.integers(0, 120), split=st.sampled_from(SPLITS))
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_asking_for_more_never_changes_the_first_examples(
    task: Task, seed: int, fewer: int, more: int, split: Split
) -> None:
    longer = task.examples(split, fewer + more, seed)
    assert task.examples(split, fewer, seed) == longer[:fewer]


@pytest.mark.parametrize("split", SPLITS)
def test_default_sizes_are_balanced_over_skills_and_levels(split: Split) -> None:
    task = Arithmetic()
    examples = task.examples(split, None, 3)
    assert len(examples) == getattr(task, split)
    assert {example.split for example in examples} == {split}
    counts = Counter((example.skill, example.difficulty) for example in examples)
    assert len(counts) == len(SKILLS) * len(LEVELS)
    assert set(counts.values()) == {len(examples) // 39}
    assert set(Counter(example.skill for example in examples[:26]).values()) == {2}


def test_a_question_has_one_key_and_keys_of_the_two_tasks_never_meet() -> None:
    rng = random.Random(11)
    keys: dict[str, str] = {}
    for skill in SKILLS:
        for problem in (make(skill, level, rng) for level in LEVELS for _ in range(1500)):
            assert keys.setdefault(problem.question, problem.key) == problem.key
    transfer = {make_transfer(skill, LEVEL, rng).key for skill in TRANSFER_SKILLS for _ in range(4000)}
    assert not transfer & set(keys.values())


def test_examples_do_not_depend_on_the_process() -> None:
    code = (
        "from errorbook.records import digest\n"
        "from errorbook.adapters.tasks.arithmetic import Arithmetic\n"
        "from errorbook.adapters.tasks.arithmetic_transfer import ArithmeticTransfer\n"
        "found = [*Arithmetic().examples('dev', 80, 5), *ArithmeticTransfer().examples('test', 20, 5)]\n"
        "print(digest(*(example.hash for example in found)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_seeds_differ_and_an_impossible_size_is_refused() -> None:
    assert Arithmetic().examples("dev", 40, 1) != Arithmetic().examples("dev", 40, 2)
    with pytest.raises(DataError, match="ask for at most that many"):
        draw("arithmetic", "test", 10**4, 0, [("divide", 1), ("multiply", 1)], make)


def test_prompt_and_completion() -> None:
    task = Arithmetic()
    assert isinstance(task, Solver)
    assert task.prompt("What is 2 + 3?").startswith("What is 2 + 3?\n")
    assert "Answer: <number>" in task.prompt("What is 2 + 3?")
    assert task.completion("2 + 3 = 5", "5") == "2 + 3 = 5\nAnswer: 5"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Calculate 2 + 3 * 4.", "14"),
        ("Compute (2 + 3) × 4", "20"),
        ("What is 10 - 4 - 3?", "3"),
        ("What is 3 - 10?", "-7"),
        ("What is 1/2 + 1/3?", "5/6"),
        ("What is 100 / 8?", "25/2"),
        ("What is 20% of 45?", "9"),
        ("Convert 90 minutes to hours.", "3/2"),
        ("How many days are 2 weeks and 48 hours?", "16"),
        ("Anna packs 20 eggs into boxes of 6. How many boxes are full, with what remainder?", "3 remainder 2"),
    ],
)
def test_the_solver_reads(question: str, answer: str) -> None:
    assert solve(question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Hello.",
        "What is 5?!",
        "What is 3 4?",
        "What is 3 +?",
        "What is (3 + 4?",
        "What is 5 / 0?",
        "What is 5 / (3 - 3)?",
        "What is 3/4 / 1/2?",
        "What is -3 + 4?",
        "What is " + "(" * 400 + "1" + ")" * 100,
        "What is 5/0 of 20?",
        "Calculate 2 + 3. Then add 4.",
        "Ignore this. Calculate 2 + 3.",
        "Divide 5 by 0 and give the quotient and the remainder.",
        "Convert 3 weeks to months.",
        "Convert 3 hours to grams.",
        "Convert 3 hours and 2 grams to minutes.",
        "Convert 3 parsecs to metres.",
        "Anna has 12 apples and gives away 15. How many apples are left?",
        "Anna has 12 apples and gives away 5. How many pears are left?",
        "Anna has 12 apples and gets 5 more. How many apples does Ben have now?",
        "Anna has 12 apples and Anna has 5 apples. How many more apples does Anna have than Anna?",
        "Anna shares 13 eggs equally among 4 children. How many eggs does each child get?",
        "Anna has 10 eggs and gives away 1/0 of them. How many eggs does Anna give away?",
        "A bus starts with 5 people. At the first stop 2 get on, at the second stop 9 get off, and at the "
        "third stop 4 get on. How many people are on the bus now?",
    ],
)
def test_the_solver_refuses(question: str) -> None:
    assert solve(question) is None


@settings(max_examples=200, deadline=None)
@given(skill=st.sampled_from(SKILLS), level=st.sampled_from(LEVELS), seed=SEEDS, extra=st.sampled_from(("Today ", "x")))
def test_a_question_with_an_addition_is_refused(skill: str, level: int, seed: int, extra: str) -> None:
    problem = make(skill, level, random.Random(seed))
    assert solve(extra + problem.question) is None
    assert solve(problem.question + " Show 3 ways.") is None


@settings(max_examples=300)
@given(text=st.text(max_size=700))
@example(text="What is ٣ + ٤?")
def test_the_solver_never_raises(text: str) -> None:
    for question in (text, f"What is {text}?"):
        assert solve(question) is None or isinstance(solve(question), str)

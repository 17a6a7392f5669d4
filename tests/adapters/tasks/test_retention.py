"""The retention guard: enough items of enough kinds, fixed splits, and no way to pass it with arithmetic."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from errorbook import plugins
from errorbook.adapters.scorers.contains import Contains
from errorbook.adapters.tasks.retention import Retention
from errorbook.interfaces import Task
from errorbook.records import Example, Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def everything() -> list[Example]:
    task = Retention()
    return [example for split in SPLITS for example in task.examples(split, None, 0)]


def test_there_are_enough_items_of_enough_kinds_in_every_split() -> None:
    found = everything()
    assert len(found) >= 450
    for split, least in (("train", 80), ("dev", 170), ("test", 170)):
        kinds = Counter(example.skill for example in found if example.split == split)
        assert len(kinds) == 14
        assert sum(kinds.values()) >= least


def test_splits_are_disjoint_and_do_not_depend_on_the_seed() -> None:
    train, dev, test = (Retention().examples(split, None, 1) for split in SPLITS)
    questions = [" ".join(re.findall(r"\w+", example.question.casefold())) for example in [*train, *dev, *test]]
    assert len(set(questions)) == len(questions)
    assert len({example.id for example in [*train, *dev, *test]}) == len(questions)
    again = Retention().examples("dev", None, 2)
    assert again != dev
    assert {example.id for example in again} == {example.id for example in dev}
    assert Retention().examples("dev", 7, 1) == dev[:7]


def test_every_gold_answer_is_accepted_and_no_question_asks_for_a_sum() -> None:
    task: Task = plugins.create("tasks", "retention")
    assert everything()
    for example in everything():
        assert all(part.strip() for part in example.answer.split("|")), example
        assert Contains().score(example, f"It is {task.completion('', example.answer)}!").verdict == "right"
        assert not re.search(r"[0-9] ?[-+*/x] ?[0-9]|\{\}|=", task.prompt(example.question)), example


@pytest.mark.parametrize(
    "response", ["3 + 4 = 7\nAnswer: 7", "Let's add step by step: 12 + 30 = 42.\nThe answer is 42."]
)
def test_a_model_that_answers_everything_with_a_sum_fails(response: str) -> None:
    assert not any(Contains().score(example, response).verdict == "right" for example in everything())


def test_parroting_the_question_passes_only_where_the_answer_stands_in_it() -> None:
    found = [example for example in everything() if Contains().score(example, example.question).verdict == "right"]
    assert {example.skill for example in found} == {"copy", "reading", "sentence"}

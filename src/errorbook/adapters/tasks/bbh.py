"""BIG-Bench Hard: 27 subtasks on which language models were behind people (Suzgun et al. 2022, arXiv 2210.09261).

It is a test set only: half of each question set, by hash, is dev, and there is no train split. Lettered options become
choices and the answer their letter; other answers (yes or no, numbers, brackets, word lists) stay as they are. Three
questions whose options were torn apart at commas before publication keep them in the question and the answer in words.
Metric: exact match. `skill` is the subtask.

A question is its own group, not its subtask's. Subtasks are no draw from many: all 27 are in dev and in test, so what
happens to one of them on dev happens to it in what is claimed. What is drawn are the questions of each. (27 groups
could never rule out a loss of 5 points.) Near duplicates are still counted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Portion, Spec, benchmark, field
from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.items import Item
from errorbook.plugins import Tokens

SUBTASKS = (
    "boolean_expressions",
    "causal_judgement",
    "date_understanding",
    "disambiguation_qa",
    "dyck_languages",
    "formal_fallacies",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "sports_understanding",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
)


def _read(row: Mapping[str, Any], subtask: str) -> Item:
    text, target = field(row, "input").strip(), field(row, "target").strip()
    question, _, block = text.partition("\nOptions:\n")
    choices = _choices(block)
    gold = target.strip("()")
    if target == f"({gold})" and gold in wording.LETTERS[: len(choices)]:
        # The whole text decides the split: some subtasks ask one question of hundreds of sets of options.
        return Item(question=question.strip(), answer=gold, choices=choices, skill=subtask, group=text)
    return Item(question=text, answer=target, skill=subtask, group=text)


def _choices(block: str) -> tuple[str, ...]:
    """The options of a block of lines "(A) ...", "(B) ..."; none if a line has another form."""
    lines = block.splitlines()
    heads = [f"({letter}) " for letter in wording.LETTERS[: len(lines)]]
    if len(heads) != len(lines) or not all(line.startswith(head) for head, line in zip(heads, lines, strict=True)):
        return ()
    return tuple(line[len(head) :].strip() for head, line in zip(heads, lines, strict=True))


SPEC = Spec(
    name="bbh",
    scorer="exact",
    instruction=wording.WORDS,
    read=_read,
    files={"*": "test"},
    dataset="SaylorTwift/bbh",
    portions=tuple(Portion("test", "test", subtask) for subtask in SUBTASKS),
)


def bbh(path: str = "", dataset: str = "", revision: str = "", max_new_tokens: Tokens = 512) -> Collection:
    """BIG-Bench Hard: 27 kinds of reasoning questions; dev and test only."""
    return benchmark(SPEC, BenchmarkOptions(path, dataset, revision, max_new_tokens))

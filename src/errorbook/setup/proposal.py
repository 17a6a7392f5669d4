"""What `errorbook init` shows and proposes: two prompts, how gold answers are read, sizes, and one question asked.

Sizes come from what dev can prove and from what the budget pays. Nothing is written; only `try_endpoint` asks anyone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from errorbook.adapters.instructors.forecast import Priced
from errorbook.config import Config, TaskSection, parse
from errorbook.errors import DataError
from errorbook.evaluate import ask
from errorbook.interfaces import BatchScorer, Checker, Placed, Scorer, Task
from errorbook.records import Example, Failure, Split
from errorbook.setup.assemble import SPLITS, create_instructor, create_scorer, create_task, select_sound
from errorbook.setup.new_run_file import InitAnswers, Sizes, render
from errorbook.setup.plan import Plan, make_plan
from errorbook.setup.surroundings import is_near
from errorbook.setup.task_preview import chat_template
from errorbook.stats import detectable_gain

GAIN = 0.05
"""The gain that dev should show: more questions than that takes are proposed for neither dev nor test."""
FREE = (("price_input", 0), ("price_output", 0))
_TRAIN = 300
_FEWEST = 20
_STEP = 50
_MOST = 2000
_SHOWN = 2
_READ = 3
_PATIENCE = 5.0
_SECONDS = 60.0


class ReadGold(msgspec.Struct, frozen=True, kw_only=True):
    """How a gold answer is read if it is given as a response: `verdict` is empty if running its tests judges."""

    response: str
    extracted: str
    verdict: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What the instructor's endpoint made of one train question: its answer, or why there is none.

    `verdict` is that of the task's scorer on the answer, which may well be wrong.
    """

    question: str
    gold: str
    answer: str
    verdict: str
    reason: str = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What is proposed for a run file, and what it rests on. `fault` is a sentence if the gold answers are at fault.

    `template` says how the prompts were rendered; `plan` is None if there is a fault.
    """

    scorer: str
    questions: Mapping[Split, int]
    prompts: tuple[str, ...]
    template: str
    gold: tuple[ReadGold, ...]
    fault: str = ""
    plan: Plan | None = None


def propose(answers: InitAnswers, folder: Path) -> tuple[InitAnswers, Proposal]:
    """The answers with sizes and a price that fit, and what to show of them; `folder` is the run file's.

    Raises:
        UserError: The answers contradict each other, or the data cannot be read.
    """
    answers = _with_price(answers, folder)
    config = _read(answers, folder)
    section = config.learn()[0]
    task = create_task(section)
    scorer = create_scorer(task.scorer, section.marking)
    every = {split: _examples(task, split, config.run.seed) for split in SPLITS}
    fault = _find_fault(task, scorer, section, config)
    plan = None
    if not fault and answers.data is not None:
        answers, plan = _fit(answers, folder, {split: len(part) for split, part in every.items()})
    elif not fault:
        plan = make_plan(config)
    section = _read(answers, folder).learn()[0]
    train = every["train"] if fault else select_sound(section, task, scorer, config.run.seed).examples["train"]
    template = chat_template(config.target.model)
    return answers, Proposal(
        scorer=task.scorer,
        questions={split: len(part) for split, part in every.items() if answers.data},
        prompts=tuple(template.render(ask(task, example)) for example in train[:_SHOWN]),
        template=template.note,
        gold=tuple(_read_gold(task, scorer, example) for example in train[:_READ]),
        fault=fault,
        plan=plan,
    )


def try_endpoint(config: Config) -> Tried | None:
    """Ask the instructor's endpoint one train question, in one call; None if it is behind none.

    Raises:
        UserError: It does not answer: in the server's own words, if it has any.
    """
    section = replace(
        config.instructor, options=config.instructor.options | {"patience": _PATIENCE, "timeout": _SECONDS}
    )
    asked = replace(config, instructor=section, run=replace(config.run, budget_usd=None))
    instructor = create_instructor(asked)
    if not isinstance(instructor, Checker):
        return None
    section_of = config.learn()[0]
    task = create_task(section_of)
    example = _examples(task, "train", config.run.seed)[0]
    [(_, reply, _)] = instructor.vote([replace(example, answer="", solution="", accepted=())], 1)
    if isinstance(reply, Failure):
        return Tried(question=example.question, gold=example.answer, answer="", verdict="", reason=reply.reason)
    scorer = create_scorer(task.scorer, section_of.marking)
    read = _read_gold(task, scorer, replace(example, solution=""), reply)
    return Tried(question=example.question, gold=example.answer, answer=reply, verdict=read.verdict)


def _read(answers: InitAnswers, folder: Path) -> Config:
    return parse(render(answers, folder), source="the run file", folder=folder)


def _with_price(answers: InitAnswers, folder: Path) -> InitAnswers:
    """A server of one's own network costs nothing, if nobody says otherwise."""
    if "price_input" in dict(answers.instructor_options) or not is_near(answers.instructor_url):
        return answers
    instructor = create_instructor(_read(answers, folder))
    known = isinstance(instructor, Priced) and instructor.price() is not None
    return answers if known else answers._replace(instructor_options=(*answers.instructor_options, *FREE))


def _examples(task: Task, split: Split, seed: int) -> Sequence[Example]:
    """A few of the built-in questions, all of one's own; none if the split has none."""
    try:
        return task.examples(split, None if isinstance(task, Placed) else _READ, seed)
    except DataError:
        if split == "train":
            raise
        return ()


def _find_fault(task: Task, scorer: Scorer, section: TaskSection, config: Config) -> str:
    """What is wrong with the gold answers, in the sentence that a plan would say."""
    try:
        select_sound(section, task, scorer, config.run.seed, lenient=True)
    except DataError as error:
        return str(error)
    return ""


def _fit(answers: InitAnswers, folder: Path, there: Mapping[Split, int]) -> tuple[InitAnswers, Plan]:
    """The largest sizes that are of use, and their plan: dev shows the gain, and the budget pays for train."""
    alpha = _read(answers, folder).rule().alpha_each
    enough = _STEP * (1 + bisect_left(range(_STEP, _MOST, _STEP), True, key=lambda n: _shows(n, alpha)))
    sizes = Sizes(
        train=min(there["train"] - answers.shots, _TRAIN),
        dev=min(there["dev"], enough),
        test=min(there["test"], enough),
    )
    plan = make_plan(_read(answers._replace(sizes=sizes), folder))
    while plan.usd and answers.budget_usd and plan.usd > answers.budget_usd and sizes.train > _FEWEST:
        paid = int(sizes.train * answers.budget_usd / plan.usd)
        sizes = sizes._replace(train=max(_FEWEST, min(paid, sizes.train - 1)))
        plan = make_plan(_read(answers._replace(sizes=sizes), folder))
    return answers._replace(sizes=sizes), plan


def _shows(n: int, alpha: float) -> bool:
    """Whether so many dev questions show the gain."""
    gain = detectable_gain(n, alpha)
    return gain is not None and gain <= GAIN


def _read_gold(task: Task, scorer: Scorer, example: Example, answer: str = "") -> ReadGold:
    response = task.completion(example.solution, answer or example.answer)
    if isinstance(scorer, BatchScorer):  # it runs or buys something
        return ReadGold(response=response, extracted="", verdict="")
    score = scorer.score(example, response)
    return ReadGold(response=response, extracted=score.extracted, verdict=score.verdict)

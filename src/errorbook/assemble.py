"""Config -> the parts of a run: plugins created, examples selected, the gate's rule written down.

The one place where names of the run file become objects. It runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from errorbook import plugins
from errorbook.config import Config, TaskSection
from errorbook.interfaces import Instructor, Retriever, Scorer, Target, Task, Trainer
from errorbook.protection import protected_questions
from errorbook.records import Example, Role, Rule, Split, digest
from errorbook.select import select

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class Course(NamedTuple):
    """One task of the run with everything that evaluating it takes; `marked_by` tells scorers with options apart."""

    task: Task
    scorer: Scorer
    role: Role
    margin: float
    examples: dict[Split, tuple[Example, ...]]
    marked_by: str

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name


class Parts(NamedTuple):
    """The plugins and examples of a run."""

    target: Target
    instructor: Instructor
    trainer: Trainer
    retriever: Retriever
    courses: tuple[Course, ...]
    protected: tuple[Example, ...]

    def learnt(self) -> tuple[Course, ...]:
        """The tasks that are learnt from."""
        return tuple(course for course in self.courses if course.role == "learn")


def assemble(config: Config, folder: Path) -> Parts:
    """Create every plugin and select every example; models load later, on first use. `folder` is the run's own.

    Raises:
        UserError: A plugin, an option or a dataset is wrong.
    """
    target: Target = create_target(config)
    courses = tuple(_course(section, config.run.seed, folder) for section in config.tasks)
    return Parts(
        target=target,
        instructor=create_instructor(config, folder),
        trainer=plugins.create("trainers", config.train.method, _trainer_options(config)),
        retriever=plugins.create("retrievers", config.strategy.retriever, _retriever_options(config, target)),
        courses=courses,
        protected=protected_questions((course.task for course in courses), config.verify.against),
    )


def create_target(config: Config) -> Target:
    """The target alone."""
    options = {"model": config.target.model, **config.target.options}
    target: Target = plugins.create("targets", config.target.engine, options)
    return target


def create_instructor(config: Config, folder: Path | None = None) -> Instructor:
    """The instructor alone; one that spends money is told the run's budget and where it may keep what it bought."""
    offered: dict[str, object] = {"seed": config.run.seed, "budget_usd": config.run.budget_usd}
    if folder is not None:
        offered["workspace"] = str(folder)
    takes = plugins.accepted("instructors", config.instructor.kind)
    shared = {name: value for name, value in offered.items() if name in takes}
    options = {**shared, **config.instructor.options}
    instructor: Instructor = plugins.create("instructors", config.instructor.kind, options)
    return instructor


def create_task(section: TaskSection) -> Task:
    """One task by its plugin; a plugin that serves any data is told the name that the run file gives it."""
    options = dict(section.options)
    if section.kind and "name" in plugins.accepted("tasks", section.plugin):
        options["name"] = section.name
    task: Task = plugins.create("tasks", section.plugin, options)
    return task


def rule_of(config: Config) -> Rule:
    """The gate's rule: several learnt tasks also guard each other."""
    learn = config.learn()
    guarding = (*config.guards(), *(learn if len(learn) > 1 else ()))
    return Rule(
        alpha=config.gate.alpha,
        tests=config.run.cycles * len(config.train.scales),
        learn=tuple(section.name for section in learn),
        guards=tuple((section.name, section.margin) for section in guarding),
    )


def plugin_origins(config: Config) -> list[plugins.Origin]:
    """Name and version of every plugin that the run uses."""
    used: set[tuple[plugins.Kind, str]] = {
        ("targets", config.target.engine),
        ("instructors", config.instructor.kind),
        ("trainers", config.train.method),
        ("retrievers", config.strategy.retriever),
        *(("tasks", section.plugin) for section in config.tasks),
    }
    return [plugins.origin(kind, name) for kind, name in sorted(used)]


def scorer_identity(scorer: str, options: Mapping[str, object]) -> str:
    """The scorer's name, with a short hash of its options where it has any; where marks are kept changes none."""
    telling = {name: value for name, value in options.items() if name != "store"}
    if not telling:
        return scorer
    return f"{scorer}:{digest(msgspec.json.encode(telling, order='deterministic'))[:8]}"


def create_scorer(name: str, options: Mapping[str, object], folder: Path | None = None) -> Scorer:
    """A scorer with its options; one that buys its marks keeps them in the run's folder where no other is named."""
    given = dict(options)
    if folder is not None and "store" not in given and "store" in plugins.accepted("scorers", name):
        given["store"] = str(folder / f"marks-{scorer_identity(name, options).rpartition(':')[2]}.sqlite")
    scorer: Scorer = plugins.create("scorers", name, given)
    return scorer


def _course(section: TaskSection, seed: int, folder: Path) -> Course:
    task = create_task(section)
    sizes: dict[Split, int] = {"train": section.train, "dev": section.dev, "test": section.test}
    return Course(
        task=task,
        scorer=create_scorer(task.scorer, section.scorer_options, folder),
        role=section.role,
        margin=section.margin,
        examples={split: select(task, split, sizes[split], seed) for split in SPLITS},
        marked_by=scorer_identity(task.scorer, section.scorer_options),
    )


def _trainer_options(config: Config) -> dict[str, object]:
    """The trainer loads the same model on the same device as the target."""
    shared = {"model": config.target.model, **config.target.options}
    takes = plugins.accepted("trainers", config.train.method)
    return {key: value for key, value in shared.items() if key in takes}


def _retriever_options(config: Config, target: Target) -> dict[str, object]:
    return {"target": target} if "target" in plugins.accepted("retrievers", config.strategy.retriever) else {}

"""Config -> the parts of a run: its plugins are created, and its examples are selected.

The one place where names of the run file become objects. It runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from errorbook import plugins
from errorbook.adapters.targets.remembered import remember_answers
from errorbook.config import SCORER_FILES, Config, TaskSection
from errorbook.errors import ConfigError, DataError
from errorbook.evaluate import identify
from errorbook.interfaces import (
    Applies,
    BatchScorer,
    Choosy,
    Instructor,
    Parallel,
    Remembers,
    Retriever,
    Scorer,
    Target,
    Task,
    Tied,
    Trainer,
)
from errorbook.records import Checkpoint, Evaluation, Example, Form, Role, Split, digest
from errorbook.select import refuse_shared, select
from errorbook.setup.framing import frame
from errorbook.setup.gold import Sound, keep_sound
from errorbook.setup.held_out import protected_questions
from errorbook.setup.possible import require_possible

if TYPE_CHECKING:
    from errorbook.adapters.ray.ray_cluster import Compute

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
EXAMINED = "experiment"
"""The purpose of evaluations that compare trainings, and not the run's models."""


class Course(NamedTuple):
    """One task of the run with everything that evaluating it takes; `marked_by` tells scorers with options apart.

    `shots` are the questions that are shown with every other, and never asked. `left_out` is a sentence about examples
    that no answer can be right for; empty if there are none.
    """

    task: Task
    scorer: Scorer
    role: Role
    margin: float
    examples: dict[Split, tuple[Example, ...]]
    marked_by: str
    stop: tuple[str, ...] = ()
    shots: tuple[Example, ...] = ()
    purpose: str = ""
    left_out: str = ""
    temperature: float = 0.0
    draw: int = 0

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    def practising(self, examples: tuple[Example, ...]) -> Course:
        """The same task with other train questions, whose evaluations stand apart from those of its own."""
        return self._replace(examples={**self.examples, "train": examples}, purpose="practice")

    def drawing(self, temperature: float, number: int) -> Course:
        """The same task answered at a temperature, for the so-many-th time; its evaluations stand apart, too."""
        return self._replace(purpose=f"draw {number}", temperature=temperature, draw=number)

    def examining(self) -> Course:
        """The same task as an experiment asks candidates; no report of the run takes these evaluations for its own."""
        return self._replace(purpose=EXAMINED)

    def evaluation(self, target: Target, checkpoint: Checkpoint, split: Split) -> Evaluation:
        """The identity of this checkpoint's evaluation on one split."""
        found = identify(target, checkpoint.hash, self.task, split, self.examples[split], self.marked_by)
        if found.generation.answer == "text":
            drawn = replace(found.generation, stop=self.stop, temperature=self.temperature, seed=self.draw)
            found = replace(found, generation=drawn)
        return replace(found, task=f"{self.name}:{self.purpose}") if self.purpose else found


class RunParts(NamedTuple):
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


def assemble(config: Config, folder: Path) -> RunParts:
    """Create every plugin and select every example; models load later, on first use. `folder` is the run's own.

    Raises:
        UserError: A plugin, an option or a dataset is wrong.
    """
    target, trainer = create_target(config, folder), create_trainer(config)
    _check_form(config, target, trainer)
    bought = Path(config.compute.store or folder)
    courses = tuple(_course(section, config, bought) for section in config.tasks)
    instructor = create_instructor(config, bought)
    learnt = ((course.task, course.examples["train"]) for course in courses if course.role == "learn")
    require_possible(config, instructor, learnt)
    return RunParts(
        target=target,
        instructor=instructor,
        trainer=trainer,
        retriever=plugins.create("retrievers", config.strategy.retriever, _retriever_options(config, target)),
        courses=courses,
        protected=protected_questions((course.task for course in courses), config.verify.against),
    )


def create_target(config: Config, folder: Path | None = None) -> Target:
    """The target alone, on the cluster if the run file says so, with the answers that are remembered before it.

    One that keeps what it bought is told the run's `folder`.
    """
    engine = config.target.engine
    options = {"model": config.target.model, **config.target.options}
    takes = plugins.list_options("targets", engine)
    if folder is not None and "workspace" in takes:
        options.setdefault("workspace", str(folder))
    if config.run.budget_usd is not None and "budget_usd" in takes:
        options.setdefault("budget_usd", config.run.budget_usd)
    target: Target = plugins.create("targets", engine, options)
    if config.compute.engine == "ray" and not isinstance(target, Applies):  # one that is served is elsewhere already
        from errorbook.adapters.ray.ray_target import ray_target

        target = ray_target(engine, options, _cluster(config))
    if not config.compute.cache or isinstance(target, Remembers):
        return target
    return remember_answers(target, options)


def create_instructor(config: Config, folder: Path | None = None) -> Instructor:
    """The instructor alone; one that spends money is told the run's budget and where it may keep what it bought."""
    offered: dict[str, object] = {"seed": config.run.seed, "budget_usd": config.run.budget_usd}
    if folder is not None:
        offered["workspace"] = str(folder)
    takes = plugins.list_options("instructors", config.instructor.kind)
    shared = {name: value for name, value in offered.items() if name in takes}
    options = {**shared, **config.instructor.options}
    instructor: Instructor = plugins.create("instructors", config.instructor.kind, options)
    return instructor


def create_trainer(config: Config) -> Trainer:
    """The trainer, in this process, in several of this machine or on the cluster; it loads the target's own model.

    Raises:
        UserError: An option is wrong, or the trainer cannot train by the recipe.
    """
    trainer, recipe = _place_trainer(config), config.train.recipe(0)
    if isinstance(trainer, Choosy):
        reason = trainer.refuse(recipe)
    elif recipe.objective == "self_distill":
        reason = (
            f"The method '{recipe.method}' cannot have the target learn from itself; set objective = 'sft' in [train],"
            " or method = 'lora'."
        )
    else:
        reason = ""
    if reason:
        raise ConfigError(reason)
    return trainer


def _place_trainer(config: Config) -> Trainer:
    method, compute = config.train.method, config.compute
    takes = plugins.list_options("trainers", method)
    told = {"strategy": compute.strategy, "budget_usd": config.run.budget_usd}
    shared = {"model": config.target.model, **config.target.options, **told}
    options = {**{key: value for key, value in shared.items() if key in takes}, **config.train.options}
    trainer: Trainer = plugins.create("trainers", method, options)
    if compute.engine == "ray" and trainer.produces(config.train.recipe(0)) != "served":
        from errorbook.adapters.ray.ray_trainer import ray_trainer

        return ray_trainer(method, options, _cluster(config))
    if compute.processes > 1:
        if not isinstance(trainer, Parallel):
            raise ConfigError(f"The method '{method}' trains in one process; set processes = 1 in [compute].")
        return trainer.on_processes(compute.processes)
    return trainer


def create_task(section: TaskSection) -> Task:
    """One task by its plugin; a plugin that serves any data is told the name that the run file gives it.

    Raises:
        ConfigError: The plugin has one name only, and the run file gives another: its records would not be found.
    """
    options = dict(section.options)
    if section.kind and "name" in plugins.list_options("tasks", section.plugin):
        options["name"] = section.name
    task: Task = plugins.create("tasks", section.plugin, options)
    if task.name != section.name:
        raise ConfigError(
            f"The task '{section.plugin}' can only be called '{task.name}', not '{section.name}'; write"
            f' name = "{task.name}", and one block of it.'
        )
    return task


def select_sound(section: TaskSection, task: Task, scorer: Scorer, seed: int, *, lenient: bool = False) -> Sound:
    """The examples of every split that the run uses: those that its scorer can judge.

    If it is `lenient`, an example that cannot be tried here counts as sound: good for a plan, not for a run.

    Raises:
        DataError: A split is empty, or too many examples cannot be judged.
        UserError: What must be run cannot be run here, and it is not `lenient`.
    """
    sizes: dict[Split, int] = {"train": section.train, "dev": section.dev, "test": section.test}
    shown = _split_to_show(section, task, seed)
    sizes[shown] += section.shots
    examples = {split: select(task, split, sizes[split], seed) for split in SPLITS}
    if section.role == "learn":
        refuse_shared(task.name, examples)
    marked_by = scorer_identity(task.scorer, section.marking)
    sound = keep_sound(task, scorer, examples, marked_by=marked_by, lenient=lenient)
    framed = frame(section, task, sound.examples, shown)
    return sound._replace(examples=framed.examples, shots=framed.shots)


def _split_to_show(section: TaskSection, task: Task, seed: int) -> Split:
    """Where a task's shots are taken from: train, or dev if its data have no train split, as benchmarks have none."""
    if section.shots:
        try:
            task.examples("train", 1, seed)
        except DataError:
            if section.role == "guard":
                return "dev"
    return "train"


def plugin_origins(config: Config) -> list[plugins.Origin]:
    """Name and version of every plugin that the run uses."""
    used: set[tuple[plugins.Kind, str]] = {
        ("targets", config.target.engine),
        ("instructors", config.instructor.kind),
        ("trainers", config.train.method),
        ("retrievers", config.strategy.retriever),
        *(("tasks", section.plugin) for section in config.tasks),
    }
    return [plugins.find_origin(kind, name) for kind, name in sorted(used)]


def scorer_identity(scorer: str, options: Mapping[str, object]) -> str:
    """The scorer's name, with a short hash of its options if it has any, but for the place of its marks."""
    telling = {name: _content(name, value) for name, value in options.items() if name != "store"}
    if not telling:
        return scorer
    return f"{scorer}:{digest(msgspec.json.encode(telling, order='deterministic'))[:8]}"


def _content(name: str, value: object) -> object:
    """What a file holds instead of where it lies: a run may move."""
    if name not in SCORER_FILES or not isinstance(value, str):
        return value
    try:
        return digest(Path(value).read_bytes())
    except OSError:
        return value


def create_scorer(name: str, options: Mapping[str, object], folder: Path | None = None) -> Scorer:
    """A scorer with its options; one that buys its marks keeps them in the run's folder if no other is named."""
    given = dict(options)
    if folder is not None and "store" not in given and "store" in plugins.list_options("scorers", name):
        given["store"] = str(folder / f"marks-{scorer_identity(name, options).rpartition(':')[2]}.sqlite")
    scorer: Scorer = plugins.create("scorers", name, given)
    return scorer


def _course(section: TaskSection, config: Config, folder: Path) -> Course:
    task = create_task(section)
    scorer = create_scorer(task.scorer, section.marking, folder)
    if config.compute.engine == "ray" and isinstance(scorer, BatchScorer):
        from errorbook.adapters.ray.ray_scorer import ray_scorer

        scorer = ray_scorer(task.scorer, section.marking, _cluster(config))
    sound = select_sound(section, task, create_scorer(task.scorer, section.marking, folder), config.run.seed)
    return Course(
        task=task,
        scorer=scorer,
        role=section.role,
        margin=section.margin,
        examples=sound.examples,
        marked_by=scorer_identity(task.scorer, section.marking),
        stop=section.stop,
        shots=sound.shots,
        left_out=sound.note,
    )


def _cluster(config: Config) -> Compute:
    """The part of `[compute]` that says which cluster, and how much of it."""
    from errorbook.adapters.ray.ray_cluster import Compute

    section = config.compute
    return Compute(
        address=section.address,
        workers=section.workers,
        cpus_per_worker=section.cpus_per_worker,
        gpus_per_worker=section.gpus_per_worker,
    )


def _check_form(config: Config, target: Target, trainer: Trainer) -> None:
    """Refuse a training whose result this target could not be examined with, before anything is paid for."""
    form = trainer.produces(config.train.recipe(0))
    if isinstance(target, Tied) and (config.train.method not in target.methods or config.train.scales != (1.0,)):
        raise ConfigError(
            f"The engine '{config.target.engine}' answers as what the method {' or '.join(target.methods)} leaves, at"
            f" full scale; set method = '{target.methods[0]}' and scales = [1.0] in [train], or another engine in"
            " [target]."
        )
    takes = target.forms if isinstance(target, Applies) else ("adapter", "weights")
    if form not in takes:
        raise ConfigError(
            f"The engine '{config.target.engine}' cannot answer as what the method '{config.train.method}' leaves "
            f"({_FORMS[form]}); set a method in [train] that leaves {' or '.join(_FORMS[one] for one in takes)}, or "
            "another engine in [target]."
        )


_FORMS: dict[Form, str] = {
    "adapter": "an adapter",
    "weights": "whole weights",
    "served": "a model that is served elsewhere",
}


def _retriever_options(config: Config, target: Target) -> dict[str, object]:
    """The target and the encoder, for a retriever that asks for them."""
    takes = plugins.list_options("retrievers", config.strategy.retriever)
    offered: dict[str, object] = {"target": target, "encoder": config.strategy.encoder}
    return {name: value for name, value in offered.items() if name in takes}

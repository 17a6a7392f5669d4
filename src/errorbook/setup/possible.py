"""Whether the strategies of a run can be followed with its tasks and its instructor.

It is asked before anything is paid for, by a plan and by a run alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from errorbook.config import Config
from errorbook.errors import ConfigError
from errorbook.interfaces import Concise, Free, Instructor, OptionTask, Task, Versatile
from errorbook.records import Example, Writing
from errorbook.strategies.questions import has_solution
from errorbook.strategies.table import Strategy

_ASKED: dict[Writing, str] = {
    "question": "new questions",
    "variation": "variations of train questions",
    "solution": "solutions of train questions",
}
Learnt = tuple[Task, Sequence[Example]]
"""A learnt task with its train questions."""


def require_possible(config: Config, instructor: Instructor, learnt: Iterable[Learnt]) -> None:
    """Check every strategy that the run's cycles name against the instructor and each learnt task.

    Raises:
        ConfigError: One of them cannot be followed.
    """
    tasks = list(learnt)
    # Tasks that share their samples may leave them to one another; with a share of its own each needs what is taught.
    together = config.strategy.max_samples_per == "cycle"
    solvable = together and any(has_solution(example) for _, train in tasks for example in train)
    for strategy in config.strategy.used(config.run.cycles):
        faults = [
            _find_lack(strategy, config.instructor.kind, instructor),
            _find_conflict(strategy, config, instructor),
        ]
        faults += [_find_missing(strategy, task, train, solvable=solvable) for task, train in tasks]
        if fault := next(filter(None, faults), ""):
            raise ConfigError(fault)


def _find_lack(strategy: Strategy, kind: str, instructor: Instructor) -> str:
    """What the instructor cannot do."""
    can = {"question", *(instructor.writings if isinstance(instructor, Versatile) else ())}
    if not strategy.asks_instructor or strategy.writes in can:
        return ""
    return (
        f"The strategy '{strategy.name}' asks for {_ASKED[strategy.writes]}, and the instructor '{kind}' writes new"
        " questions only; take another instructor or another strategy.name."
    )


def _find_conflict(strategy: Strategy, config: Config, instructor: Instructor) -> str:
    """What the run file asks of the way in which mistakes are analysed, and cannot be had."""
    if not strategy.diagnoses:
        return ""
    kind, one = config.instructor.kind, config.instructor.calls == "one"
    if one and strategy.beside == "alike":
        return (
            f"The strategy '{strategy.name}' compares all diagnoses before anything is written; set calls = 'two' in"
            " [instructor], or take another strategy.name."
        )
    if one and not isinstance(instructor, Concise):
        return f"The instructor '{kind}' analyses and writes in two calls; leave out calls in [instructor]."
    if not config.strategy.show_gold and isinstance(instructor, Free):
        return f"The instructor '{kind}' works from the gold answers; set show_gold = true in [strategy]."
    return ""


def _find_missing(strategy: Strategy, task: Task, train: Sequence[Example], *, solvable: bool) -> str:
    """What the train questions of a task lack; `solvable` says that another may teach its solutions instead."""
    solved = [example for example in train if has_solution(example)]
    if strategy.author == "data" and not solved and (strategy.basis == "skills" or not solvable):
        return (
            f"The strategy '{strategy.name}' teaches worked solutions, and the train questions of '{task.name}' come"
            " with none; name the column that holds them as the task's 'solution', or take another strategy.name."
        )
    if strategy.basis == "skills" and not any(example.skill for example in solved):
        return (
            f"The strategy '{strategy.name}' goes by skills, and the train questions of '{task.name}' name none; give"
            " the column that holds them as the task's 'skill', or take another strategy.name."
        )
    if strategy.author == "target" and isinstance(task, OptionTask) and task.by_likelihood:
        return (
            f"The strategy '{strategy.name}' teaches what the target writes, and '{task.name}' only has its options"
            ' weighed; set answer = "text" for that task, or take another strategy.name.'
        )
    return ""

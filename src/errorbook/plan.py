"""What a run will do before it does it: questions, calls, tokens, dollars, and what its gate is able to see.

Bounds from above: every question is taken to be answered wrong and every cycle to be accepted. It loads no model and
asks no instructor; it does read the data, to count it.
"""

from __future__ import annotations

import msgspec

from errorbook.assemble import create_task, rule_of
from errorbook.config import Config, TaskSection
from errorbook.records import Role, Rule
from errorbook.select import select
from errorbook.stats import detectable_gain, not_worse

FREE_INSTRUCTORS = frozenset({"tutor", "noise", "scripted"})
_UNDIRECTED_BATCH = 10
_LARGEST_GAIN = 0.3  # `detectable_gain` is capped here: more questions would have to change than are expected to


class TaskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The questions of one task that there really are, by split, and the cap on one response in tokens."""

    task: str
    role: Role
    train: int
    dev: int
    test: int
    max_new_tokens: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds of a run's work, and the reach of its gate.

    `generated_tokens` takes half of the cap for each response. `usd` is None where the price is not known.
    `detectable` is the smallest gain in accuracy that dev shows with a power of 80%.
    """

    name: str
    cycles: int
    tasks: tuple[TaskPlan, ...]
    responses: int
    generated_tokens: int
    generated_tokens_at_most: int
    calls: int
    drafts: int
    usd: float | None
    alpha_each: float
    detectable: float
    warnings: tuple[str, ...]


def make_plan(config: Config) -> Plan:
    """Count what a run file asks for.

    Raises:
        UserError: A plugin, an option or a dataset is wrong.
    """
    tasks = tuple(_task_plan(section, config.run.seed) for section in config.tasks)
    responses = {task.task: _responses(task, config) for task in tasks}
    at_most = sum(responses[task.task] * task.max_new_tokens for task in tasks)
    rule = rule_of(config)
    alpha_each = rule.alpha / rule.tests
    detectable = detectable_gain(sum(task.dev for task in tasks if task.role == "learn"), alpha_each)
    calls, drafts = _supply(tasks, config)
    return Plan(
        name=config.run.name,
        cycles=config.run.cycles,
        tasks=tasks,
        responses=sum(responses.values()),
        generated_tokens=at_most // 2,
        generated_tokens_at_most=at_most,
        calls=calls,
        drafts=drafts,
        usd=0.0 if config.instructor.kind in FREE_INSTRUCTORS else None,
        alpha_each=alpha_each,
        detectable=detectable,
        warnings=tuple(_warnings(tasks, rule, detectable, config)),
    )


def enough_for(margin: float, alpha: float) -> int:
    """The fewest questions on which "worse by the margin" can be ruled out when not one verdict changes."""
    high = 1
    while not_worse(0, 0, high, margin) > alpha:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if not_worse(0, 0, middle, margin) > alpha:
            low = middle
        else:
            high = middle
    return high


def _task_plan(section: TaskSection, seed: int) -> TaskPlan:
    task = create_task(section)
    return TaskPlan(
        task=section.name,
        role=section.role,
        train=len(select(task, "train", section.train, seed)),
        dev=len(select(task, "dev", section.dev, seed)),
        test=len(select(task, "test", section.test, seed)),
        max_new_tokens=task.max_new_tokens,
    )


def _responses(task: TaskPlan, config: Config) -> int:
    """Base and each cycle's checkpoint on train, every candidate on dev, base and final on test."""
    on_train = task.train * (config.run.cycles + 1 if task.role == "learn" else 1)
    return on_train + task.dev * (1 + config.run.cycles * len(config.train.scales)) + 2 * task.test


def _supply(tasks: tuple[TaskPlan, ...], config: Config) -> tuple[int, int]:
    """Instructor calls and drafts at most."""
    mistakes = sum(task.train for task in tasks if task.role == "learn")
    quota = min(mistakes * config.strategy.samples_per_error, config.strategy.max_samples)
    rounds = config.run.cycles * config.strategy.rounds
    if config.strategy.name == "undirected":
        learnt = sum(task.role == "learn" for task in tasks)
        return rounds * (-(-quota // _UNDIRECTED_BATCH) + learnt - 1), rounds * quota
    return config.run.cycles * mistakes + rounds * min(mistakes, quota), rounds * quota


def _warnings(tasks: tuple[TaskPlan, ...], rule: Rule, detectable: float, config: Config) -> list[str]:
    alpha = rule.alpha / rule.tests
    sizes = {task.task: task.dev for task in tasks}
    found = []
    for name, margin in rule.guards:
        needed = enough_for(margin, alpha)
        if sizes[name] < needed:
            found.append(
                f"'{name}' can never pass as a guard: {sizes[name]} dev questions cannot rule out a loss of"
                f" {100 * margin:g} points at alpha {alpha:.2g}, even if no answer changes; give it dev = {needed} or"
                " more, or a wider margin."
            )
    if detectable >= _LARGEST_GAIN:
        found.append("The dev split is too small to show any likely gain; give the learnt tasks more dev questions.")
    wanted = {section.name: section for section in config.tasks}
    for task in tasks:
        section = wanted[task.task]
        if (task.train, task.dev, task.test) != (section.train, section.dev, section.test):
            found.append(f"'{task.task}' has fewer questions than the run file asks for; all that it has are used.")
    if config.instructor.kind not in FREE_INSTRUCTORS and config.run.budget_usd is None:
        found.append("No budget is set; add budget_usd to [run] to cap what the instructor may cost.")
    return found

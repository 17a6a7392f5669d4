"""What a run will do before it does it: questions, calls, tokens, dollars, and what its gate is able to see.

Bounds from above: every question is taken to be answered wrong, every draft to be rejected in every round, and every
cycle to be accepted. For that much work the instructor's tokens are an estimate. It loads no model and asks no
instructor; it does read the data, to count it and to measure prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from errorbook import plugins
from errorbook.adapters.instructors.forecast import Listed, Priced, Work
from errorbook.checks.groups import count_shared, find_groups
from errorbook.config import Config, TaskSection
from errorbook.interfaces import Checker, Foresees, Free, Instructor, Narrow, Solver, Task
from errorbook.noise_floor import AT_MOST
from errorbook.records import Cluster, Example, Role, Rule
from errorbook.setup.assemble import create_instructor, create_scorer, create_task, create_trainer, select_sound
from errorbook.setup.plan_host import Amounts, price_host
from errorbook.setup.plan_prompts import ReadPrompt, read_prompts
from errorbook.setup.plan_supply import Supply, count_draws, count_own_answers, count_supply
from errorbook.setup.possible import require_possible
from errorbook.stats import detectable_gain, effective_questions, not_worse
from errorbook.strategies.questions import has_solution

_MANY = 10_000
"""Questions of one task whose making or reading may take more than a few seconds."""
_LARGEST_GAIN = 0.3  # a larger gain than this is not likely: more questions would have to change than are expected to


class TaskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The questions of one task that there really are, by split, and the cap on one response in tokens.

    `dev_groups` counts the groups of dev questions that belong together, by size; `dev_effective` says as many as how
    many questions that stand alone they are, if those of a group change all together. If something stands before the
    questions (a system message, shots, earlier turns), `prompt` is one of them as the target reads it, and
    `prompt_tokens` their mean length.
    """

    task: str
    role: Role
    train: int
    dev: int
    test: int
    max_new_tokens: int
    dev_groups: dict[int, int] = {}
    prompt: str = ""
    prompt_tokens: int = 0

    @property
    def dev_effective(self) -> int:
        """Whole questions, rounded down."""
        return int(effective_questions(self.dev, self.dev_groups))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds of a run's work, and the reach of its gate.

    `generated_tokens` takes half of the cap for each response, and `read_tokens` are those of the prompts of tasks that
    put something before their questions. `calls` counts `votes` (blind answers to drafts), too.
    The instructor's `input_tokens` and `output_tokens` are None if it forecasts none, `usd` if the price is not known.
    `host_usd` is what answers and training cost at most if they are paid by the token, None if nobody knows.
    `own_answers` are those that the target writes while it learns from itself (their tokens are among the generated
    ones), and `training_bytes` the memory that this takes at least, if it is known. `detectable` is the smallest gain
    in accuracy that dev shows with a power of 80%, None if it shows none; `dev_effective` is as many questions that
    stand alone as the learnt tasks' dev questions say as much as. `warnings` ask for a change of the run file; `notes`
    are only good to know.
    """

    name: str
    cycles: int
    strategy: str
    tasks: tuple[TaskPlan, ...]
    responses: int
    generated_tokens: int
    generated_tokens_at_most: int
    read_tokens: int = 0
    calls: int
    drafts: int
    votes: int
    own_answers: int = 0
    training_bytes: int | None = None
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    budget_usd: float | None
    host_usd: float | None = None
    alpha_each: float
    detectable: float | None
    dev_effective: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


class _Course(NamedTuple):
    """One task with what there is to count and to measure."""

    task: Task
    plan: TaskPlan
    train: tuple[Example, ...]
    recomputes: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    dev: tuple[Example, ...] = ()


class _Price(NamedTuple):
    """What the instructor's work takes; None if that is not known."""

    input_tokens: int | None
    output_tokens: int | None
    usd: float | None


def make_plan(config: Config, tell: Callable[[str], None] = lambda _: None) -> Plan:
    """Count what a run file asks for; `tell` is given a sentence before something that may take long.

    Raises:
        UserError: A plugin, an option or a dataset is wrong.
    """
    plan = _count_work(config, tell)
    responses = {task.task: _responses(task, config) for task in plan.tasks}
    amounts = Amounts(responses, plan.generated_tokens_at_most, plan.own_answers, plan.drafts, plan.usd)
    host = price_host(config, amounts)
    return msgspec.structs.replace(plan, host_usd=host.usd, warnings=(*plan.warnings, *host.warnings))


def _count_work(config: Config, tell: Callable[[str], None]) -> Plan:
    """All of the plan but the price of a target and a training that are paid by the token."""
    courses = []
    for section in config.tasks:
        wanted = section.train + section.dev + section.test
        if wanted > _MANY:
            tell(f"Reading up to {wanted:,} questions of '{section.name}' ...")
        courses.append(_course(section, config))
    tasks = tuple(course.plan for course in courses)
    learnt = [course for course in courses if course.plan.role == "learn"]
    instructor = create_instructor(config)
    require_possible(config, instructor, ((course.task, course.train) for course in learnt))
    train = {course.plan.task: course.train for course in learnt}
    supply = count_supply(train, config, {one.plan.task: _count_votes(one, config, instructor) for one in learnt})
    price = _price(instructor, learnt, supply, config)
    responses = {task.task: _responses(task, config) for task in tasks}
    own_answers = count_own_answers(train, config)
    at_most = sum(responses[task.task] * task.max_new_tokens for task in tasks)
    at_most += own_answers * max(task.max_new_tokens for task in tasks)
    rule = config.rule()
    sizes: Counter[int] = sum((Counter(course.plan.dev_groups) for course in learnt), Counter())
    effective = int(effective_questions(sum(course.plan.dev for course in learnt), sizes))
    detectable = detectable_gain(effective, rule.alpha_each, in_looks=rule.sequential)
    return Plan(
        name=config.run.name,
        cycles=config.run.cycles,
        strategy=config.strategy.describe(config.run.cycles),
        tasks=tasks,
        responses=sum(responses.values()),
        generated_tokens=at_most // 2,
        generated_tokens_at_most=at_most,
        read_tokens=sum(responses[task.task] * task.prompt_tokens for task in tasks),
        calls=sum(item.diagnoses + item.writes + item.votes for item in supply),
        drafts=sum(item.drafts for item in supply),
        votes=sum(item.votes for item in supply),
        own_answers=own_answers,
        training_bytes=_forecast_memory(config) if own_answers else None,
        input_tokens=price.input_tokens,
        output_tokens=price.output_tokens,
        usd=price.usd,
        budget_usd=config.run.budget_usd,
        alpha_each=rule.alpha_each,
        detectable=detectable,
        dev_effective=effective,
        warnings=(
            *_say_unused(config),
            *(warning for course in courses for warning in course.warnings),
            *_say_shared(learnt),
            *_warnings(tasks, rule, detectable, config),
            *_say_untaught(learnt, instructor, config),
            *_money_warnings(instructor, price.usd, config),
        ),
        notes=_collect_notes(courses, learnt, instructor, config),
    )


def _forecast_memory(config: Config) -> int | None:
    """What a training takes at least, if its trainer can tell. Raises ConfigError if it cannot train so."""
    trainer = create_trainer(config)
    return trainer.forecast_memory(config.train.recipe(0)) if isinstance(trainer, Foresees) else None


def enough_for(margin: float, alpha: float, *, grouped: bool = False) -> int:
    """The fewest questions on which "worse by the margin" can be ruled out when not one verdict changes.

    If there are groups among them, it is the fewest that they must count as (`TaskPlan.dev_effective`): the test over
    groups asks for a few more than that of questions that all stand alone.
    """

    def too_few(n: int) -> bool:
        # If nothing changes, only what the groups count as matters: as many pairs count as their number.
        p = not_worse(0, 0, 2 * n, margin, (Cluster(size=2, times=n),)) if grouped else not_worse(0, 0, n, margin)
        return p > alpha

    high = 1
    while too_few(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if too_few(middle) else (low, middle)
    return high


def _course(section: TaskSection, config: Config) -> _Course:
    task = create_task(section)
    if section.marking:
        plugins.check("scorers", task.scorer, section.marking)
    scorer = create_scorer(task.scorer, section.marking)
    sound = select_sound(section, task, scorer, config.run.seed, lenient=True)
    train, dev = sound.examples["train"], sound.examples["dev"]
    read = read_prompts(config, task, list(sound.examples.values()))
    plan = TaskPlan(
        task=section.name,
        role=section.role,
        train=len(train),
        dev=len(dev),
        test=len(sound.examples["test"]),
        max_new_tokens=task.max_new_tokens,
        dev_groups=dict(sorted(Counter(map(len, find_groups(dev))).items())),
        prompt=read.text if read else "",
        prompt_tokens=read.tokens if read else 0,
    )
    tested = any(example.tests for example in train)
    notes = filter(None, (sound.note, _say_groups(plan, section) if plan.dev_groups else ""))
    return _Course(
        task=task,
        plan=plan,
        train=train,
        recomputes=isinstance(task, Solver) or tested,
        notes=tuple(notes),
        warnings=tuple(filter(None, (_say_long(section, read, config), _say_few(section, plan, sound.note)))),
        dev=dev,
    )


def _say_long(section: TaskSection, read: ReadPrompt | None, config: Config) -> str:
    """That lessons may be left out, because what stands before their questions is too long for them."""
    if read is None or section.role != "learn" or read.longest < config.train.max_tokens:
        return ""
    return (
        f"Prompts of '{section.name}' have up to {read.longest} tokens, and lessons of more than max_tokens ="
        f" {config.train.max_tokens} are left out; raise max_tokens in [train], or lower shots."
    )


def _responses(task: TaskPlan, config: Config) -> int:
    """Base and each cycle's checkpoint on train, every candidate on dev, base and final on test, the noise floor.

    A strategy that teaches the target's own answers draws some more on train.
    """
    learns = task.role == "learn"
    on_train = task.train * (config.run.cycles + 1 + count_draws(config) if learns else 1)
    again = min(AT_MOST, task.dev) if learns and config.gate.noise_floor else 0
    return on_train + task.dev * (1 + config.run.cycles * len(config.train.scales)) + again + 2 * task.test


def _count_votes(course: _Course, config: Config, instructor: Instructor) -> int:
    """How often each draft of a task is answered blind: not if something else checks it, or nobody can."""
    if course.recomputes or config.verify.answers != "recompute" or not isinstance(instructor, Checker):
        return 0
    return config.verify.votes


def _price(instructor: Instructor, learnt: Sequence[_Course], supply: Sequence[Supply], config: Config) -> _Price:
    """Tokens and dollars for the supply, by task and strategy, because their prompts differ."""
    if not isinstance(instructor, Priced):
        return _Price(None, None, 0.0 if isinstance(instructor, Free) else None)
    by_task = {course.plan.task: course for course in learnt}
    forecasts = [
        instructor.forecast(
            Work(
                diagnoses=own.diagnoses,
                writes=own.writes,
                drafts=own.drafts,
                votes=own.votes,
                together=own.together,
                examples=by_task[own.task].train,
                response_tokens=by_task[own.task].plan.max_new_tokens // 2,
                strategy=own.strategy.name,
                writing=own.strategy.writes,
                directed=own.strategy.diagnoses,
                show_gold=config.strategy.show_gold,
                k=config.strategy.k if own.strategy.beside == "contrasts" else 0,
            )
        )
        for own in supply
        if own.diagnoses or own.writes or own.votes
    ]
    costs = [one.cost_usd for one in forecasts if one.cost_usd is not None]
    return _Price(
        input_tokens=sum(one.input_tokens for one in forecasts),
        output_tokens=sum(one.output_tokens for one in forecasts),
        usd=sum(costs) if len(costs) == len(forecasts) else None,
    )


def _collect_notes(
    courses: Sequence[_Course], learnt: Sequence[_Course], instructor: Instructor, config: Config
) -> tuple[str, ...]:
    price = instructor.describe_price() if isinstance(instructor, Listed) else ""
    of_courses = (note for course in courses for note in course.notes)
    return (*([price] if price else []), *of_courses, *_say_unsolved(learnt, config))


def _say_untaught(learnt: Sequence[_Course], instructor: Instructor, config: Config) -> Iterator[str]:
    """Tasks with mistakes that the instructor would leave without a diagnosis, whatever they are."""
    strategies = config.strategy.used(config.run.cycles)
    if not isinstance(instructor, Narrow) or not any(strategy.diagnoses for strategy in strategies):
        return
    for course in learnt:
        lacks = list(filter(None, map(instructor.find_lack, course.train)))
        if lacks:
            n, kind = len(course.train), config.instructor.kind
            count = "no question" if len(lacks) == n else f"{n - len(lacks)} questions"
            yield (
                f"The instructor '{kind}' can teach {count} of the {n} train questions of '{course.plan.task}'."
                f" {lacks[0]}"
            )


def _money_warnings(instructor: Instructor, usd: float | None, config: Config) -> list[str]:
    found = []
    cap = config.run.budget_usd
    if usd is None and isinstance(instructor, Priced):
        refused = "" if cap is None else ", and a run is refused while its budget cannot be kept"
        found.append(
            f"What the instructor costs is not known{refused}; give price_input and price_output in [instructor], in"
            " dollars per million tokens (0 for a model of your own)."
        )
    if isinstance(instructor, Listed) and (goes := instructor.warn_of_model()):
        found.append(goes)
    if usd != 0.0 and cap is None:
        found.append("No budget is set; add budget_usd to [run] to cap what the instructor may cost.")
    if usd is not None and cap is not None and usd > cap:
        found.append(
            f"The instructor may cost ${usd:.2f}, and the run stops at its budget of ${cap:.2f}; raise budget_usd, or"
            " lower train, samples_per_error or rounds."
        )
    return found


def _say_unused(config: Config) -> list[str]:
    """That a list of strategies is longer than the run."""
    name, cycles = config.strategy.name, config.run.cycles
    if not isinstance(name, tuple) or len(name) <= cycles:
        return []
    return [
        f"strategy.name lists {len(name)} cycles, and the run has {cycles}; set cycles = {len(name)} in [run] to reach"
        " the last of them."
    ]


def _say_shared(learnt: Sequence[_Course]) -> list[str]:
    """That learnt tasks have dev questions in common: the gate adds the tasks up, and counts these in each."""
    doubled = count_shared([course.dev for course in learnt])
    if not doubled:
        return []
    return [
        f"{doubled} dev questions or groups of them are in more than one learnt task, and the gate counts them in each;"
        " leave them out of all but one."
    ]


def _say_few(section: TaskSection, plan: TaskPlan, left_out: str) -> str:
    """That there are fewer questions than asked for, unless those that are left out explain it."""
    if left_out or (plan.train, plan.dev, plan.test) == (section.train, section.dev, section.test):
        return ""
    return f"'{plan.task}' has fewer questions than the run file asks for; all that it has are used."


def _say_unsolved(learnt: Sequence[_Course], config: Config) -> list[str]:
    """Which learnt tasks have nothing for a strategy that teaches what the data come with."""
    taught = [strategy.name for strategy in config.strategy.used(config.run.cycles) if strategy.author == "data"]
    lacking = [course.plan.task for course in learnt if not any(map(has_solution, course.train))]
    return [
        f"The train questions of '{task}' come with no worked solution, so the strategy '{name}' takes none of them."
        for name in taught
        for task in lacking
    ]


def _say_groups(task: TaskPlan, section: TaskSection) -> str:
    """That dev questions belong together, and how many they count as at the gate."""
    grouped = sum(size * n for size, n in task.dev_groups.items())
    named, groups = section.options.get("group"), sum(task.dev_groups.values())
    advice = ""
    if named:
        advice = f"; if that is wrong, correct the column '{named}', which the task's 'group' names"
    elif "group" in plugins.list_options("tasks", section.plugin):
        advice = "; if that is wrong, name a column of your data as the task's 'group'"
    return (
        f"{grouped} of the {task.dev} dev questions of '{task.task}' belong together in"
        f" {groups} group{'s' * (groups != 1)}, so all of them count as {task.dev_effective} at least{advice}."
    )


def _warnings(tasks: tuple[TaskPlan, ...], rule: Rule, detectable: float | None, config: Config) -> list[str]:
    by_name = {task.task: task for task in tasks}
    found = []
    for name, margin in rule.guards:
        task = by_name[name]
        clusters = [Cluster(size=size, times=times) for size, times in task.dev_groups.items()]
        if not_worse(0, 0, task.dev, margin, clusters) > rule.alpha_each:
            needed = enough_for(margin, rule.alpha_each, grouped=bool(clusters))
            count = f", which count as {task.dev_effective}," if clusters else ""
            more = f"more groups of them, to count as {needed}" if clusters else f"dev = {needed} or more"
            found.append(
                f"'{name}' can never pass as a guard: {task.dev} dev questions{count} cannot rule out a loss of"
                f" {100 * margin:g} points at alpha {rule.alpha_each:.2g}, even if no answer changes; give it {more},"
                " or a wider margin."
            )
    if detectable is None:
        found.append("The dev split is too small to show any gain at all; give the learnt tasks more dev questions.")
    elif detectable >= _LARGEST_GAIN:
        found.append("The dev split is too small to show any likely gain; give the learnt tasks more dev questions.")
    return found

"""What a target and a training that are paid by the token will cost at most, before anything is asked of them.

Bounds from above, as the plan's: every answer as long as it may be, every draft a lesson as long as may be. Only the
length of prompts is measured. It asks no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from errorbook import plugins
from errorbook.config import Config
from errorbook.errors import DataError
from errorbook.interfaces import Metered, Task
from errorbook.setup.assemble import create_target, create_task, create_trainer

_BYTES_PER_TOKEN, _TEMPLATE, _MEASURED = 3.5, 32, 20
_READ = {"sft": 1, "dpo": 6, "self_distill": 1}
"""How often a lesson is read: of a pair both sides, in a pass for the reference and in two for a step."""


class HostPlan(NamedTuple):
    """Dollars at most, None if a price is not known or nothing is paid by the token; what is to be said of them."""

    usd: float | None
    warnings: tuple[str, ...] = ()


class Amounts(NamedTuple):
    """How much there is to do: answers by task, the cap on all that is written, answers written in training, drafts."""

    responses: Mapping[str, int]
    written: int
    own_answers: int
    drafts: int
    instructor_usd: float | None


def price_host(config: Config, amounts: Amounts) -> HostPlan:
    """The forecast for the target and the trainer that the run file names. Raises UserError if an option is wrong."""
    samples = plugins.implements("targets", config.target.engine, Metered)
    trains = plugins.implements("trainers", config.train.method, Metered)
    if not samples and not trains:
        return HostPlan(None)
    read = sum(_mean_prompt(config, task) * count for task, count in amounts.responses.items())
    parts: list[float | None] = []
    target, trainer = create_target(config) if samples else None, create_trainer(config) if trains else None
    if isinstance(target, Metered):
        parts.append(target.forecast_usd(read, amounts.written))
    if isinstance(trainer, Metered):
        parts.append(trainer.forecast_usd(_taught(config, amounts), 0))
    costs = [part for part in parts if part is not None]
    if len(costs) < len(parts):
        why = (
            "What the target's answers and its training cost is not known; give price_prefill, price_sample and"
            " price_train in [target], in dollars per million tokens (0 for a server of your own)."
        )
        return HostPlan(None, (why,))
    usd, cap = sum(costs), config.run.budget_usd
    if cap is None and usd:
        return HostPlan(usd, ("No budget is set; add budget_usd to [run] to cap what the run may cost.",))
    if cap is not None and usd + (amounts.instructor_usd or 0.0) > cap and usd:
        why = (
            f"Answers and training may cost ${usd:.2f} beside the instructor, and the run stops at its budget of"
            f" ${cap:.2f}; raise budget_usd, or lower the sizes, epochs or max_tokens."
        )
        return HostPlan(usd, (why,))
    return HostPlan(usd)


def _taught(config: Config, amounts: Amounts) -> int:
    """Tokens that all trainings read at most."""
    recipe, cycles = config.train.recipe(0), config.run.cycles
    if recipe.objective == "self_distill":
        return (
            amounts.own_answers * 3 * recipe.max_tokens
        )  # the question with its answer, and the teacher's view of both
    lessons = amounts.drafts / (1 - recipe.replay)
    if recipe.objective == "dpo":
        lessons += cycles * sum(section.train for section in config.tasks if section.role == "learn")
    again = (cycles + 1) / 2 if recipe.start == "restart" else 1.0
    return round(lessons * recipe.epochs * again * recipe.max_tokens * _READ[recipe.objective])


def _mean_prompt(config: Config, name: str) -> int:
    """The mean length of a task's prompts in tokens, of its first questions."""
    section = next(section for section in config.tasks if section.name == name)
    task: Task = create_task(section)
    for split in ("dev", "train", "test"):
        try:
            examples = task.examples(split, _MEASURED, config.run.seed)
        except DataError:
            continue
        if examples:
            size = sum(len(task.prompt(one.question, one.choices).encode()) for one in examples) / len(examples)
            return round(size / _BYTES_PER_TOKEN) + _TEMPLATE
    return 0

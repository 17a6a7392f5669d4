"""What `errorbook init` found and proposes, in lines. It knows no numbers that `setup.proposal` does not tell."""

from __future__ import annotations

from collections.abc import Iterator

from errorbook.render.words import count
from errorbook.setup.proposal import GAIN, Proposal, Tried

_SHOWN = 160


def say_proposal(proposal: Proposal, shots: int) -> Iterator[str]:
    """Prompts, gold answers, what is to beat, and sizes; a line each, but for prompts."""
    if proposal.questions:
        told = ", ".join(f"{number} {split}" for split, number in proposal.questions.items())
        yield f"Your questions: {told}. Scorer: {proposal.scorer}."
    for number, prompt in enumerate(proposal.prompts, 1):
        yield f"--- prompt {number}\n{prompt}"
    yield f"---\n{proposal.template}"
    for gold in proposal.gold:
        read = f"read as '{gold.extracted}': {gold.verdict}" if gold.verdict else "its tests are run"
        yield f"A gold answer, given as a response: {_short(gold.response)} -> {read}"
    if proposal.plan is None or not proposal.questions:
        return
    if not shots:
        yield (
            "A base that only misses the form makes any training look good. --shots 4 shows it four solved questions"
            " before each: the base to beat."
        )
    yield from _say_sizes(proposal)


def _say_sizes(proposal: Proposal) -> Iterator[str]:
    plan = proposal.plan
    if plan is None:
        return
    task = next(item for item in plan.tasks if item.role == "learn")
    gain = "no gain" if plan.detectable is None else f"gains from {100 * plan.detectable:.1f} points on"
    enough = (
        f" ({100 * GAIN:g} points need more questions)" if plan.detectable is None or plan.detectable > GAIN else ""
    )
    paid = "" if not plan.usd else f" The instructor costs about ${plan.usd:.2f} at most"
    cap = f", of a budget of ${plan.budget_usd:g}." if paid and plan.budget_usd is not None else "." * bool(paid)
    yield (
        f"Proposed: {task.train} train, {task.dev} dev, {task.test} test questions, {count(plan.cycles, 'cycle')}."
        f" Dev shows {gain}{enough}.{paid}{cap}"
    )
    yield from (f"! {warning}" for warning in plan.warnings)


def say_tried(tried: Tried) -> str:
    """What the endpoint made of one question."""
    if tried.reason:
        return f"The endpoint was asked one of the questions; its reply is no answer: {tried.reason}"
    agrees = "right" if tried.verdict == "right" else f"the gold answer is {_short(tried.gold)}"
    return f"The endpoint was asked one of the questions and answers {_short(tried.answer)}: {agrees}."


def _short(text: str) -> str:
    line = " / ".join(text.strip().splitlines())
    return f"'{line}'" if len(line) <= _SHOWN else f"'{line[:_SHOWN]}...'"

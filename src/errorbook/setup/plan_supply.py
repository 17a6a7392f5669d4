"""What step 3 of every cycle asks of the instructor and the target, at most, task by task and strategy by strategy.

Bounds from above: every train question is taken to be a mistake, and every draft to be rejected in every round. The
samples are divided by the same functions as in a run. Which tasks the mistakes will be of is not known, so blind
answers are counted as if the drafts were for the tasks that need most of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from errorbook.config import Config
from errorbook.instruct import CLUSTER_BATCH, UNDIRECTED_BATCH, share_evenly
from errorbook.records import Example
from errorbook.strategies.questions import batch_of, draw_order, spread
from errorbook.strategies.shares import Mix, Part, divide
from errorbook.strategies.table import Strategy

Train = Mapping[str, Sequence[Example]]
"""The train questions of the learnt tasks, by task."""


class Supply(NamedTuple):
    """One strategy's work for one learnt task: diagnoses, writing calls, drafts and blind answers.

    `together` of the writing calls bring the analysis of their mistake, which is then no call of its own.
    """

    task: str
    strategy: Strategy
    diagnoses: int
    writes: int
    drafts: int
    votes: int
    together: int = 0


class _Share(NamedTuple):
    """One task's part of one round: the calls that write, the drafts that come of them, and the blind answers."""

    diagnoses: int
    writes: int
    drafts: int
    votes: int = 0


def count_supply(train: Train, config: Config, votes: Mapping[str, int]) -> list[Supply]:
    """The work of the whole run; `votes` says how often each draft of a task is answered blind."""
    section, found = config.strategy, Counter[tuple[str, Strategy, str]]()
    turns = Counter(section.mix(cycle) for cycle in range(1, config.run.cycles + 1))
    for mix, cycles in turns.items():
        for task, strategy, share in _list_shares(mix, train, config, votes):
            together = config.instructor.calls == "one" and strategy.diagnoses
            found[task, strategy, "diagnoses"] += 0 if together else cycles * share.diagnoses
            found[task, strategy, "together"] += cycles * share.writes if together else 0
            found[task, strategy, "writes"] += cycles * section.rounds * share.writes
            found[task, strategy, "drafts"] += cycles * section.rounds * share.drafts
            found[task, strategy, "votes"] += cycles * section.rounds * share.votes
    counted = dict.fromkeys((task, strategy) for task, strategy, _ in found)
    return [
        Supply(
            task=task,
            strategy=strategy,
            diagnoses=found[task, strategy, "diagnoses"],
            writes=found[task, strategy, "writes"],
            drafts=found[task, strategy, "drafts"],
            votes=found[task, strategy, "votes"],
            together=found[task, strategy, "together"],
        )
        for task, strategy in counted
    ]


def count_draws(config: Config) -> int:
    """How often the target answers each learnt train question at a temperature, in the whole run."""
    mixes = (config.strategy.mix(cycle) for cycle in range(1, config.run.cycles + 1))
    return config.strategy.draws * sum(any(one.author == "target" for one, _ in mix) for mix in mixes)


def count_own_answers(train: Train, config: Config) -> int:
    """How many answers the target writes while it learns from itself, in the whole run; none with another objective.

    A cycle teaches its samples, the train questions and what is rehearsed; with start = "restart" also the samples of
    all cycles before it.
    """
    section, own = config.train, sum(map(len, train.values()))
    if section.objective != "self_distill":
        return 0
    pools = config.strategy.pools({task: len(examples) for task, examples in train.items()})
    quota, found = sum(samples for _, samples in pools), 0
    for cycle in range(1, config.run.cycles + 1):
        samples = quota * (cycle if section.start == "restart" else 1)
        lessons = samples + round(samples * section.replay / (1 - section.replay)) + own
        steps = max(1, round(section.epochs * math.ceil(lessons / section.batch_size)))
        epochs, rest = divmod(steps, math.ceil(lessons / section.batch_size))
        found += epochs * lessons + min(rest * section.batch_size, lessons)
    return found


def _list_shares(
    mix: Mix, train: Train, config: Config, votes: Mapping[str, int]
) -> Iterator[tuple[str, Strategy, _Share]]:
    """One cycle's work, at most, for each task and strategy."""
    section = config.strategy
    alone = sum(strategy.diagnoses for strategy, _ in mix) == 1
    for tasks, quota in section.pools({task: len(examples) for task, examples in train.items()}):
        own = {task: train[task] for task in tasks}
        for part in divide(mix, quota, own, lambda example: example.id):
            yield from ((task, part.strategy, share) for task, share in _share_out(part, own))
            if not part.strategy.restates:
                # Of several strategies, one may have few mistakes for its share; so may a group of like ones.
                even = alone and part.strategy.beside != "alike"
                most = _most_drafts(part, own, section.samples_per_error if even else part.quota)
                for task, drafts in _prefer(most, part.quota, votes):
                    yield task, part.strategy, _Share(0, 0, 0, votes=drafts * votes[task])


def _most_drafts(part: Part[Example], train: Train, each: int) -> dict[str, int]:
    """How many of a part's drafts may be for each task, whatever is answered wrong; at most `each` by one mistake."""
    strategy, quota = part.strategy, part.quota
    if strategy.diagnoses:
        return {task: min(quota, each * len(examples)) for task, examples in train.items()}
    if strategy.basis == "questions":
        every, rest = divmod(quota, sum(map(len, train.values())))
        # What earlier cycles took and had to ask for again decides whose turn it is: it may be all one task's.
        return {task: every * len(examples) + min(rest, len(examples)) for task, examples in train.items()}
    return dict(zip(train, share_evenly(quota, len(train)), strict=True))


def _prefer(most: Mapping[str, int], quota: int, votes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """`quota` drafts, at most so many of each task, for the tasks whose drafts are voted on most."""
    for task in sorted(most, key=lambda one: -votes[one]):
        drafts = min(quota, most[task])
        quota -= drafts
        yield task, drafts


def _share_out(part: Part[Example], train: Train) -> Iterator[tuple[str, _Share]]:
    """A part's work for each task."""
    strategy, quota = part.strategy, part.quota
    if strategy.diagnoses:
        # Shared evenly over the mistakes, earlier ones first.
        shares = share_evenly(quota, sum(map(len, part.mistakes.values())))
        for task, mistakes in part.mistakes.items():
            own, shares = shares[: len(mistakes)], shares[len(mistakes) :]
            drafts, written = sum(own), sum(share > 0 for share in own)
            writes = _in_groups(drafts, written) if strategy.beside == "alike" else written
            yield task, _Share(len(mistakes), writes, drafts)
    elif strategy.basis == "questions" and strategy.asks_instructor:
        asked = spread(draw_order(train, 0), quota, batch_of(strategy))
        calls, drafts_of = Counter(one.task for one, _, _ in asked), Counter[str]()
        for example, _, count in asked:
            drafts_of[example.task] += count
        yield from ((task, _Share(0, calls[task], drafts_of[task])) for task in train)
    else:
        for task, share in zip(train, share_evenly(quota, len(train)), strict=True):
            yield task, _Share(0, -(-share // UNDIRECTED_BATCH) if strategy.asks_instructor else 0, share)


def _in_groups(drafts: int, groups: int) -> int:
    """The most batches that so many drafts make if each group's last batch may be a small one."""
    return -(-(drafts + groups * (CLUSTER_BATCH - 1)) // CLUSTER_BATCH)

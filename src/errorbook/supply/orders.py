"""Step 3 up to what is written: mistakes are analysed, or train questions chosen, as each strategy of the cycle asks.

The instructor analyses each mistake of the strategies that show it one; what the others need is on hand, or drawn from
the target. It decides nothing: what a strategy asks is in `strategies`, what is recorded already is not asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from errorbook.diagnose import add_contrasts, diagnose, list_neighbours
from errorbook.instruct import assign, assign_undirected
from errorbook.ledger import keys
from errorbook.ledger.file import Entry
from errorbook.records import (
    Call,
    Checkpoint,
    Diagnosis,
    Draft,
    Example,
    Failure,
    Marked,
    Mistake,
    Response,
    digest,
)
from errorbook.setup.assemble import Course
from errorbook.setup.outages import Stage, sift
from errorbook.setup.session import Run, record_stage
from errorbook.strategies.questions import (
    assign_by_question,
    count_taken,
    draw_order,
    stock_answers,
    stock_by_skill,
    stock_gold,
    take,
)
from errorbook.strategies.shares import Part, divide
from errorbook.supply.one_call import recall_diagnoses
from errorbook.supply.write_and_verify import Ask, Order, keep_budget

Answers = Mapping[str, Response]


class Seen(NamedTuple):
    """What a cycle knows of its train questions: the mistakes, all marked responses by task, and how to ask for more.

    `ask` gives the current checkpoint's responses to the train questions of a course.
    """

    checkpoint: Checkpoint
    mistakes: Sequence[Mistake]
    books: Mapping[str, Mapping[str, Marked]]
    ask: Ask


def list_orders(this: Run, cycle: int, seen: Seen) -> list[Order]:
    """What each strategy of the cycle is to have written, with its exact share of the samples."""
    section, seed = this.config.strategy, str(this.config.run.seed)
    mistakes = {
        course.name: [one for one in seen.mistakes if one.example.task == course.name] for course in this.parts.learnt()
    }

    def draw(mistake: Mistake) -> str:
        return digest(seed, str(cycle), mistake.example.task, mistake.example.id)

    orders = []
    for tasks, quota in section.pools({task: len(own) for task, own in mistakes.items()}):
        for part in divide(section.mix(cycle), quota, {task: mistakes[task] for task in tasks}, draw):
            orders.append(_make_order(this, cycle, seen, part, tasks))
    return orders


def _make_order(this: Run, cycle: int, seen: Seen, part: Part[Mistake], tasks: Collection[str]) -> Order:
    """A part's order: of these tasks alone, if each has its own share."""
    strategy, quota = part.strategy, part.quota
    courses = [course for course in this.parts.learnt() if course.name in tasks]
    train = {course.name: course.examples["train"] for course in courses}
    order = draw_order(train, this.config.run.seed)
    if strategy.basis == "mistakes":
        return Order(assign(_analyse(this, cycle, _show(this, cycle, seen, part)), quota, cycle))
    if strategy.basis == "tasks":
        return Order(assign_undirected(list(train), quota, cycle, exemplars=train))
    earlier = (draft for past in range(1, cycle) for draft in this.ledger.all(Draft, past))
    taken = count_taken(draft for draft in earlier if draft.strategy == strategy.name)
    if strategy.asks_instructor:
        return Order(assign_by_question(strategy, order, quota, cycle, taken))
    match strategy.basis:
        case "missed":
            stock = stock_answers(strategy, order, _draw_answers(this, seen, courses), taken)
        case "skills":
            wrong = [mistake.example for mistake in seen.mistakes if mistake.example.task in tasks]
            stock = stock_by_skill(strategy, order, wrong, quota, taken)
        case "questions":
            stock = stock_gold(strategy, order, taken)
    return Order(*take(stock, quota, cycle))


def _draw_answers(this: Run, seen: Seen, courses: Sequence[Course]) -> dict[tuple[str, str], list[Response]]:
    """The right ones among several answers that the target draws to each train question, by task and example."""
    section, found = this.config.strategy, dict[tuple[str, str], list[Response]]()
    for course in courses:
        for number in range(1, section.draws + 1):
            for response in seen.ask(course.drawing(section.temperature, number)).values():
                if response.score.verdict == "right" and not response.truncated:
                    found.setdefault((course.name, response.example), []).append(response)
    return found


def _show(this: Run, cycle: int, seen: Seen, part: Part[Mistake]) -> list[Mistake]:
    """A part's mistakes as its strategy shows them to the instructor."""
    name = part.strategy.name
    own = {task: [replace(one, strategy=name) for one in mistakes] for task, mistakes in part.mistakes.items()}
    if part.strategy.beside != "contrasts":
        return [mistake for mistakes in own.values() for mistake in mistakes]
    found: list[Mistake] = []
    with record_stage(this, "contrast", cycle, sum(map(len, own.values()))) as tick:
        this.parts.target.use(seen.checkpoint, this.ledger.root)
        for course in this.parts.learnt():
            examples: Sequence[Example] = course.examples["train"]
            mistakes, book = own.get(course.name, []), seen.books[course.name]
            found += add_contrasts(mistakes, examples, book, this.parts.retriever, this.config.strategy.k)
            tick(len(found))
    return found


def _analyse(this: Run, cycle: int, mistakes: list[Mistake]) -> Sequence[tuple[Mistake, Diagnosis | None]]:
    """Diagnose the mistakes, unless that is left to the calls that write."""
    if this.config.instructor.calls == "one":
        return recall_diagnoses(this.ledger, cycle, mistakes)
    return _diagnose(this, cycle, mistakes)


def _diagnose(this: Run, cycle: int, mistakes: list[Mistake]) -> list[tuple[Mistake, Diagnosis]]:
    """Diagnose what is not diagnosed yet; the pairs are in the mistakes' order, whatever the instructor's."""
    ledger, known, failed = this.ledger, this.ledger.keys(Diagnosis), this.ledger.keys(Failure)
    keyed = [(mistake, keys.diagnosis(mistake.response.hash, mistake.strategy)) for mistake in mistakes]
    missing = [one for one, key in keyed if key not in known and keys.call("diagnose", key) not in failed]
    if missing:
        with record_stage(this, "diagnose", cycle, len(mistakes)) as tick:
            instructor, proven = this.parts.instructor, bool(known)
            stage = Stage("diagnose", len(mistakes), proven)
            found = sift(instructor, stage, partial(diagnose, instructor), missing)
            for done, (mistake, result, call) in enumerate(found, len(mistakes) - len(missing) + 1):
                ledger.extend(_list_entries(mistake, result, call), cycle)
                tick(done)
                keep_budget(this)
    pairs = ((mistake, ledger.find(Diagnosis, key)) for mistake, key in keyed)
    return [(mistake, diagnosis) for mistake, diagnosis in pairs if diagnosis is not None]


def _list_entries(mistake: Mistake, result: Diagnosis | Failure, call: Call) -> list[Entry]:
    """The records of one answered mistake, appended together: the call comes with its result or not at all."""
    parent = mistake.response.hash
    key = keys.diagnosis(parent, mistake.strategy)
    asked = keys.call("diagnose", key)
    beside = [Entry(list_neighbours(mistake), key, parent)] if mistake.contrasts else []
    return [
        Entry(call, asked, parent),
        Entry(result, asked if isinstance(result, Failure) else key, parent),
        *beside,
    ]

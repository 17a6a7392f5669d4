"""What stands before the questions of a task: its system message, and the examples that are shown with each of them.

A row of the data may bring a system message and earlier turns of its own, which stay. Which questions are shown depends
on the run's seed alone; they are taken out of those that are asked. It renders nothing: that is the target's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from errorbook.checks.tokens import words
from errorbook.config import TaskSection
from errorbook.errors import DataError
from errorbook.interfaces import OptionTask, Task
from errorbook.records import Example, Message, Split, converse, messages_of, own_turns


class Framed(NamedTuple):
    """The examples that are asked, with all that stands before each, and those that are shown."""

    examples: dict[Split, tuple[Example, ...]]
    shots: tuple[Example, ...] = ()


def frame(section: TaskSection, task: Task, examples: Mapping[Split, Sequence[Example]], shown: Split) -> Framed:
    """Put the task's system message and its shots before every example; the shots come out of the split `shown`.

    Raises:
        DataError: There are too few questions to show.
    """
    asked = {split: tuple(part) for split, part in examples.items()}
    shots: tuple[Example, ...] = ()
    if section.shots:
        shots = _choose_shots(section, asked, shown)
        out = {shot.id for shot in shots}
        rest = tuple(example for example in asked[shown] if example.id not in out)
        asked[shown] = rest[: section.train if shown == "train" else section.dev]
        if section.role == "learn" and not asked[shown]:
            raise DataError(f"'{section.name}' shows all its {shown} questions as examples; set fewer shots.")
    told: list[Message] = []
    for shot in shots:
        told += _follow(told, [*_show(task, shot)])
    if not told and not section.system.strip():
        return Framed(asked)
    return Framed(
        {
            split: tuple(_place(example, section.system.strip(), told) for example in part)
            for split, part in asked.items()
        },
        shots,
    )


def _choose_shots(section: TaskSection, asked: Mapping[Split, Sequence[Example]], shown: Split) -> tuple[Example, ...]:
    """The last questions that have an answer to show and are asked nowhere else, in any words' case or spacing."""
    others = [example for split, part in asked.items() if split != shown for example in part]
    known = {_text(example) for example in others}
    groups = {example.group for example in others if example.group}
    fit = [
        example
        for example in asked[shown]
        if example.answer.strip() and _text(example) not in known and example.group not in groups
    ]
    if len(fit) < section.shots:
        raise DataError(
            f"'{section.name}' has {len(fit)} {shown} question{'s' * (len(fit) != 1)} with an answer that can be shown,"
            f" and shots = {section.shots}; set fewer shots, or give it more {shown} questions."
        )
    return tuple(fit[-section.shots :])


def _text(example: Example) -> tuple[object, ...]:
    return (tuple(words(example.question)), *example.choices, *(message.content for message in example.before))


def _show(task: Task, shot: Example) -> Iterable[Message]:
    """A question with its own earlier turns, and its right answer with the worked solution, if there is one."""
    asked = messages_of(converse(own_turns(shot.before), task.prompt(shot.question, shot.choices)))
    yield from (replace(message, shot=True) for message in asked)
    # A task that weighs its options has the letter alone begin the answer, so that is what is shown.
    weighed = isinstance(task, OptionTask) and task.by_likelihood
    said = shot.answer if weighed else task.completion(shot.solution, shot.answer)
    yield Message(role="assistant", content=said, shot=True)


def _place(example: Example, system: str, shots: Sequence[Message]) -> Example:
    """The example after the system message, its own if it has one, then the shots, then its own earlier turns."""
    own = [message for message in example.before if message.role == "system"]
    told = own or ([Message(role="system", content=system)] if system else [])
    return replace(example, before=(*told, *shots, *_follow(shots, own_turns(example.before))))


def _follow(shots: Sequence[Message], turns: Sequence[Message]) -> Iterator[Message]:
    """The turns as they can stand after shots, which end with an answer: templates refuse two of those in a row.

    A greeting of the assistant is then given an empty message that it answers. That is the shots' doing, so it counts
    as one of them: it is no part of the question when questions are compared.
    """
    if shots and turns and turns[0].role == "assistant":
        yield Message(role="user", content="", shot=True)
    yield from turns

"""Step 4, target training: Samples (+ replay) -> Lessons for the trainer (paper section 2.4).

Decides what a lesson looks like, which of the target's own right responses are rehearsed, which of its wrong ones a
lesson is preferred over, and what the target is shown as its own teacher. How weights change is the trainer's business.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from annotated_types import Interval, MinLen
from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.interfaces import Task
from errorbook.records import (
    Diagnosis,
    Divergence,
    Draft,
    Example,
    Lesson,
    Marked,
    Objective,
    Recipe,
    Sample,
    Schedule,
    Start,
    converse,
    digest,
    key_of,
    own_turns,
)

Context = Literal["own", "unrelated"]


class Known(NamedTuple):
    """What is known of a lesson's question besides its solution: the cap on an answer in tokens, and its diagnosis."""

    max_new_tokens: int
    diagnosis: Diagnosis | None = None


class TrainSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[train]`: the recipe; each of `scales` is one candidate that the gate may accept.

    `options` go to the trainer's plugin.
    """

    method: str = "lora"
    rank: Annotated[int, Interval(ge=1, le=4096)] = 32
    alpha: Annotated[int, Interval(ge=1, le=65536)] = 64
    learning_rate: Annotated[float, Interval(gt=0, le=10)] = 5e-4
    epochs: Annotated[float, Interval(gt=0, le=10_000)] = 2.0
    batch_size: Annotated[int, Interval(ge=1, le=65536)] = 8
    warmup: Annotated[float, Interval(ge=0, le=1)] = 0.05
    warmup_steps: Annotated[int, Interval(ge=0, le=10_000_000)] | None = None
    schedule: Schedule = "linear"
    weight_decay: Annotated[float, Interval(ge=0, le=10)] = 0.0
    max_tokens: Annotated[int, Interval(ge=1, le=10_000_000)] = 512
    replay: Annotated[float, Interval(ge=0, lt=1)] = 0.15
    start: Start = "continue"
    objective: Objective = "sft"
    beta: Annotated[float, Interval(gt=0, le=100)] = 0.1
    divergence: Divergence = "forward"
    context: Context = "own"
    scales: Annotated[tuple[Annotated[float, Interval(gt=0, le=100)], ...], MinLen(1)] = (1.0,)
    options: dict[str, Any] = {}

    def recipe(self, seed: int) -> Recipe:
        """The recipe of one training: all that decides how weights change."""
        shared = set(Recipe.__struct_fields__) & set(self.__struct_fields__)
        return Recipe(**{name: getattr(self, name) for name in shared}, seed=seed)


def make_lessons(
    samples: Sequence[Sample],
    rehearsal: Sequence[tuple[Example, Marked]],
    tasks: Mapping[str, Task],
    replay: float,
    seed: int,
) -> list[Lesson]:
    """One lesson for each sample, and so many replayed right responses that they are the share `replay` of all.

    Rehearsing the target's own right responses keeps what it knows better than real data does (see
    docs/lab-notebook.md). They are drawn evenly over (task, skill), so that no easy skill crowds out the others.

    Raises:
        StageError: There is no sample to train on.
    """
    if not samples:
        raise StageError("There is no verified sample to train on; see the rejections in the report.")
    taught = [
        Lesson(
            prompt=tasks[sample.task].prompt(sample.question, sample.choices),
            completion=sample.solution
            if sample.whole
            else tasks[sample.task].completion(sample.solution, sample.answer),
            source=sample.hash,
            before=sample.before,
        )
        for sample in samples
    ]
    wanted = round(len(taught) * replay / (1 - replay))
    rehearsed = [
        Lesson(
            prompt=tasks[example.task].prompt(example.question, example.choices),
            completion=answer.response.text.strip(),
            source=answer.response.hash,
            replay=True,
            before=example.before,
        )
        for example, answer in _draw_evenly(rehearsal, wanted, seed)
    ]
    return taught + rehearsed


def make_preference_lessons(mistakes: Sequence[tuple[Example, Marked]], tasks: Mapping[str, Task]) -> list[Lesson]:
    """One pair for each wrong response to a train question whose worked solution is known: prefer that to it.

    A response that was cut off is left out: a trainer ends every response, which would tell the target that its own
    broke off there on purpose. So is one that is unscorable: nobody knows that it is wrong.

    Raises:
        StageError: A question or a response is not from train.
    """
    pairs = []
    for example, answer in mistakes:
        response = answer.response
        if example.split != "train" or response.split != "train":
            raise StageError(
                f"The question '{example.id}' is from {example.split}; give only train questions and their responses."
            )
        wrong = response.text.strip()
        if answer.verdict == "wrong" and not response.truncated and example.solution and wrong:
            task = tasks[example.task]
            pairs.append(
                Lesson(
                    prompt=task.prompt(example.question, example.choices),
                    completion=task.completion(example.solution, example.answer),
                    source=response.hash,
                    rejected=wrong,
                    before=example.before,
                )
            )
    return pairs


def make_own_lessons(
    answered: Sequence[tuple[Example, Marked]], tasks: Mapping[str, Task], taught: Sequence[Lesson] = ()
) -> list[Lesson]:
    """One lesson for each train question that the target does not answer right: its prompt and its gold solution.

    A question that is `taught` already (strategies that restate train questions) makes none. The same words after
    another conversation are another question.

    Raises:
        StageError: A question or a response is not from train.
    """
    lessons, known = [], {key_of(lesson.asked) for lesson in taught if not lesson.replay}
    for example, answer in answered:
        if example.split != "train" or answer.response.split != "train":
            raise StageError(
                f"The question '{example.id}' is from {example.split}; give only train questions and their responses."
            )
        task = tasks[example.task]
        solution = task.completion(example.solution, example.answer) if example.solution or example.answer else ""
        prompt = task.prompt(example.question, example.choices)
        lesson = Lesson(prompt=prompt, completion=solution, source=answer.response.hash, before=example.before)
        if answer.verdict != "right" and solution.strip() and key_of(lesson.asked) not in known:
            lessons.append(lesson)
    return lessons


def list_known(
    samples: Sequence[Sample],
    answered: Iterable[tuple[Example, Marked]],
    tasks: Mapping[str, Task],
    drafts: Iterable[Draft],
    diagnoses: Iterable[Diagnosis],
) -> dict[str, Known]:
    """What is known of each sample's question and of each answered one, by the hash of the sample or the response."""
    listed = list(diagnoses)
    of_response = {diagnosis.response: diagnosis for diagnosis in listed}
    by_hash = {diagnosis.hash: diagnosis for diagnosis in listed}
    of_draft = {draft.hash: by_hash.get(draft.diagnosis) for draft in drafts}
    known = {item.hash: Known(tasks[item.task].max_new_tokens, of_draft.get(item.draft)) for item in samples}
    for example, answer in answered:
        response = answer.response.hash
        known[response] = Known(tasks[example.task].max_new_tokens, of_response.get(response))
    return known


def show_teacher(lessons: Sequence[Lesson], known: Mapping[str, Known], context: Context, seed: int) -> list[Lesson]:
    """The lessons, each with what the target reads as its own teacher; `known` is by the lesson's source.

    That is the question's verified solution and its diagnosis before the prompt itself, so that the prompt ends as the
    target reads it otherwise. With "unrelated", a control, both are those of another question, drawn by the seed, whose
    text stands before them. What is rehearsed is shown nothing.

    Raises:
        StageError: All lessons have one question, so there is no other.
    """
    taught = [lesson for lesson in lessons if not lesson.replay]
    shown = dict(zip(taught, taught if context == "own" else _draw_others(taught, seed), strict=True))
    return [
        replace(
            lesson,
            context=_describe(shown[lesson], known[shown[lesson].source].diagnosis, lesson) if lesson in shown else "",
            max_new_tokens=known[lesson.source].max_new_tokens,
        )
        for lesson in lessons
    ]


def _describe(shown: Lesson, diagnosis: Diagnosis | None, asked: Lesson) -> str:
    # What stands before the asked question is read before the context; the turns of another one are not.
    question = shown.prompt if shown.before == asked.before else converse(own_turns(shown.before), shown.prompt)
    parts = ["A question with a worked solution that was checked:", question, shown.completion]
    if diagnosis is not None and diagnosis.misconception:
        parts.append(f"A mistake to avoid: {diagnosis.misconception}")
    return "\n\n".join([*parts, "Now answer this:", asked.prompt])


def _draw_others(lessons: Sequence[Lesson], seed: int) -> list[Lesson]:
    """For each lesson another one with another question, each about as often."""
    asked, order = [key_of(lesson.asked) for lesson in lessons], list(range(len(lessons)))
    random.Random(seed).shuffle(order)  # noqa: S311 - a seeded draw, not a secret
    found = {}
    for place, number in enumerate(order):
        following = (order[(place + step) % len(order)] for step in range(1, len(order)))
        other = next((one for one in following if asked[one] != asked[number]), None)
        if other is None:
            raise StageError(
                "There is no other question whose solution could be shown; set context = 'own' in [train]."
            )
        found[number] = lessons[other]
    return [found[number] for number in range(len(lessons))]


def make_question(sample: Sample) -> Example:
    """The sample as a train question, so that the target can be asked it; its id is the sample's hash."""
    return Example(
        id=sample.hash,
        task=sample.task,
        split="train",
        question=sample.question,
        answer=sample.answer,
        choices=sample.choices,
        before=sample.before,
        accepted=sample.accepted,
    )


def prefer_over_wrong(lessons: Sequence[Lesson], wrong: Mapping[str, str]) -> list[Lesson]:
    """The lessons, each with the target's own wrong response to its prompt if there is one in `wrong`.

    `wrong` holds finished responses by the lesson's source. What is rehearsed is right and stays without.
    """
    return [
        replace(lesson, rejected=wrong[lesson.source].strip())
        if lesson.source in wrong and not lesson.replay
        else lesson
        for lesson in lessons
    ]


def training_set_hash(lessons: Sequence[Lesson]) -> str:
    """Hash of the lessons in their order."""
    return digest(*(lesson.hash for lesson in lessons))


def _draw_evenly(rehearsal: Sequence[tuple[Example, Marked]], wanted: int, seed: int) -> list[tuple[Example, Marked]]:
    groups: dict[tuple[str, str], list[tuple[Example, Marked]]] = {}
    for example, answer in rehearsal:
        if answer.verdict == "right" and not answer.response.truncated:
            groups.setdefault((example.task, example.skill), []).append((example, answer))
    generator = random.Random(seed)  # noqa: S311 - a seeded draw, not a secret
    for group in groups.values():
        generator.shuffle(group)
    drawn: list[tuple[Example, Marked]] = []
    while len(drawn) < wanted and any(groups.values()):
        for group in groups.values():
            if group and len(drawn) < wanted:
                drawn.append(group.pop())
    return drawn

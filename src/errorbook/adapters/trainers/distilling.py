"""On-policy self-distillation: the model writes answers, and learns how it would have gone on had it been shown more.

Student and teacher are one model with one adapter. The student is the adapter that learns, and reads the question. The
teacher is the adapter of the cycle's start, frozen, and reads what the lesson's `context` shows in addition. Both read
the text that the student wrote, and the divergence of their next tokens on it is the loss: OPSD (Zhao et al. 2026,
arXiv 2601.18734) and SDFT (Shenfeld et al. 2026, arXiv 2601.19897). A lesson without context (replay) is read by the
teacher as it is, which holds the student to what it knew.

What the teacher is shown is decided elsewhere (`errorbook.train`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets.conversation import Thinking, render
from errorbook.adapters.targets.decoding import RowLimits, decode
from errorbook.adapters.targets.loading import prompt_ids, unwrap
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.divergence import sum_divergence
from errorbook.adapters.trainers.packing import attend_packed, is_packed
from errorbook.adapters.trainers.stepping import find_logits
from errorbook.errors import StageError
from errorbook.records import Lesson, converse, digest

if TYPE_CHECKING:
    import torch

    from errorbook.adapters.trainers.job import Job

STEPS_AHEAD = 4
"""So many steps' answers are written at once: many rows decode faster, few steps leave the text the student's own."""
_TEMPERATURE = 1.0  # the student's own distribution, which the divergence is to be a mean over
_FALLBACK = 256


@dataclass
class OwnText:
    """What a self-distillation needs besides its job: lesson by lesson, and of the steps whose answers are written.

    `asked` and `shown` are the token ids that the student and the teacher read before an answer, `caps` bounds the
    answers. `teacher` holds the adapter's values at the start, `written` the answers by step in the step's order.
    `ends` are the tokens that end an answer, `read` counts the tokens that student and teacher have read.
    """

    asked: list[tuple[int, ...]]
    shown: list[tuple[int, ...]]
    caps: list[int]
    ends: frozenset[int]
    teacher: dict[str, torch.Tensor] = field(default_factory=dict)
    written: dict[int, list[list[int]]] = field(default_factory=dict)
    read: int = 0

    def longest(self) -> list[TokenRow]:
        """For each lesson the longest row that there can be: what memory is planned with."""
        return [
            TokenRow((0,) * (len(asked) + cap), len(asked)) for asked, cap in zip(self.asked, self.caps, strict=True)
        ]


def encode_own(
    tokenizer: Any, lessons: Sequence[Lesson], max_tokens: int, ends: frozenset[int], thinking: Thinking = "off"
) -> tuple[OwnText, list[Lesson]]:
    """What student and teacher read, and the lessons that leave room for an answer.

    What the student reads and writes stays within `max_tokens`; the teacher, whose pass is cheap, has twice the room.

    Raises:
        StageError: No lesson does.
    """
    own, kept = OwnText([], [], [], ends), []
    for lesson in lessons:
        asked = tuple(prompt_ids(tokenizer, render(tokenizer, lesson.asked, thinking)))
        read = converse(lesson.before, lesson.context)
        shown = tuple(prompt_ids(tokenizer, render(tokenizer, read, thinking))) if lesson.context else asked
        room = min(max_tokens - len(asked), 2 * max_tokens - len(shown))
        if room > 0:
            own.asked.append(asked)
            own.shown.append(shown)
            own.caps.append(min(room, lesson.max_new_tokens or _FALLBACK))
            kept.append(lesson)
    if not kept:
        raise StageError(
            f"No lesson is left: each of the {len(lessons)} leaves no room for an answer within {max_tokens} tokens, or"
            f" {2 * max_tokens} for its teacher; raise max_tokens in [train]."
        )
    return own, kept


def write_answers(job: Job, own: OwnText, step: int) -> None:
    """Have the student write the answers of this step and those after it, unless they are written."""
    if step in own.written:
        return
    ahead = range(step, min(step + STEPS_AHEAD, len(job.steps)))
    asked = [(place, number) for place in ahead for number in job.steps[place]]
    seeds = [int(digest(str(job.recipe.seed), str(place), str(number))[:15], 16) for place, number in asked]
    job.model.eval()
    texts: list[list[int]] = []
    with _attending_plainly(job.model):
        while len(texts) < len(asked):
            part = slice(len(texts), len(texts) + max(1, own_rows(job)))
            texts += _decode(job, own, [number for _, number in asked[part]], seeds[part])
    own.written = {place: [] for place in ahead}
    for (place, _), text in zip(asked, texts, strict=True):
        own.written[place].append(text)


def own_rows(job: Job) -> int:
    """How many answers are written at once."""
    return STEPS_AHEAD * job.at_once


def add_divergence(job: Job, own: OwnText, step: int, numbers: Sequence[int]) -> torch.Tensor:
    """What these lessons add to the loss of their step: the mean divergence over all tokens written for the step."""
    import torch

    texts = dict(zip(job.steps[step], own.written[step], strict=True))
    student, teacher = (
        [TokenRow((*before[number], *texts[number]), len(before[number])) for number in numbers]
        for before in (own.asked, own.shown)
    )
    job.model.eval()
    with torch.no_grad(), _teaching(job, own):
        taught = find_logits(job.model, teacher, job.dtype)[0]
    job.model.train()
    logits = find_logits(job.model, student, job.dtype)[0]
    return sum_divergence(logits, taught, job.recipe.divergence) / sum(map(len, texts.values()))


def count_read(job: Job, own: OwnText, step: int) -> None:
    """Count what a step that is done has read, and forget its texts."""
    for number, text in zip(job.steps[step], own.written.pop(step), strict=True):
        own.read += len(own.asked[number]) + len(own.shown[number]) + 2 * len(text)


def _decode(job: Job, own: OwnText, numbers: Sequence[int], seeds: Sequence[int]) -> list[list[int]]:
    most = max(own.caps[number] for number in numbers)
    limits = RowLimits(own.ends, min(own.ends), most, _TEMPERATURE)
    found: dict[int, list[int]] = {}
    for row, tokens in decode(unwrap(job.model), [own.asked[number] for number in numbers], seeds, limits):
        found[row] = tokens[: own.caps[numbers[row]]]
    return [found[row] for row in range(len(numbers))]


@contextmanager
def _teaching(job: Job, own: OwnText) -> Iterator[None]:
    """The model with the teacher's adapter; the student's comes back afterwards."""
    weights = job.weights()
    held = {name: weight.data for name, weight in weights.items()}
    try:
        for name, weight in weights.items():
            weight.data = own.teacher[name]
        yield
    finally:
        for name, weight in weights.items():
            weight.data = held[name]


@contextmanager
def _attending_plainly(model: Any) -> Iterator[None]:
    """The model with an attention that takes a cache, which the packed one does not."""
    bare = unwrap(model)
    packed = is_packed(bare)
    if packed:
        bare.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        if packed:
            attend_packed(bare)

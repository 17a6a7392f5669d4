"""A question's story in words: the moments from the mistake to what came of it, and the effect in one sentence.

What followed is never said to have been caused: other lessons were trained on at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from errorbook.report.draft_story import Trained
from errorbook.report.question_story import CheckpointAnswer, CheckpointPoint, Story, Study

ASSOCIATION = "Association, not proof: the same training had many other lessons."
_USES = {
    "sample": "trained on",
    "rehearsed": "rehearsed: it was itself a lesson",
    "dispreferred": "trained against: the worked solution was to be preferred to it",
}
_DECIDED = {"accept": "kept", "reject": "not kept", "stop": "not kept", "": "not decided yet"}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the story. `mark` is the verdict of an answer, else empty; `anchor` is the page's part about it."""

    cycle: int
    title: str
    text: str = ""
    mark: str = ""
    anchor: str = ""


def name_checkpoint(point: CheckpointPoint) -> str:
    """A checkpoint in words: "base model", "model of cycle 2", "candidate of cycle 2, not kept"."""
    if point.cycle == 0:
        return "base model"
    scale = "" if point.scale == 1 else f" at scale {point.scale:g}"
    if point.kept:
        return f"model of cycle {point.cycle}{scale}"
    return f"candidate of cycle {point.cycle}{scale}, {_DECIDED[point.outcome]}"


def list_moments(story: Story) -> list[Moment]:
    """The story in order: each answer, what was made of it, and the trainings that followed."""
    moments = [moment for answer in story.answers for moment in _after(story, answer)]
    return sorted(moments, key=lambda moment: moment.cycle)


def describe_effect(story: Story) -> str:
    """What became of the question, beside what was trained on for it; empty if nothing was asked again."""
    if len(story.kept) < 2:
        return ""
    samples = {line.hash for study in story.studies for line in study.drafts if _was_kept(line.trained)}
    after = {
        "fixed": "Not right at first, right now",
        "relapsed": "Right for a while, not right now",
        "stubborn": "Not right at first, and not right now",
        "broken": "Right at first, not right now",
        "still_right": "Right at first, and right now",
        "waiting": "Not asked again",
    }[story.fate or "waiting"]
    if not samples:
        return f"{after}. No sample written for it was trained on in a cycle that was kept."
    noun = "sample" if len(samples) == 1 else "samples"
    return f"{after}, after {len(samples)} {noun} written for it {'was' if len(samples) == 1 else 'were'} trained on."


def _after(story: Story, answer: CheckpointAnswer) -> Iterator[Moment]:
    """What one checkpoint answered, and then what was made of that: it belongs to the cycle that begins with it."""
    point, score = answer.point, answer.response.score
    taken = f"“{_short(score.extracted)}” was read from it" if score.extracted else "no answer was read from it"
    cut = "; it was cut off" if answer.response.truncated else ""
    anchor = f"answer-{answer.hash[:12]}"
    yield Moment(
        cycle=point.cycle,
        title=f"Answered by the {name_checkpoint(point)}",
        text=taken + cut,
        mark=answer.verdict,
        anchor=anchor,
    )
    for correction in answer.corrections:
        who = correction.author or "A person"
        text = f"{who} says: {correction.verdict}" + (f" ({_short(correction.reason)})" if correction.reason else "")
        yield Moment(cycle=point.cycle, title="Score corrected by hand", text=text, anchor=anchor)
    for study in story.studies:
        if study.answer.hash == answer.hash:
            yield from _studied(study)
    for trained in answer.trained:
        yield Moment(cycle=trained.cycle, title=_training(trained), text=f"The answer was {_USES[trained.use]}.")


def _studied(study: Study) -> Iterator[Moment]:
    anchor = f"study-{study.cycle}"
    by = f" by {study.call.call.instructor}" if study.call else ""
    if study.diagnosis is None:
        reason = study.failure.reason if study.failure else ""
        yield Moment(cycle=study.cycle, title=f"Not diagnosed{by}", text=_short(reason), anchor=anchor)
        return
    title = f"Diagnosed{by}: {study.diagnosis.error_kind.replace('_', ' ')}"
    yield Moment(cycle=study.cycle, title=title, text=_short(study.diagnosis.misconception), anchor=anchor)
    if study.writings:
        yield Moment(cycle=study.cycle, title=_written(study), text=_checked(study), anchor=f"drafts-{study.cycle}")
    for cycle, count in sorted(_lessons(study).items()):
        trained = next(item for line in study.drafts for item in line.trained if item.cycle == cycle)
        text = f"{count} {'sample' if count == 1 else 'samples'} written for this mistake trained on."
        yield Moment(cycle=cycle, title=_training(trained), text=text)


def _lessons(study: Study) -> Counter[int]:
    return Counter(item.cycle for line in study.drafts for item in line.trained)


def _written(study: Study) -> str:
    drafts, requests = len(study.drafts), len(study.writings)
    return f"{drafts} {'draft' if drafts == 1 else 'drafts'} written in {requests} {'go' if requests == 1 else 'goes'}"


def _checked(study: Study) -> str:
    verified = sum(line.sample is not None for line in study.drafts)
    reasons = Counter(line.rejection.reason for line in study.drafts if line.rejection)
    rejected = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.most_common())
    return f"{verified} verified" + (f", {reasons.total()} rejected ({rejected})" if rejected else "")


def _training(trained: Trained) -> str:
    return f"Training of cycle {trained.cycle}, candidate {_DECIDED[trained.outcome]}"


def _was_kept(trained: tuple[Trained, ...]) -> bool:
    return any(item.outcome == "accept" for item in trained)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"

"""A ledger of a million responses: a finished run of two tasks, with diagnoses, drafts, samples and their calls.

Five splits, each answered by the base and by the final checkpoint, so ten evaluations. A fifth of the train questions
are answered wrong and diagnosed. Responses arrive as the loop appends them: in blocks of 128, ordered by length.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from benchmarks.scale_marks import Stopwatch, Value
from errorbook.config import Config, RunSection, TaskSection, dump
from errorbook.evaluate import BLOCK
from errorbook.judge import GateSection, compare
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import (
    Call,
    Checkpoint,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Generation,
    Record,
    Response,
    Sample,
    Score,
    Split,
    digest,
)
from errorbook.report.build import build
from errorbook.strategies.section import StrategySection
from errorbook.train import TrainSection

BASE = Checkpoint(base="tiny", base_fingerprint="f" * 32)
FINAL = Checkpoint(
    base="tiny", base_fingerprint="f" * 32, parent=BASE.hash, method="lora", form="adapter", folder="checkpoints/1"
)
KINDS = ("dropped_carry", "wrong_operation", "stopped_early", "misread_question")
SKILLS = ("add", "subtract", "multiply", "divide", "percent")
EVALUATIONS = 10


def measure(rows: int, folder: Path) -> list[Value]:
    """Write a run of `rows` responses into `folder`, resume it and report it."""
    each = rows // EVALUATIONS
    config = _config(each)
    append, resume, report = Stopwatch(), Stopwatch(), Stopwatch()
    with open_ledger(folder, "write") as ledger:
        ledger.state("config", dump(config))
        ledger.extend([Entry(BASE, keys.BASE), Entry(FINAL, keys.candidate(1, 1))])
        for evaluation, examples in _evaluations(config):
            if evaluation.checkpoint == BASE.hash:
                ledger.extend(Entry(item, keys.example(item.task, item.split, item.id)) for item in examples)
            ledger.open_evaluation(evaluation, 1)
            for block in _blocks(examples):
                responses = [_response(evaluation, example) for example in block]
                with append.running():
                    ledger.append_responses(responses)
        _supply(ledger, next(_evaluations(config))[0])
        _decide(ledger, config)
    with open_ledger(folder, "write") as ledger, resume.running():
        answered = sum(len(ledger.answered(evaluation)) for evaluation in ledger.all(Evaluation))
    with open_ledger(folder) as ledger, report.running():
        built = build(ledger)
    size = (folder / "ledger.sqlite").stat().st_size / 1e9
    shown = sum(
        result.base.n + (result.final.n if result.final else 0)
        for one in built.tasks.values()
        for result in one.values()
    )
    return [
        Value(part="ledger", name="responses", value=answered),
        Value(part="ledger", name="responses in the report", value=shown, mark=f"= {answered}"),
        Value(part="ledger", name="append", value=answered / append.seconds, unit="rows/s", mark=">= 20000"),
        Value(part="ledger", name="resume-skip", value=resume.seconds, unit="s", mark="< 5"),
        Value(part="ledger", name="report", value=report.seconds, unit="s", mark="< 5"),
        Value(part="ledger", name="file", value=size, unit="GB"),
    ]


def _config(each: int) -> Config:
    return Config(
        run=RunSection(name="scale", cycles=1),
        tasks=(
            TaskSection(name="sums", train=each, dev=each, test=each),
            TaskSection(name="chat", role="guard", train=0, dev=each, test=each),
        ),
        strategy=StrategySection(name="error"),
        train=TrainSection(scales=(1.0,)),
        gate=GateSection(alpha=0.05),
    )


def _evaluations(config: Config) -> Iterator[tuple[Evaluation, list[Example]]]:
    splits: tuple[Split, ...] = ("train", "dev", "test")
    for task in config.tasks:
        for split in splits:
            examples = [_example(task.name, split, index) for index in range(getattr(task, split))]
            for checkpoint in (BASE, FINAL) if examples else ():
                yield _evaluation(checkpoint, task.name, split, examples), examples


def _evaluation(checkpoint: Checkpoint, task: str, split: Split, examples: list[Example]) -> Evaluation:
    return Evaluation(
        checkpoint=checkpoint.hash,
        task=task,
        split=split,
        target="t" * 32,
        examples=digest(*(example.id for example in examples)),
        n=len(examples),
        generation=Generation(max_new_tokens=256),
        scorer="numeric",
    )


def _example(task: str, split: Split, index: int) -> Example:
    dice = random.Random(f"{task}:{split}:{index}")
    padding = " please" * dice.randrange(12)
    return Example(
        id=f"{split}-{index:07}",
        task=task,
        split=split,
        question=f"What is {index} + {dice.randrange(1000)},{padding}?",
        answer=str(index),
        skill=SKILLS[index % len(SKILLS)],
    )


def _blocks(examples: list[Example]) -> Iterator[list[Example]]:
    ordered = sorted(examples, key=lambda example: (len(example.question), example.id))
    for start in range(0, len(ordered), BLOCK):
        yield ordered[start : start + BLOCK]


def _response(evaluation: Evaluation, example: Example) -> Response:
    number = int(example.id[-7:])
    right = number % 5 != 0 if evaluation.checkpoint == BASE.hash else number % 10 != 0
    return Response(
        evaluation=evaluation.hash,
        example=example.id,
        task=example.task,
        split=example.split,
        prompt_hash=digest(example.question),
        text=f"First I add the ones of {example.question} Then I carry, and add the tens. " * 2 + f"Answer: {number}",
        tokens=60,
        truncated=False,
        score=Score(verdict="right" if right else "wrong", extracted=example.answer, method="marker"),
    )


def _supply(ledger: Ledger, evaluation: Evaluation) -> None:
    """A diagnosis, two drafts and one sample for every mistake, each with the call that it cost."""
    entries: list[Entry] = []
    for number, response in enumerate(ledger.responses(evaluation, "wrong")):
        diagnosis = Diagnosis(
            response=response.hash,
            example=response.example,
            task=response.task,
            strategy="error",
            error_kind=KINDS[number % len(KINDS)],
            misconception="The carry is forgotten.",
            skill="add",
        )
        entries += [Entry(_call("diagnose", response), keys.call("diagnose", str(number)), response.hash)]
        entries += [Entry(diagnosis, f"{response.hash}:error", response.hash)]
        entries += [Entry(_call("write", diagnosis), keys.call("write", str(number)), diagnosis.hash)]
        for index in range(2):
            draft = Draft(
                assignment=f"{number}",
                diagnosis=diagnosis.hash,
                index=index,
                task=response.task,
                question=f"How much is {number} + {index}?",
                answer=str(number + index),
                solution="Count.",
            )
            entries.append(Entry(draft, f"{number}:{index}", diagnosis.hash))
        sample = Sample(draft=draft.hash, task="sums", question=draft.question, answer=draft.answer, solution="Count.")
        entries.append(Entry(sample, draft.hash, draft.hash))
    ledger.extend(entries, 1)


def _call(purpose: Literal["diagnose", "write"], about: Record) -> Call:
    return Call(instructor="i", purpose=purpose, subject=about.hash, input_tokens=90, output_tokens=40, cost_usd=0.001)


def _decide(ledger: Ledger, config: Config) -> None:
    """The gate's decision and the final comparisons, as the loop records them."""
    found = {(item.checkpoint, item.task, item.split): item for item in ledger.all(Evaluation)}
    for task in config.tasks:
        before, after = (found[checkpoint.hash, task.name, "test"] for checkpoint in (BASE, FINAL))
        sides = [(item, ledger.verdicts(item)) for item in (before, after)]
        ledger.append(
            compare(sides[0], sides[1], task.role, task.margin), keys.final_comparison(task.name), 2, FINAL.hash
        )
    decision = Decision(cycle=1, outcome="accept", reason="it is better", checkpoint=FINAL.hash, candidate=FINAL.hash)
    ledger.append(decision, keys.decision(1), 1, BASE.hash)

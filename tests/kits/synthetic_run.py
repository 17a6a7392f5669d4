"""A small run written record by record through the ledger's own API, in the order in which the loop writes it.

`steps` yields after each step, so that a test can stop at any prefix. Verdicts are drawn from a seeded hash: nothing is
computed that the report computes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from errorbook.config import Config, RunSection, TaskSection, dump
from errorbook.judge import GateSection, compare, judge
from errorbook.ledger import keys
from errorbook.ledger.events import Event, StageName
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import (
    Assignment,
    Call,
    Checkpoint,
    Comparison,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Failure,
    Generation,
    Mistake,
    Rejection,
    Response,
    Rule,
    Sample,
    Score,
    Split,
    Training,
    Verdict,
    digest,
)
from errorbook.strategies.section import StrategySection
from errorbook.train import TrainSection

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
KINDS = ("dropped_carry", "wrong_operation", "stopped_early")
REASONS = ("duplicate", "wrong_answer")
SKILLS = ("add", "subtract", "multiply")
SHARES = {"base": 0.35, "better": 0.72, "best": 0.93, "useless": 0.36}
CONFIG = Config(
    run=RunSection(name="synthetic", cycles=2, seed=3),
    tasks=(
        TaskSection(name="sums", train=45, dev=60, test=50),
        TaskSection(name="chat", role="guard", train=0, dev=60, test=30, margin=0.5),
    ),
    strategy=StrategySection(name="error", rounds=1),
    train=TrainSection(scales=(1.0,)),
    gate=GateSection(alpha=0.05),
)


class Scribe:
    """Writes one synthetic run into a ledger. `label` of a checkpoint decides how often it is right.

    `accept` lets the first candidate be better, `both` the second better still.
    """

    def __init__(self, ledger: Ledger, accept: bool = True, hostile: str = "", both: bool = False) -> None:
        self.ledger, self.accept, self.hostile, self.both = ledger, accept, hostile, both
        self.base = Checkpoint(base="tiny", base_fingerprint="f" * 32)
        self.row = 0
        self.labels = {self.base.hash: "base"}
        self.examples = {
            (task.name, split): [self._example(task.name, split, index) for index in range(getattr(task, split))]
            for task in CONFIG.tasks
            for split in SPLITS
        }

    def steps(self) -> Iterator[str]:
        """Write step by step, and say after each what was written."""
        ledger = self.ledger
        ledger.state("config", dump(CONFIG))
        ledger.append(self.base, key=keys.BASE)
        guards = (("chat", 0.5),)
        rule = Rule(alpha=0.05, tests=2, learn=("sums",), guards=guards)
        ledger.append(rule, key=keys.RULE)
        for group in self.examples.values():
            ledger.extend(Entry(example, keys.example(example.task, example.split, example.id)) for example in group)
        yield "opening"
        current = self.base
        for cycle in (1, 2):
            for block, _ in enumerate(self.examine(current, "sums", "train", cycle, blocks=2)):
                if block == 1:
                    wrong = ledger.tally(self.evaluation(current, "sums", "train")).wrong
                    self.begin("diagnose", cycle, wrong)
                yield f"train questions {cycle}"
            yield from self.supply(current, cycle)
            candidate = self.train(current, cycle)
            self.begin_evaluation("sums", "dev", cycle)
            yield f"training {cycle}"
            comparisons = []
            for task in CONFIG.tasks:
                comparisons.append(self.compare(current, candidate, task, "dev", cycle))
                if task.name == "sums":
                    self.begin_evaluation("chat", "dev", cycle)
                yield f"dev {task.name} {cycle}"
            outcome, reason, marked, *_ = judge(rule, comparisons)
            kept = candidate if outcome == "accept" else current
            decision = Decision(
                cycle=cycle,
                outcome=outcome,
                reason=reason + self.hostile,
                checkpoint=kept.hash,
                candidate=candidate.hash,
                comparisons=marked,
            )
            ledger.append(decision, key=keys.decision(cycle), cycle=cycle, parent=current.hash)
            current = kept
            self.begin_evaluation("sums", "train" if cycle == 1 else "test", cycle + 1)
            yield f"decision {cycle}"
        list(self.examine(current, "sums", "train", 3))
        self.begin_evaluation("sums", "test", 3)
        yield "train questions again"
        for task in CONFIG.tasks:
            comparison = self.compare(self.base, current, task, "test", 3)
            ledger.append(comparison, key=keys.final_comparison(task.name), parent=current.hash)
            if task.name == "sums":
                self.begin_evaluation("chat", "test", 3)
            yield f"test {task.name}"

    def supply(self, current: Checkpoint, cycle: int) -> Iterator[str]:
        """Diagnoses, drafts and their verification; one diagnosis fails and one draft of cycle 2 is left waiting."""
        wrong = list(self.ledger.responses(self.evaluation(current, "sums", "train"), "wrong"))
        by_id = {example.id: example for example in self.examples["sums", "train"]}
        drafts: list[Draft] = []
        for index, response in enumerate(wrong):
            mistake = Mistake(example=by_id[response.example], response=response, strategy="error")
            key = f"{response.hash}:error"
            call = Call(
                instructor="tutor",
                purpose="diagnose",
                subject=response.hash,
                input_tokens=7,
                output_tokens=3,
                cost_usd=0.25,
            )
            self.ledger.append(call, keys.call("diagnose", key), cycle, response.hash)
            if index == 0:
                failure = Failure(subject=response.hash, stage="diagnose", reason="unreadable")
                self.ledger.append(failure, keys.call("diagnose", key), cycle, response.hash)
                continue
            diagnosis = Diagnosis(
                response=response.hash,
                example=response.example,
                task="sums",
                strategy="error",
                error_kind=KINDS[index % 3] + self.hostile,
                misconception=f"It forgets something.{self.hostile}",
                skill=mistake.example.skill,
                first_wrong_step=response.text[:9],
            )
            self.ledger.append(diagnosis, key, cycle, response.hash)
            known = self.ledger.find(Diagnosis, key) or diagnosis
            assignment = Assignment(task="sums", index=index, count=2, cycle=cycle, mistake=mistake, diagnosis=known)
            drafts += self._drafts(assignment, known, cycle)
        self.ledger.advance(self.row, len(wrong), 0.0)
        self.begin("write", cycle, len(wrong))
        yield f"diagnoses and drafts {cycle}"
        waiting = 1 if cycle == 2 else 0
        self.begin("verify", cycle, len(drafts))
        for number, draft in enumerate(drafts[: len(drafts) - waiting]):
            self.ledger.append(self._verified(draft, number), draft.hash, cycle, draft.hash)
        self.ledger.advance(self.row, len(drafts), 0.5)
        if waiting:  # it is asked for another in its place
            self.begin("write", cycle, waiting)
        else:
            self.begin("train", cycle, self.ledger.count(Sample, cycle) + 4)
        yield f"verification {cycle}"

    def _drafts(self, assignment: Assignment, diagnosis: Diagnosis, cycle: int) -> list[Draft]:
        drafts = [
            Draft(
                assignment=assignment.hash,
                diagnosis=diagnosis.hash,
                index=index,
                task="sums",
                question=f"How much is {assignment.index} + {index}?{self.hostile}",
                answer=str(assignment.index + index),
                solution="Count.",
            )
            for index in range(2)
        ]
        for draft in drafts:
            self.ledger.append(draft, keys.draft(assignment.hash, draft.index), cycle, diagnosis.hash)
        return drafts

    def _verified(self, draft: Draft, number: int) -> Sample | Rejection:
        if number % 5 < 2:
            reason = REASONS[number % 5]
            return Rejection(draft=draft.hash, task="sums", reason=reason, detail=f"see{self.hostile}")
        return Sample(draft=draft.hash, task="sums", question=draft.question, answer=draft.answer, solution="Count.")

    def train(self, current: Checkpoint, cycle: int) -> Checkpoint:
        samples = self.ledger.count(Sample, cycle)
        training = Training(
            training_set=f"{cycle}" * 32,
            parent=current.hash,
            lessons=samples + 4,
            replayed=4,
            trainable_parameters=1000,
            steps=6,
            tokens=600,
            truncated=1,
            losses=tuple(2.0 / (step + cycle) for step in range(6)),
            folder=f"checkpoints/{cycle}",
            weights_hash=digest("weights", str(cycle), current.hash),
        )
        self.begin("train", cycle, training.lessons)
        self.ledger.append(training, keys.training(cycle), cycle, current.hash)
        self.ledger.advance(self.row, training.lessons, 30.0)
        candidate = Checkpoint(
            base="tiny",
            base_fingerprint="f" * 32,
            parent=current.hash,
            method="lora",
            form="adapter",
            folder=training.folder,
            weights_hash=training.weights_hash,
        )
        better = "better" if cycle == 1 else "best" if self.both else "useless"
        self.labels[candidate.hash] = better if self.accept else "useless"
        self.ledger.append(candidate, keys.candidate(cycle, 1), cycle, training.training_set)
        return candidate

    def examine(self, checkpoint: Checkpoint, task: str, split: Split, cycle: int, blocks: int = 1) -> Iterator[None]:
        evaluation = self.evaluation(checkpoint, task, split)
        self.ledger.open_evaluation(evaluation, cycle)
        new = len(self.ledger.answered(evaluation)) < evaluation.n
        if new:
            self.begin_evaluation(task, split, cycle)
        responses = [self._response(checkpoint, evaluation, example) for example in self.examples[task, split]]
        size = -(-len(responses) // blocks) or 1
        for start in range(0, len(responses), size):
            self.ledger.append_responses(responses[start : start + size])
            if new:
                self.ledger.advance(self.row, min(start + size, len(responses)), 12.25 / blocks)
            yield

    def begin(self, stage: StageName, cycle: int, total: int, task: str = "", split: Split | Literal[""] = "") -> None:
        """Note that a stage begins, as the loop does; the same again goes on with it."""
        self.row = self.ledger.begin(Event(stage, cycle, 0, total, task, split, at=time.time()))

    def begin_evaluation(self, task: str, split: Split, cycle: int) -> None:
        """The same for an evaluation."""
        self.begin("evaluate", cycle, len(self.examples[task, split]), task, split)

    def evaluation(self, checkpoint: Checkpoint, task: str, split: Split) -> Evaluation:
        examples = self.examples[task, split]
        return Evaluation(
            checkpoint=checkpoint.hash,
            task=task,
            split=split,
            target="t" * 32,
            examples=digest(*(example.hash for example in examples)),
            n=len(examples),
            generation=Generation(max_new_tokens=64),
            scorer="numeric",
        )

    def compare(self, before: Checkpoint, after: Checkpoint, task: TaskSection, split: Split, cycle: int) -> Comparison:
        sides = []
        for checkpoint in (before, after):
            list(self.examine(checkpoint, task.name, split, cycle))
            evaluation = self.evaluation(checkpoint, task.name, split)
            sides.append((evaluation, self.ledger.verdicts(evaluation)))
        return compare(sides[0], sides[1], task.role, task.margin)

    def _example(self, task: str, split: Split, index: int) -> Example:
        return Example(
            id=f"{task}-{split}-{index:03}",
            task=task,
            split=split,
            question=f"What is {index} + 1?{self.hostile}",
            answer=str(index + 1),
            skill=SKILLS[index % 3] if task == "sums" else "",
        )

    def _response(self, checkpoint: Checkpoint, evaluation: Evaluation, example: Example) -> Response:
        label = self.labels[checkpoint.hash]
        dice = random.Random(f"{label if example.task == 'sums' else 'same'}:{example.id}")
        verdict: Verdict = "right" if dice.random() < SHARES[label] else "wrong"
        if verdict == "wrong" and dice.random() < 0.1:
            verdict = "unscorable"
        answer = example.answer if verdict == "right" else "17"
        return Response(
            evaluation=evaluation.hash,
            example=example.id,
            task=example.task,
            split=example.split,
            prompt_hash=digest(example.question),
            text=f"I think so.\nAnswer: {answer}{self.hostile}",
            tokens=9,
            truncated=dice.random() < 0.1,
            score=Score(verdict=verdict, extracted=answer),
        )


def write_run(
    folder: Path, accept: bool = True, hostile: str = "", stop_after: int | None = None, both: bool = False
) -> Path:
    """Write the run, or its first `stop_after` steps, into `folder`, and return the folder."""
    with open_ledger(folder / "ledger.sqlite", "write") as ledger:
        for number, _ in enumerate(Scribe(ledger, accept, hostile, both).steps(), 1):
            if number == stop_after:
                break
    return folder


def write_exam(folder: Path) -> Path:
    """Write an exam without training: base on train and dev of every task."""
    with open_ledger(folder / "ledger.sqlite", "write") as ledger:
        scribe = Scribe(ledger)
        next(scribe.steps())
        for task in CONFIG.tasks:
            for split in SPLITS[:2]:
                list(scribe.examine(scribe.base, task.name, split, 0))
    return folder


HOSTILE = (
    '<script>alert(1)</script><img src="https://evil.example/x.png" onerror=alert(1)>"\'|`](https://evil.example)\x1b[2J'
    "</pre></style></svg>{{ 7*7 }} \u202eabc ````\n# heading"
)

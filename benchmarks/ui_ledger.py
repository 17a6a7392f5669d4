"""A ledger for the book in a browser: by default 100,000 questions, each answered by the five checkpoints of a run.

Four cycles are accepted and one is rejected. The mistakes of every cycle are diagnosed and written against; what was
written is verified. Texts are made of 3,000 words, so that a search finds anything from one row to all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from errorbook.config import Config, RunSection, TaskSection, dump
from errorbook.judge import GateSection, compare
from errorbook.ledger import keys
from errorbook.ledger.events import Event
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import (
    Call,
    Checkpoint,
    Comparison,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Generation,
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

T = TypeVar("T")
CYCLES = 5
REJECTED = 3
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
OPEN: tuple[str, Split] = ("chat", "test")
"""Where the final checkpoint has not answered the last tenth yet: the run goes on."""
RATES = (0.55, 0.62, 0.68, 0.68, 0.72, 0.76)
"""Share of right answers by cycle: of the base, then of each candidate."""
KINDS = tuple(
    f"{verb}_{noun}" for verb in ("dropped", "misread", "swapped", "stopped") for noun in ("carry", "unit", "step")
)
SKILLS = ("add", "subtract", "multiply", "divide", "percent", "ratio", "time", "money")
REASONS = ("duplicate", "wrong_answer", "leak")
WORDS = tuple("".join(random.Random(n).choices("aeioulmnrstkpdb", k=4 + n % 6)) for n in range(3000))
BLOCK = 1000


def write(folder: Path, items: int) -> Path:
    """Write the run into `folder` and return the folder; one that is whole is left as it is."""
    if (folder / "whole").exists():
        return folder
    with open_ledger(folder, "write") as ledger:
        run = Run(ledger, items)
        run.begin()
        current = run.base
        for cycle in range(1, CYCLES + 1):
            run.examine(current, cycle, ("train",))
            run.supply(current, cycle)
            current = run.decide(current, run.train(current, cycle), cycle)
        run.examine(current, CYCLES + 1, ("train",))
        run.finish(current)
    (folder / "whole").touch()
    return folder


class Run:
    """Writes the records of one run, in the loop's order."""

    def __init__(self, ledger: Ledger, items: int) -> None:
        self.ledger = ledger
        share = items // 20
        self.config = Config(
            run=RunSection(name="big", cycles=CYCLES, budget_usd=500.0),
            tasks=(
                TaskSection(name="sums", train=12 * share, dev=3 * share, test=2 * share),
                TaskSection(name="chat", role="guard", train=0, dev=2 * share, test=share, margin=0.02),
            ),
            strategy=StrategySection(name="error"),
            train=TrainSection(scales=(1.0,)),
            gate=GateSection(alpha=0.05),
        )
        self.base = Checkpoint(base="tiny", base_fingerprint="f" * 32)
        self.strength = {self.base.hash: 0}

    def begin(self) -> None:
        """Configuration, base, rule and questions."""
        self.ledger.state("config", dump(self.config))
        self.ledger.append(self.base, keys.BASE)
        rule = Rule(alpha=0.05, tests=CYCLES, learn=("sums",), guards=(("chat", 0.02),))
        self.ledger.append(rule, keys.RULE)
        for task in self.config.tasks:
            for split in SPLITS:
                for some in blocks(self.examples(task, split)):
                    self.ledger.extend(Entry(one, keys.example(one.task, one.split, one.id)) for one in some)

    def examples(self, task: TaskSection, split: Split) -> list[Example]:
        """The questions of one split."""
        return [example(task.name, split, index) for index in range(getattr(task, split))]

    def evaluation(self, checkpoint: Checkpoint, task: TaskSection, split: Split) -> Evaluation:
        """The identity of one evaluation."""
        return Evaluation(
            checkpoint=checkpoint.hash,
            task=task.name,
            split=split,
            target="t" * 32,
            examples=digest(task.name, split),
            n=getattr(task, split),
            generation=Generation(max_new_tokens=256),
            scorer="numeric",
        )

    def examine(self, checkpoint: Checkpoint, cycle: int, splits: Sequence[Split]) -> None:
        """Answer all questions of some splits."""
        for task in self.config.tasks:
            for split in splits:
                evaluation = self.evaluation(checkpoint, task, split)
                if not evaluation.n or evaluation.hash in self.ledger.keys(Evaluation):
                    continue
                self.ledger.open_evaluation(evaluation, cycle)
                strength, examples = self.strength[checkpoint.hash], self.examples(task, split)
                if strength == CYCLES and (task.name, split) == OPEN:
                    examples = examples[: -(len(examples) // 10)]
                for some in blocks(examples):
                    self.ledger.append_responses([response(evaluation, one, strength) for one in some])
                self.note(Event("evaluate", cycle, evaluation.n, evaluation.n, task.name, split, seconds=60.0))

    def note(self, event: Event) -> None:
        """A stage that ended."""
        self.ledger.advance(self.ledger.begin(event._replace(done=0)), event.done, event.seconds)

    def supply(self, current: Checkpoint, cycle: int) -> None:
        """Diagnose every mistake, write two drafts for every second one, and verify them."""
        evaluation = self.evaluation(current, self.config.tasks[0], "train")
        for some in blocks(self.ledger.responses(evaluation, "wrong")):
            supplied: list[Entry] = []
            for answer in some:
                supplied += diagnosed(answer, cycle)
            self.ledger.extend(supplied, cycle)
        self.note(Event("diagnose", cycle, 1, 1, seconds=120.0))

    def train(self, current: Checkpoint, cycle: int) -> Checkpoint:
        """A training and its candidate."""
        training = Training(
            training_set=digest("set", str(cycle)),
            parent=current.hash,
            lessons=self.ledger.count(Sample, cycle),
            replayed=0,
            trainable_parameters=1000,
            steps=200,
            tokens=60000,
            truncated=0,
            losses=tuple(2.0 / (1 + step / 40) for step in range(200)),
            folder=f"checkpoints/{cycle}",
            weights_hash=digest("weights", str(cycle)),
        )
        self.ledger.append(training, keys.training(cycle), cycle, current.hash)
        self.note(Event("train", cycle, training.lessons, training.lessons, seconds=300.0))
        candidate = Checkpoint(
            base="tiny",
            base_fingerprint="f" * 32,
            parent=current.hash,
            method="lora",
            form="adapter",
            folder=training.folder,
            weights_hash=training.weights_hash,
            training_set=training.training_set,
        )
        self.strength[candidate.hash] = cycle
        self.ledger.append(candidate, keys.candidate(cycle, 1), cycle, training.training_set)
        return candidate

    def decide(self, current: Checkpoint, candidate: Checkpoint, cycle: int) -> Checkpoint:
        """Examine both on dev, accept or reject, and return the checkpoint that is kept."""
        for one in (current, candidate):
            self.examine(one, cycle, ("dev",))
        kept = current if cycle == REJECTED else candidate
        decision = Decision(
            cycle=cycle,
            outcome="reject" if cycle == REJECTED else "accept",
            reason="as the benchmark wants it",
            checkpoint=kept.hash,
            candidate=candidate.hash,
            comparisons=tuple(self.comparison(current, candidate, task, "dev") for task in self.config.tasks),
        )
        self.ledger.append(decision, keys.decision(cycle), cycle, current.hash)
        if kept is candidate:  # every kept checkpoint answers everything, so that all paths are as long as can be
            self.examine(kept, cycle, ("train", "test"))
        return kept

    def finish(self, final: Checkpoint) -> None:
        """The test splits of the base; the guard's cannot be compared yet."""
        self.examine(self.base, CYCLES + 1, ("test",))
        comparison = self.comparison(self.base, final, self.config.tasks[0], "test")
        self.ledger.append(comparison, keys.final_comparison("sums"), parent=final.hash)

    def comparison(self, before: Checkpoint, after: Checkpoint, task: TaskSection, split: Split) -> Comparison:
        """Two evaluations, paired."""
        first, second = (self.evaluation(one, task, split) for one in (before, after))
        sides = (first, self.ledger.verdicts(first)), (second, self.ledger.verdicts(second))
        return compare(*sides, task.role, task.margin)


def append_open(folder: Path, items: int, n: int, note: str) -> int:
    """Answer the next of the questions that were left open, each with a note in its text; returns how many."""
    with open_ledger(folder, "write") as ledger:
        run = Run(ledger, items)
        task, final = run.config.tasks[1], list(ledger.all(Checkpoint))[-1]
        evaluation = run.evaluation(final, task, "test")
        answered = ledger.answered(evaluation)
        left = [one for one in run.examples(task, "test") if one.id not in answered][:n]
        answers = [response(evaluation, one, CYCLES) for one in left]
        ledger.append_responses([replace(answer, text=f"{answer.text} {note}") for answer in answers])
    return len(left)


def example(task: str, split: Split, index: int) -> Example:
    """One question of about 150 characters."""
    dice = random.Random(f"{task}:{split}:{index}")
    question = f"What is {index} + {dice.randrange(1000)}, if {words(dice, 18)}?"
    skill = SKILLS[index % len(SKILLS)] if task == "sums" else ""
    return Example(id=f"{split}-{index:06}", task=task, split=split, question=question, answer=str(index), skill=skill)


def response(evaluation: Evaluation, example: Example, strength: int) -> Response:
    """One answer of about 300 characters. Mostly, what was right stays right."""
    steady = random.Random(f"{example.task}:{example.id}").random()
    dice = random.Random(f"{example.id}:{strength}")
    right = (dice.random() if dice.random() < 0.15 else steady) < RATES[strength]
    verdict: Verdict = "right" if right else "unscorable" if dice.random() < 0.05 else "wrong"
    return Response(
        evaluation=evaluation.hash,
        example=example.id,
        task=example.task,
        split=example.split,
        prompt_hash=digest(example.question),
        text=f"First I look at {words(dice, 36)}. Then I add.\nAnswer: {example.answer if right else 17}",
        tokens=60,
        truncated=False,
        score=Score(verdict=verdict, extracted=example.answer if right else "17", method="marker"),
    )


def diagnosed(answer: Response, cycle: int) -> list[Entry]:
    """The call and diagnosis of one mistake, and for every second one two drafts with what became of them."""
    dice = random.Random(f"{answer.hash}")
    call = Call(instructor="tutor", purpose="diagnose", subject=answer.hash, cost_usd=0.001, reply=words(dice, 30))
    diagnosis = Diagnosis(
        response=answer.hash,
        example=answer.example,
        task=answer.task,
        strategy="error",
        error_kind=dice.choice(KINDS),
        misconception=f"It forgets the {words(dice, 8)}.",
        skill=SKILLS[int(answer.example[-6:]) % len(SKILLS)],
        first_wrong_step=answer.text[:40],
        call=call.hash,
    )
    found = [
        Entry(call, keys.call("diagnose", keys.diagnosis(answer.hash, "error")), answer.hash),
        Entry(diagnosis, f"{answer.hash}:error", answer.hash),
    ]
    if dice.random() < 0.5:
        return found
    writing = Call(instructor="tutor", purpose="write", subject=diagnosis.hash, cost_usd=0.002, reply=words(dice, 40))
    found.append(Entry(writing, keys.call("write", diagnosis.hash), diagnosis.hash))
    for index in range(2):
        draft = Draft(
            assignment=digest("assignment", diagnosis.hash),
            diagnosis=diagnosis.hash,
            index=index,
            task=answer.task,
            question=f"How much is {dice.randrange(1000)} + {index}, if {words(dice, 15)}?",
            answer=str(index),
            solution=f"We count {words(dice, 20)}.",
            call=writing.hash,
        )
        found += [
            Entry(draft, keys.draft(draft.assignment, index), diagnosis.hash),
            Entry(checked(draft, dice), draft.hash, draft.hash),
        ]
    return found


def checked(draft: Draft, dice: random.Random) -> Sample | Rejection:
    """What verification said of a draft."""
    if dice.random() < 0.4:
        return Rejection(draft=draft.hash, task=draft.task, reason=dice.choice(REASONS), detail=words(dice, 4))
    return Sample(
        draft=draft.hash, task=draft.task, question=draft.question, answer=draft.answer, solution=draft.solution
    )


def words(dice: random.Random, n: int) -> str:
    """Some words, the first ones of the list the most often."""
    return " ".join(WORDS[int(len(WORDS) * dice.random() ** 3)] for _ in range(n))


def blocks(rows: Iterator[T] | Sequence[T]) -> Iterator[list[T]]:
    """The rows, a thousand at a time."""
    block: list[T] = []
    for row in rows:
        block.append(row)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block

"""A finished run in which every text that a model, a dataset or a folder can name is one of the hostile texts."""

from __future__ import annotations

from pathlib import Path

from hostile_texts import HIT, HOSTILE, IMAGE, RUN

from errorbook.config import Config, RunSection, TaskSection, dump
from errorbook.judge import GateSection, compare, judge
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import (
    Assignment,
    Call,
    Checkpoint,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
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

TASK = f'"><img src=x onerror={HIT}> a/b'
NAME = f"'{RUN}{IMAGE}"
FOLDER = f"{IMAGE.replace('/', '')} 50%2F&quot; ?#"
TEXTS = list(HOSTILE.values())
IDS = [
    "a/b/../c",
    "..",
    ".",
    "%2F..%2f",
    "q?x=1&y=2#z",
    f'"><script>{HIT}</script>',
    "~x",
    f"javascript:{HIT}",
    "a b+c\ttab",
    "\u202egro.live",
    "' onfocus='x",
    "//203.0.113.7/x",
    "\\..\\x",
]
CONFIG = Config(
    run=RunSection(name=NAME, cycles=1),
    tasks=(TaskSection(name=TASK, train=len(TEXTS), dev=20, test=0),),
    strategy=StrategySection(name="error", rounds=1),
    gate=GateSection(alpha=0.05),
)


def write_hostile_run(root: Path) -> Path:
    """Write the run below `root`, and return its folder."""
    with open_ledger(root / FOLDER / "ledger.sqlite", "write") as ledger:
        _write(ledger)
    return root / FOLDER


def text(number: int) -> str:
    """One of the texts, the long one shortened where it would only be repeated."""
    return TEXTS[number % len(TEXTS)]


def _write(ledger: Ledger) -> None:
    ledger.state("config", dump(CONFIG))
    base = Checkpoint(base="tiny", base_fingerprint="f" * 32)
    ledger.append(base, key=keys.BASE)
    rule = Rule(alpha=0.05, tests=1, learn=(TASK,), guards=())
    ledger.append(rule, key=keys.RULE)
    examples = {"train": _examples("train", len(TEXTS)), "dev": _examples("dev", 20)}
    for group in examples.values():
        ledger.extend(Entry(item, keys.example(TASK, item.split, item.id)) for item in group)
    wrong = _answer(ledger, base, examples["train"], {"": "wrong"})
    for number, (example, response) in enumerate(zip(examples["train"], wrong, strict=True)):
        _teach(ledger, number, example, response)
    candidate = _train(ledger, base)
    before, after = (_answered(ledger, point, examples["dev"]) for point in (base, candidate))
    outcome, _, marked, *_ = judge(rule, [compare(before, after, "learn", 0.05)])
    decision = Decision(
        cycle=1,
        outcome=outcome,
        reason=text(1),
        checkpoint=candidate.hash if outcome == "accept" else base.hash,
        candidate=candidate.hash,
        comparisons=marked,
    )
    ledger.append(decision, key=keys.decision(1), cycle=1, parent=base.hash)
    _answer(ledger, candidate, examples["train"], {"0": "right", "1": "unscorable"})


def _examples(split: Split, size: int) -> list[Example]:
    return [
        Example(
            id=IDS[number] if split == "train" and number < len(IDS) else f"{split}-{number}",
            task=TASK,
            split=split,
            question=text(number),
            answer=text(number + 1)[:200],
            solution=text(number + 2)[:5_000],
            choices=(text(number + 3)[:300], text(number + 4)[:300]),
            skill=text(number + 5)[:80],
        )
        for number in range(size)
    ]


def _answer(ledger: Ledger, point: Checkpoint, examples: list[Example], verdicts: dict[str, Verdict]) -> list[Response]:
    evaluation = Evaluation(
        checkpoint=point.hash,
        task=TASK,
        split=examples[0].split,
        target="t" * 32,
        examples=digest(*(item.hash for item in examples)),
        n=len(examples),
        generation=Generation(max_new_tokens=64),
        scorer="numeric",
    )
    ledger.open_evaluation(evaluation, 1)
    responses = [
        Response(
            evaluation=evaluation.hash,
            example=item.id,
            task=TASK,
            split=item.split,
            prompt_hash="p",
            text=text(number + (point.form != "base")),
            tokens=9,
            truncated=False,
            score=Score(
                verdict=verdicts.get(str(number % 3), verdicts.get("", "right")),
                extracted=text(number + 6)[:200],
                method="numeric",
                evidence=text(number + 7)[:900],
            ),
        )
        for number, item in enumerate(examples)
    ]
    ledger.append_responses(responses)
    return responses


def _answered(ledger: Ledger, point: Checkpoint, examples: list[Example]) -> tuple[Evaluation, dict[str, Verdict]]:
    _answer(ledger, point, examples, {"": "wrong"} if point.form == "base" else {"": "right"})
    found = next(item for item in ledger.all(Evaluation) if (item.checkpoint, item.split) == (point.hash, "dev"))
    return found, ledger.verdicts(found)


def _teach(ledger: Ledger, number: int, example: Example, response: Response) -> None:
    call = Call(
        instructor=text(number + 8)[:60],
        purpose="diagnose",
        subject=response.hash,
        prompt_hash="v",
        input_tokens=7,
        output_tokens=3,
        cost_usd=0.01,
        reply=text(number + 9),
        prompt=text(number + 10),
    )
    ledger.append(call, keys.call("diagnose", keys.diagnosis(response.hash, "error")), 1, response.hash)
    diagnosis = Diagnosis(
        response=response.hash,
        example=example.id,
        task=TASK,
        strategy="error",
        error_kind=text(number + 11)[:100],
        misconception=text(number + 12)[:3_000],
        skill=text(number + 13)[:80],
        first_wrong_step=response.text[:60],
        border=text(number + 14)[:300],
        call=call.hash,
    )
    ledger.append(diagnosis, f"{response.hash}:error", 1, response.hash)
    mistake = Mistake(example=example, response=response, strategy="error")
    assignment = Assignment(task=TASK, index=number, count=1, mistake=mistake, diagnosis=diagnosis)
    draft = Draft(
        assignment=assignment.hash,
        diagnosis=diagnosis.hash,
        index=0,
        task=TASK,
        question=text(number + 15),
        answer=text(number + 16)[:200],
        solution=text(number + 17),
        skill=text(number + 18)[:80],
        call=call.hash,
    )
    ledger.append(draft, f"{assignment.hash}:0", 1, diagnosis.hash)
    ledger.append(_checked(draft, number), draft.hash, 1, draft.hash)


def _checked(draft: Draft, number: int) -> Sample | Rejection:
    if number % 2:
        return Rejection(draft=draft.hash, task=TASK, reason="wrong_answer", detail=text(number)[:3_000])
    return Sample(draft=draft.hash, task=TASK, question=draft.question, answer=draft.answer, solution=draft.solution)


def _train(ledger: Ledger, base: Checkpoint) -> Checkpoint:
    training = Training(
        training_set="1" * 32,
        parent=base.hash,
        lessons=10,
        replayed=0,
        trainable_parameters=1000,
        steps=3,
        tokens=60,
        truncated=0,
        losses=(2.0, 1.0, 0.5),
        folder="checkpoints/1",
        weights_hash="w" * 32,
    )
    ledger.append(training, "training:1", 1, base.hash)
    candidate = Checkpoint(
        base="tiny",
        base_fingerprint="f" * 32,
        parent=base.hash,
        method="lora",
        form="adapter",
        folder=training.folder,
        weights_hash=training.weights_hash,
    )
    ledger.append(candidate, keys.candidate(1, 1), 1, training.training_set)
    return candidate

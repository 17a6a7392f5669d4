"""The retention guard on the real embedded model: over-training on sums must be noticed, and must be vetoed."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_kit import child_of, recipe_of

from errorbook.adapters.scorers.contains import Contains
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.tasks.retention import Retention
from errorbook.adapters.trainers.transformers import TransformersTrainer
from errorbook.evaluate import evaluate, identify
from errorbook.judge import compare, judge
from errorbook.records import Checkpoint, Comparison, Evaluation, Lesson, Rule, Verdict

MODEL = "smollm2-135m-instruct"
ITEMS = 32


def answered(target: TransformersTarget, checkpoint: Checkpoint, root: Path) -> tuple[Evaluation, dict[str, Verdict]]:
    task = Retention()
    examples = task.examples("dev", ITEMS, 0)
    target.use(checkpoint, root)
    evaluation = identify(target, checkpoint.hash, task, "dev", examples)
    blocks = evaluate(target, task, Contains(), evaluation, examples)
    return evaluation, {response.example: response.score.verdict for block in blocks for response in block}


@pytest.mark.slow
def test_an_over_trained_checkpoint_fails_retention_and_is_vetoed(tmp_path: Path) -> None:
    task = Arithmetic()
    lessons = [
        Lesson(
            prompt=task.prompt(example.question),
            completion=task.completion(example.solution, example.answer),
            source=example.hash,
        )
        for example in task.examples("train", 39, 0)
    ]
    target = TransformersTarget(MODEL)
    base = Checkpoint(base=target.base, base_fingerprint=target.fingerprint)
    recipe = recipe_of(learning_rate=5e-3, epochs=2.0, replay=0.0)
    before = answered(target, base, tmp_path)
    target.close()
    training = TransformersTrainer(MODEL).train(base, lessons, recipe, tmp_path, lambda done, total: None)
    trained = child_of(base, training)
    guard = compare(before, answered(target, trained, tmp_path), "guard", margin=0.12)
    assert guard.right_before >= 0.6 * ITEMS
    assert guard.high < 0, f"forgetting went unnoticed: {guard}"
    rule = Rule(alpha=0.05, tests=1, learn=("sums",), guards=(("retention", 0.12),))
    outcome, reason, *_ = judge(rule, [_perfect_gain(guard), guard])
    assert outcome == "reject"
    assert "'retention' may be worse" in reason


def _perfect_gain(guard: Comparison) -> Comparison:
    """A gain on the task to learn that no gate could doubt."""
    from msgspec.structs import replace

    right = {"right_before": 0, "right_after": guard.n, "fixed": guard.n, "broken": 0}
    return replace(guard, task="sums", role="learn", newly_readable=0, no_longer_readable=0, **right)

"""The noise floor counts what changes when nothing but the batches changed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.targets.answer_cache import AnswerFile
from errorbook.adapters.targets.remembered import Remembering
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.errors import StageError
from errorbook.evaluate import evaluate, identify
from errorbook.noise_floor import AT_MOST, measure_noise_floor
from errorbook.records import Completion, Evaluation, Example, Generation, Noise, Response, Split, digest
from errorbook.render.words import noise_text

TASK = Arithmetic()


class Shaky(ScriptedTarget):
    """Rounds differently in other batches: some answers depend on what else is asked with them."""

    def __init__(self, share: float) -> None:
        super().__init__(accuracy=0.6)
        self.share = share
        self.sizes: list[int] = []

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        self.sizes.append(len(prompts))
        batch = digest(*sorted(prompts))
        for completion in super().generate(prompts, settings):
            shaken = int(digest(batch, prompts[completion.index])[:8], 16) / 0xFFFFFFFF < self.share
            text = "Answer: 123456" if shaken else completion.text
            yield Completion(
                index=completion.index,
                text=text,
                tokens=completion.tokens,
                truncated=False,
                prompt_hash=completion.prompt_hash,
            )


@functools.cache
def pool(split: Split) -> Sequence[Example]:
    return TASK.examples(split, 200, seed=0)


def examined(
    target: ScriptedTarget | TransformersTarget | Remembering, n: int, split: Split = "dev"
) -> tuple[Evaluation, Sequence[Example], Mapping[str, Response]]:
    examples = pool(split)[:n]
    evaluation = identify(target, "base", TASK, split, examples)
    blocks = evaluate(target, TASK, Numeric(), evaluation, examples)
    return evaluation, examples, {response.example: response for block in blocks for response in block}


def measured(target: ScriptedTarget | TransformersTarget | Remembering, n: int, split: Split = "dev") -> Noise:
    return measure_noise_floor(target, TASK, Numeric(), *examined(target, n, split))


def test_a_target_that_rounds_nothing_has_no_noise() -> None:
    noise = measured(Shaky(0.0), 60)
    assert (noise.n, noise.texts_differ, noise.verdicts_differ) == (60, 0, 0)
    assert noise.right_before == noise.right_after > 0


def test_what_differs_is_counted_against_the_recorded_responses() -> None:
    target = Shaky(0.2)
    evaluation, examples, recorded = examined(target, 60)
    noise = measure_noise_floor(target, TASK, Numeric(), evaluation, examples, recorded)

    assert noise.evaluation == evaluation.hash
    assert (noise.task, noise.split, noise.n) == ("arithmetic", "dev", 60)
    assert 0 < noise.verdicts_differ <= noise.texts_differ < 60
    assert noise.right_before == sum(response.score.verdict == "right" for response in recorded.values())
    assert abs(noise.right_after - noise.right_before) <= noise.verdicts_differ
    assert noise == measure_noise_floor(target, TASK, Numeric(), evaluation, examples, recorded)


@given(st.integers(2, 200))
@settings(max_examples=20, deadline=None)
def test_the_batches_are_others_and_the_draw_is_bounded(n: int) -> None:
    target = Shaky(0.0)
    evaluation, examples, recorded = examined(target, n)
    blocks, target.sizes = target.sizes, []
    noise = measure_noise_floor(target, TASK, Numeric(), evaluation, examples, recorded)

    assert sum(target.sizes) == noise.n == min(n, AT_MOST)
    assert max(target.sizes) < max(blocks)


def test_the_draw_does_not_depend_on_the_order_of_the_examples() -> None:
    target = Shaky(0.3)
    evaluation, examples, recorded = examined(target, 200)
    one, other = (
        measure_noise_floor(target, TASK, Numeric(), evaluation, e, recorded) for e in (examples, examples[::-1])
    )
    assert one == other


def test_remembered_answers_are_not_taken_for_it(tmp_path: Path) -> None:
    target = Shaky(0.2)
    remembered = Remembering(target, AnswerFile(tmp_path / "answers.sqlite", note=pytest.fail))
    first = measured(remembered, 60)
    blocks, target.sizes = target.sizes, []
    again = measured(remembered, 60)

    assert again == first
    assert again.verdicts_differ > 0
    assert blocks == [60, 20, 20, 20]
    assert target.sizes == [20, 20, 20]


@pytest.mark.parametrize("split", ["train", "test"])
def test_only_dev_is_measured(split: Split) -> None:
    with pytest.raises(StageError, match="dev only"):
        measured(Shaky(0.0), 20, split)


def test_an_unfinished_evaluation_has_no_noise_floor() -> None:
    evaluation, examples, recorded = examined(Shaky(0.0), 20)
    some = dict(list(recorded.items())[1:])
    with pytest.raises(StageError, match="incomplete"):
        measure_noise_floor(Shaky(0.0), TASK, Numeric(), evaluation, examples, some)


def test_a_real_model_in_float32_keeps_its_texts(tiny_model: Path) -> None:
    noise = measured(TransformersTarget(str(tiny_model), device="cpu", dtype="float32"), 12)
    assert noise.n == 12
    assert noise.texts_differ <= 1


@pytest.mark.parametrize(
    ("differ", "after", "expected"),
    [
        (0, 40, "none of 117 verdicts changed when"),
        (2, 41, "2 of 117 verdicts changed (+0.9 points) when"),
        (3, 37, "3 of 117 verdicts changed (−2.6 points) when"),
        (2, 40, "2 of 117 verdicts changed (+0.0 points) when"),
    ],
)
def test_it_is_told_in_a_sentence(differ: int, after: int, expected: str) -> None:
    noise = Noise(
        evaluation="e",
        task="t",
        split="dev",
        n=117,
        texts_differ=9,
        verdicts_differ=differ,
        right_before=40,
        right_after=after,
    )
    assert noise_text(noise) == f"Noise floor of t (dev): {expected} the base was asked again in other batches."

"""Steps 2 and 4, result collection: Target x Examples -> Responses, scored as they finish (paper section 2.2).

Examples are asked in blocks of a fixed composition, so that a resumed evaluation sees the same batch shapes as an
undisturbed one and writes the same text. A response that cannot be scored is `unscorable`, never wrong.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from errorbook.errors import ConfigError
from errorbook.interfaces import BatchScorer, BlockTarget, Likelihood, OptionTask, Paced, Scorer, Target, Task
from errorbook.records import Completion, Evaluation, Example, Generation, Response, Score, Split, digest

BLOCK = 128
"""Examples asked together if the target names no other number: at most so many are asked again after a kill."""
_SOON = 0.5
"""Seconds: how long a finished response may wait before it is handed on to be recorded."""


def identify(
    target: Target, checkpoint: str, task: Task, split: Split, examples: Sequence[Example], scorer: str = ""
) -> Evaluation:
    """The identity of one evaluation; `checkpoint` is the hash of the checkpoint that the target answers as.

    `scorer` names what marks the responses, if that is more than the task's scorer by name: one with options.

    Raises:
        ConfigError: The task wants its options weighed by likelihood, which the target cannot tell.
    """
    weighed = isinstance(task, OptionTask) and task.by_likelihood and all(example.choices for example in examples)
    if weighed and not isinstance(target, Likelihood):
        raise ConfigError(
            f"The task '{task.name}' is to be answered by likelihood, but this target tells no likelihoods; "
            "set answer = 'text' or use engine = 'transformers'."
        )
    return Evaluation(
        checkpoint=checkpoint,
        task=task.name,
        split=split,
        target=target.fingerprint,
        examples=digest(*(example.hash for example in examples)),
        n=len(examples),
        generation=Generation(max_new_tokens=task.max_new_tokens, answer="options" if weighed else "text"),
        scorer=scorer or task.scorer,
    )


def evaluate(
    target: Target,
    task: Task,
    scorer: Scorer,
    evaluation: Evaluation,
    examples: Sequence[Example],
    answered: Collection[str] = (),
) -> Iterator[list[Response]]:
    """Ask what is not answered yet and yield the scored responses as they finish, some at a time.

    A block with any unanswered example is asked whole, because a batch's composition can change its texts.
    """
    done = frozenset(answered)
    size = target.block_size if isinstance(target, Paced) else BLOCK
    blocks = [block for block in _cut_blocks(examples, size) if any(example.id not in done for example in block)]
    if evaluation.generation.answer == "options" and isinstance(target, Likelihood):
        for block in blocks:
            yield [_respond(evaluation, *answer) for answer in weigh(target, task, scorer, block)]
        return
    for block, completions in _ask_blocks(target, task, evaluation.generation, blocks):
        for finished in _gather_finished(completions, whole=isinstance(scorer, BatchScorer)):
            pairs = [(block[completion.index], completion.text) for completion in finished]
            scores = _score(scorer, pairs)
            yield [
                _respond(evaluation, example, completion, score)
                for (example, _), completion, score in zip(pairs, finished, scores, strict=True)
            ]


def _ask_blocks(
    target: Target, task: Task, settings: Generation, blocks: Sequence[Sequence[Example]]
) -> Iterator[tuple[Sequence[Example], Iterable[Completion]]]:
    """Each block with its completions: as they finish, or block by block from a target that answers several at once."""
    prompts = [[task.prompt(example.question, example.choices) for example in block] for block in blocks]
    if isinstance(target, BlockTarget):
        for number, completions in target.generate_blocks(prompts, settings):
            yield blocks[number], completions
        return
    for block, asked in zip(blocks, prompts, strict=True):
        yield block, target.generate(asked, settings)


def _gather_finished(completions: Iterable[Completion], *, whole: bool) -> Iterator[list[Completion]]:
    """What finished within a moment, or the whole block if scoring many at once is faster."""
    waiting: list[Completion] = []
    since = time.monotonic()
    for completion in completions:
        waiting.append(completion)
        if not whole and time.monotonic() - since > _SOON:
            yield waiting
            waiting, since = [], time.monotonic()
    if waiting:
        yield waiting


def _cut_blocks(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    """Blocks of questions of similar length, which pad less; the order depends on the examples alone."""
    ordered = sorted(examples, key=lambda example: (len(example.question), example.id))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _score(scorer: Scorer, pairs: Sequence[tuple[Example, str]]) -> Sequence[Score]:
    """A block's scores. A scorer that is faster with many at once (programs run in parallel) gets them together."""
    if isinstance(scorer, BatchScorer):
        return scorer.score_all(pairs)
    return [scorer.score(example, text) for example, text in pairs]


def _respond(evaluation: Evaluation, example: Example, completion: Completion, score: Score) -> Response:
    return Response(
        evaluation=evaluation.hash,
        example=example.id,
        task=example.task,
        split=example.split,
        prompt_hash=completion.prompt_hash,
        text=completion.text,
        tokens=completion.tokens,
        truncated=completion.truncated,
        score=score,
    )


METHOD = "likelihood"
"""What a score's `method` says of a response that was weighed and not written."""


def weigh(
    target: Likelihood, task: Task, scorer: Scorer, examples: Sequence[Example]
) -> Iterator[tuple[Example, Completion, Score]]:
    """For each example the likeliest letter as a completion, and its score; the first of equals is taken."""
    prompts = [task.prompt(example.question, example.choices) for example in examples]
    letters = [[chr(ord("A") + place) for place in range(len(example.choices))] for example in examples]
    for index, weights in target.log_likelihoods(prompts, letters):
        best = max(range(len(weights)), key=lambda place: weights[place])
        letter, shown = letters[index][best], zip(letters[index], weights, strict=True)
        completion = Completion(
            index=index, text=letter, tokens=1, truncated=False, prompt_hash=digest(prompts[index], *letters[index])
        )
        evidence = ", ".join(f"{name} {weight:.3f}" for name, weight in shown)
        score = scorer.score(examples[index], letter)
        yield examples[index], completion, replace(score, method=METHOD, evidence=evidence)

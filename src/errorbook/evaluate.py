"""Steps 2 and 4, result collection: Target x Examples -> Responses, scored as they finish (paper section 2.2).

Examples are asked in blocks of a fixed composition, so that a resumed evaluation sees the same batch shapes as an
undisturbed one and writes the same text. A response that cannot be scored is `unscorable`, never wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from errorbook.interfaces import Scorer, Target, Task
from errorbook.records import Completion, Evaluation, Example, Generation, Response, Split, digest

BLOCK = 128
"""Examples asked and recorded together: at most this many are asked again after a kill."""


def identify(target: Target, checkpoint: str, task: Task, split: Split, examples: Sequence[Example]) -> Evaluation:
    """The identity of one evaluation; `checkpoint` is the hash of the checkpoint that the target answers as."""
    return Evaluation(
        checkpoint=checkpoint,
        task=task.name,
        split=split,
        target=target.fingerprint,
        examples=digest(*(example.hash for example in examples)),
        n=len(examples),
        generation=Generation(max_new_tokens=task.max_new_tokens),
        scorer=task.scorer,
    )


def evaluate(
    target: Target,
    task: Task,
    scorer: Scorer,
    evaluation: Evaluation,
    examples: Sequence[Example],
    answered: Collection[str] = (),
) -> Iterator[list[Response]]:
    """Ask what is not answered yet and yield the scored responses, one list a block.

    A block with any unanswered example is asked whole, because a batch's composition can change its texts.
    """
    done = frozenset(answered)
    for block in _blocks(examples):
        if all(example.id in done for example in block):
            continue
        prompts = [task.prompt(example.question, example.choices) for example in block]
        completions = target.generate(prompts, evaluation.generation)
        yield [_respond(evaluation, block[completion.index], completion, scorer) for completion in completions]


def _blocks(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """Blocks of questions of similar length, which pad less; the order depends on the examples alone."""
    ordered = sorted(examples, key=lambda example: (len(example.question), example.id))
    for start in range(0, len(ordered), BLOCK):
        yield ordered[start : start + BLOCK]


def _respond(evaluation: Evaluation, example: Example, completion: Completion, scorer: Scorer) -> Response:
    return Response(
        evaluation=evaluation.hash,
        example=example.id,
        task=example.task,
        split=example.split,
        prompt_hash=completion.prompt_hash,
        text=completion.text,
        tokens=completion.tokens,
        truncated=completion.truncated,
        score=scorer.score(example, completion.text),
    )

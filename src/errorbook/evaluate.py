"""Steps 2 and 4, result collection: Target x Examples -> Responses, scored as they finish (paper section 2.2).

Examples are asked in blocks of a fixed composition, so that a resumed evaluation sees the same batch shapes as an
undisturbed one and writes the same text. A response that cannot be scored is `unscorable`, never wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from errorbook.errors import ConfigError
from errorbook.interfaces import BatchScorer, Likelihood, OptionTask, Scorer, Target, Task
from errorbook.records import Completion, Evaluation, Example, Generation, Response, Score, Split, digest
from errorbook.weighing import weigh

BLOCK = 128
"""Examples asked and recorded together: at most this many are asked again after a kill."""


def identify(
    target: Target, checkpoint: str, task: Task, split: Split, examples: Sequence[Example], scorer: str = ""
) -> Evaluation:
    """The identity of one evaluation; `checkpoint` is the hash of the checkpoint that the target answers as.

    `scorer` says what marks, where that is more than the task's scorer by name: one with options.

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
    """Ask what is not answered yet and yield the scored responses, one list a block.

    A block with any unanswered example is asked whole, because a batch's composition can change its texts.
    """
    done = frozenset(answered)
    for block in _blocks(examples):
        if all(example.id in done for example in block):
            continue
        if evaluation.generation.answer == "options" and isinstance(target, Likelihood):
            yield [_respond(evaluation, *weighed) for weighed in weigh(target, task, scorer, block)]
            continue
        prompts = [task.prompt(example.question, example.choices) for example in block]
        completions = list(target.generate(prompts, evaluation.generation))
        pairs = [(block[completion.index], completion.text) for completion in completions]
        scores = _score(scorer, pairs)
        yield [
            _respond(evaluation, example, completion, score)
            for (example, _), completion, score in zip(pairs, completions, scores, strict=True)
        ]


def _blocks(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """Blocks of questions of similar length, which pad less; the order depends on the examples alone."""
    ordered = sorted(examples, key=lambda example: (len(example.question), example.id))
    for start in range(0, len(ordered), BLOCK):
        yield ordered[start : start + BLOCK]


def _score(scorer: Scorer, pairs: Sequence[tuple[Example, str]]) -> Sequence[Score]:
    """A block's scores: together where the scorer is faster so (programs run in parallel)."""
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

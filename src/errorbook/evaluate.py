"""Steps 2 and 4, result collection: Target x Examples -> Responses, scored as they finish (paper section 2.2).

Examples are asked in blocks of a fixed composition, so that a resumed evaluation sees the same batch shapes as an
undisturbed one and writes the same text. A response that cannot be scored is `unscorable`, never wrong. One that could
not be judged, because what judges it failed, has no verdict: its text is kept (`Unjudged`), and the stage stops.

A thought is told apart before anything is scored, and kept beside the answer. A response that ends inside its thought
holds no answer: it is cut off and `unscorable`, whatever the scorer would make of an empty text.

A text that was judged before, as the response to the same example, is not judged again: so responses that are equal on
both sides of a comparison have equal verdicts, whatever a machine's load or a judging model's mood.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import asdict, replace

from errorbook.checks.thoughts import tell_apart
from errorbook.errors import ConfigError, UnjudgedError, UserError
from errorbook.interfaces import BatchScorer, BlockTarget, Likelihood, OptionTask, Paced, Scorer, Target, Task
from errorbook.records import (
    Completion,
    Evaluation,
    Example,
    Generation,
    NoVerdict,
    Response,
    Score,
    Split,
    Unjudged,
    converse,
    digest,
    key_of,
)

BLOCK = 128
"""Examples asked together if the target names no other number: at most so many are asked again after a kill."""
_SOON = 0.5
"""Seconds: how long a finished response may wait before it is handed on to be recorded."""


class Recorded(NamedTuple):
    """What is recorded already, and where to keep what could not be judged.

    `answered` holds ids of examples that have a response, `recall` gives the score of a text that was judged as the
    response to the same example by the same scorer, and `keep` takes the texts that have no verdict.
    """

    answered: Collection[str] = ()
    recall: Callable[[str, str], Score | None] = lambda example, text: None
    keep: Callable[[Sequence[Unjudged]], None] = lambda responses: None


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
    recorded: Recorded = Recorded(),  # noqa: B008 - a constant
) -> Iterator[list[Response]]:
    """Ask what is not answered yet and yield the scored responses as they finish, some at a time.

    A block with any unanswered example is asked whole, because a batch's composition can change its texts.

    Raises:
        UnjudgedError: What judges the responses failed; the texts were given to `recorded.keep`.
        UserError: The scorer cannot work; the texts were given to `recorded.keep`.
    """
    done = frozenset(recorded.answered)
    size = target.block_size if isinstance(target, Paced) else BLOCK
    blocks = [block for block in _cut_blocks(examples, size) if any(example.id not in done for example in block)]
    if evaluation.generation.answer == "options" and isinstance(target, Likelihood):
        for block in blocks:
            yield [
                _respond(_unjudged(evaluation, block, completion), score)
                for _, completion, score in weigh(target, task, scorer, block)
            ]
        return
    for block, completions in _ask_blocks(target, task, evaluation.generation, blocks):
        for finished in _gather_finished(completions, whole=isinstance(scorer, BatchScorer)):
            texts = [(block[completion.index], _unjudged(evaluation, block, completion)) for completion in finished]
            yield from judge_texts(scorer, texts, recorded)


def judge_texts(
    scorer: Scorer, texts: Sequence[tuple[Example, Unjudged]], recorded: Recorded
) -> Iterator[list[Response]]:
    """The responses of texts that have no verdict yet, all of one evaluation; those of a resumed run come here again.

    Raises:
        UnjudgedError, UserError: As `evaluate`.
    """
    if not texts:
        return
    scores = [_NO_ANSWER if is_unanswered(item) else recorded.recall(example.id, item.text) for example, item in texts]
    asked = [place for place, score in enumerate(scores) if score is None]
    stopped: UserError | None = None
    found: Sequence[Score | NoVerdict]
    try:
        found = score_pairs(scorer, [(texts[place][0], texts[place][1].text) for place in asked])
    except UserError as error:  # such as a machine without a sandbox: the texts were dear, and are kept
        stopped, found = error, [NoVerdict(reason=str(error))] * len(asked)
    given = {place: score for place, score in enumerate(scores) if score is not None}
    given |= {place: score for place, score in zip(asked, found, strict=True) if isinstance(score, Score)}
    missing = [(place, score) for place, score in zip(asked, found, strict=True) if isinstance(score, NoVerdict)]
    if given:
        yield [_respond(texts[place][1], given[place]) for place in sorted(given)]
    if missing:
        recorded.keep([replace(texts[place][1], reason=why.reason) for place, why in missing])
        first = texts[missing[0][0]][1]
        what = f"responses of '{first.task}' on {first.split}"
        raise stopped or UnjudgedError.of(len(missing), len(texts), what, missing[0][1].reason)


def _ask_blocks(
    target: Target, task: Task, settings: Generation, blocks: Sequence[Sequence[Example]]
) -> Iterator[tuple[Sequence[Example], Iterable[Completion]]]:
    """Each block with its completions: as they finish, or block by block from a target that answers several at once."""
    prompts = [[ask(task, example) for example in block] for block in blocks]
    if isinstance(target, BlockTarget):
        for number, completions in target.generate_blocks(prompts, settings):
            yield blocks[number], completions
        return
    for block, asked in zip(blocks, prompts, strict=True):
        yield block, target.generate(asked, settings)


def ask(task: Task, example: Example) -> str:
    """The prompt that asks the example: the task's words for it, after all that stands before it."""
    return converse(example.before, task.prompt(example.question, example.choices))


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
    ordered = sorted(examples, key=lambda example: (_length(example), example.id))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _length(example: Example) -> int:
    return len(example.question) + sum(len(message.content) for message in example.before)


def score_pairs(scorer: Scorer, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
    """What the scorer says of each; one that is faster with many at once (programs run in parallel) gets all of them.

    Of a text with a thought the scorer sees the answer alone; one that ends inside its thought is `unscorable`.

    Raises:
        UserError: The scorer cannot work at all. (That it failed on some is a `NoVerdict` for each of them.)
    """
    told = [tell_apart(text) for _, text in pairs]
    asked = [(example, item.answer) for (example, _), item in zip(pairs, told, strict=True) if not item.open]
    found: Iterable[Score | NoVerdict]
    if isinstance(scorer, BatchScorer):
        found = scorer.score_all(asked) if asked else ()
    else:
        found = (_score_one(scorer, example, answer) for example, answer in asked)
    scores = iter(found)
    return [_NO_ANSWER if item.open else next(scores) for item in told]


def _score_one(scorer: Scorer, example: Example, text: str) -> Score | NoVerdict:
    try:
        return scorer.score(example, text)
    except UnjudgedError as error:
        return NoVerdict(reason=str(error))


def _unjudged(evaluation: Evaluation, block: Sequence[Example], completion: Completion) -> Unjudged:
    example, told = block[completion.index], tell_apart(completion.text)
    thought = f"{completion.thought}\n{told.thought}".strip()
    return Unjudged(
        evaluation=evaluation.hash,
        example=example.id,
        task=example.task,
        split=example.split,
        prompt_hash=completion.prompt_hash,
        text=told.answer,
        tokens=completion.tokens,
        truncated=completion.truncated or bool(thought and not told.answer.strip()),
        reason="",
        thought=thought,
    )


def _respond(item: Unjudged, score: Score) -> Response:
    answered = asdict(item)
    del answered["reason"]
    return Response(**answered, score=score)


UNFINISHED = "unfinished thought"
"""What a score's `method` says of a response that ends inside its thought."""
_NO_ANSWER = Score(verdict="unscorable", method=UNFINISHED)


def is_unanswered(item: Unjudged) -> bool:
    """Whether the target has thought and said nothing: there is no answer to score."""
    return bool(item.thought) and not item.text.strip()


METHOD = "likelihood"
"""What a score's `method` says of a response that was weighed and not written."""
TIED = "likelihood, drawn from equals"
"""The same, if another option was exactly as likely."""


def _choose(example: Example, weights: Sequence[float]) -> tuple[int | None, str]:
    """The likeliest option's place and how it was found; no place if no weight is a number.

    Of equally likely ones one is drawn by its text: that favours no place, and is the same for every model.
    """
    known = [weight for weight in weights if not math.isnan(weight)]
    if not known:
        return None, METHOD
    equal = [place for place, weight in enumerate(weights) if weight == max(known)]
    drawn = min(equal, key=lambda place: digest(example.question, example.choices[place]))
    return drawn, METHOD if len(equal) == 1 else TIED


def weigh(
    target: Likelihood, task: Task, scorer: Scorer, examples: Sequence[Example]
) -> Iterator[tuple[Example, Completion, Score]]:
    """For each example the likeliest letter as a completion, and its score."""
    prompts = [ask(task, example) for example in examples]
    letters = [[chr(ord("A") + place) for place in range(len(example.choices))] for example in examples]
    for index, weights in target.log_likelihoods(prompts, letters):
        best, method = _choose(examples[index], weights)
        letter = letters[index][best] if best is not None else ""
        completion = Completion(
            index=index,
            text=letter,
            tokens=1,
            truncated=False,
            prompt_hash=digest(key_of(prompts[index]), *letters[index]),
        )
        evidence = ", ".join(f"{name} {weight:.3f}" for name, weight in zip(letters[index], weights, strict=True))
        score = scorer.score(examples[index], letter) if letter else Score(verdict="unscorable")
        yield examples[index], completion, replace(score, method=method, evidence=evidence)

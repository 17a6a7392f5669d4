"""Scorers as rewards for trainers of reinforcement learning: any task's, the sandbox for programs included.

    from errorbook import rewards

    graded = rewards.open_task("arithmetic")
    rows = rewards.list_rows(graded, 200, seed=1)
    reward = rewards.for_trl(graded)  # or rewards.for_verifiers(graded)

A right response is worth 1, any other 0. That what judges has failed (a sandbox, a judging model) is no verdict and no
zero: see `for_trl`. Nothing is trained here; TRL and verifiers are their own programs, and are not imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from errorbook.config import TaskSection, read_task
from errorbook.errors import DataError, UnjudgedError
from errorbook.evaluate import score_pairs
from errorbook.interfaces import Scorer, Task
from errorbook.records import Example, NoVerdict, Score
from errorbook.setup.assemble import create_scorer, create_task, select_sound

_INFO = "errorbook"
"""The key of a row's `info` under which the example stands, as JSON: its gold answer, its tests, its options."""


class Graded(NamedTuple):
    """A task as a run file asks for it, and what judges its responses."""

    section: TaskSection
    task: Task
    scorer: Scorer


def open_task(name: str, **keys: Any) -> Graded:
    """The task of a block `[[tasks]]` with this name and these keys: `system`, `shots`, `path` and all others.

    Raises:
        UserError: A plugin, a key or the data are wrong.
    """
    section = read_task({"name": name, **keys})
    task = create_task(section)
    return Graded(section, task, create_scorer(task.scorer, section.marking))


def list_rows(graded: Graded, n: int, seed: int = 0) -> list[dict[str, Any]]:
    """The first `n` train questions as rows of a dataset: `prompt` (messages), `answer` and `info`.

    Rewards teach, so there are no rows of dev or test. A question that no answer can be right for is left out, as in a
    run.

    Raises:
        UserError: There is no train question, the data are wrong, or what judges them cannot work here.
    """
    section, task, scorer = graded
    found = select_sound(replace(section, train=n, dev=0, test=0), task, scorer, seed)
    return [
        {
            "prompt": [
                *({"role": message.role, "content": message.content} for message in example.before),
                {"role": "user", "content": task.prompt(example.question, example.choices)},
            ],
            "answer": example.answer,
            "info": {_INFO: msgspec.json.encode(example).decode()},
        }
        for example in found.examples["train"]
    ]


def for_trl(graded: Graded) -> Callable[..., list[float]]:
    """A reward function as GRPOTrainer and its kin of TRL take it: `f(prompts, completions, **columns)`.

    Completions may be texts or messages. What could not be judged gets the mean of the other answers to the same
    question, or 0 if there are none: it moves no answer's advantage within its group. If nothing of a call could be
    judged, the function raises UnjudgedError.
    """

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        examples = [_read_example(info) for info in _column(columns, len(completions))]
        scores = _score(graded, examples, completions)
        judged: dict[str, list[float]] = {}
        for example, score in zip(examples, scores, strict=True):
            if isinstance(score, Score):
                judged.setdefault(example.hash, []).append(_value(score))
        return [
            _value(score) if isinstance(score, Score) else _mean(judged.get(example.hash, []))
            for example, score in zip(examples, scores, strict=True)
        ]

    reward.__name__ = f"{graded.task.name}_right"
    return reward


def for_verifiers(graded: Graded) -> Callable[..., Coroutine[Any, Any, float]]:
    """A reward function as a rubric of verifiers takes it: `await f(completion, info)`, one response at a time.

    Raises, when it is called:
        UnjudgedError: What judges the response failed; that is no zero.
    """

    async def reward(completion: Any, info: Mapping[str, Any], **_: Any) -> float:
        example = _read_example(info)
        [score] = await asyncio.to_thread(_score, graded, [example], [completion])  # a sandbox blocks
        return _value(score)

    reward.__name__ = f"{graded.task.name}_right"
    return reward


def _score(graded: Graded, examples: Sequence[Example], completions: Sequence[Any]) -> list[Score | NoVerdict]:
    """The scores of all completions, at once.

    Raises:
        UnjudgedError: None of them could be judged.
    """
    pairs = [(example, _read_text(item)) for example, item in zip(examples, completions, strict=True)]
    scores = score_pairs(graded.scorer, pairs)
    failed = [score for score in scores if isinstance(score, NoVerdict)]
    if failed and len(failed) == len(scores):
        raise UnjudgedError.of(len(failed), len(scores), f"responses of '{graded.task.name}'", failed[0].reason)
    return scores


def _value(score: Score | NoVerdict) -> float:
    return float(isinstance(score, Score) and score.verdict == "right")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _column(columns: Mapping[str, Any], n: int) -> Sequence[Any]:
    info = columns.get("info")
    if info is None or len(info) != n:
        raise DataError("The rows have no column 'info'; make them with errorbook.rewards.list_rows.")
    found: Sequence[Any] = info
    return found


def _read_example(info: Any) -> Example:
    """The example of a row; some programs hand over the `info` of a row as JSON."""
    try:
        held = msgspec.json.decode(info) if isinstance(info, str) else info
        return msgspec.json.decode(held[_INFO], type=Example)
    except (KeyError, TypeError, msgspec.MsgspecError):
        raise DataError("A row's 'info' holds no example; make rows with errorbook.rewards.list_rows.") from None


def _read_text(completion: Any) -> str:
    """A completion's text: itself, or what the assistant said last. A message may have its content in parts."""
    if isinstance(completion, str):
        return completion
    said = [message for message in completion if _get(message, "role") == "assistant"]
    content = _get(said[-1], "content") if said else ""
    if isinstance(content, str):
        return content
    return "".join(str(_get(part, "text") or "") for part in content or ())


def _get(item: Any, name: str) -> Any:
    """A field of a message, which may be a dictionary or an object."""
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)

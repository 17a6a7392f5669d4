"""Records for tests that fill a ledger by hand, each with what the test does not care about already given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.records import Draft, Evaluation, Example, Generation, Response, Sample, Score, Verdict


def make_evaluation(**changes: Any) -> Evaluation:
    """An evaluation of the train questions of `sums`, with some fields changed."""
    given: dict[str, Any] = {
        "checkpoint": "c" * 32,
        "task": "sums",
        "split": "train",
        "target": "t" * 32,
        "examples": "e" * 32,
        "n": 3,
        "generation": Generation(max_new_tokens=8),
        "scorer": "exact",
    }
    return Evaluation(**(given | changes))


def make_response(evaluation: Evaluation, example: str, verdict: Verdict = "right", **changes: Any) -> Response:
    """A response of an evaluation; its text and what was extracted say which example it answers."""
    given: dict[str, Any] = {
        "evaluation": evaluation.hash,
        "example": example,
        "task": evaluation.task,
        "split": evaluation.split,
        "prompt_hash": f"prompt of {example}",
        "text": f"answer to {example}",
        "tokens": 5,
        "truncated": False,
        "score": Score(verdict=verdict, extracted=f"extract of {example}"),
    }
    return Response(**(given | changes))


def record_answers(ledger: Ledger, evaluation: Evaluation, verdicts: Mapping[str, Verdict]) -> Evaluation:
    """Open an evaluation and append a response for each example, in this order."""
    ledger.open_evaluation(evaluation)
    ledger.append_responses([make_response(evaluation, *item) for item in verdicts.items()])
    return evaluation


def make_example(id: str, **changes: Any) -> Example:
    """A train question of `sums`."""
    given: dict[str, Any] = {"task": "sums", "split": "train", "question": f"question of {id}", "answer": "1"}
    return Example(id=id, **(given | changes))


def record_examples(ledger: Ledger, examples: Iterable[Example]) -> None:
    """Append examples under the keys that the loop gives them."""
    for example in examples:
        ledger.append(example, keys.example(example.task, example.split, example.id))


def make_sample(number: int, **changes: Any) -> Sample:
    """A sample of the draft d0, d1, ..."""
    given: dict[str, Any] = {"draft": f"d{number}", "task": "sums", "question": f"q{number}", "answer": "1"}
    return Sample(solution="s", **(given | changes))


def make_draft(number: int, **changes: Any) -> Draft:
    """A draft of the assignment a0, a1, ..."""
    given: dict[str, Any] = {"assignment": f"a{number}", "diagnosis": "g", "index": 0, "task": "sums", "question": "q"}
    return Draft(answer="1", solution="s", **(given | changes))

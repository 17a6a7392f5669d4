"""An instructor behind the local server that stands in for a provider, and one mistake to ask it about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from teacher_kit import example

from errorbook.adapters.instructors.endpoint import EndpointInstructor, openai
from errorbook.records import Call, Diagnosis, Failure, Mistake
from errorbook.testing import Turn, server

SUM = example("What is 17 + 25?", "42", skill="add_carry")


def asking(base_url: str, tmp_path: Path | None = None, **options: Any) -> EndpointInstructor:
    workspace = str(tmp_path) if tmp_path else None
    return openai(model="teacher", base_url=base_url, workspace=workspace, **options)


def scripted(*texts: str) -> Callable[[Sequence[Turn]], str]:
    """Replies in turn: one for each time that a conversation has gone on."""
    return lambda turns: texts[min(len(texts), sum(turn.role == "assistant" for turn in turns) + 1) - 1]


def one_diagnosis(script: Callable[[Sequence[Turn]], str], of: Mistake) -> tuple[Diagnosis | Failure, Call, int]:
    with server(script=script) as provider:
        [(_, result, call)] = asking(provider.base_url).diagnose([of])
        return result, call, provider.stats().requests


ANALYSIS = {
    "first_wrong_step": "17 + 25 = 32",
    "misconception": "The carried ten is dropped.",
    "error_kind": "dropped carry",
    "skill": "carrying",
    "difficulty": 2,
}

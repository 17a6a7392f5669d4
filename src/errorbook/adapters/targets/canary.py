"""Proves that a server answers with an adapter: its answers to a few fixed prompts are not the base's.

A server can take an adapter, list it, and answer as the base all the same (a wrong name, layers that do not match, a
bug). Every number measured after that would be of the wrong model, so it is asked after every change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from errorbook.adapters.targets.served import Api, describe_refusal
from errorbook.errors import ModelError

PROMPTS = (
    "What is 17 + 25?",
    "Name three colours.",
    "Is water wet? Answer in one sentence.",
    "Write a line of Python that prints the numbers from 1 to 5.",
)
TOKENS = 16
THRESHOLD = 1e-3
"""Nats; a smaller difference in a token's log-probability may be rounding."""


class Take(NamedTuple):
    """One greedy answer: its text and the log-probability of each of its tokens, if the server tells them."""

    text: str
    logprobs: tuple[float, ...]


class _Token(msgspec.Struct):
    logprob: float


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Text(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Text
    logprobs: _Logprobs | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


def take(api: Api, model: str) -> tuple[Take, ...]:
    """The answers of one model to the prompts, one after another so that the server forms no batches.

    Raises:
        ModelError: The server does not answer as it should.
    """
    return tuple(_ask(api, model, prompt) for prompt in PROMPTS)


def prove(adapter: str, answers: Sequence[Take], base: Sequence[Sequence[Take]]) -> None:
    """Check that an adapter's answers differ from every take of the base's; raises ModelError if they do not.

    Two takes of the base show what differs by itself: a server's caches change the order of its sums.
    """
    for takes in base:
        if not any(_differ(ours, theirs) for ours, theirs in zip(answers, takes, strict=True)):
            raise ModelError(
                f"The adapter '{adapter}' is not applied: with it the server answers as the base model does, to "
                f"{THRESHOLD:g} nats a token; install a newer vLLM, or choose engine = 'transformers'."
            )


def _differ(ours: Take, theirs: Take) -> bool:
    if ours.text != theirs.text:
        return True
    pairs = zip(ours.logprobs, theirs.logprobs, strict=False)  # equal texts may be spelt by other tokens
    return any(abs(one - other) > THRESHOLD for one, other in pairs)


def _ask(api: Api, model: str, prompt: str) -> Take:
    wanted = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": TOKENS,
        "temperature": 0.0,
        "logprobs": True,
        "top_logprobs": 1,
    }
    answer = api.ask("POST", "/chat/completions", wanted)
    try:
        if answer.status == 200:
            choice = msgspec.json.decode(answer.body, type=_Completion).choices[0]
            told = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
            return Take(choice.message.content or "", tuple(token.logprob for token in told))
    except (msgspec.DecodeError, IndexError):
        pass
    raise ModelError(
        f"The server does not answer as '{model}' ({describe_refusal(answer)}); see its log and run again."
    )

"""What an instructor will cost before it is asked anything: calls, tokens and dollars, from prompts of the real size.

Prompts are rendered with real questions and with a response of the expected length, so their size is measured, not
guessed; the length of replies is an estimate (`REPLY`, `DRAFT`, `ANSWER`). It knows nothing of replies that have to be
asked for again. A bound that holds is the budget's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from errorbook.adapters.instructors.asking import (
    AskingSettings,
    Prompt,
    build_answer_prompt,
    build_diagnose_prompt,
    build_teach_prompt,
    build_write_prompt,
)
from errorbook.llm.budget import Price
from errorbook.records import NANO, Assignment, Contrast, Diagnosis, Example, Mistake, Record, Response, Score, Writing

REPLY, DRAFT, ANSWER = 160, 260, 180
"""Tokens of a diagnosis, of one draft and of one blind answer, as strong models write them."""
_BYTES_PER_TOKEN = 3.5
_WORD = "word "
_MEASURED = 20


class Work(Record, frozen=True, kw_only=True):
    """What a run will ask for: how many diagnoses, writing calls, drafts and blind answers, and about what.

    `examples` are train questions of a task, `response_tokens` the expected length of the target's responses, and `k`
    the number of contrasts (0 for none). `directed` says that a wrong response and its diagnosis are shown. `together`
    of the writing calls bring the diagnosis with them, so they are not shown one.
    """

    diagnoses: int
    writes: int
    drafts: int
    votes: int
    examples: tuple[Example, ...]
    response_tokens: int = 150
    strategy: str = "error"
    writing: Writing = "question"
    directed: bool = True
    together: int = 0
    show_gold: bool = True
    k: int = 0


class Forecast(Record, frozen=True, kw_only=True):
    """Expected calls and tokens; `cost_usd` is None if the price is not known."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@runtime_checkable
class Priced(Protocol):
    """An instructor that can tell beforehand what work will cost."""

    def price(self) -> Price | None:
        """Dollars per million tokens; None if it is not known."""
        ...

    def forecast(self, work: Work) -> Forecast:
        """Calls, tokens and dollars for some work."""
        ...


@runtime_checkable
class Listed(Protocol):
    """An instructor whose model a list of prices may know."""

    def describe_price(self) -> str:
        """Where the price is from; empty if the run file gives it, or if it is not known."""
        ...

    def warn_of_model(self) -> str:
        """That the model is to be withdrawn; empty if nothing is known of that."""
        ...


def forecast(work: Work, settings: AskingSettings, price: Price | None, discount: float = 1.0) -> Forecast:
    """See `Priced`; `discount` is the share of the price that is left to pay."""
    shown = [_mistake(work, example) for example in work.examples[:_MEASURED]]
    each = max(1, round(work.drafts / max(1, work.writes)))
    diagnosing = _mean([build_diagnose_prompt(mistake, settings) for mistake in shown])
    writing = _mean([build_write_prompt(_assignment(work, mistake, each), settings) for mistake in shown])
    answering = _mean([build_answer_prompt(mistake.example, 0, settings) for mistake in shown])
    whole = shown if work.together else []
    teaching = _mean([build_teach_prompt(_undiagnosed(mistake, each), settings) for mistake in whole])
    tokens_in = round(
        work.diagnoses * diagnosing
        + (work.writes - work.together) * writing
        + work.together * teaching
        + work.votes * answering
    )
    tokens_out = (work.diagnoses + work.together) * REPLY + work.drafts * DRAFT + work.votes * ANSWER
    return Forecast(
        calls=work.diagnoses + work.writes + work.votes,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=None if price is None else price.nano(tokens_in, tokens_out, discount) / NANO,
    )


def _mean(prompts: Sequence[Prompt | None]) -> float:
    """Mean size of the prompts with their schemas, in tokens."""
    asks = [prompt.ask for prompt in prompts if prompt is not None]
    size = sum(len(turn.content.encode()) for ask in asks for turn in ask.messages)
    return (size + sum(len(ask.schema) for ask in asks)) / _BYTES_PER_TOKEN / max(1, len(asks))


def _mistake(work: Work, example: Example) -> Mistake:
    contrast = Contrast(example=example, response=_response(work, example, "right"), similarity=0.0)
    return Mistake(
        example=example,
        response=_response(work, example, "wrong"),
        strategy=work.strategy,
        contrasts=(contrast,) * work.k,
        show_gold=work.show_gold,
    )


def _response(work: Work, example: Example, verdict: Literal["right", "wrong"]) -> Response:
    return Response(
        evaluation="",
        example=example.id,
        task=example.task,
        split="train",
        prompt_hash="",
        text=_WORD * work.response_tokens,
        tokens=work.response_tokens,
        truncated=False,
        score=Score(verdict=verdict),
    )


def _undiagnosed(mistake: Mistake, count: int) -> Assignment:
    return Assignment(task=mistake.example.task, index=0, count=count, mistake=mistake)


def _assignment(work: Work, mistake: Mistake, count: int) -> Assignment:
    if not work.directed:
        shown = work.examples[:3] if work.writing == "question" else (mistake.example,)
        return Assignment(task=mistake.example.task, index=0, count=count, exemplars=shown, writes=work.writing)
    diagnosis = Diagnosis(
        response=mistake.response.hash,
        example=mistake.example.id,
        task=mistake.example.task,
        strategy=work.strategy,
        error_kind=_WORD * 3,
        misconception=_WORD * 25,
        skill=_WORD * 4,
        first_wrong_step=_WORD * 12,
        border=_WORD * 25 if work.k else "",
    )
    return Assignment(task=mistake.example.task, index=0, count=count, mistake=mistake, diagnosis=diagnosis)

"""The `judge` scorer: a language model marks free text by a rubric, once it is known to agree with people.

    [[tasks]]
    name = "letters"
    kind = "jsonl"
    path = "letters.jsonl"
    scorer = "judge"

    [tasks.scorer_options]
    model = "gpt-4.1"
    rubric = "Right where the reply answers the customer's question and promises nothing."
    labelled = "labelled.jsonl"     # taken from the run file's folder, as every path
    price_input = 2.0               # dollars per million tokens; needed for a budget of its own
    price_output = 8.0
    budget_usd = 5.0

`labelled` holds responses that people have marked: JSON lines of question, response, verdict (right or wrong)
and an optional answer. Before the judge marks anything else it marks those, and it refuses all work if its
agreement is below what is asked for. A response that it cannot mark is `unscorable`, never wrong; one that it was never
asked about, because its endpoint was away or failed, has no verdict. Marks are bought once and kept in the store. It is
for text that no other scorer can read: a number or an option is marked better without a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from errorbook.checks.verdicts import require_verdicts
from errorbook.errors import ConfigError, DataError
from errorbook.files import Row, read_json_lines
from errorbook.llm import prompts as prompting
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.budget import Budget
from errorbook.llm.client import Client, read_price
from errorbook.llm.endpoint import Endpoint
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Accepted, Ask, Failed, Result
from errorbook.llm.structured import check_form, schema_of
from errorbook.plugins import AtOnce, Dollars, Share
from errorbook.records import Example, Message, NoVerdict, Record, Score, Verdict, digest
from errorbook.stats import wilson

ENOUGH = 30
"""Labelled responses below which an agreement says too little to be trusted."""

_MAX_TOKENS = 400


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge replies: the reason first, so that it decides the verdict."""

    reason: str
    verdict: Literal["right", "wrong", "unclear"]


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """A response that people have marked."""

    question: str
    response: str
    verdict: Literal["right", "wrong"]
    answer: str = ""


class Agreement(Record, frozen=True, kw_only=True):
    """How well verdicts agree with labels; a response that was not marked counts as disagreement.

    `kappa` is Cohen's: 0 is chance, 1 is perfect. `low` and `high` bound the accuracy with 95% confidence.
    """

    n: int
    agreed: int
    unmarked: int
    kappa: float
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        """Share of the labels that the verdicts agree with."""
        return self.agreed / self.n if self.n else 0.0


class Judge:
    """Right if the model says that a response fulfils the rubric.

    `protocol`, `model`, `base_url`, `api_key_env`, `headers`, `sampling`, prices and `budget_usd` are as for an
    instructor. `store` is the file that remembers marks; a run keeps them in its folder. `kappa` is the least
    agreement at which it works.
    """

    def __init__(  # noqa: PLR0913 - the keys of the run file
        self,
        *,
        model: str,
        rubric: str,
        labelled: str,
        kappa: Share = 0.6,
        protocol: Literal["openai", "anthropic"] = "openai",
        base_url: str = "",
        api_key_env: str | None = None,
        headers: dict[str, str] | None = None,
        sampling: dict[str, Any] | None = None,
        price_input: Dollars | None = None,
        price_output: Dollars | None = None,
        concurrency: AtOnce = 64,
        budget_usd: Dollars | None = None,
        store: str | None = None,
    ) -> None:
        if not rubric.strip():
            raise ConfigError("The judge has no rubric; say in `rubric` what makes a response right.")
        kind = Anthropic if protocol == "anthropic" else OpenAIChat
        endpoint: Endpoint = kind(model, base_url or None, api_key_env, headers, sampling)
        self._line = Client(
            endpoint,
            price=read_price(price_input, price_output),
            budget=Budget(usd=budget_usd),
            store=Path(store) if store else None,
            concurrency=concurrency,
        )
        self._rubric = rubric.strip()
        self._labelled = Path(labelled)
        self._kappa = kappa
        self._measured: Agreement | None = None

    @property
    def name(self) -> str:
        """The name under which this scorer is recorded."""
        return "judge"

    def score(self, example: Example, text: str) -> Score:
        """Judge one response; see `score_all`. Raises UnjudgedError if no reply came."""
        return require_verdicts(self.score_all([(example, text)]), "responses")[0]

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        """Judge many at once; what got no reply, because the endpoint was away or failed, has no verdict.

        Raises:
            DataError: The judge does not agree well enough with the labelled responses, or they cannot be read.
            UserError: The endpoint, its key or the budget stops the work.
        """
        self.require_agreement()
        return self._marks(pairs)

    def require_agreement(self) -> Agreement:
        """The agreement with the labelled responses, measured once. Raises DataError if it is too low."""
        found = self.measure()
        if found.n < ENOUGH:
            raise DataError(
                f"'{self._labelled}' holds {found.n} labelled responses; mark {ENOUGH} at least, so that the judge's "
                "agreement says something."
            )
        if found.kappa < self._kappa:
            raise DataError(
                f"The judge is not trusted: it agrees with {found.agreed} of {found.n} labels"
                f" (kappa {found.kappa:.2f}, {self._kappa:g} is needed); make the rubric clearer or change the model."
            )
        return found

    def measure(self) -> Agreement:
        """Mark the labelled responses, and compare. Raises UnjudgedError if some got no reply."""
        if self._measured is None:
            rows = read_labelled(self._labelled)
            pairs = [(_example(row), row.response) for row in rows]
            scores = require_verdicts(self._marks(pairs), "labelled responses")
            self._measured = measure_agreement(
                [(row.verdict, score.verdict) for row, score in zip(rows, scores, strict=True)]
            )
        return self._measured

    def _marks(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        scores: list[Score | NoVerdict] = [NoVerdict(reason="no reply came")] * len(pairs)
        asks = ((place, _ask(example, text, self._rubric)) for place, (example, text) in enumerate(pairs))
        with self._line.open() as asker:
            for result in asker.ask(asks, check_form(Mark)):
                scores[result.key] = _read_mark(result)
        return scores


def _read_mark(result: Result[int, Mark]) -> Score | NoVerdict:
    """A reply that is no mark leaves the response unscorable; if no reply came, nothing is known of the response."""
    if isinstance(result, Accepted):
        mark = result.value
        verdict: Verdict = "unscorable" if mark.verdict == "unclear" else mark.verdict
        return Score(verdict=verdict, extracted=mark.verdict, method="judge", evidence=mark.reason)
    if isinstance(result, Failed) and not result.lasting:
        return NoVerdict(reason=result.reason)
    return Score(verdict="unscorable", method="judge", evidence=result.reason)


def measure_agreement(verdicts: Sequence[tuple[str, str]]) -> Agreement:
    """Compare pairs of (label, verdict); a verdict other than right or wrong agrees with nothing."""
    n = len(verdicts)
    agreed = sum(label == verdict for label, verdict in verdicts)
    labels, given = Counter(label for label, _ in verdicts), Counter(verdict for _, verdict in verdicts)
    chance = sum(labels[kind] * given[kind] for kind in ("right", "wrong")) / n**2 if n else 0.0
    observed = agreed / n if n else 0.0
    # If all labels are one kind and all verdicts too, chance explains everything: such labels show nothing.
    kappa = (observed - chance) / (1 - chance) if chance < 1 else 0.0
    low, high = wilson(agreed, n)
    return Agreement(
        n=n, agreed=agreed, unmarked=n - given["right"] - given["wrong"], kappa=round(kappa, 6), low=low, high=high
    )


def read_labelled(path: Path) -> list[Labelled]:
    """Read the labelled responses.

    Raises:
        DataError: The file is missing, or a line is no labelled response.
    """
    return [_labelled(row) for row in read_json_lines(path)]


def _labelled(row: Row) -> Labelled:
    try:
        return msgspec.convert(row.values, Labelled)
    except msgspec.ValidationError as error:
        raise DataError(f"There is no labelled response on {row.place}: {error}; correct it.") from None


def _example(row: Labelled) -> Example:
    return Example(id=digest(row.question)[:16], task="", split="train", question=row.question, answer=row.answer)


def _ask(example: Example, text: str, rubric: str) -> Ask:
    asked = prompting.render(
        "judge",
        question=example.question,
        answer=example.answer,
        response=text,
        rubric=rubric,
        **prompting.show_before(example.before),
    )
    messages = (
        Message(role="system", content=prompting.render("judge-system")),
        Message(role="user", content=asked),
    )
    return Ask(messages=messages, schema=_schema(), name="mark", max_tokens=_MAX_TOKENS)


@cache
def _schema() -> str:
    return schema_of(Mark)

"""The `judge` scorer: a language model marks free text by a rubric, once it is known to agree with people.

    [[tasks]]
    name = "letters"
    kind = "jsonl"
    path = "letters.jsonl"
    scorer = "judge"

    [tasks.scorer_options]
    model = "gpt-6.1-terra"
    rubric = "Right where the reply answers the customer's question and promises nothing."
    labelled = "labelled.jsonl"     # taken from the run file's folder, as every path
    price_input = 1.0               # dollars per million tokens; needed for a budget of its own
    price_output = 5.0
    budget_usd = 5.0
    points = 10                     # if the rubric gives points: the most, and from how many on a response is right
    threshold = 7

`labelled` holds responses that people have marked: JSON lines of question, response, verdict (right or wrong; or
points) and an optional answer. Before the judge marks anything else it marks those, and it refuses all work if its
agreement is below what is asked for. A response that it cannot mark is `unscorable`, never wrong; one that it was
never asked about, because its endpoint was away or failed, has no verdict. Marks are bought once and kept in the store.
It is for text that no other scorer can read: a number or an option is marked better without a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from annotated_types import Interval
from msgspec.structs import replace

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


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge replies if the rubric gives points; none if it cannot tell."""

    reason: str
    points: Annotated[int, msgspec.Meta(ge=0)] | None


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """A response that people have marked, with a verdict or with points."""

    question: str
    response: str
    verdict: Literal["right", "wrong"] | None = None
    points: float | None = None
    answer: str = ""


class Scale(NamedTuple):
    """The most points that a rubric gives (0: it gives none) and from how many on a response is right."""

    points: int
    threshold: float

    def judge(self, points: float) -> Literal["right", "wrong"]:
        """The verdict that so many points mean."""
        return "right" if points >= self.threshold else "wrong"


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
    agreement at which it works. If the rubric gives `points`, so many at most, a response is right from `threshold` on.
    """

    def __init__(  # noqa: PLR0913 - the keys of the run file
        self,
        *,
        model: str,
        rubric: str,
        labelled: str,
        kappa: Share = 0.6,
        points: Annotated[int, Interval(ge=0, le=1000)] = 0,
        threshold: Annotated[float, Interval(ge=0, le=1000)] = 0.0,
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
        if not 0 < threshold <= points and (points or threshold):
            raise ConfigError(
                f"The judge's threshold = {threshold:g} must be above 0 and at most its points = {points}; set both,"
                " such as points = 10 and threshold = 7."
            )
        kind = Anthropic if protocol == "anthropic" else OpenAIChat
        endpoint: Endpoint = kind(model, base_url or None, api_key_env, headers, sampling)
        self._line = Client(
            endpoint,
            price=read_price(price_input, price_output, endpoint),
            budget=Budget(usd=budget_usd),
            store=Path(store) if store else None,
            concurrency=concurrency,
        )
        self._rubric = rubric.strip()
        self._labelled = Path(labelled)
        self._kappa = kappa
        self._scale = Scale(points, threshold)
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
            rows = read_labelled(self._labelled, self._scale)
            pairs = [(_example(row), row.response) for row in rows]
            scores = require_verdicts(self._marks(pairs), "labelled responses")
            self._measured = measure_agreement(
                [(row.verdict or "", score.verdict) for row, score in zip(rows, scores, strict=True)]
            )
        return self._measured

    def _marks(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        scores: list[Score | NoVerdict] = [NoVerdict(reason="no reply came")] * len(pairs)
        form: type[Mark] | type[Points] = Points if self._scale.points else Mark
        asks = ((place, _ask(example, text, self._rubric, self._scale)) for place, (example, text) in enumerate(pairs))
        with self._line.open() as asker:
            for result in asker.ask(asks, check_form(form)):
                scores[result.key] = _read_mark(result, self._scale)
        return scores


def _read_mark(result: Result[int, Mark | Points], scale: Scale) -> Score | NoVerdict:
    """A reply that is no mark leaves the response unscorable; if no reply came, nothing is known of the response."""
    if isinstance(result, Accepted) and isinstance(result.value, Points):
        given = result.value.points
        if given is None or given > scale.points:
            said = "unclear" if given is None else f"{given} of {scale.points} points"
            return Score(verdict="unscorable", extracted=said, method="judge", evidence=result.value.reason)
        shown = f"{given} of {scale.points} points"
        return Score(verdict=scale.judge(given), extracted=shown, method="judge", evidence=result.value.reason)
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


def read_labelled(path: Path, scale: Scale) -> list[Labelled]:
    """Read the labelled responses, each with a verdict: its own, or by its points.

    Raises:
        DataError: The file is missing, or a line is no labelled response.
    """
    return [_labelled(row, scale) for row in read_json_lines(path)]


def _labelled(row: Row, scale: Scale) -> Labelled:
    try:
        found = msgspec.convert(row.values, Labelled)
    except msgspec.ValidationError as error:
        raise DataError(f"There is no labelled response on {row.place}: {error}; correct it.") from None
    if scale.points and found.points is not None and not 0 <= found.points <= scale.points:
        raise DataError(f"The points {found.points:g} on {row.place} are not from 0 to {scale.points}; correct them.")
    if found.verdict is None and (found.points is None or not scale.points):
        also = f" or points from 0 to {scale.points}" if scale.points else ""
        raise DataError(f"The labelled response on {row.place} has no verdict{also}; add it.")
    return found if found.verdict else replace(found, verdict=scale.judge(found.points or 0.0))


def _example(row: Labelled) -> Example:
    return Example(id=digest(row.question)[:16], task="", split="train", question=row.question, answer=row.answer)


def _ask(example: Example, text: str, rubric: str, scale: Scale) -> Ask:
    asked = prompting.render(
        "judge",
        question=example.question,
        answer="\nor: ".join((example.answer, *example.accepted)),
        response=text,
        rubric=rubric,
        points=scale.points,
        **prompting.show_before(example.before),
    )
    messages = (
        Message(role="system", content=prompting.render("judge-system")),
        Message(role="user", content=asked),
    )
    return Ask(messages=messages, schema=_schema(graded=scale.points > 0), name="mark", max_tokens=_MAX_TOKENS)


@cache
def _schema(*, graded: bool) -> str:
    return schema_of(Points if graded else Mark)

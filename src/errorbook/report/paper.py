"""What the paper measured, and a finished run laid beside it.

The numbers are those of LLMs-as-Instructors (Ying et al., Findings of EMNLP 2024, arXiv 2407.00497), from the tables on
the authors' project page: percent right, pass@1 for programs, zero-shot but for BBH (3-shot).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from errorbook.errors import ConfigError
from errorbook.report.records import Report, ReportPart, TaskResult

TASKS = ("mmlu", "arc", "gsm8k", "gsm_plus", "mbpp", "humaneval", "bbh")
"""The paper's tasks in the order of its table; MMLU, GSM8K and MBPP are learnt from."""
Scores = tuple[float | None, ...]


class Measured(NamedTuple):
    """One row of the paper: a target's name, what was done with it, and the scores in the order of `TASKS`."""

    model: str
    method: str
    scores: Scores


MISTRAL, LLAMA = "Mistral-7B-Instruct-v0.2", "Llama-3-8B-Instruct"
AS_IT_IS = "as it is"
PAPER: tuple[Measured, ...] = (
    Measured("GPT-3.5-turbo", AS_IT_IS, (65.3, 84.4, 71.1, 61.5, 68.5, 61.6, 61.7)),
    Measured("Gemma-7B-Instruct", AS_IT_IS, (50.4, 72.8, 35.7, 27.0, 34.3, 25.0, 44.8)),
    Measured("Llama-2-70b-Chat", AS_IT_IS, (60.0, 77.2, 51.0, 42.0, 41.1, 36.0, 49.6)),
    Measured("Mixtral-8x7B-Instruct-v0.1", AS_IT_IS, (67.2, 81.5, 50.4, 41.4, 27.9, 36.0, 44.9)),
    Measured(MISTRAL, AS_IT_IS, (57.3, 73.9, 43.2, 32.5, 38.0, 28.6, 44.3)),
    Measured(MISTRAL, "fine-tuning", (59.8, 74.5, 58.0, 43.6, 31.5, 22.6, 50.4)),
    Measured(MISTRAL, "AugGPT", (58.9, 76.0, 54.4, 44.0, 44.1, 37.8, 53.4)),
    Measured(MISTRAL, "LE", (60.9, 76.3, 56.2, 46.0, 51.5, 38.4, 55.9)),
    Measured(MISTRAL, "LEC", (61.5, 77.2, 54.0, 46.0, 47.0, 43.3, 56.8)),
    Measured(MISTRAL, "LE, then LEC", (None, None, 55.9, 46.1, 51.5, 39.0, None)),
    Measured(MISTRAL, "LEC, then LE", (None, None, 53.9, 45.7, 48.9, 42.7, None)),
    Measured(LLAMA, AS_IT_IS, (66.3, 82.2, 79.2, 64.6, 56.1, 59.7, 65.5)),
    Measured(LLAMA, "fine-tuning", (66.3, 82.3, 79.5, 64.6, 55.1, 59.8, 65.5)),
    Measured(LLAMA, "AugGPT", (66.5, 83.0, 77.8, 64.1, 56.1, 56.7, 65.3)),
    Measured(LLAMA, "LE", (66.1, 82.5, 81.2, 65.9, 56.5, 60.4, 65.8)),
    Measured(LLAMA, "LEC", (66.2, 82.8, 80.2, 66.0, 56.5, 61.6, 66.1)),
)
_METHODS = {
    "gold": "fine-tuning",
    "augment": "AugGPT",
    "error": "LE",
    "contrast": "LEC",
    "error, then contrast": "LE, then LEC",
    "contrast, then error": "LEC, then LE",
}


class PaperRow(ReportPart, frozen=True, kw_only=True):
    """One row: percent right by task. Only a run's own rows have 95% intervals, `low` and `high`."""

    source: Literal["paper", "run"]
    model: str
    method: str
    scores: dict[str, float]
    low: dict[str, float] = msgspec.field(default_factory=dict)
    high: dict[str, float] = msgspec.field(default_factory=dict)


class AgainstPaper(ReportPart, frozen=True, kw_only=True):
    """A run's numbers on test beside the paper's. `method` is the paper's name for what the run does, if it has one."""

    run: str
    method: str
    tasks: tuple[str, ...]
    rows: tuple[PaperRow, ...]


def lay_beside(report: Report) -> AgainstPaper:
    """The run's base and final model on test, after the paper's rows for the same target, or for both of its targets.

    Raises:
        ConfigError: The run has none of the paper's tasks, or has not read its test splits yet.
    """
    results = {task: report.tasks[task]["test"] for task in TASKS if "test" in report.tasks.get(task, {})}
    if not any(result.base.n for result in results.values()):
        raise ConfigError(
            f"The run '{report.name}' has no answers to the test questions of {', '.join(TASKS[:-1])} or {TASKS[-1]};"
            " let it come to its end, or leave out --against."
        )
    named = report.model.casefold().replace("meta-", "")
    models = [model for model in (MISTRAL, LLAMA) if model.casefold() in named] or [MISTRAL, LLAMA]
    rows = [_of_paper(row, tuple(results)) for row in PAPER if row.model in models]
    rows.append(_of_run(report, AS_IT_IS, results, final=False))
    if any(result.final for result in results.values()):
        rows.append(_of_run(report, report.strategy, results, final=True))
    method = _METHODS.get(report.strategy, "")
    return AgainstPaper(run=report.name, method=method, tasks=tuple(results), rows=tuple(rows))


def _of_paper(row: Measured, tasks: tuple[str, ...]) -> PaperRow:
    scores = dict(zip(TASKS, row.scores, strict=True))
    known = {task: score for task in tasks if (score := scores[task]) is not None}
    return PaperRow(source="paper", model=row.model, method=row.method, scores=known)


def _of_run(report: Report, method: str, results: dict[str, TaskResult], *, final: bool) -> PaperRow:
    found = {task: result.final if final else result.base for task, result in results.items()}
    known = {task: accuracy for task, accuracy in found.items() if accuracy is not None and accuracy.n}
    return PaperRow(
        source="run",
        model=report.model,
        method=method,
        scores={task: 100 * one.accuracy for task, one in known.items()},
        low={task: 100 * one.low for task, one in known.items()},
        high={task: 100 * one.high for task, one in known.items()},
    )

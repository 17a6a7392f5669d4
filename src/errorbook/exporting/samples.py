"""The training samples of a run with where each came from, in the forms that people and trainers read.

Rows are in the order in which they were recorded, and equal ledgers give equal bytes. What a person struck out is left
out; what a person edited is told as edited. It decides nothing about what is trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from errorbook.adapters.trainers.exports import as_alpaca
from errorbook.config import TaskSection
from errorbook.corrections.inbox import correct_samples
from errorbook.errors import DataError, UserError
from errorbook.interfaces import Task
from errorbook.ledger.counts import name_strategy
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints, read_config
from errorbook.records import (
    Diagnosis,
    Draft,
    Example,
    Lesson,
    Message,
    Rejection,
    Response,
    Sample,
    converse,
    messages_of,
)
from errorbook.setup.assemble import create_task

Form = Literal["jsonl", "chat", "alpaca", "datasets"]
FORMS: tuple[Form, ...] = ("jsonl", "chat", "alpaca", "datasets")


class SampleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sample, or one rejected draft, with its lineage.

    `prompt` and `completion` are what the target is trained on, before its chat template; a rejected draft has none.
    `before` is what stands before the prompt: a system message, examples that are shown, earlier turns.
    `wrong_response` is what the target said to the train question `example`, which the sample was written against; a
    sample that varies a train question, or keeps its wording, names that as `example`, and no response.
    `trained` says that a candidate was trained on these very texts, `kept` that the gate kept such a candidate, and
    `corrected` that a person edited them.
    """

    id: str
    outcome: Literal["sample", "rejected"]
    task: str
    question: str
    answer: str
    solution: str
    choices: tuple[str, ...] = ()
    before: tuple[Message, ...] = ()
    prompt: str = ""
    completion: str = ""
    skill: str = ""
    difficulty: int = 0
    strategy: str = ""
    error_kind: str = ""
    misconception: str = ""
    example: str = ""
    mistaken_question: str = ""
    wrong_response: str = ""
    checks: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""
    cycle: int
    trained: bool = False
    kept: bool = False
    corrected: bool = False
    draft: str
    diagnosis: str = ""
    call: str = ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows: only those of cycles that the gate accepted, and whether rejected drafts as well.

    With `pairs`, a sample whose prompt cannot be told, because its task is not installed here, is an error.
    """

    accepted_only: bool = False
    include_rejected: bool = False
    pairs: bool = False


def rows(ledger: Ledger, wanted: Wanted) -> Iterator[SampleRow]:
    """The run's samples in order, each cycle's rejected drafts after its samples if they are wanted.

    Raises:
        UserError: Pairs are wanted, and a task cannot be opened.
    """
    config, points = read_config(ledger), Checkpoints(ledger)
    words = _Wording(ledger, config.tasks, needed=wanted.pairs)
    accepted = {item.cycle for item in points.decisions if item.outcome == "accept"}
    taught = {cycle: {item.source for item in ledger.all(Lesson, cycle)} for cycle in _cycles(ledger)}
    trained = set().union(*taught.values()) if taught else set()
    kept = set().union(*(sources for cycle, sources in taught.items() if cycle in accepted)) if taught else set()
    for cycle in taught:
        if wanted.accepted_only and cycle not in accepted:
            continue
        written = {sample.draft: sample for sample in ledger.all(Sample, cycle)}
        for sample in correct_samples(ledger, None, list(written.values())):
            prompt, completion = words.of(sample)
            yield _row(
                ledger,
                sample,
                id=sample.hash,
                outcome="sample",
                prompt=prompt,
                completion=completion,
                checks=sample.checks,
                cycle=cycle,
                trained=sample.hash in trained,
                kept=sample.hash in kept,
                corrected=sample is not written[sample.draft],
            )
        for rejection in ledger.all(Rejection, cycle) if wanted.include_rejected else ():
            draft = ledger.get(Draft, rejection.draft)
            if draft is not None:
                told: dict[str, Any] = {"id": rejection.hash, "outcome": "rejected", "cycle": cycle}
                yield _row(ledger, draft, reason=rejection.reason, detail=rejection.detail, **told)


def write(folder: Path, form: Form, found: Iterable[SampleRow]) -> int:
    """Write the rows in one form below a folder, and return how many there are.

    Raises:
        DataError: There is none, or what writing a data set takes is not installed.
    """
    if form == "datasets":
        return _write_parquet(folder, list(found))
    count = 0
    with (folder / "samples.jsonl").open("wb") as file:
        for row in found:
            file.write(msgspec.json.encode(as_form(row, form)) + b"\n")
            count += 1
    return _counted(count)


def as_form(row: SampleRow, form: Form) -> SampleRow | dict[str, Any]:
    """One row as a form has it: the record itself, a conversation, or an instruction with its output."""
    if form == "chat":
        return {"messages": _messages(row)}
    if form == "alpaca":
        return {"instruction": row.prompt, "input": "", "output": row.completion} | as_alpaca(row.before)
    return row


def _messages(row: SampleRow) -> list[dict[str, str]]:
    if not row.prompt:
        return []
    return [*_plain(messages_of(converse(row.before, row.prompt))), {"role": "assistant", "content": row.completion}]


def _plain(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in messages]


def _write_parquet(folder: Path, found: list[SampleRow]) -> int:
    """One table with a column for each field and the conversation, where `load_dataset` looks for it."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "A data set is written by pyarrow, which is not installed; pip install 'errorbook[data]', or give "
            "--format jsonl."
        ) from None
    _counted(len(found))
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    special = {"choices": pa.list_(pa.string()), "checks": pa.list_(pa.string())}
    special |= dict.fromkeys(("difficulty", "cycle"), pa.int64())
    special["before"] = pa.list_(turn)
    special |= dict.fromkeys(("trained", "kept", "corrected"), pa.bool_())
    columns = [(name, special.get(name, pa.string())) for name in SampleRow.__struct_fields__]
    rows = [{**msgspec.structs.asdict(row), "before": _plain(row.before), "messages": _messages(row)} for row in found]
    table = pa.Table.from_pylist(rows, schema=pa.schema([*columns, ("messages", pa.list_(turn))]))
    (folder / "data").mkdir()
    parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return len(found)


def _counted(count: int) -> int:
    if not count:
        raise DataError("There is no such sample in this run; see 'errorbook report' for what became of its drafts.")
    return count


def _cycles(ledger: Ledger) -> range:
    return range(1, read_config(ledger).run.cycles + 1)


def _row(ledger: Ledger, text: Sample | Draft, **told: Any) -> SampleRow:
    """A row of a sample or a draft, with the diagnosis and the mistake that it was written against."""
    draft = text if isinstance(text, Draft) else ledger.get(Draft, text.draft)
    diagnosis = ledger.get(Diagnosis, draft.diagnosis) if draft and draft.diagnosis else None
    mistake: dict[str, Any] = {"example": draft.example} if draft else {}
    if diagnosis is not None:
        response = ledger.response(diagnosis.response, diagnosis.example)
        example = ledger.find(Example, f"{diagnosis.task}:train:{diagnosis.example}")
        mistake = {
            "error_kind": diagnosis.error_kind,
            "misconception": diagnosis.misconception,
            "example": diagnosis.example,
            "mistaken_question": example.question if example else "",
            "wrong_response": _text(response),
        }
    return SampleRow(
        task=text.task,
        question=text.question,
        answer=text.answer,
        solution=text.solution,
        choices=text.choices,
        before=text.before,
        skill=text.skill,
        difficulty=text.difficulty,
        strategy=name_strategy(draft, diagnosis) if draft else "",
        draft=text.draft if isinstance(text, Sample) else text.hash,
        diagnosis=draft.diagnosis if draft else "",
        call=draft.call if draft else "",
        **mistake,
        **told,
    )


def _text(response: Response | None) -> str:
    return response.text if response else ""


class _Wording:
    """Prompt and completion of a sample: as it was trained on if it was, else as its task would have it."""

    def __init__(self, ledger: Ledger, sections: Iterable[TaskSection], *, needed: bool) -> None:
        self._trained = {lesson.source: lesson for lesson in ledger.all(Lesson) if not lesson.replay}
        self._sections = {section.name: section for section in sections}
        self._tasks: dict[str, Task | None] = {}
        self._needed = needed

    def of(self, sample: Sample) -> tuple[str, str]:
        """The pair of one sample, empty if nobody can tell and it is not needed."""
        lesson = self._trained.get(sample.hash)
        if lesson is not None:
            return lesson.prompt, lesson.completion
        task = self._task(sample.task)
        if task is None:
            return "", ""
        completion = sample.solution if sample.whole else task.completion(sample.solution, sample.answer)
        return task.prompt(sample.question, sample.choices), completion

    def _task(self, name: str) -> Task | None:
        if name not in self._tasks:
            try:
                self._tasks[name] = create_task(self._sections[name])
            except UserError:
                if self._needed:
                    raise
                self._tasks[name] = None
        return self._tasks[name]

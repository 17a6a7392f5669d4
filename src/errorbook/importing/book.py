"""Logged responses -> judged responses -> an error book: a run's ledger whose train split was answered elsewhere.

The log's own label is trusted, or the task's scorer judges again. If both speak, `find_disagreements` lists the ids on
which they differ. A book holds one task and one model, so that `status` and `report` read it like an exam. Importing
the same file again changes nothing, another file adds to it. The prompt, the chat template and the cap of the logged
responses are not known: an imported evaluation is never comparable to one that was run here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from errorbook import plugins
from errorbook.checks.thoughts import tell_apart
from errorbook.checks.verdicts import require_verdicts
from errorbook.config import IMPORTED, Config, RunSection, TargetSection, TaskSection, dump
from errorbook.errors import DataError, LedgerError
from errorbook.evaluate import score_pairs
from errorbook.importing.logs.entry import Label, Logged
from errorbook.importing.logs.formats import Log
from errorbook.interfaces import Scorer
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import Checkpoint, Evaluation, Example, Generation, Response, Score, Verdict, digest
from errorbook.version import __version__

TRUSTED = "label"
"""Stands for a scorer's name, and for a score's method, if the log's own label was trusted."""
UNNAMED = "unnamed"
BLOCK = 128


class Judged(NamedTuple):
    """One logged response with the verdict that counts."""

    entry: Logged
    example: Example
    score: Score


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A response whose label in the log is not what the scorer says."""

    id: str
    label: Label
    score: Verdict
    extracted: str
    method: str


class VerdictTally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the verdicts, and where label and scorer differ."""

    n: int
    right: int
    wrong: int
    unscorable: int
    disagree: tuple[Disagreement, ...]


def select_model(log: Log, wanted: str | None) -> list[Logged]:
    """The log's entries of one model, or of all; `wanted` names the model of a log that names none.

    Raises:
        DataError: The log names models, and not this one.
    """
    if wanted is None:
        return [replace(entry, model=entry.model or UNNAMED) for entry in log.entries]
    if not log.models:
        return [replace(entry, model=wanted) for entry in log.entries]
    chosen = [entry for entry in log.entries if entry.model == wanted]
    if not chosen:
        raise DataError(f"The log holds no model '{wanted}'; it holds {', '.join(log.models)}: name one of them.")
    return chosen


def apply_label(entries: Sequence[Logged], label: Literal["right", "wrong"] | None) -> list[Logged]:
    """The entries, with the label that the whole file has if a row gives none.

    Raises:
        DataError: A row gives another one.
    """
    if label is None:
        return list(entries)
    for entry in entries:
        if entry.label not in {"", label}:
            raise DataError(
                f"--label {label} contradicts the log, which says {entry.label} on {entry.place}; leave --label out."
            )
    return [replace(entry, label=label) for entry in entries]


def trust_labels(entries: Sequence[Logged], task: str) -> list[Judged]:
    """Take the log's labels for verdicts; a response without one is unscorable.

    Raises:
        DataError: No response has a label.
    """
    if not any(entry.label for entry in entries):
        raise DataError(
            "The log has no labels (such as is_correct: true); add --rescore, or --label if all are right or wrong."
        )
    return [
        Judged(entry, _example(entry, task), Score(verdict=entry.label or "unscorable", method=TRUSTED))
        for entry in entries
    ]


def rescore(
    entries: Sequence[Logged], task: str, scorer: Scorer, progress: Callable[[int, int], None]
) -> Iterator[Judged]:
    """Let the scorer judge every response again, in blocks.

    Raises:
        DataError: A response has no gold answer and no tests to judge it by.
        UnjudgedError: What judges the responses failed.
    """
    for entry in entries:
        if not entry.answer.strip() and not entry.tests.strip():
            raise DataError(f"There is no gold answer on {entry.place}; add it as 'answer', or leave --rescore out.")
    for start in range(0, len(entries), BLOCK):
        block = entries[start : start + BLOCK]
        pairs = [(_example(entry, task), entry.said) for entry in block]
        scores = require_verdicts(score_pairs(scorer, pairs), f"responses of '{task}'")
        yield from (
            Judged(entry, example, score) for entry, (example, _), score in zip(block, pairs, scores, strict=True)
        )
        progress(start + len(block), len(entries))


def tally(items: Sequence[Judged]) -> VerdictTally:
    """Count the verdicts; a response without a label never disagrees."""
    counts = Counter(item.score.verdict for item in items)
    return VerdictTally(
        n=len(items),
        right=counts["right"],
        wrong=counts["wrong"],
        unscorable=counts["unscorable"],
        disagree=tuple(find_disagreements(items)),
    )


def find_disagreements(items: Sequence[Judged]) -> Iterator[Disagreement]:
    """The responses whose label is not the verdict; an `unscorable` one differs from either label."""
    for entry, _, score in items:
        if entry.label and score.verdict != entry.label:
            yield Disagreement(
                id=entry.id, label=entry.label, score=score.verdict, extracted=score.extracted, method=score.method
            )


def group_by_model(items: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The judged responses of each model, in the log's order."""
    groups: dict[str, list[Judged]] = {}
    for item in items:
        groups.setdefault(item.entry.model, []).append(item)
    return groups


def write_books(folder: Path, section: TaskSection, items: Sequence[Judged], scorer: str) -> list[Path]:
    """Add the responses to the book in `folder`; those of several models each to a book of their own below it.

    Returns:
        The books' folders.

    Raises:
        LedgerError: A folder holds another task, another model, an ordinary run, or verdicts of another scorer.
        DataError: An id is known with another question or response.
    """
    models = group_by_model(items)
    places = {model: folder / _slug(model) if len(models) > 1 else folder for model in models}
    if len(set(places.values())) < len(models):
        raise DataError("Two models of the log have nearly the same name; import them one by one with --model.")
    for model, place in places.items():
        with open_ledger(place / "ledger.sqlite", "write") as ledger:
            _begin_book(ledger, section, model)
            _append_responses(ledger, section.name, models[model], scorer)
    return list(places.values())


def _example(entry: Logged, task: str) -> Example:
    return Example(
        id=entry.id,
        task=task,
        split="train",
        question=entry.question,
        answer=entry.answer,
        choices=entry.choices,
        tests=entry.tests,
        solution=entry.solution,
        skill=entry.skill,
        accepted=entry.accepted,
        before=entry.before,
    )


def _begin_book(ledger: Ledger, section: TaskSection, model: str) -> None:
    """Begin the ledger, or refuse one that is not a book of this task and model."""
    config = Config(
        run=RunSection(name=f"imported-{section.name}", cycles=1),
        target=TargetSection(model=model, engine=IMPORTED),
        tasks=(section,),
    )
    known = ledger.fact("config")
    if known is None:
        ledger.state("config", dump(config))
        ledger.state("version", __version__)
        ledger.state("plugins", msgspec.json.encode([plugins.find_origin("tasks", section.plugin)]).decode())
    elif known != dump(config):
        raise LedgerError(
            f"The ledger '{ledger.path}' is not a book of {section.name} and the model '{model}';"
            " use another --out folder."
        )
    ledger.append(_checkpoint(model), key=keys.BASE)


def _checkpoint(model: str) -> Checkpoint:
    return Checkpoint(base=model, base_fingerprint=digest("imported", model))


def _append_responses(ledger: Ledger, task: str, items: Sequence[Judged], scorer: str) -> None:
    """Append one evaluation of all responses, old and new: what was there is kept, the last one is the book."""
    checkpoint = _checkpoint(items[0].entry.model).hash
    responses = _known_responses(ledger, checkpoint, scorer)
    examples = {example.id: example for example in ledger.all(Example)}
    for item in items:
        fresh, id = _response(item), item.example.id
        same_question = examples.setdefault(id, item.example).hash == item.example.hash
        if not same_question or responses.get(id, fresh).text != fresh.text:
            raise DataError(
                f"The id '{id}' on {item.entry.place} is in '{ledger.root}' with another"
                f" {'response' if same_question else 'question'}; use another --out folder."
            )
        responses[id] = fresh
    ordered = [responses[id] for id in sorted(responses)]
    evaluation = Evaluation(
        checkpoint=checkpoint,
        task=task,
        split="train",
        target=digest("imported", *(response.hash for response in ordered)),
        examples=digest(*(examples[response.example].hash for response in ordered)),
        n=len(ordered),
        generation=Generation(max_new_tokens=0),
        scorer=scorer,
    )
    ledger.extend(Entry(item.example, f"{task}:train:{item.example.id}") for item in items)
    ledger.open_evaluation(evaluation)
    ledger.append_responses([replace(response, evaluation=evaluation.hash) for response in ordered])


def _known_responses(ledger: Ledger, checkpoint: str, scorer: str) -> dict[str, Response]:
    """The responses of the book so far, by example; one that was killed while it was written does not count."""
    whole = [item for item in ledger.all(Evaluation) if ledger.tally(item).n == item.n]
    if not whole:
        return {}
    last = whole[-1]
    if last.scorer != scorer:
        said = "the log's labels" if last.scorer == TRUSTED else f"the scorer {last.scorer}"
        raise LedgerError(f"The book in '{ledger.root}' is judged by {said}; judge alike, or use another --out folder.")
    return {response.example: replace(response, evaluation="") for response in ledger.responses(last)}


def _response(item: Judged) -> Response:
    """The response before its evaluation is known."""
    told = tell_apart(item.entry.said)
    return Response(
        evaluation="",
        example=item.example.id,
        task=item.example.task,
        split="train",
        prompt_hash="",
        text=told.answer,
        tokens=item.entry.tokens,
        truncated=item.entry.truncated or told.open,
        score=item.score,
        thought=told.thought,
    )


def _slug(model: str) -> str:
    """A model's name as a folder's."""
    return re.sub(r"[^\w.-]+", "-", model).strip(".-") or UNNAMED

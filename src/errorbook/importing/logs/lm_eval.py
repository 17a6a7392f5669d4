"""Samples of the lm-evaluation-harness, as `--log_samples` writes them: one JSON object a document.

A row holds the dataset's own row (`doc`), the raw responses (`resps`) and the metrics. The raw response is taken, not
the filtered one: what a filter cut off is what a scorer wants to see. Multiple choice by likelihood has no text; the
likeliest option's letter stands for it. If a document was judged through several filters, it is right if one of
them says so, since a filter that finds nothing proves no mistake. Of repeated samples the first is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from errorbook.errors import DataError
from errorbook.files import NOT_JSON, Row, parse_json
from errorbook.importing.logs.columns import LETTERS
from errorbook.importing.logs.dataset_row import Content, Gold, counts_from, read_content, read_gold
from errorbook.importing.logs.entry import Label, Logged, read_label
from errorbook.records import Message, read_talk

NAME = "lm-evaluation-harness samples (doc, resps)"
METRICS = ("exact_match", "acc", "pass@1", "pass_at_1", "em", "acc_norm", "score")
_MERGE: dict[tuple[Label, Label], Label] = {("wrong", "right"): "right", ("", "right"): "right", ("", "wrong"): "wrong"}


def fits(columns: Mapping[str, Any]) -> bool:
    """Whether a row holds a document and responses to it."""
    return isinstance(columns.get("doc"), dict) and isinstance(columns.get("resps"), list)


def read(rows: Sequence[Row], stem: str) -> list[Logged]:
    """One entry a document. A `doc_id` counts within its file, so the file's name is put before it.

    Raises:
        DataError: A document is there twice, or a row lacks its question or response.
    """
    found: dict[str, Logged] = {}
    start = counts_from(row.values["doc"] for row in rows)
    for row in rows:
        entry = _entry(row, stem, start)
        known = found.get(entry.id)
        if known is None:
            found[entry.id] = entry
        elif known.text != entry.text or known.question != entry.question or not _is_filtered(row):
            raise DataError(f"The document on {row.place} was there before, on {known.place}; remove one of them.")
        elif (known.label, entry.label) in _MERGE:
            found[entry.id] = entry
    return list(found.values())


def _is_filtered(row: Row) -> bool:
    """Whether a row is one filter's: older versions of the harness write one row for each and do not name it."""
    return bool(row.values.get("filter")) or "filtered_resps" in row.values


def _entry(row: Row, stem: str, start: int) -> Logged:
    columns = row.values
    there = read_content(columns["doc"], start)
    arguments = _arguments(columns.get("arguments"))
    before, asked = _read_prompt(arguments[0][0] if arguments else "")
    question = there.question or asked
    if not question.strip():
        raise DataError(f"There is no question on {row.place}; log the samples again with their documents.")
    likelihoods = _likelihoods(columns["resps"])
    if likelihoods is None:
        text, choices = _text(row), there.choices
    else:
        choices = _options(row, there, arguments, len(likelihoods))
        text = _likeliest(likelihoods, row)
    gold = _gold(columns, there, choices)
    return Logged(
        id=there.id or f"{stem}:{columns.get('doc_id', row.number)}",
        place=row.place,
        question=question,
        text=text,
        label=_label(row),
        answer=gold.answer,
        accepted=gold.accepted,
        choices=choices,
        tests=there.tests,
        solution=there.solution,
        skill=there.skill,
        before=before,
    )


def _read_prompt(prompt: str) -> tuple[tuple[Message, ...], str]:
    """What stood before the question, and the question: of a conversation, which the harness sends as JSON.

    Its turns are examples that it showed. A prompt that was rendered is the question as it is.
    """
    if prompt.lstrip().startswith("[{"):
        with suppress(*NOT_JSON):
            talk = read_talk(parse_json(prompt))
            shown = (replace(one, shot=one.role != "system") for one in talk.before)
            return tuple(shown), talk.question
    return (), prompt


def _text(row: Row) -> str:
    value: object = row.values["resps"]
    while isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"There is no response on {row.place}; log the samples again with their responses.")
    return value


def _likelihoods(responses: Sequence[object]) -> list[float] | None:
    """The log-likelihood of each option, or None if the responses are text."""
    likelihoods = []
    for item in responses:
        while isinstance(item, list) and len(item) == 1:
            item = item[0]  # noqa: PLW2901 - the harness wraps a pair once for each repeat
        if not isinstance(item, list) or len(item) != 2 or str(item[1]) not in {"True", "False"}:
            return None
        try:
            likelihoods.append(float(item[0]))
        except (TypeError, ValueError):
            return None
    return likelihoods or None


def _likeliest(likelihoods: Sequence[float], row: Row) -> str:
    """The letter of the option with the highest likelihood that is a number; of equal ones none is an answer.

    Raises:
        DataError: No likelihood is a number.
    """
    highest = max((value for value in likelihoods if not math.isnan(value)), default=None)
    if highest is None:
        raise DataError(
            f"The likelihoods on {row.place} are no numbers (NaN); evaluate the model in another precision."
        )
    return LETTERS[likelihoods.index(highest)] if likelihoods.count(highest) == 1 else ""


def _options(row: Row, there: Content, arguments: Sequence[Sequence[str]], count: int) -> tuple[str, ...]:
    """The options that the likelihoods are of: the document's, or else the continuations that were asked."""
    asked = tuple(item[1].strip() for item in arguments if len(item) > 1)
    choices = there.choices if len(there.choices) == count else asked
    if len(choices) != count or not 1 < count <= len(LETTERS):
        raise DataError(
            f"The {count} likelihoods on {row.place} belong to no options; log a task of multiple choice or of text."
        )
    if len(set(choices)) < count:
        raise DataError(
            f"The options of the likelihoods on {row.place} are equal, because each has a question of its own, as in"
            " Winogrande; log a task whose options differ."
        )
    return choices


def _gold(columns: Mapping[str, Any], there: Content, choices: tuple[str, ...]) -> Gold:
    """The document's answer, or else the row's `target`; of options the letter. A list accepts each of its items."""
    letters = LETTERS[: len(choices)]
    if there.answer and (not choices or (len(there.answer) == 1 and there.answer in letters)):
        return Gold(there.answer, "", there.accepted)
    target = columns.get("target")
    if choices and isinstance(target, str) and target.strip().isdecimal() and target.strip() not in choices:
        target = int(target)
    read = read_gold(target, choices, letters, every=False)
    answer, *others = (_letter(text, choices) for text in (read.answer, *read.accepted))
    return Gold(answer, "", tuple(others)) if answer else Gold(there.answer, "", there.accepted)


def _letter(answer: str, choices: tuple[str, ...]) -> str:
    """The letter of the option whose text the answer is, else the answer."""
    return LETTERS[choices.index(answer.strip())] if answer.strip() in choices else answer


def _arguments(value: object) -> list[list[str]]:
    """The texts of each request, prompt first: a list of lists, or since version 0.4.3 an object of objects."""
    requests = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    parts = (list(item.values()) if isinstance(item, dict) else item for item in requests)
    texts = ([part for part in item if isinstance(part, str)] for item in parts if isinstance(item, list))
    return [item for item in texts if item]


def _label(row: Row) -> Label:
    listed = row.values.get("metrics")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    ordered = [name for name in METRICS if name in row.values] + names
    for name in ordered:
        found = read_label(row.values.get(name))
        if found is not None:
            return found
    return ""

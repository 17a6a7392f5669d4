"""The user's own rows as a task: which column holds what, which question is in which split, and how it is put.

One mapping for every source: files (`file_table`) and hub datasets (`hub`) only find rows. It does not look for
near-duplicates, and joins no tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from annotated_types import Interval

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.collection import Loaded, Loader, Style
from errorbook.adapters.tasks.splits import SPLITS, choose_split, drop_repeats, identity
from errorbook.errors import ConfigError, DataError
from errorbook.files import NOT_JSON, Row, parse_json
from errorbook.plugins import Share, Tokens
from errorbook.records import Example, Split, Talk, digest, encode, opening_of, read_talk

_MOST = len(wording.LETTERS)
_FEWEST = 2


class Columns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column holds what, and what else a run file says of its data: the options that all such tasks share.

    Args:
        name: What the task is called in the ledger; without it as its plugin. Give two sources two names.
        question: Column with the question.
        messages: Column with a conversation in place of a question: a list of messages with role and content, of which
            the user's last one is asked after all before it. If the assistant answers it, that is the solution.
        answer: Column with the gold answer: text, a number, or the letter or text of an option; or a list of them.
        several: What a list in the answer column means: "any" of them is right, or "all" are required.
        accepted: Column with other answers that are as right, a list or texts separated by "|"; or empty.
        choices: Column with a list of options, or one column for each option, or empty.
        tests: Column with a test program or a list of asserts, if tests judge and not an answer; or empty.
        entry_point: Column with the name of the function to which the tests' `check` is applied, or empty.
        solution: Column with the worked solution, or empty.
        id: Column with an identifier that is unique in all splits, or empty: then it is made from the content.
        skill: Column with the kind of question, or empty.
        group: Column that names what belongs together (a passage, a template, a source), or empty: then duplicates and
            shared passages are found. The gate counts a group once, and a group is never torn over two splits.
        after: Mark in the answer column, such as "####": what follows is the answer, what precedes the solution.
        count_from: Number of the first option, if answers are numbers of options.
        scorer: Name of the scorer plugin.
        dev: Share of the questions for the gate, if the source has no split for it.
        test: Share of the questions for the report, if the source has no split for it.
        max_new_tokens: Cap on one response, in tokens.
        prompt: The user message, with "{question}" and, if wanted, "{choices}" in it.
    """

    name: str = ""
    question: str = "question"
    messages: str = ""
    answer: str = "answer"
    several: Literal["any", "all"] = "any"
    accepted: str = ""
    choices: str | tuple[str, ...] = ""
    tests: str = ""
    entry_point: str = ""
    solution: str = ""
    id: str = ""
    skill: str = ""
    group: str = ""
    after: str = ""
    count_from: Annotated[int, Interval(ge=-1_000_000, le=1_000_000)] | None = None
    scorer: str = "numeric"
    dev: Share = 0.2
    test: Share = 0.2
    max_new_tokens: Tokens = 256
    prompt: str = "{question}"


class SourceRows(NamedTuple):
    """A source's rows, each with its part if the source says so; the parts that it has; and what it is.

    `own`: the user can mend them, so repeated questions are refused and not left out.
    """

    rows: Sequence[tuple[Row, Split | None]]
    parts: frozenset[Split]
    source: str
    origin: str
    own: bool = True


def make_table(layout: Columns, find: Callable[[], SourceRows]) -> tuple[Style, Loader]:
    """The parts of the task over the rows that `find` reads, one example each.

    Raises:
        ConfigError: If options contradict each other or make no sense.
    """
    _check_options(layout)
    style = Style(
        name=layout.name,
        scorer=layout.scorer,
        max_new_tokens=layout.max_new_tokens,
        prompt=lambda question, choices: word_prompt(layout.prompt, question, choices),
        completion=wording.word_program if layout.tests else wording.word_answer,
    )
    return style, lambda: _load(layout, find())


def read_example(row: Row, layout: Columns, part: Split | None, parts: frozenset[Split]) -> Example:
    """One row as an example, in the split of its source or, if that says none, by the hash of its question.

    Raises:
        DataError: A column is missing, empty or of a wrong form, naming the line.
    """
    talk = _talk(row, layout.messages) if layout.messages else Talk((), _text(row, layout.question), None)
    question, before = talk.question, talk.before
    choices = _choices(row, layout.choices) if layout.choices else ()
    answer, solution, accepted = _gold(row, layout, choices, talk.answer)
    group = _group(row, layout.group) if layout.group else ""
    kept = group or opening_of(before, question)
    return Example(
        id=_text(row, layout.id) if layout.id else digest(question, answer, *choices, *map(encode, before))[:16],
        task=layout.name,
        split=choose_split(kept, part or "train", parts if part else {"train"}, layout.dev, layout.test),
        question=question,
        answer=answer,
        choices=choices,
        tests=_tests(row, layout) if layout.tests else "",
        solution=solution,
        skill=_text(row, layout.skill) if layout.skill else "",
        group=group,
        before=before,
        accepted=accepted,
    )


def cut_at_mark(text: str, after: str) -> tuple[str, str]:
    """The answer after the last mark `after`, and the solution before it; all of it the answer if there is none."""
    if not after or after not in text:
        return text.strip(), ""
    solution, _, answer = text.rpartition(after)
    return answer.strip(), solution.strip()


def column_split(row: Row) -> Split | None:
    """What the row's own column `split` says; None if there is no such column.

    Raises:
        DataError: It says something else than train, dev or test.
    """
    if "split" not in row.values:
        return None
    for split in SPLITS:
        if row.values["split"] == split:
            return split
    raise DataError(f'The split {row.values["split"]!r} on {row.place} is not known; use "train", "dev" or "test".')


def word_prompt(prompt: str, question: str, choices: Sequence[str]) -> str:
    """The user message; options follow the question if the prompt does not place them."""
    listed = wording.list_choices(choices)
    text = prompt if not listed or "{choices}" in prompt else prompt + "\n{choices}"
    # Not str.format: a question may hold braces, and so may the rest of the prompt.
    head, _, tail = text.partition("{question}")
    return head.replace("{choices}", listed) + question + tail.replace("{choices}", listed)


def _load(layout: Columns, found: SourceRows) -> Loaded:
    examples = [read_example(row, layout, part, found.parts) for row, part in found.rows]
    if not found.own:
        examples = drop_repeats(examples)
        _check_ids(found.source, examples)
        return Loaded(examples, found.origin, found.source)
    rows = [row for row, _ in found.rows]
    _check_rows(rows, examples, bool(layout.id))
    _check_splits(found.source, examples)
    name = Path(found.source).name
    places = {one.id: f"{row.mark} of '{name}'" for one, row in zip(examples, rows, strict=True)}
    return Loaded(examples, found.origin, found.source, places=places)


def _check_options(layout: Columns) -> None:
    dev, test = layout.dev, layout.test
    if dev < 0 or test < 0 or dev + test > 1:
        raise ConfigError(f"The shares dev = {dev} and test = {test} must not be negative or exceed 1 together.")
    if layout.max_new_tokens < 1:
        raise ConfigError(
            f"max_new_tokens = {layout.max_new_tokens} leaves no room for an answer; set it to 1 or more."
        )
    if layout.prompt.count("{question}") != 1:
        raise ConfigError("The task's prompt must contain '{question}' exactly once; add it where the question goes.")
    if layout.count_from is not None and not layout.choices:
        raise ConfigError("count_from numbers the options, but the task names no 'choices'; name them or leave it out.")
    if layout.entry_point and not layout.tests:
        raise ConfigError("entry_point names the function to test, but the task names no 'tests'; name their column.")


def _talk(row: Row, column: str) -> Talk:
    """The conversation in a column: a list of messages, or the same as JSON text."""
    value = _value(row, column)
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(*NOT_JSON):
            value = parse_json(value)
    try:
        return read_talk(value)
    except ValueError as error:
        raise DataError(f"Column '{column}' on {row.place} {error}; give messages with role and content.") from None


def _gold(row: Row, layout: Columns, choices: Sequence[str], said: str | None) -> tuple[str, str, tuple[str, ...]]:
    """The row's gold answer, worked solution and other accepted answers; tests that judge need no reference answer.

    `said` is what the assistant answered in the row's conversation: the answer if the row has no other, else the
    solution.
    """
    given = row.values.get(layout.answer) is not None
    if layout.tests and not given and said is None:
        return "", "", ()
    listed, solution = _answers(row, layout, None if given else said)
    if said is not None and given:
        solution = solution or said
    if layout.solution:
        solution = _text(row, layout.solution)
    read = [_name_option(row, layout, text, choices) for text in listed]
    first = ", ".join(dict.fromkeys(read)) if layout.several == "all" else read[0]
    others = _accepted(row, layout.accepted) if layout.accepted else []
    more = [] if layout.several == "all" else read[1:]
    more += [_name_option(row, layout, text, choices) for text in others]
    return first, solution, tuple(other for other in dict.fromkeys(more) if other != first)


def _answers(row: Row, layout: Columns, said: str | None) -> tuple[list[str], str]:
    """The texts of the answer column, or what was said in its place, and the solution before a mark."""
    listed = _list(row, layout.answer) if said is None else None
    if listed is not None:
        return listed, ""
    answer, solution = cut_at_mark(_text(row, layout.answer) if said is None else said, layout.after)
    if not answer:
        raise DataError(f"Column '{layout.answer}' on {row.place} has nothing after '{layout.after}'; complete it.")
    return [answer], solution


def _list(row: Row, column: str) -> list[str] | None:
    """The texts of a cell that holds a list, or several `text`s as in SQuAD; None if it holds one value."""
    value = _value(row, column)
    if isinstance(value, Mapping):
        value = value.get("text")
    if not isinstance(value, list):
        return None
    if not value:
        raise DataError(f"Column '{column}' on {row.place} is empty; fill it or remove the line.")
    return [_plain(row, column, item) for item in value]


def _accepted(row: Row, column: str) -> list[str]:
    """The other answers of a row; an empty cell has none."""
    value = _value(row, column)
    if value is None or value in ("", []):
        return []
    listed = _list(row, column)
    texts = _text(row, column).split("|") if listed is None else listed
    return [text.strip() for text in texts if text.strip()]


def _name_option(row: Row, layout: Columns, answer: str, choices: Sequence[str]) -> str:
    """An answer as the scorer takes it: the letter of the option that it numbers or labels, else as it is."""
    if layout.count_from is not None:
        return _counted(row, answer, layout.count_from, len(choices))
    labels = _labels(row, layout.choices, len(choices)) if isinstance(layout.choices, str) else []
    if answer in labels:
        return wording.LETTERS[labels.index(answer)]
    # The text of an option may hold a comma, so in a list of several only its letter is clear.
    return wording.LETTERS[choices.index(answer)] if layout.several == "all" and answer in choices else answer


def _labels(row: Row, column: str, options: int) -> list[str]:
    """What the options are called if the column says so beside their texts, as in ARC; else nothing."""
    value = row.values.get(column)
    labels = value.get("label") if isinstance(value, Mapping) else None
    if labels is None:
        return []
    if not isinstance(labels, list) or len(labels) != options or len(set(map(str, labels))) < options:
        raise DataError(f"Column '{column}' on {row.place} has {options} options; give each one a label of its own.")
    return [str(label) for label in labels]


def _counted(row: Row, answer: str, start: int, options: int) -> str:
    """The letter of the option with the given number, the first one being `start`."""
    known = [str(number) for number in range(start, start + options)]
    if answer not in known:
        raise DataError(
            f"The answer '{answer}' on {row.place} is not a number from {known[0]} to {known[-1]}; correct it."
        )
    return wording.LETTERS[known.index(answer)]


def _tests(row: Row, layout: Columns) -> str:
    value = _value(row, layout.tests)
    if isinstance(value, list) and value:
        tests = "\n".join(_plain(row, layout.tests, line) for line in value)
    else:
        tests = _text(row, layout.tests)
    return f"{tests}\ncheck({_text(row, layout.entry_point)})" if layout.entry_point else tests


def _choices(row: Row, columns: str | tuple[str, ...]) -> tuple[str, ...]:
    """The options: one column with a list of them (or with their `text`s), or a column each."""
    if not isinstance(columns, str):
        values = [_value(row, column) for column in columns]
        while len(values) > _FEWEST and (values[-1] is None or values[-1] == ""):
            values.pop()  # a question with fewer options than others leaves the last columns empty
        return tuple(_plain(row, column, value) for column, value in zip(columns, values, strict=False))
    value = _value(row, columns)
    if isinstance(value, Mapping):
        value = value.get("text")
    if not isinstance(value, list) or not 2 <= len(value) <= _MOST:
        raise DataError(
            f"Column '{columns}' on {row.place} is not a list of 2 to {_MOST} options; write a list of texts, or"
            " name one column for each option."
        )
    return tuple(_plain(row, columns, choice) for choice in value)


def _group(row: Row, column: str) -> str:
    """What the row belongs to; an empty cell belongs to nothing."""
    value = _value(row, column)
    return "" if value is None or value == "" else _plain(row, column, value)


def _value(row: Row, column: str) -> Any:
    if column not in row.values:
        there = ", ".join(row.values) or "none"
        raise DataError(f"There is no column '{column}' on {row.place}; it has {there}; set the task's column names.")
    return row.values[column]


def _text(row: Row, column: str) -> str:
    return _plain(row, column, _value(row, column))


def _plain(row: Row, column: str, value: Any) -> str:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value):
        value = str(value)
    if not isinstance(value, str):
        raise DataError(f"Column '{column}' on {row.place} is not text or a number; write it as a string.")
    if not value.strip():
        raise DataError(f"Column '{column}' on {row.place} is empty; fill it or remove the line.")
    return value.strip()


def _check_rows(rows: Sequence[Row], examples: Sequence[Example], named: bool) -> None:
    """Refuse an id, or a whole row, that is there twice."""
    seen: dict[str, str] = {}
    for row, example in zip(rows, examples, strict=True):
        first = seen.setdefault(example.id, row.mark)
        if first != row.mark and named:
            raise DataError(f"{row.source} has the id '{example.id}' on {first} and on {row.mark}; make ids unique.")
        if first != row.mark:
            raise DataError(f"{row.source} repeats {first} on {row.mark}; remove one of them.")


def _check_ids(source: str, examples: Sequence[Example]) -> None:
    """Refuse ids that start again in each split, as many datasets number their rows."""
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"{source} has the id '{example.id}' twice; leave out the task's 'id'.")
        seen.add(example.id)


def _check_splits(source: str, examples: Sequence[Example]) -> None:
    """Refuse a file whose own `split` column puts one question into two splits."""
    seen: dict[tuple[str, ...], Split] = {}
    for example in examples:
        first = seen.setdefault(identity(example), example.split)
        if first != example.split:
            raise DataError(
                f"{source} has the question '{example.question[:60]}' in the splits {first} and {example.split};"
                " keep it in one."
            )

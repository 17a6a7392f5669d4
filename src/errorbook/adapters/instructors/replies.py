"""What an instructor's model replies, as types whose JSON schema is asked for, and the checks that types cannot make.

A check raises InvalidReply with a sentence for the model, which is then asked again. It looks at one reply alone: the
answer itself, duplicates and contamination are checked by `verify`. The order of fields is the order in which a model
writes them, so what has to be thought first stands first.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from errorbook.adapters.scorers.numbers import read_quantity
from errorbook.adapters.tasks.wording import LETTERS
from errorbook.checks.eaten_backslashes import find_doubtful, find_eaten, find_in_code, restore_commands
from errorbook.errors import UnjudgedError
from errorbook.llm.records import InvalidReply
from errorbook.records import Example

_LETTERED = re.compile(r"\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)s? (?:is )?\(?[A-H]\)?(?![\w'])")
_LONGEST_KIND = 60
_CODE = frozenset({"entry_point", "program", "tests"})
"""Fields that hold Python."""
T = TypeVar("T")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every reply: immutable, all fields required."""


class Analysis(Reply, frozen=True, kw_only=True):
    """A diagnosis of a mistake."""

    first_wrong_step: str
    misconception: str
    error_kind: str
    skill: str
    difficulty: int


class ContrastAnalysis(Analysis, frozen=True, kw_only=True):
    """A diagnosis that also says what separates the mistake from what the student can do."""

    border: str


class Worked(Reply, frozen=True, kw_only=True):
    """A question with a number or a short text as its answer."""

    question: str
    solution: str
    answer: str


class ChoiceReply(Reply, frozen=True, kw_only=True):
    """A question with options, the right one apart from the wrong ones."""

    question: str
    solution: str
    right_option: str
    wrong_options: tuple[str, ...]


class Coding(Reply, frozen=True, kw_only=True):
    """A programming exercise with its tests."""

    question: str
    entry_point: str
    solution: str
    program: str
    tests: tuple[str, ...]


class WorkedDrafts(Reply, frozen=True, kw_only=True):
    """Several of them."""

    drafts: tuple[Worked, ...]


class ChoiceDrafts(Reply, frozen=True, kw_only=True):
    """Several of them."""

    drafts: tuple[ChoiceReply, ...]


class CodingDrafts(Reply, frozen=True, kw_only=True):
    """Several of them."""

    drafts: tuple[Coding, ...]


class Solved(Reply, frozen=True, kw_only=True):
    """A solution of a question that is given; the answer is a letter if the question has options."""

    solution: str
    answer: str


class Programmed(Reply, frozen=True, kw_only=True):
    """A program for an exercise that is given."""

    solution: str
    program: str


class Combined(Reply, frozen=True, kw_only=True):
    """An analysis and the drafts against it; see `combine` for the types that are asked for."""

    analysis: Analysis
    drafts: tuple[Any, ...]


class BlindAnswer(Reply, frozen=True, kw_only=True):
    """An answer by somebody who has seen the question only."""

    reasoning: str
    answer: str
    sound: bool


class DraftParts(NamedTuple):
    """The parts of a draft that depend on the kind of its task."""

    question: str
    solution: str
    answer: str
    choices: tuple[str, ...] = ()
    tests: str = ""


@cache
def combine(analysis: type[Analysis], drafts: type[Reply]) -> type[Combined]:
    """The type of a reply that holds an analysis of one type and, after it, what replies of the other type hold."""
    fields = [("analysis", analysis), ("drafts", get_type_hints(drafts)["drafts"])]
    name = f"{analysis.__name__}And{drafts.__name__}"
    combined: type[Any] = msgspec.defstruct(name, fields, bases=(Combined,), frozen=True, kw_only=True)
    return combined


def restore(reply: T) -> T:
    """The reply with the commands of LaTeX whose backslash was read as a part of an escape in JSON.

    Raises:
        InvalidReply: It holds control characters that may stand for something else.
    """
    told = msgspec.json.encode(reply)
    if b"\\" not in told:  # JSON spells every control character with a backslash
        return reply
    given = msgspec.to_builtins(reply)
    mended = _mend(given)
    find = find_eaten if mended == given else find_doubtful
    found = next((place for text, code in _list_texts(mended) if (place := (find_in_code if code else find)(text))), "")
    if found:
        raise InvalidReply(
            f"A control character stands in the text ({found}); within JSON write each backslash of a command twice."
        )
    return msgspec.convert(mended, type(reply))


def _mend(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return value if name in _CODE else restore_commands(value)
    if isinstance(value, dict):
        return {key: _mend(part, key) for key, part in value.items()}
    return [_mend(part, name) for part in value] if isinstance(value, list | tuple) else value


def _list_texts(value: Any, name: str = "") -> Iterator[tuple[str, bool]]:
    """Every text, and whether it is a program: to that, white space is no matter of taste."""
    if isinstance(value, str):
        yield value, name in _CODE
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _list_texts(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _list_texts(part, name)


def check_analysis(reply: Analysis, response: str) -> Analysis:
    """The diagnosis, its quote exactly as it stands in the response."""
    for field in ("misconception", "error_kind", "skill"):
        _require(getattr(reply, field), field)
    if isinstance(reply, ContrastAnalysis):
        _require(reply.border, "border")
    if len(reply.error_kind) > _LONGEST_KIND:
        raise InvalidReply(f"error_kind is a name of two to four words, not a sentence of {len(reply.error_kind)}.")
    if not 1 <= reply.difficulty <= 5:
        raise InvalidReply(f"difficulty is a number from 1 to 5, not {reply.difficulty}.")
    step = find_quote(reply.first_wrong_step, response)
    kind = " ".join(reply.error_kind.replace("_", " ").casefold().split())
    return msgspec.structs.replace(reply, first_wrong_step=step, error_kind=kind)


def find_quote(step: str, response: str) -> str:
    """The place of the response that `step` quotes, whatever the white space between its words."""
    words = step.split()
    if not words:
        if response.strip():
            raise InvalidReply("first_wrong_step is empty; copy the first wrong step from the response.")
        return ""
    # A quote that is longer than what it quotes needs no search, whose pattern would be as long.
    short = sum(map(len, words)) <= len(response)
    found = re.search(r"\s+".join(map(re.escape, words)), response) if short else None
    if found is None:
        shown = step.strip()[:80]
        raise InvalidReply(f"first_wrong_step is not in the response: {shown!r}; copy it character for character.")
    return found.group()


def check_worked(reply: WorkedDrafts, *, numeric: bool) -> list[DraftParts]:
    """Drafts with a number as answer or, if not `numeric`, any short text."""
    parts = []
    for number, draft in _numbered(reply.drafts):
        _complete(draft.question, draft.solution, number)
        _require(draft.answer, f"the answer of draft {number}")
        if numeric and read_quantity(draft.answer) is None:
            raise InvalidReply(f"The answer of draft {number} is not one number: {draft.answer[:60]!r}.")
        parts.append(DraftParts(draft.question.strip(), draft.solution.strip(), draft.answer.strip()))
    return parts


def check_choice(reply: ChoiceDrafts, options: int, seed: int) -> list[DraftParts]:
    """Drafts whose options are shuffled, so that a model's liking for one place teaches nothing.

    `options` is how many there must be, 0 if at least two will do.
    """
    parts = []
    for number, draft in _numbered(reply.drafts):
        _complete(draft.question, draft.solution, number)
        texts = [draft.right_option.strip(), *(option.strip() for option in draft.wrong_options)]
        same = {" ".join(text.split()).casefold() for text in texts}
        if "" in same or len(same) < len(texts):
            raise InvalidReply(f"Two options of draft {number} are the same, or one is empty.")
        if len(texts) != options if options else not 2 <= len(texts) <= len(LETTERS):
            wanted = f"{options} options, the right one among them" if options else "two options at least"
            raise InvalidReply(f"Draft {number} must have {wanted}; it has {len(texts)}.")
        if _LETTERED.search(draft.solution):
            raise InvalidReply(f"The solution of draft {number} names an option by a letter; say what it says instead.")
        order = random.Random(f"{seed}:{draft.question}").sample(range(len(texts)), len(texts))  # noqa: S311
        shuffled = tuple(texts[place] for place in order)
        parts.append(DraftParts(draft.question.strip(), draft.solution.strip(), LETTERS[order.index(0)], shuffled))
    return parts


def check_coding(reply: CodingDrafts) -> list[DraftParts]:
    """Drafts whose program defines its function, and whose tests are assertions that call it."""
    parts = []
    for number, draft in _numbered(reply.drafts):
        _complete(draft.question, draft.solution, number)
        fault = _read_program(draft)
        if fault == "program":
            raise InvalidReply(f"The program of draft {number} is not Python that defines {draft.entry_point!r}.")
        if len(draft.tests) < 2:
            raise InvalidReply(f"Draft {number} needs two tests at least.")
        if fault:
            raise InvalidReply(
                f"A test of draft {number} is not one assert that calls {draft.entry_point}: {fault[:60]!r}."
            )
        tests = "\n".join(test.strip() for test in draft.tests)
        parts.append(DraftParts(draft.question.strip(), draft.solution.strip(), draft.program.strip(), tests=tests))
    return parts


def check_solved(reply: Solved, example: Example, *, numeric: bool) -> list[DraftParts]:
    """The solution as the one draft of its question, with the bare letter if that has options."""
    _require(reply.solution, "solution")
    _require(reply.answer, "answer")
    single = bool(example.choices) and len(example.answer) == 1  # else several options are right, or none is named
    answer = _read_letter(reply.answer, example.choices) if single else reply.answer.strip()
    if numeric and read_quantity(answer) is None:
        raise InvalidReply(f"answer is one number, not {answer[:60]!r}.")
    return [DraftParts(example.question, reply.solution.strip(), answer, example.choices)]


def check_programmed(reply: Programmed, example: Example) -> list[DraftParts]:
    """The program as the one draft of its exercise; whether it passes the tests, verification finds."""
    _require(reply.program, "program")
    return [DraftParts(example.question, reply.solution.strip(), reply.program.strip(), tests=example.tests)]


def check_blind(reply: BlindAnswer, choices: Sequence[str]) -> BlindAnswer:
    """A blind answer, as the bare letter if there are options."""
    answer = reply.answer.strip()
    if not reply.sound:
        return reply
    _require(answer, "answer")
    if not choices:
        return msgspec.structs.replace(reply, answer=answer)
    return msgspec.structs.replace(reply, answer=_read_letter(answer, choices))


def _read_letter(answer: str, choices: Sequence[str]) -> str:
    letter = answer.strip().strip("().").upper()
    if letter not in LETTERS[: len(choices)] or len(letter) != 1:
        raise InvalidReply(f"answer is one letter from A to {LETTERS[len(choices) - 1]}, not {answer[:40]!r}.")
    return letter


def _numbered(drafts: Sequence[T]) -> list[tuple[int, T]]:
    if not drafts:
        raise InvalidReply("There are no drafts; write as many as are asked for.")
    return list(enumerate(drafts, start=1))


def _complete(question: str, solution: str, number: int) -> None:
    _require(question, f"the question of draft {number}")
    _require(solution, f"the solution of draft {number}")


def _require(text: str, name: str) -> None:
    if not text.strip():
        raise InvalidReply(f"{name[0].upper()}{name[1:]} is empty; write it.")


def _read_program(draft: Coding) -> str:
    """What is wrong with a draft's Python; a text that holds up the parser is no program either.

    Raises:
        UnjudgedError: The machine is too busy to tell. The reply is bought already, and is read again from the store.
    """
    from errorbook.sandbox.patience import BusyError
    from errorbook.sandbox.reading import UnreadableError, read

    try:
        return str(read("find_broken_part", draft.program, draft.entry_point, list(draft.tests)))
    except UnreadableError:
        return "program"
    except BusyError as error:
        raise UnjudgedError.of(1, 1, "drafted programs", str(error)) from None

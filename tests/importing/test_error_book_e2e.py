"""A real error book: a published model's recorded responses, imported, diagnosed and written against over a socket.

GSM8K's wrong responses were not published with the right ones; its mistakes here are those that the scorer finds among
the responses that were recorded as right.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from teacher_kit import blocks, outside

from errorbook import plugins
from errorbook.adapters.instructors.endpoint import openai
from errorbook.adapters.retrievers.tfidf import Tfidf
from errorbook.checks.taken import Protected, Taken
from errorbook.diagnose import add_contrasts, diagnose, find_mistakes
from errorbook.instruct import assign, instruct
from errorbook.interfaces import Instructor
from errorbook.ledger.file import open_ledger
from errorbook.records import (
    Assignment,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Failure,
    Marked,
    Mistake,
    Sample,
    digest,
)
from errorbook.testing import Faults, Turn, server
from errorbook.verify import Evidence, verify

RECORDED = Path(os.environ.get("ERRORBOOK_DATA", "/nowhere")) / "responses" / "mistral-7b-instruct"
TASKS = {"gsm8k": ("right",), "mmlu": ("right", "wrong"), "mbpp": ("right", "wrong")}
MOST = 40

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="ERRORBOOK_DATA does not name the reference data")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Mistake]]:
    """Up to 40 mistakes of each task's imported book, each with the right responses nearest to it."""
    folder = tmp_path_factory.mktemp("books")
    return {task: _mistakes(folder / task, task, labels) for task, labels in TASKS.items()}


def _mistakes(folder: Path, task: str, labels: Sequence[str]) -> list[Mistake]:
    program = str(Path(sys.executable).parent / "errorbook")
    for label in labels:
        file = str(RECORDED / f"{task}_{label}.jsonl")
        how = ["--label", label] if len(labels) > 1 else ["--rescore"]
        command = [program, "import", file, "--task", task, "--model", "mistral-7b", "--out", str(folder), *how]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    with open_ledger(folder) as ledger:
        *_, book = ledger.all(Evaluation)
        examples = list(ledger.all(Example))
        marked = {
            response.example: Marked(response=response, verdict=response.score.verdict)
            for response in ledger.responses(book)
        }
    found = find_mistakes(examples, marked, "contrast")[:MOST]
    return add_contrasts(found, examples, marked, Tfidf(), 2)


def teacher(turns: Sequence[Turn]) -> str:
    """A sensible reply to every prompt, of the form that its kind of task asks for."""
    asked = next(turn.content for turn in turns if turn.role == "user")
    data, said = blocks(asked), outside(asked).lower()
    if "find out why" in said:
        return json.dumps(_analysis(data))
    count = int(re.findall(r"write (\d+) new", said)[0])
    write = _exercise if "tests" in data else _quiz if "options" in data else _sum
    start = int(digest(asked)[:6], 16)
    return json.dumps({"drafts": [write(start + place) for place in range(count)]})


def _analysis(data: dict[str, str]) -> dict[str, Any]:
    lines = [line for line in data["response"].splitlines() if line.strip()]
    found = {
        "first_wrong_step": lines[-1] if lines else "",
        "misconception": "The last step is taken for granted.",
        "error_kind": "unchecked last step",
        "skill": "checking",
        "difficulty": 2,
    }
    return {**found, "border": "It takes one step more."} if "near-question" in data else found


def _sum(n: int) -> dict[str, Any]:
    return {
        "question": f"A library has {n} books and buys {n % 97} more; how many has it now?",
        "solution": f"{n} + {n % 97} = {n + n % 97}",
        "answer": str(n + n % 97),
    }


def _quiz(n: int) -> dict[str, Any]:
    return {
        "question": f"Which number comes right after {n}?",
        "solution": "Counting on by one gives it.",
        "right_option": str(n + 1),
        "wrong_options": [str(n + 2), str(n + 3), str(n - 1)],
    }


def _exercise(n: int) -> dict[str, Any]:
    return {
        "question": f"Write a function beyond(x) that returns x plus {n}, for any whole number x.",
        "entry_point": "beyond",
        "solution": "The two numbers are added.",
        "program": f"def beyond(x):\n    return x + {n}",
        "tests": [f"assert beyond(0) == {n}", f"assert beyond(-1) == {n - 1}"],
    }


def diagnosed(by: Instructor, mistakes: Sequence[Mistake]) -> tuple[list[tuple[Mistake, Diagnosis]], list[Failure]]:
    pairs, failures = [], []
    for mistake, result, call in diagnose(by, mistakes):
        assert call.subject == mistake.response.hash
        if isinstance(result, Failure):
            failures.append(result)
        else:
            pairs.append((mistake, result))
    return pairs, failures


def written(by: Instructor, assignments: Sequence[Assignment]) -> tuple[list[Draft], list[Failure]]:
    """All drafts and failures; every assignment ends as one or the other."""
    drafts: list[Draft] = []
    failures: list[Failure] = []
    ended = []
    for assignment, result, _ in instruct(by, assignments):
        ended.append(assignment.hash)
        if isinstance(result, Failure):
            failures.append(result)
        else:
            assert len(result) == assignment.count
            drafts += result
    assert sorted(ended) == sorted(assignment.hash for assignment in assignments)
    return drafts, failures


@pytest.mark.parametrize("task", TASKS)
def test_every_mistake_of_a_real_book_ends_as_drafts_or_with_a_reason(
    task: str, books: dict[str, list[Mistake]]
) -> None:
    mistakes = books[task]
    assert 10 < len(mistakes) <= MOST
    assert all(len(mistake.contrasts) == 2 for mistake in mistakes)
    # High shares: some questions meet a fault three times in a row, and must end as failures.
    faults = Faults(rate_limited=0.05, cut=0.05, truncated=0.2, wrong_json=0.2, malformed=0.1, retry_after=0.0)
    with server(faults=faults, script=teacher) as provider:
        by = openai(model="teacher", base_url=provider.base_url)
        pairs, failures = diagnosed(by, mistakes)
        assignments = assign(pairs, 2 * len(pairs), cycle=1)
        drafts, unwritten = written(by, assignments)
        met = provider.stats().faults

    assert len(pairs) + len(failures) == len(mistakes)
    assert {mistake.example.id for mistake, _ in pairs} <= {mistake.example.id for mistake in mistakes}
    assert len(pairs) > len(mistakes) / 2
    assert all(failure.reason for failure in failures + unwritten)
    assert len(drafts) == 2 * (len(assignments) - len(unwritten))
    assert {"truncated", "wrong_json"} <= met.keys()
    assert_verified(task, drafts, {one.hash: one for one in assignments})


def assert_verified(task: str, drafts: Sequence[Draft], assignments: dict[str, Assignment]) -> None:
    """Programs are proved by their tests; of the others nothing but the instructor vouches for the answer."""
    made = plugins.create("tasks", task)
    scorer = plugins.create("scorers", made.scorer)
    asked = {draft.hash: assignments[draft.assignment].mistake for draft in drafts}
    wrong = {draft: mistake.response.text for draft, mistake in asked.items() if mistake}
    taken, protected = Taken(0.8), Protected([], [], 13)
    outcomes = list(verify(drafts, {task: (made, scorer)}, taken, protected, Evidence(wrong=wrong)))
    reasons = Counter("" if isinstance(outcome, Sample) else outcome.reason for outcome in outcomes)

    assert len(outcomes) == len(drafts)
    if task == "mbpp":
        assert reasons.keys() <= {"", "duplicate", "near_duplicate"}, reasons
        assert reasons[""] > 0
    else:
        assert reasons.keys() == {"unverifiable"}, reasons


@pytest.mark.parametrize("task", TASKS)
def test_replies_that_are_true_to_the_form_only_are_failures_and_none_is_lost(
    task: str, books: dict[str, list[Mistake]]
) -> None:
    mistakes = books[task][:12]
    with server(script=teacher) as provider:
        pairs, _ = diagnosed(openai(model="teacher", base_url=provider.base_url), mistakes)
    with server() as provider:  # fills the schema with made-up words
        by = openai(model="chatterbox", base_url=provider.base_url)
        nothing, failures = diagnosed(by, mistakes)
        drafts, unwritten = written(by, assign(pairs, len(pairs), cycle=1))
        requests = provider.stats().requests

    assert (len(pairs), nothing, drafts) == (len(mistakes), [], [])
    assert (len(failures), len(unwritten)) == (len(mistakes), len(mistakes))
    assert all(re.search("not in the response|difficulty is", failure.reason) for failure in failures)
    assert requests == 3 * 2 * len(mistakes), "each is asked again twice, with the fault shown, and no more"

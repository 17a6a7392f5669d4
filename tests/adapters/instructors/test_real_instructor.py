"""A real language model behind a real endpoint, as a hopeless instructor: nothing crashes, nothing wrong is accepted.

SmolLM2 with 135 million parameters is served over a socket by the test server. Served plainly, it hardly ever writes
the JSON that is asked for; served as an endpoint that forces the form, its replies have the form and little sense.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence

import pytest
from teacher_kit import mistake, outside

from errorbook.adapters.instructors.endpoint import openai
from errorbook.adapters.scorers.numeric import Numeric
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.adapters.tasks.arithmetic_problems import SKILLS, make
from errorbook.checks.taken import Protected, Taken
from errorbook.diagnose import diagnose
from errorbook.instruct import assign, instruct
from errorbook.records import Call, Diagnosis, Draft, Example, Failure, Generation, Mistake, Rejection, Sample
from errorbook.testing import Faults, Turn, server
from errorbook.verify import Evidence, hide_answer, verify

pytestmark = pytest.mark.slow

QUESTIONS = {"What is 47 + 38?": "85", "What is 90 - 27?": "63", "What is 6 * 14?": "84"}
TOKENS = 64
FEW_TOKENS = 24
"""What it writes without a form is no JSON from the first token on."""
EACH = 3
"""Drafts against one mistake."""


class Student:
    """SmolLM2's own words for a prompt."""

    def __init__(self) -> None:
        self._model = TransformersTarget("smollm2-135m-instruct", device="cpu")

    def say(self, prompt: str, tokens: int = TOKENS) -> str:
        [said] = self._model.generate([prompt], Generation(max_new_tokens=tokens))
        return said.text

    def talk(self, turns: Sequence[Turn]) -> str:
        """A plain endpoint: what is asked goes in, what it says comes out."""
        return self.say("\n\n".join(turn.content for turn in turns), FEW_TOKENS)

    def fill_in(self, turns: Sequence[Turn]) -> str:
        """An endpoint that forces the form: questions come from a list, the answers to them are its own."""
        asked = turns[-1].content
        if "new practice question" not in outside(asked):
            return json.dumps({"reasoning": "So it is.", "answer": self.answer(asked)[1], "sound": True})
        drafts = []
        for question in problems(asked):
            solution, answer = self.answer(question)
            drafts.append({"question": question, "solution": solution, "answer": answer})
        return json.dumps({"drafts": drafts})

    def answer(self, question: str) -> tuple[str, str]:
        """What it says to a question, and the last number in it."""
        said = self.say(Arithmetic().prompt(question)).strip()
        numbers = re.findall(r"\d+", said)
        return said or "?", numbers[-1] if numbers else "0"


def problems(asked: str) -> Iterator[str]:
    """Easy problems, other ones for other prompts; the right answers stay out of it."""
    rng = random.Random(asked)
    for _ in range(EACH):
        yield make(rng.choice(SKILLS[:4]), 1, rng).question


@pytest.fixture(scope="module")
def student() -> Student:
    return Student()


@pytest.fixture(scope="module")
def mistakes() -> list[Mistake]:
    found = []
    for question, answer in QUESTIONS.items():
        example = Example(
            id=question, task="arithmetic", split="train", question=question, answer=answer, skill="add_carry"
        )
        found.append(mistake(example, f"It is {int(answer) + 10}.\nAnswer: {int(answer) + 10}"))
    return found


def pair(of: Mistake) -> tuple[Mistake, Diagnosis]:
    """A mistake with a diagnosis that somebody else made."""
    diagnosis = Diagnosis(
        response=of.response.hash,
        example=of.example.id,
        task=of.example.task,
        strategy=of.strategy,
        error_kind="dropped carry",
        misconception="The carried ten is dropped.",
        skill="carrying",
    )
    return of, diagnosis


def check(drafts: Sequence[Draft], votes: dict[str, list[str]]) -> list[Sample | Rejection]:
    tasks = {"arithmetic": (Arithmetic(), Numeric())}
    taken = Taken(0.8, QUESTIONS)
    return list(verify(drafts, tasks, taken, Protected([], [], 13), Evidence(votes=votes)))


def test_a_model_that_cannot_write_the_form_costs_three_replies_an_item_and_teaches_nothing(
    student: Student, mistakes: list[Mistake]
) -> None:
    faults = Faults(refuse_schema=True, refuse_json=True)  # as servers without structured output do
    with server(faults=faults, script=student.talk) as provider:
        by = openai(model="smollm2", base_url=provider.base_url, concurrency=2, max_tokens=FEW_TOKENS)
        diagnoses = list(diagnose(by, mistakes))
        supplied = list(instruct(by, assign([pair(one) for one in mistakes[:1]], 1, cycle=1)))
        stats = provider.stats()

    assert sorted(one.example.id for one, *_ in diagnoses) == sorted(QUESTIONS)
    assert len(supplied) == 1
    results: list[tuple[object, Call]] = [(result, call) for _, result, call in [*diagnoses, *supplied]]
    failed = [result for result, _ in results if isinstance(result, Failure)]
    assert all(failure.reason for failure in failed)
    assert len(failed) >= 3, "it is hopeless"
    assert all(call.input_tokens and call.output_tokens for _, call in results), "failures have their price, too"
    assert stats.peak_in_flight <= 2
    assert stats.answered <= 3 * len(results)
    drafts = [draft for _, result, _ in supplied if not isinstance(result, Failure) for draft in result]
    assert_right(drafts, check(drafts, {}))


def test_what_it_writes_in_a_forced_form_is_accepted_only_where_it_is_right(
    student: Student, mistakes: list[Mistake]
) -> None:
    assignments = assign([pair(one) for one in mistakes], EACH * len(mistakes), cycle=1)
    with server(script=student.fill_in) as provider:
        by = openai(model="smollm2", base_url=provider.base_url, concurrency=2)
        supplied = list(instruct(by, assignments))
        drafts = [draft for _, result, _ in supplied if not isinstance(result, Failure) for draft in result]
        asked = drafts[:3]
        votes = {draft.hash: [""] for draft in asked}
        for question, vote, _ in by.vote([hide_answer(draft) for draft in asked], 1):
            votes[question.id] = ["" if isinstance(vote, Failure) else vote]

    failed = sum(isinstance(result, Failure) for _, result, _ in supplied)
    assert len(supplied) == len(mistakes)
    assert len(drafts) == EACH * (len(mistakes) - failed) > 0
    outcomes = check(drafts, {})
    assert_right(drafts, outcomes)
    assert any(isinstance(outcome, Rejection) for outcome in outcomes), "it cannot be right every time"
    assert len(check(asked, votes)) == len(asked)


def assert_right(drafts: Sequence[Draft], outcomes: Sequence[Sample | Rejection]) -> None:
    """Each draft is a sample or a rejection with a reason, and each sample's answer is what Python makes of it."""
    assert [outcome.draft for outcome in outcomes] == [draft.hash for draft in drafts]
    for outcome in outcomes:
        if isinstance(outcome, Sample):
            assert int(outcome.answer) == reckoned(outcome.question), outcome
        else:
            assert outcome.reason


def reckoned(question: str) -> int:
    """The sum or difference of the two numbers in a question, whichever it asks for; not the task's own way."""
    first, second = (int(number) for number in re.findall(r"\d+", question))
    if re.search(r"\d - \d|left", question):
        return first - second
    return first + second

"""Records of what an instructor is asked and writes, and of what becomes of its drafts."""

from __future__ import annotations

from typing import Literal

from errorbook.records.answering import Example, Mistake, Response, Verdict
from errorbook.records.base import Record
from errorbook.records.conversing import Message

NANO = 1_000_000_000
"""Parts of a dollar in which money is counted, in whole numbers, so that sums are exact."""


class Call(Record, frozen=True, kw_only=True):
    """One request to an instructor: what was asked, of whom, and what it cost.

    `prompt_hash` names the version of the prompt files; `prompt` is the text that was sent, empty if none was.
    `assumed_usd` is the part of the cost that is the worst case, because the server counted no tokens.
    """

    instructor: str
    purpose: Literal["diagnose", "write", "verify"]
    subject: str
    prompt_hash: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    assumed_usd: float = 0.0
    reply: str = ""
    prompt: str = ""


class Diagnosis(Record, frozen=True, kw_only=True):
    """The instructor's analysis of one wrong response.

    `first_wrong_step` quotes the response; `border` says what separates the mistake from the contrasts (LEC only).
    """

    response: str
    example: str
    task: str
    strategy: str
    error_kind: str
    misconception: str
    skill: str
    first_wrong_step: str = ""
    border: str = ""
    difficulty: int = 0
    contrasts: tuple[str, ...] = ()
    call: str = ""


Writing = Literal["question", "variation", "solution"]
"""What is written: a new question, a train question varied, or no more than a solution of a train question."""


class Assignment(Record, frozen=True, kw_only=True):
    """What the instructor is asked to write: `count` drafts against one diagnosis, or undirected if it is None.

    `index` and `cycle` tell assignments apart that are otherwise equal; `round` counts the attempts to fill the quota.
    `alike` holds further mistakes of the same misconception (strategy `cluster`); `exemplars` are train questions that
    show an undirected writer the form of the task, without any response, or the one that is varied or solved.
    `strategy` is empty if a diagnosis names it, and for undirected drafts. `answers` holds the target's own right
    response, if that is what is taught: then nobody is asked.
    """

    task: str
    index: int
    count: int
    cycle: int = 1
    round: int = 0
    mistake: Mistake | None = None
    diagnosis: Diagnosis | None = None
    alike: tuple[Mistake, ...] = ()
    exemplars: tuple[Example, ...] = ()
    strategy: str = ""
    writes: Writing = "question"
    answers: tuple[Response, ...] = ()

    @property
    def before(self) -> tuple[Message, ...]:
        """What stands before the questions that are to be written: the mistake's, or what all exemplars share.

        What is shared ends before a user's message whose answers differ: the question would be a second one in a row.
        """
        if self.mistake is not None:
            return self.mistake.example.before
        shared: list[Message] = []
        for messages in zip(*(one.before for one in self.exemplars), strict=False):
            if any(message != messages[0] for message in messages):
                break
            shared.append(messages[0])
        whole = all(len(one.before) == len(shared) for one in self.exemplars)
        while shared and shared[-1].role == "user" and not whole:
            shared.pop()
        return tuple(shared)


class Draft(Record, frozen=True, kw_only=True):
    """A training sample as it was written, unchecked. `assignment` is the hash of the one it answers.

    `example` is the id of the train question that was varied or, if only a solution was written, that it keeps the
    wording of. `whole` says that the solution is the whole completion, answer included: the target's own response.
    Drafts of older ledgers have no `strategy`; see `ledger.counts.name_strategy`.
    `before` is what the target reads before the question: the same as before the one that it was written against.
    """

    assignment: str
    diagnosis: str
    index: int
    task: str
    question: str
    answer: str
    solution: str
    choices: tuple[str, ...] = ()
    tests: str = ""
    skill: str = ""
    difficulty: int = 0
    call: str = ""
    strategy: str = ""
    writes: Writing = "question"
    example: str = ""
    whole: bool = False
    before: tuple[Message, ...] = ()


class Taught(Record, frozen=True, kw_only=True):
    """The analysis of a mistake and the drafts against it, out of one reply."""

    diagnosis: Diagnosis
    drafts: tuple[Draft, ...]


class Vote(Record, frozen=True, kw_only=True):
    """One blind answer to a draft's question, without sight of its answer; empty if the call gave none."""

    draft: str
    answer: str
    call: str


Cause = Literal["item", "unread", "unanswered"]
"""Whose fault a failure is: the item's own, the replies' (none of them could be used), or that of the way to them."""


class Failure(Record, frozen=True, kw_only=True):
    """Work that an instructor could not do: recorded with its reason, never swallowed."""

    subject: str
    stage: Literal["diagnose", "instruct", "verify"]
    reason: str
    cause: Cause = "item"


class Sample(Record, frozen=True, kw_only=True):
    """A draft that passed every check. Only samples (and replayed right responses) are trained on.

    `strategy`, `whole` and `before` are the draft's. `accepted` are other answers that are as right: those of the train
    question whose wording the sample keeps.
    """

    draft: str
    task: str
    question: str
    answer: str
    solution: str
    choices: tuple[str, ...] = ()
    skill: str = ""
    difficulty: int = 0
    checks: tuple[str, ...] = ()
    strategy: str = ""
    whole: bool = False
    before: tuple[Message, ...] = ()
    accepted: tuple[str, ...] = ()


class Rejection(Record, frozen=True, kw_only=True):
    """A draft that failed a check. `reason` is a short fixed word, `detail` the evidence (the matching span, say)."""

    draft: str
    task: str
    reason: str
    detail: str = ""


class Correction(Record, frozen=True, kw_only=True):
    """What a person changed: theirs beside the original, which stays as it is; the newest of a subject counts.

    `subject` is the hash of the draft ("strike" takes its sample out of the training, "edit" replaces its texts,
    "restore" undoes both) or of the response ("score": `verdict` replaces the scorer's, on train only).
    """

    subject: str
    kind: Literal["strike", "restore", "edit", "score"]
    author: str = ""
    reason: str = ""
    verdict: Verdict | None = None
    question: str = ""
    answer: str = ""
    solution: str = ""

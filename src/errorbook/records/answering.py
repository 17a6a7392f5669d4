"""Records of questions, of the target's answers to them, and of the mistakes that are picked from those."""

from __future__ import annotations

from typing import Literal

from errorbook.records.base import Record
from errorbook.records.conversing import Message

Split = Literal["train", "dev", "test"]
Verdict = Literal["right", "wrong", "unscorable"]


class Example(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One question with its gold answer. `id` is unique within the task; `tests` is for code, `choices` for options.

    Questions with one `group` belong together (a passage, a template, a source): the gate counts the group once.
    `before` is what the target reads before the question: a system message, examples that are shown, earlier turns.
    `accepted` are other answers that are as right as `answer`.
    """

    id: str
    task: str
    split: Split
    question: str
    answer: str
    choices: tuple[str, ...] = ()
    tests: str = ""
    solution: str = ""
    skill: str = ""
    difficulty: int = 0
    group: str = ""
    before: tuple[Message, ...] = ()
    accepted: tuple[str, ...] = ()


class Generation(Record, frozen=True, kw_only=True):
    """Settings of one generation: greedy if `temperature` is 0; `max_new_tokens` caps each response.

    `answer` is "options" if nothing is written: the likeliest option's letter is taken for the response. A response
    ends with the first of the strings in `stop`, if it writes one.
    """

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0
    answer: Literal["text", "options"] = "text"
    stop: tuple[str, ...] = ()


class Completion(Record, frozen=True, kw_only=True):
    """What a target wrote for one prompt. `index` is the prompt's place in the request.

    `thought` is what a server has told apart by itself; else it stands in the text, with its marks. Both count in
    `tokens`.
    """

    index: int
    text: str
    tokens: int
    truncated: bool
    prompt_hash: str
    thought: str = ""


class Score(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A scorer's verdict with the answer that it extracted and the name of the method that found it."""

    verdict: Verdict
    extracted: str = ""
    method: str = ""
    evidence: str = ""


class NoVerdict(Record, frozen=True, kw_only=True):
    """What a scorer returns instead of a score if what it judges with failed: that is no fault of the response."""

    reason: str


class Evaluation(Record, frozen=True, kw_only=True):
    """The identity of one evaluation: which checkpoint answers which examples, and how.

    `target` is the fingerprint of weights, chat template and engine; `examples` the digest of the example hashes.
    Two evaluations may be compared only if everything but `checkpoint` is equal.
    """

    checkpoint: str
    task: str
    split: Split
    target: str
    examples: str
    n: int
    generation: Generation
    scorer: str


class Response(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The target's output for one example, with its score.

    `text` is the answer, which alone is scored, and `thought` what the target thought before it; one that ends inside
    its thought has no text and is cut off. `tokens` counts both.
    """

    evaluation: str
    example: str
    task: str
    split: Split
    prompt_hash: str
    text: str
    tokens: int
    truncated: bool
    score: Score
    thought: str = ""


class Unjudged(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A response that has no verdict, because what judges it failed, for `reason`.

    It is judged again before anything counts it, and is a `Response` from then on; this record stays, as what the
    machinery did, and is no part of what two equal runs have in common.
    """

    evaluation: str
    example: str
    task: str
    split: Split
    prompt_hash: str
    text: str
    tokens: int
    truncated: bool
    reason: str
    thought: str = ""


class Marked(Record, frozen=True, kw_only=True):
    """A recorded response with the verdict that counts: the scorer's, or that of a person who corrected it."""

    response: Response
    verdict: Verdict


class Contrast(Record, frozen=True, kw_only=True):
    """A question near a mistake that the target answered right: the other half of Learning from Error by Contrast."""

    example: Example
    response: Response
    similarity: float


class Neighbours(Record, frozen=True, kw_only=True):
    """How near the contrasts of one mistake are to it: the hash of each response with its similarity, nearest first."""

    response: str
    near: tuple[tuple[str, float], ...]


class Mistake(Record, frozen=True, kw_only=True):
    """One wrong response as the instructor sees it; `contrasts` is empty in Learning from Error.

    Unless `show_gold`, a model that instructs is shown neither answer nor solution nor tests of the example.
    """

    example: Example
    response: Response
    strategy: str
    contrasts: tuple[Contrast, ...] = ()
    show_gold: bool = True


class Noise(Record, frozen=True, kw_only=True):
    """One checkpoint asked again in other batches; `evaluation` is the hash of the one that `n` was drawn from."""

    evaluation: str
    task: str
    split: Split
    n: int
    texts_differ: int
    verdicts_differ: int
    right_before: int
    right_after: int

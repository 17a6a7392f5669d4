"""Every record that crosses a stage: frozen, typed, and named by the hash of its content.

A record holds content only. Times that differ between two identical runs live elsewhere in the ledger, so that a run
that was killed and resumed ends with the same records as one that was not. This module knows no files and no models.
"""

from __future__ import annotations

import hashlib
from functools import cache, cached_property
from typing import Any, Literal

import msgspec

Split = Literal["train", "dev", "test"]
Role = Literal["learn", "guard"]
Verdict = Literal["right", "wrong", "unscorable"]
Outcome = Literal["accept", "reject", "stop"]
Start = Literal["continue", "restart"]
Objective = Literal["sft", "dpo"]
Form = Literal["adapter", "weights", "served"]
"""What a training leaves: an adapter of the base, whole weights, or a model that is served elsewhere under a name."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Base of every record: immutable, JSON-serialisable, and addressed by `hash`.

    `omit_defaults` is for kinds that come by the million: msgspec then leaves a field out if it is the same object as
    the default, which is right only if every default is None, False, 0, "" or ().
    """

    @cached_property
    def hash(self) -> str:
        """128-bit BLAKE2b of the record's type and content, as 32 hexadecimal digits."""
        return content_hash(type(self), encode(self))


def encode(record: Record) -> bytes:
    """A record's JSON without what equals its default: so a new field with a default changes no older record's hash."""
    return msgspec.json.encode(record if record.__struct_config__.omit_defaults else without_defaults(record))


def content_hash(kind: type[Record], content: bytes) -> str:
    """The hash of the record of this kind that is encoded as `content`."""
    return digest(kind.__name__, content)


def without_defaults(value: Any) -> Any:
    """Structs, at any depth, as dictionaries without what equals its default; other dictionaries sorted by key."""
    if isinstance(value, msgspec.Struct):
        given = ((name, default, getattr(value, name)) for name, default in _defaults(type(value)))
        return {name: without_defaults(item) for name, default, item in given if item != default}
    if isinstance(value, dict):
        return {name: without_defaults(item) for name, item in sorted(value.items())}
    return [without_defaults(item) for item in value] if isinstance(value, tuple) else value


@cache
def _defaults(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    fields = ((field.name, field.default, field.default_factory) for field in msgspec.structs.fields(kind))
    return tuple((name, value if make is msgspec.NODEFAULT else make()) for name, value, make in fields)


def digest(*parts: str | bytes) -> str:
    """128-bit BLAKE2b over the parts, each preceded by its length, as 32 hexadecimal digits."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


class Example(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One question with its gold answer. `id` is unique within the task; `tests` is for code, `choices` for options."""

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
    """What a target wrote for one prompt. `index` is the prompt's place in the request."""

    index: int
    text: str
    tokens: int
    truncated: bool
    prompt_hash: str


class Score(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A scorer's verdict with the answer that it extracted and the name of the method that found it."""

    verdict: Verdict
    extracted: str = ""
    method: str = ""
    evidence: str = ""


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
    """The target's output for one example, with its score."""

    evaluation: str
    example: str
    task: str
    split: Split
    prompt_hash: str
    text: str
    tokens: int
    truncated: bool
    score: Score


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
    """One wrong response as the instructor sees it; `contrasts` is empty in Learning from Error."""

    example: Example
    response: Response
    strategy: str
    contrasts: tuple[Contrast, ...] = ()


class Call(Record, frozen=True, kw_only=True):
    """One request to an instructor: what was asked, of whom, and what it cost.

    `prompt_hash` names the version of the prompt files; `prompt` is the text that was sent, empty if none was.
    """

    instructor: str
    purpose: Literal["diagnose", "write", "verify"]
    subject: str
    prompt_hash: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
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


class Assignment(Record, frozen=True, kw_only=True):
    """What the instructor is asked to write: `count` drafts against one diagnosis, or undirected if it is None.

    `index` and `cycle` tell assignments apart that are otherwise equal; `round` counts the attempts to fill the quota.
    `alike` holds further mistakes of the same misconception (strategy `cluster`); `exemplars` are train questions that
    show an undirected writer the form of the task, without any response.
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


class Draft(Record, frozen=True, kw_only=True):
    """A training sample as the instructor wrote it, unchecked. `assignment` is the hash of the one it answers."""

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


class Vote(Record, frozen=True, kw_only=True):
    """One blind answer to a draft's question, without sight of its answer; empty if the call gave none."""

    draft: str
    answer: str
    call: str


class Failure(Record, frozen=True, kw_only=True):
    """Work that an instructor could not do: recorded with its reason, never swallowed."""

    subject: str
    stage: Literal["diagnose", "instruct", "verify"]
    reason: str


class Sample(Record, frozen=True, kw_only=True):
    """A draft that passed every check. Only samples (and replayed right responses) are trained on."""

    draft: str
    task: str
    question: str
    answer: str
    solution: str
    choices: tuple[str, ...] = ()
    skill: str = ""
    difficulty: int = 0
    checks: tuple[str, ...] = ()


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


class Lesson(Record, frozen=True, kw_only=True):
    """One training pair: a user prompt before the chat template, and the completion that carries the loss.

    `source` is the hash of the sample or, for replay and preference, of the target's own response. `rejected` is the
    target's wrong response to the same prompt, if the training learns to prefer the completion over it.
    """

    prompt: str
    completion: str
    source: str
    replay: bool = False
    rejected: str = ""


class Recipe(Record, frozen=True, kw_only=True):
    """How weights change. `method` is the trainer's name, `options` are its own.

    Defaults stand in the run file's section (see `train`). `replay` is the share of lessons that rehearse the target's
    own right responses.

    `start` is "continue" (train the parent's weights on this cycle's samples) or "restart" (train the base on the
    samples of all accepted cycles and this one). `objective` is supervised fine-tuning or direct preference
    optimisation (Rafailov et al. 2023), which `beta` holds near the starting weights.
    """

    method: str
    rank: int
    alpha: int
    learning_rate: float
    epochs: float
    batch_size: int
    warmup: float
    weight_decay: float
    max_tokens: int
    replay: float
    start: Start
    seed: int
    objective: Objective
    beta: float
    options: dict[str, Any] = {}


class Checkpoint(Record, frozen=True, kw_only=True):
    """A base model plus what the trainer `method` left.

    `folder` is relative to the run's folder and empty for the base.
    """

    base: str
    base_fingerprint: str
    parent: str = ""
    method: str = ""
    form: Literal["base"] | Form = "base"
    folder: str = ""
    weights_hash: str = ""
    training_set: str = ""
    recipe: str = ""
    scale: float = 1.0


class Training(Record, frozen=True, kw_only=True):
    """What one training did: counts, not times. `losses` is the mean completion-token loss of each step, in nats."""

    training_set: str
    parent: str
    lessons: int
    replayed: int
    trainable_parameters: int
    steps: int
    tokens: int
    truncated: int
    losses: tuple[float, ...]
    folder: str
    weights_hash: str


class Comparison(Record, frozen=True, kw_only=True):
    """Two evaluations of the same examples, paired. Bounds are of the difference in accuracy (after - before).

    `p_value` is of the test that decides: exact McNemar for a task to learn, non-inferiority for a guard.
    """

    task: str
    split: Split
    role: Role
    before: str
    after: str
    n: int
    unscorable_before: int = 0
    unscorable_after: int = 0
    right_before: int
    right_after: int
    fixed: int
    broken: int
    difference: float
    low: float
    high: float
    p_value: float
    margin: float = 0.0
    passed: bool = False


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


class Rule(Record, frozen=True, kw_only=True):
    """The gate's rule, recorded before the first cycle: the run's error rate, and how often it is applied at most."""

    alpha: float
    tests: int
    learn: tuple[str, ...]
    guards: tuple[tuple[str, float], ...]

    @property
    def alpha_each(self) -> float:
        """What each application gets of the error rate (Bonferroni)."""
        return self.alpha / self.tests


class Decision(Record, frozen=True, kw_only=True):
    """What the gate said about one cycle and why; `checkpoint` is the one that the next cycle starts from."""

    cycle: int
    outcome: Outcome
    reason: str
    checkpoint: str
    candidate: str = ""
    comparisons: tuple[Comparison, ...] = ()

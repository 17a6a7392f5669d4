"""The protocols that plugins implement. One small interface per kind; behaviour lives in the adapters.

Factories are found by entry point (see `plugins`) and called with the options of the run file as keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from errorbook.records import (
        Assignment,
        Call,
        Checkpoint,
        Completion,
        Diagnosis,
        Draft,
        Example,
        Failure,
        Form,
        Generation,
        Lesson,
        Mistake,
        NoVerdict,
        Recipe,
        Score,
        Split,
        Taught,
        Training,
        Writing,
    )

Progress = Callable[[int, int], None]
"""Called with (done, total) as work finishes; totals may be estimates."""


class Task(Protocol):
    """A source of examples with splits, a prompt format and the name of its scorer."""

    @property
    def name(self) -> str:
        """The plugin's own name."""
        ...

    @property
    def scorer(self) -> str:
        """Name of the scorer plugin that judges this task's responses."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Cap on one response, in tokens, generous enough that a right answer is not cut off."""
        ...

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's examples in a fixed order, the first `n` of them; the same seed gives the same examples."""
        ...

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The user message for one question, before the chat template."""
        ...

    def completion(self, solution: str, answer: str) -> str:
        """The assistant message that a sample teaches: the worked solution and the answer in the task's format."""
        ...


@runtime_checkable
class Solver(Protocol):
    """A task that can recompute the answer of a question by itself, independently of any instructor."""

    def solve(self, question: str) -> str | None:
        """The answer, or None if the question is not one that this task understands."""
        ...


@runtime_checkable
class OptionTask(Protocol):
    """A task that can have its options weighed by their likelihood instead of read out of a text."""

    @property
    def by_likelihood(self) -> bool:
        """Whether the likeliest option's letter is the answer; the target must implement `Likelihood`."""
        ...


@runtime_checkable
class Sourced(Protocol):
    """A task that can say which data its examples come from."""

    @property
    def origin(self) -> str:
        """Files with the hash of their content, or datasets with their commit; the ledger records it."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A task that can say where an example stands in the user's data."""

    def place(self, example: Example) -> str:
        """The place for a sentence, such as "line 7 of 'my.jsonl'"; empty if it is not known."""
        ...


class Scorer(Protocol):
    """Judges one response. Never raises on odd text: what it cannot read is `unscorable`."""

    @property
    def name(self) -> str:
        """The plugin's own name."""
        ...

    def score(self, example: Example, text: str) -> Score:
        """The verdict on one response to `example`."""
        ...


@runtime_checkable
class BatchScorer(Protocol):
    """A scorer that judges many responses together faster than one by one (programs run in parallel)."""

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> Sequence[Score | NoVerdict]:
        """One verdict for each (example, response text), in their order; none for what could not be judged."""
        ...


@runtime_checkable
class FlawFinder(Protocol):
    """A scorer that can tell from an example alone that no response to it could be judged.

    Of any other scorer that judges one response at a time, the gold answer is asked instead: it must be right.
    """

    def find_flaw(self, example: Example) -> str:
        """What is wrong with the example, as a clause such as "it has no tests"; empty if nothing is.

        Raises:
            UnjudgedError: That cannot be told now.
        """
        ...


@runtime_checkable
class TestTrier(Protocol):
    """A scorer that can try the tests of examples without a program, where there is no reference solution."""

    def try_tests(self, examples: Sequence[Example]) -> Sequence[str | NoVerdict]:
        """For each what its tests fail by themselves, as a clause; empty if they do not. Raises UserError."""
        ...


@runtime_checkable
class NumberReader(Protocol):
    """A scorer that reads numbers out of prose, and may have to guess which of several is the answer."""

    def is_marked(self, score: Score) -> bool:
        """Whether the text marked the number that was read as its answer."""
        ...


@runtime_checkable
class Weightless(Protocol):
    """The factory of targets whose base is not in files on this machine: there are no weights to export."""

    @property
    def is_script(self) -> bool:
        """Whether there is no model at all behind it."""
        ...


class Target(Protocol):
    """The model being improved, behind one generation engine."""

    @property
    def fingerprint(self) -> str:
        """Hash of base weights, chat template and engine; part of every evaluation's identity."""
        ...

    @property
    def base(self) -> str:
        """The base model's name or path, as the run file gives it."""
        ...

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on; its folder is relative to `root`. Raises ModelError."""
        ...

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions in the order in which they finish; each carries its prompt's index."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector a text, shape (len(texts), width), unit length: mean-pooled hidden states (no extra model)."""
        ...

    def close(self) -> None:
        """Free the model's memory. Using the target again loads it again."""
        ...


@runtime_checkable
class BlockTarget(Protocol):
    """A target that answers several blocks of prompts at once, on other processes or machines."""

    def generate_blocks(
        self, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """(block number, that block's completions) as blocks finish; a block's composition stays as it is given."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A target that is best asked a certain number of prompts at once."""

    @property
    def block_size(self) -> int:
        """How many; a request is repeated whole, so it is also what a kill can make it answer again."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A target that may answer from memory."""

    @property
    def uncached(self) -> Target:
        """The target that does not."""
        ...


@runtime_checkable
class Applies(Protocol):
    """A target that cannot answer as every model that a training leaves; one without this takes all but "served"."""

    @property
    def forms(self) -> Sequence[Form]:
        """The values of `Checkpoint.form` that it can put to use, the base aside."""
        ...


@runtime_checkable
class Tied(Protocol):
    """A target that answers only as the base and as what certain trainers leave, at full scale."""

    @property
    def methods(self) -> Sequence[str]:
        """The trainers' names."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A target or a trainer whose tokens are paid for, under the run's cap."""

    def forecast_usd(self, read: int, written: int) -> float | None:
        """What so many tokens cost: read and written by a target, read alone by a trainer. None if it is not known."""
        ...


@runtime_checkable
class Billed(Protocol):
    """A target or a trainer that knows what the tokens of a run's answers and trainings have cost."""

    def spent_usd(self, folder: Path) -> float:
        """Dollars of all of them since the run in `folder` began, those of earlier processes included."""
        ...


@runtime_checkable
class Likelihood(Protocol):
    """A target that can tell how likely it finds given continuations: multiple choice without free text."""

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """For each prompt (by index) the summed log-probability, in nats, of each of its options as the answer."""
        ...


class Instructor(Protocol):
    """Diagnoses mistakes and writes drafts. Streams: a finished item is yielded at once, in any order."""

    @property
    def name(self) -> str:
        """The plugin's own name."""
        ...

    def diagnose(self, mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
        """One diagnosis, or the reason why there is none, for each mistake (paper section 2.3)."""
        ...

    def write(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
        """Drafts for each assignment; equal assignments give equal drafts."""
        ...


@runtime_checkable
class Versatile(Protocol):
    """An instructor that does more than write new questions, see `Assignment.writes`; one without this does only that.

    It is to solve a train question without looking at the answer and the solution that the data give.
    """

    @property
    def writings(self) -> Collection[Writing]:
        """What it can write beside a new question: "variation", "solution"."""
        ...


@runtime_checkable
class Concise(Protocol):
    """An instructor that can analyse a mistake and write drafts against it in one reply, at about half the price."""

    def teach(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Taught | Failure, Call]]:
        """Diagnosis and drafts for each assignment, which has a mistake and no diagnosis; both name the one call."""
        ...


@runtime_checkable
class Free(Protocol):
    """An instructor, or its factory, that asks no provider: its work costs nothing and has no terms of use."""

    @property
    def asks_nobody(self) -> bool:
        """True."""
        ...


@runtime_checkable
class Narrow(Protocol):
    """An instructor, or its factory, that understands some questions only."""

    def find_lack(self, example: Example) -> str:
        """Why it could not teach against a mistake on the example, as a sentence; empty if it could."""
        ...


@runtime_checkable
class Checker(Protocol):
    """An instructor that can answer questions blind, so that a draft's answer need not be taken on trust."""

    def vote(self, questions: Iterable[Example], votes: int) -> Iterator[tuple[Example, str | Failure, Call]]:
        """For each question, whose answer is left empty, `votes` independent answers, or the reason for none."""
        ...


@runtime_checkable
class Forgets(Protocol):
    """A target or an instructor that keeps replies, the ones that nothing could be made of included."""

    def forget_unread(self) -> None:
        """Ask anew, if they come again, for what was no use: invalid replies, a target's last answers."""
        ...


class Trainer(Protocol):
    """Changes weights."""

    def produces(self, recipe: Recipe) -> Form:
        """What a training by this recipe leaves; targets and exports go by it, never by the trainer's name."""
        ...

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """Train `parent` on the lessons, completion tokens only, and write the result below `root`/checkpoints.

        Resumes exactly from its last saved step after a kill. Raises StageError if nothing is trainable, no
        lesson is left, or the weights did not change.
        """
        ...


@runtime_checkable
class Choosy(Protocol):
    """A trainer that says by which recipes it cannot train; one without this takes all but "self_distill"."""

    def refuse(self, recipe: Recipe) -> str:
        """Why it cannot train by this one, as a sentence with the mend; empty if it can."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """A trainer that can say beforehand what a training takes."""

    def forecast_memory(self, recipe: Recipe) -> int | None:
        """Bytes, with one lesson as long as may be in a pass; None if the model is not on this machine yet."""
        ...


@runtime_checkable
class Parallel(Protocol):
    """A trainer whose work several processes of this machine can share."""

    def on_processes(self, count: int) -> Trainer:
        """The same trainer on `count` processes."""
        ...


class Sink(Protocol):
    """A tracker of experiments that is told what a run measured, besides the ledger. What it raises stops no run."""

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Take one step; steps come in order, and one that was taken may come again after a kill."""
        ...

    def finish(self, summary: Mapping[str, float]) -> None:
        """Take what the run came to, and close; it may be called again on a run that had ended."""
        ...


class Retriever(Protocol):
    """Finds, for each query, the nearest candidates."""

    def nearest(
        self, queries: Sequence[Example], candidates: Sequence[Example], k: int
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """For each query up to `k` pairs (candidate index, similarity in [-1, 1]), nearest first."""
        ...

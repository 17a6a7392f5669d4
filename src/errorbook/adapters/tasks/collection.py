"""A task over examples that are all there: read once, on first use, from wherever a `Loader` finds them.

Benchmarks, the user's own data and borrowed tasks differ in their loader and their words only. Not for tasks that
make examples without end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.splits import choose_examples
from errorbook.errors import DataError
from errorbook.records import Example, Split


class Style(NamedTuple):
    """What a task is called, who judges it, and how it words a question and an answer."""

    name: str
    scorer: str
    max_new_tokens: int
    prompt: Callable[[str, Sequence[str]], str]
    completion: Callable[[str, str], str]


def instructing_style(
    name: str,
    scorer: str,
    max_new_tokens: int,
    instruction: str,
    completion: Callable[[str, str], str] = wording.word_answer,
) -> Style:
    """The style of a task that puts one fixed instruction after each question."""
    prompt = partial(wording.word_question, instruction=instruction)
    return Style(name, scorer, max_new_tokens, prompt, completion)


class Loaded(NamedTuple):
    """Every example of a task; where they come from (with hash or commit); and the fix if a split is empty.

    `places` says by id where an example stands in the user's own data.
    """

    examples: Sequence[Example]
    origin: str
    source: str
    fix: str = "add lines, or change the split sizes"
    places: Mapping[str, str] = {}


Loader = Callable[[], Loaded]


class Collection:
    """A task whose examples a loader reads at the first call of `examples` or `origin`."""

    def __init__(self, style: Style, load: Loader) -> None:
        self.name = style.name
        self.scorer = style.scorer
        self.max_new_tokens = style.max_new_tokens
        self._style = style
        self._load = load
        self._loaded: Loaded | None = None

    @property
    def origin(self) -> str:
        """Which data these are: files with the hash of their content, or datasets with their commit."""
        return self._all().origin

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's examples, the first `n` in an order that the seed shuffles; the splits do not depend on it.

        Raises:
            DataError: The data cannot be had or are malformed, or the split has no example.
        """
        loaded = self._all()
        fix = loaded.fix.format(split=split)
        return choose_examples(
            loaded.examples, split, n, seed, f"{loaded.source} has no example in the {split} split; {fix}."
        )

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The user message."""
        return self._style.prompt(question, choices)

    def completion(self, solution: str, answer: str) -> str:
        """The solution, and the answer in the form that the prompt asks for."""
        return self._style.completion(solution, answer)

    def gold(self, example: Example) -> str:
        """The response of a perfect target.

        Raises:
            DataError: The data hold no reference answer for the example.
        """
        if not example.answer:
            raise DataError(f"'{example.id}' of '{self.name}' has no reference answer; its tests alone can judge.")
        return self.completion(example.solution, example.answer)

    def place(self, example: Example) -> str:
        """Where the example stands in the user's own data; empty if that is not known."""
        return self._all().places.get(example.id, "")

    def _all(self) -> Loaded:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


class Quiz(Collection):
    """A collection whose options may be weighed: an `OptionTask`, which a plain collection is not."""

    def __init__(self, style: Style, load: Loader, *, by_likelihood: bool) -> None:
        super().__init__(style, load)
        self.by_likelihood = by_likelihood

"""An imported error book as a task: the questions that a model was asked elsewhere, such as in production.

`errorbook import` makes the book out of logs. Its questions are asked again, of this run's target, after the same
system messages and turns; the logged responses themselves are compared with nothing. A question without a gold answer
takes the response that was found right. Train has an order of its own: what was answered wrong is examined first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.collection import Collection, Loaded, Style
from errorbook.adapters.tasks.splits import choose_split, drop_repeats
from errorbook.adapters.tasks.table import word_prompt
from errorbook.errors import DataError
from errorbook.files import find_path
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.run_view import is_imported
from errorbook.plugins import Share, Tokens
from errorbook.records import Evaluation, Example, Response, Split, digest, opening_of

_JUDGING = "judge"
"""The scorer that can do without a right answer: it goes by its rubric."""


class Book(Collection):
    """The questions of an error book that `errorbook import` made."""

    def __init__(  # noqa: PLR0913 - the options of a run file, each a keyword
        self,
        path: str,
        *,
        name: str = "book",
        scorer: str = "exact",
        prompt: str = "{question}",
        dev: Share = 0.2,
        test: Share = 0.2,
        max_new_tokens: Tokens = 512,
    ) -> None:
        """Describe the book; it is opened at the first call of `examples`.

        Args:
            path: The book's folder, relative to the run file.
            name: What the task is called in the ledger.
            scorer: Name of the scorer plugin. Only `judge` can do with questions that have no right answer.
            prompt: The user message, with "{question}" and, if wanted, "{choices}" in it.
            dev: Share of the questions for the gate.
            test: Share of the questions for the report.
            max_new_tokens: Cap on one response, in tokens.
        """
        style = Style(
            name=name,
            scorer=scorer,
            max_new_tokens=max_new_tokens,
            prompt=lambda question, choices: word_prompt(prompt, question, choices),
            completion=_complete,
        )
        self._missed: frozenset[str] = frozenset()
        super().__init__(style, lambda: self._read(path, (dev, test)))

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's examples in an order that the seed shuffles; of train, those answered wrong in the book first.

        Dev and test stay as they come: what is claimed is claimed of all questions.

        Raises:
            DataError: There is no such book, or the split has no example.
        """
        found = super().examples(split, None, seed)
        if split == "train":
            found = sorted(found, key=lambda example: example.id not in self._missed)
        return found[:n]

    def _read(self, path: str, shares: tuple[float, float]) -> Loaded:
        folder = find_path(path)
        file = folder / "ledger.sqlite" if folder.is_dir() else folder
        if not file.is_file():
            raise DataError(f"There is no error book in '{path}'; make one with 'errorbook import', or correct path.")
        with open_ledger(file, "read") as ledger:
            examples, responses = _known(ledger, Path(path))
        asked = [self._ask(example, responses.get(example.id), shares) for example in examples]
        kept = drop_repeats(one for one in asked if one.answer.strip() or one.tests or self.scorer == _JUDGING)
        self._missed = frozenset(id for id, response in responses.items() if response.score.verdict == "wrong")
        origin = f"{folder.name} blake2b:{digest(*(example.hash for example in examples))}"
        fix = "import more of the log, or change dev, test and {split}"
        return Loaded(kept, origin, f"The book '{path}'", fix)

    def _ask(self, example: Example, response: Response | None, shares: tuple[float, float]) -> Example:
        """The book's example as one of this task, in its split; a right response is the answer if there is none."""
        right = response.text.strip() if response is not None and response.score.verdict == "right" else ""
        kept = example.group or opening_of(example.before, example.question)
        return replace(
            example,
            task=self.name,
            split=choose_split(kept, "train", {"train"}, *shares),
            answer=example.answer if example.answer.strip() or example.tests else right,
        )


def _complete(solution: str, answer: str) -> str:
    """As any task words it; what was found right as a whole text is the whole text."""
    return answer if not solution and "\n" in answer else wording.word_answer(solution, answer)


def _known(ledger: Ledger, path: Path) -> tuple[list[Example], dict[str, Response]]:
    """The book's examples with the responses of its last whole evaluation, by example."""
    if not is_imported(ledger):
        raise DataError(f"'{path}' is a run and no imported book; take its own data for the task.")
    whole = [one for one in ledger.all(Evaluation) if ledger.tally(one).n == one.n]
    if not whole:
        raise DataError(f"The book '{path}' holds no whole evaluation; give the command 'errorbook import' again.")
    return list(ledger.all(Example)), {response.example: response for response in ledger.responses(whole[-1])}

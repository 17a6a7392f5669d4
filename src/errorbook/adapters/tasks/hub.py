"""Any dataset of the Hugging Face hub as a task, its columns named in the run file.

The dataset's own splits are used where the run file names them. What is not named comes out of the train split by a
hash of the question: a share for dev, then a share for test. A question that is there twice with one answer is kept
once; with two answers it is left out. Images and other columns than text, numbers and lists are not understood.
"""

from __future__ import annotations

from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.downloads import fetch
from errorbook.adapters.tasks.table import Found, Layout, table
from errorbook.errors import ConfigError
from errorbook.records import Split


class Hub(Collection):
    """A dataset of the Hugging Face hub, or a local folder in its layout."""

    def __init__(  # noqa: PLR0913 - the options of a run file, each a keyword
        self,
        dataset: str,
        *,
        subset: str = "",
        revision: str = "",
        train_split: str = "train",
        dev_split: str = "",
        test_split: str = "",
        name: str = "hub",
        question: str = "question",
        answer: str = "answer",
        choices: str | tuple[str, ...] = "",
        tests: str = "",
        entry_point: str = "",
        solution: str = "",
        id: str = "",
        skill: str = "",
        after: str = "",
        count_from: int | None = None,
        scorer: str = "numeric",
        dev: float = 0.2,
        test: float = 0.2,
        max_new_tokens: int = 256,
        prompt: str = "{question}",
    ) -> None:
        """Describe the dataset; it is loaded at the first call of `examples`.

        Args:
            dataset: Its name, such as "openai/gsm8k", or a folder (beginning with ".", "~" or "/").
            subset: Its configuration, or empty for the default.
            revision: A branch, tag or commit, or empty for the newest.
            train_split: The split to learn from; empty for a dataset that is only a guard.
            dev_split: The split for the gate; empty takes the share `dev` of train, or half of test.
            test_split: The split for the report; empty takes the share `test` of train.
            name: See `FileTable`, as for all that follow.
            question: Column with the question.
            answer: Column with the gold answer.
            choices: Column with the options, or a column for each.
            tests: Column with tests.
            entry_point: Column with the tested function's name.
            solution: Column with the worked solution.
            id: Column with an identifier that is unique in all splits together.
            skill: Column with the kind of question.
            after: Mark before the answer.
            count_from: Number of the first option.
            scorer: Name of the scorer plugin.
            dev: Share for the gate.
            test: Share for the report.
            max_new_tokens: Cap on one response, in tokens.
            prompt: The user message.

        Raises:
            ConfigError: Where options contradict each other or make no sense.
        """
        layout = Layout(
            name=name,
            question=question,
            answer=answer,
            choices=choices,
            tests=tests,
            entry_point=entry_point,
            solution=solution,
            id=id,
            skill=skill,
            after=after,
            count_from=count_from,
            scorer=scorer,
            dev=dev,
            test=test,
            max_new_tokens=max_new_tokens,
            prompt=prompt,
        )
        named: dict[Split, str] = {"train": train_split, "dev": dev_split, "test": test_split}
        splits = {part: split for part, split in named.items() if split}
        if not splits:
            raise ConfigError("The hub dataset has no split to read; name a train_split, dev_split or test_split.")
        super().__init__(*table(layout, lambda: _find(dataset, subset, revision, splits)))


def _find(dataset: str, subset: str, revision: str, splits: dict[Split, str]) -> Found:
    fetched = {part: fetch(dataset, subset, split, revision) for part, split in splits.items()}
    rows = [(row, part) for part, batch in fetched.items() for row in batch.rows]
    origin = ", ".join(batch.origin for batch in fetched.values())
    return Found(rows, frozenset(splits), dataset, origin, own=False)

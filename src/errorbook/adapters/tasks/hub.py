"""Any dataset of the Hugging Face hub as a task, its columns named in the run file.

The dataset's own splits are used if the run file names them. What is not named comes out of the train split by a
hash of the question: a share for dev, then a share for test. A question that is there twice with one answer is kept
once; with two answers it is left out. Images and other columns than text, numbers and lists are not understood.
"""

from __future__ import annotations

from typing import Any

from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.downloads import fetch
from errorbook.adapters.tasks.table import Columns, SourceRows, make_table
from errorbook.errors import ConfigError
from errorbook.records import Split


class Hub(Collection):
    """A dataset of the Hugging Face hub, or a local folder in its layout."""

    options = Columns

    def __init__(
        self,
        dataset: str,
        *,
        subset: str = "",
        revision: str = "",
        train_split: str = "train",
        dev_split: str = "",
        test_split: str = "",
        **options: Any,
    ) -> None:
        """Describe the dataset; it is loaded at the first call of `examples`.

        Args:
            dataset: Its name, such as "openai/gsm8k", or a folder (beginning with ".", "~" or "/").
            subset: Its configuration, or empty for the default.
            revision: A branch, tag or commit, or empty for the newest.
            train_split: The split to learn from; empty for a dataset that is only a guard.
            dev_split: The split for the gate; empty takes the share `dev` of train, or half of test.
            test_split: The split for the report; empty takes the share `test` of train.
            options: See `Columns`.

        Raises:
            ConfigError: Options contradict each other or make no sense.
        """
        layout = Columns(**{**options, "name": options.get("name") or "hub"})
        named: dict[Split, str] = {"train": train_split, "dev": dev_split, "test": test_split}
        splits = {part: split for part, split in named.items() if split}
        if not splits:
            raise ConfigError("The hub dataset has no split to read; name a train_split, dev_split or test_split.")
        super().__init__(*make_table(layout, lambda: _find(dataset, subset, revision, splits)))


def _find(dataset: str, subset: str, revision: str, splits: dict[Split, str]) -> SourceRows:
    fetched = {part: fetch(dataset, subset, split, revision) for part, split in splits.items()}
    rows = [(row, part) for part, batch in fetched.items() for row in batch.rows]
    origin = ", ".join(batch.origin for batch in fetched.values())
    return SourceRows(rows, frozenset(splits), dataset, origin, own=False)

"""The user's own questions in a file: what `jsonl`, `csv` and `parquet` share, which is all but the reading.

A `split` column ("train", "dev" or "test") decides where it is present; otherwise a stable hash of the question does,
so that equal questions never fall into different splits and adding lines never moves the others. It does not depend on
the run's seed either: whatever was tested on stays unseen in every run. Only one file makes one task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Literal

from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.rows import file_hash, read_csv, read_parquet
from errorbook.adapters.tasks.splits import SPLITS
from errorbook.adapters.tasks.table import Found, Layout, column_split, table
from errorbook.files import Row, read_json_lines

_READERS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "jsonl": read_json_lines,
    "csv": read_csv,
    "parquet": read_parquet,
}


class FileTable(Collection):
    """A file's rows as a task; its kinds differ in nothing but how a file is read."""

    kind: ClassVar[Literal["jsonl", "csv", "parquet"]]

    def __init__(  # noqa: PLR0913 - the options of a run file, each a keyword
        self,
        path: str,
        *,
        name: str = "",
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
        """Describe the file; it is read at the first call of `examples`.

        Args:
            path: The file, relative to the working directory or absolute.
            name: What the task is called in the ledger; give two files two names.
            question: Column with the question.
            answer: Column with the gold answer: text, a number, or the letter or text of an option.
            choices: Column with a list of options, or one column for each option, or empty.
            tests: Column with a test program or a list of asserts, where tests judge and not an answer; or empty.
            entry_point: Column with the name of the function to which the tests' `check` is applied, or empty.
            solution: Column with the worked solution, or empty.
            id: Column with an identifier that is unique in the file, or empty: then it is made from the content.
            skill: Column with the kind of question, or empty.
            after: Mark in the answer column, such as "####": what follows is the answer, what precedes the solution.
            count_from: Number of the first option, where answers are numbers of options.
            scorer: Name of the scorer plugin.
            dev: Share of the questions for the gate, where the file has no `split` column.
            test: Share of the questions for the report, where the file has no `split` column.
            max_new_tokens: Cap on one response, in tokens.
            prompt: The user message, with "{question}" and, if wanted, "{choices}" in it.

        Raises:
            ConfigError: Where options contradict each other or make no sense.
        """
        layout = Layout(
            name=name or self.kind,
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
        super().__init__(*table(layout, lambda: self._rows(Path(path))))

    def _rows(self, path: Path) -> Found:
        rows = _READERS[self.kind](path)
        marked = [(row, column_split(row)) for row in rows]
        return Found(marked, frozenset(SPLITS), str(path), f"{path.name} {file_hash(path)}")

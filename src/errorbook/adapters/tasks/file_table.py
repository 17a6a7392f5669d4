"""The user's own questions in a file: what `jsonl`, `csv` and `parquet` share, which is all but the reading.

If there is a `split` column ("train", "dev" or "test"), it decides; otherwise a stable hash of the question does,
so that equal questions never fall into different splits and adding lines never moves the others. It does not depend on
the run's seed either: whatever was tested on stays unseen in every run. Only one file makes one task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from errorbook.adapters.tasks.collection import Collection
from errorbook.adapters.tasks.rows import file_hash, read_parquet
from errorbook.adapters.tasks.splits import SPLITS
from errorbook.adapters.tasks.table import Columns, SourceRows, column_split, make_table
from errorbook.files import Row, read_csv, read_json_lines

READERS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "jsonl": read_json_lines,
    "csv": read_csv,
    "parquet": read_parquet,
}


def choose_kind(path: Path) -> str:
    """Which of `READERS` reads a file, by its ending."""
    ending = path.suffix.lower()
    return {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}.get(ending, "jsonl")


class FileTable(Collection):
    """A file's rows as a task; its kinds differ in nothing but how a file is read."""

    kind: ClassVar[Literal["jsonl", "csv", "parquet"]]
    options = Columns

    def __init__(self, path: str, **options: Any) -> None:
        """Describe the file; it is read at the first call of `examples`.

        Args:
            path: The file, relative to the working directory or absolute.
            options: See `Columns`.

        Raises:
            ConfigError: Options contradict each other or make no sense.
        """
        layout = Columns(**{**options, "name": options.get("name") or self.kind})
        super().__init__(*make_table(layout, lambda: self._rows(Path(path))))

    def _rows(self, path: Path) -> SourceRows:
        rows = READERS[self.kind](path)
        marked = [(row, column_split(row)) for row in rows]
        return SourceRows(marked, frozenset(SPLITS), str(path), f"{path.name} {file_hash(path)}")

"""The `parquet` task: the user's own questions in a Parquet file; see `file_table` for columns and splits."""

from __future__ import annotations

from errorbook.adapters.tasks.file_table import FileTable


class Parquet(FileTable):
    """Examples from a Parquet file of the user's."""

    kind = "parquet"

"""The `csv` task: the user's own questions in a CSV file with a header; see `file_table` for columns and splits."""

from __future__ import annotations

from errorbook.adapters.tasks.file_table import FileTable


class Csv(FileTable):
    """Examples from a CSV file of the user's."""

    kind = "csv"

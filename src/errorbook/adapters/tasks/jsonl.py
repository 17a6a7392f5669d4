"""The `jsonl` task: the user's own questions, one JSON object a line; see `file_table` for columns and splits."""

from __future__ import annotations

from errorbook.adapters.tasks.file_table import FileTable


class Jsonl(FileTable):
    """Examples from a JSON Lines file of the user's."""

    kind = "jsonl"

"""The sink without a service: a line of JSON for each step, in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from errorbook.files import require_output

FILE = "metrics.jsonl"


class JsonlSink:
    """Implements `Sink`. `path` is the file; if it is not given, metrics.jsonl in the run's folder.

    Raises:
        UserError: The file is there and holds something else, or may not be written.
    """

    def __init__(self, folder: str = ".", path: str = "") -> None:
        self._path = Path(path) if path else Path(folder) / FILE
        require_output(self._path, is_ours=_is_metrics, made="file of metrics")
        self._mend()
        self._steps = {row["step"] for row in self._rows() if "step" in row}

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one step; a known one is left as it is."""
        if step not in self._steps:
            self._append({"step": step, **metrics})
            self._steps.add(step)

    def finish(self, summary: Mapping[str, float]) -> None:
        """Append the summary, unless it stands there already."""
        rows = self._rows()
        if not rows or rows[-1] != {"summary": dict(summary)}:
            self._append({"summary": dict(summary)})

    def _append(self, row: Mapping[str, object]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _rows(self) -> list[dict[str, object]]:
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]

    def _mend(self) -> None:
        """Take off a last line that was cut in the middle when its writer was killed."""
        if self._path.exists():
            whole, mark, rest = self._path.read_bytes().rpartition(b"\n")
            if rest:
                self._path.write_bytes(whole + mark)


def _is_metrics(content: bytes) -> bool:
    """Whether each line, but for one that was cut at the end, is what this sink writes."""
    *lines, rest = content.split(b"\n")
    return all(map(_is_row, lines)) and (bool(lines) or rest.startswith((b'{"step": ', b'{"summary": ')))


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    if not isinstance(row, dict):
        return False
    values = row["summary"] if row.keys() == {"summary"} else row if "step" in row else None
    return isinstance(values, dict) and all(isinstance(value, int | float) for value in values.values())

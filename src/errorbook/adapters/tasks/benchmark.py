"""What the seven benchmarks share: where their rows come from, how they are divided, and how questions are put.

A benchmark is a `Spec`: data and two small functions, no class of its own. Its rows come from the first of these that
is there: the option `path` (a folder of JSON Lines files), the option `dataset`, the folder of the benchmark's name
below $ERRORBOOK_DATA, the Hugging Face hub. The same rows give the same examples whichever way they come.

A question that is there twice with one answer is kept once, and in two parts only in the later one (test before dev
before train). With two different answers it has no gold answer and is left out. Near-duplicates are not looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.collection import Collection, Loaded, Loader, Style, instructing_style
from errorbook.adapters.tasks.downloads import fetch
from errorbook.adapters.tasks.items import Item, make_examples
from errorbook.adapters.tasks.rows import file_hash
from errorbook.errors import DataError
from errorbook.files import Row, data_root, find_path, read_json_lines
from errorbook.records import Split, digest

_NAMED_FILES = 3


class Portion(NamedTuple):
    """A split of a hub dataset, and the part of the benchmark that it is."""

    split: str
    part: Split
    subset: str = ""


class Spec(NamedTuple):
    """One benchmark.

    `files` maps the stems of local files to parts ("*": any other); `read` is given a row and the stem of its file or
    the subset of its portion.
    """

    name: str
    scorer: str
    instruction: str
    read: Callable[[Mapping[str, Any], str], Item]
    files: Mapping[str, Split]
    dataset: str
    portions: tuple[Portion, ...]
    completion: Callable[[str, str], str] = wording.word_answer


class BenchmarkOptions(NamedTuple):
    """What a run file may say about a benchmark; an empty text leaves the default."""

    path: str
    dataset: str
    revision: str
    max_new_tokens: int


class _Batch(NamedTuple):
    """The rows of one file or portion."""

    part: Split
    label: str
    rows: Sequence[Row]
    origin: str


def benchmark(spec: Spec, options: BenchmarkOptions) -> Collection:
    """The task that a spec describes."""
    return Collection(style_of(spec, options), loader(spec, options))


def style_of(spec: Spec, options: BenchmarkOptions) -> Style:
    """How the benchmark words its questions and answers."""
    return instructing_style(spec.name, spec.scorer, options.max_new_tokens, spec.instruction, spec.completion)


def loader(spec: Spec, options: BenchmarkOptions) -> Loader:
    """Reads the benchmark's rows when they are first needed."""
    return lambda: _load(spec, options)


def field(row: Mapping[str, Any], name: str) -> str:
    """The text of a column; numbers become text.

    Raises:
        DataError: The row has no such column.
    """
    if row.get(name) is None:
        there = ", ".join(row) or "none"
        raise DataError(f"has no column '{name}', it has {there}; give the benchmark's own files")
    return str(row[name])


def _load(spec: Spec, options: BenchmarkOptions) -> Loaded:
    batches = _batches(spec, options)
    origin = _origin([batch.origin for batch in batches])
    fix = "set {split} = 0 for this task, or give data that have one"
    items = [(_read(spec, row, batch), batch.part) for batch in batches for row in batch.rows]
    return Loaded(make_examples(spec.name, items), origin, f"'{spec.name}'", fix)


def _batches(spec: Spec, options: BenchmarkOptions) -> list[_Batch]:
    folder = _folder(spec.name, options)
    if folder is not None:
        return _from_files(spec, folder)
    dataset = options.dataset or spec.dataset
    batches = []
    for portion in spec.portions:
        fetched = fetch(dataset, portion.subset, portion.split, options.revision)
        batches.append(_Batch(portion.part, portion.subset, fetched.rows, fetched.origin))
    return batches


def _folder(name: str, options: BenchmarkOptions) -> Path | None:
    if options.path:
        return find_path(options.path)
    root = data_root()
    return root / name if root and not options.dataset and (root / name).is_dir() else None


def _from_files(spec: Spec, folder: Path) -> list[_Batch]:
    batches = []
    for path in sorted(folder.glob("*.jsonl")):
        part = spec.files.get(path.stem) or spec.files.get("*")
        if part:
            origin = f"{folder.name}/{path.name} {file_hash(path)}"
            batches.append(_Batch(part, path.stem, list(read_json_lines(path)), origin))
    if not batches:
        wanted = ", ".join(f"{stem}.jsonl" for stem in spec.files)
        raise DataError(
            f"{folder} holds no data of '{spec.name}' ({wanted}); check the task's 'path' and $ERRORBOOK_DATA."
        )
    return batches


def _origin(origins: Sequence[str]) -> str:
    if len(origins) <= _NAMED_FILES:
        return ", ".join(origins)
    return f"{origins[0].rpartition('/')[0]}/ ({len(origins)} files) blake2b:{digest(*origins)}"


def _read(spec: Spec, row: Row, batch: _Batch) -> Item:
    try:
        return spec.read(row.values, batch.label)
    except DataError as error:
        raise DataError(f"{row.mark.capitalize()} of {row.source} {error}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{row.mark.capitalize()} of {row.source} is no row of '{spec.name}' ({error!r});"
            " give the benchmark's own files."
        ) from error

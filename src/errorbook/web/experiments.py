"""The experiments among the runs below a folder: each is a result file with the runs that it is made of beside it.

It computes no number: those come from `experiment.summary`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from errorbook.errors import DataError
from errorbook.experiment.results import RESULTS, Results, name_run, read_results
from errorbook.experiment.summary import Summary, summarise
from errorbook.ledger.watch import stat
from errorbook.web.shelf import Book, Shelf, name_folder

_OURS = b'{"format":'
"""How a result file begins, of whatever version, without its spaces."""

Version = tuple[int, int, int]


class Experiment(NamedTuple):
    """One experiment by its name in addresses; `books` are its runs by the names of their folders.

    `results` is None if its file cannot be read, and then `problem` says why.
    """

    slug: str
    folder: Path
    version: Version
    results: Results | None
    problem: str
    books: dict[str, Book]

    @property
    def name(self) -> str:
        """What people call it."""
        return self.results.name if self.results else self.slug

    def book(self, arm: str, seed: int) -> Book | None:
        """The run of one arm and seed, or None if it is not begun."""
        return self.books.get(name_run(arm, seed))

    def summarise(self) -> Summary | None:
        """All its numbers; None if the file cannot be read."""
        return _summarise(self.folder / RESULTS, self.version) if self.results else None


def list_experiments(shelf: Shelf, books: Iterable[Book]) -> list[Experiment]:
    """The experiments that some books are runs of. Other runs in such a folder are none of it."""
    by_parent: dict[Path, dict[str, Book]] = {}
    for book in books:
        if book.folder != shelf.root:  # what lies above the root is not looked at
            by_parent.setdefault(book.folder.parent, {})[book.folder.name] = book
    found = (_find(shelf.root, folder, below) for folder, below in by_parent.items())
    return [one for one in found if one is not None]


def experiment_of(shelf: Shelf, book: Book) -> Experiment | None:
    """The experiment that a run belongs to, if any."""
    return next(iter(list_experiments(shelf, [book])), None)


def _find(root: Path, folder: Path, below: dict[str, Book]) -> Experiment | None:
    file = folder / RESULTS
    version = stat(file)  # first: what is written meanwhile makes the results newer than it, never older
    if version is None:
        return None
    results, problem = _read(file, version)
    if results is not None:
        names = {name_run(arm.name, seed) for arm in results.arms for seed in results.seeds}
        below = {name: book for name, book in below.items() if name in names}
    if not below or (results is None and not problem):
        return None
    return Experiment(name_folder(root, folder), folder, version, results, problem, below)


@lru_cache(maxsize=64)
def _read(file: Path, version: Version) -> tuple[Results | None, str]:
    """The results, or the sentence that says why they cannot be read; nothing for a file that is another program's."""
    try:
        return read_results(file), ""
    except DataError as error:
        return None, str(error) if _is_ours(file) else ""


def _is_ours(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return b"".join(content.read(64).split()).startswith(_OURS)
    except OSError:
        return True  # it may be ours, and whoever looks for it is told


@lru_cache(maxsize=16)
def _summarise(file: Path, version: Version) -> Summary:
    return summarise(read_results(file))

"""Tells sinks what a run measured, after each decision and at its end; a sink that fails never stops the run.

How far each sink was told is kept in the run's folder, apart from the ledger, so that a run goes on where it was. What
a sink did not take is told at the next chance, at the latest by `errorbook export DIR --to KIND`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from errorbook import plugins
from errorbook.errors import LedgerError, UserError
from errorbook.exporting.trackers.points import list_points, summarise
from errorbook.files import format_json, write_file
from errorbook.ledger.events import Event, Watch
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.run_view import read_config
from errorbook.records import Decision, digest

MEMORY = "sinks.json"
"""The file in a run's folder that says how far each sink was told."""
Told = Callable[[str], None]


class NamedSink(NamedTuple):
    """A sink as a run file names it."""

    kind: str
    options: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Tells two destinations of one kind apart."""
        return f"{self.kind}:{digest(msgspec.json.encode(dict(self.options), order='deterministic'))[:8]}"


class Memory(msgspec.Struct, kw_only=True):
    """The run's own name among others of the same file, and the last step that each sink took."""

    run: str
    steps: dict[str, int] = {}


class Feed:
    """Sinks and how far they were told. `failures` holds one sentence for each time that a sink did not work."""

    def __init__(self, folder: Path, named: Sequence[NamedSink], say: Told | None = None) -> None:
        self._folder, self._named, self._say = folder, named, say
        self._made: dict[str, Any] = {}
        self._complained: set[str] = set()
        self.failures: list[str] = []

    @property
    def told(self) -> dict[str, int]:
        """The number of steps that each kind of sink took so far."""
        steps = self._remembered().steps
        return {item.kind: steps.get(item.place, -1) + 1 for item in self._named}

    def tell(self, ledger: Ledger) -> None:
        """Tell every sink what is new; one that cannot be opened says so even if nothing is."""
        found = list(list_points(ledger))
        for item in self._named:
            last = self._remembered().steps.get(item.place, -1)
            with self._guarded(item):
                sink = self._sink(item, ledger)
                for point in found:
                    if point.step > last:
                        sink.write(point.metrics, point.step)
                        last = point.step
            self._remember(item, last)

    def finish(self, ledger: Ledger) -> None:
        """Tell every sink what the run came to, and let it close."""
        from errorbook.report.build import build

        come_to = summarise(build(ledger))
        for item in self._named:
            with self._guarded(item):
                self._sink(item, ledger).finish(come_to)
                del self._made[item.place]

    def _sink(self, item: NamedSink, ledger: Ledger) -> Any:
        if item.place not in self._made:
            offered = {"run": read_config(ledger).run.name, "identity": self._identity(), "folder": str(self._folder)}
            takes = plugins.list_options("sinks", item.kind)
            shared = {name: value for name, value in offered.items() if name in takes}
            self._made[item.place] = plugins.create("sinks", item.kind, {**shared, **item.options})
        return self._made[item.place]

    @contextmanager
    def _guarded(self, item: NamedSink) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a tracker's library may raise anything, and a run is worth more than its curves
            own = isinstance(error, UserError)  # a sentence with its fix already
            reason = " ".join((str(error) if own else f"{type(error).__name__}: {error}").split())[:400]
            self.failures.append(reason if own else f"The sink '{item.kind}' failed ({reason}); give it again later.")
            sentence = (
                f"The sink '{item.kind}' failed ({reason.rstrip('.')}); nothing is lost: "
                f"'errorbook export {self._folder} --to {item.kind}' tells it later."
            )
            if self._say is not None and item.place not in self._complained:
                self._complained.add(item.place)
                self._say(sentence)

    def _identity(self) -> str:
        memory = self._remembered()
        if not (self._folder / MEMORY).exists():
            self._write(memory)
        return memory.run

    def _remembered(self) -> Memory:
        try:
            return msgspec.json.decode((self._folder / MEMORY).read_bytes(), type=Memory)
        except (FileNotFoundError, msgspec.DecodeError):
            return Memory(run=uuid.uuid4().hex[:16])

    def _remember(self, item: NamedSink, step: int) -> None:
        memory = self._remembered()
        if memory.steps.get(item.place, -1) < step:
            memory.steps[item.place] = step
            self._write(memory)

    def _write(self, memory: Memory) -> None:
        write_file(self._folder / MEMORY, format_json(memory))


@contextmanager
def feed_sinks(named: Sequence[NamedSink], folder: Path, watch: Watch, say: Told) -> Iterator[Watch]:
    """A watcher that also feeds the sinks whenever a stage begins after a new decision, and at the end of the run."""
    if not named:
        yield watch
        return
    feed, decided = Feed(folder, named, say), -1

    def look() -> None:
        nonlocal decided
        with _reading(folder) as ledger:
            if ledger is not None and ledger.count(Decision) != decided:
                decided = ledger.count(Decision)
                feed.tell(ledger)

    def watching(event: Event) -> None:
        watch(event)
        if event.done == 0:
            look()

    yield watching
    decided = -1  # what a sink refused is offered once more
    look()
    with _reading(folder) as ledger:
        if ledger is not None:
            feed.finish(ledger)


@contextmanager
def _reading(folder: Path) -> Iterator[Ledger | None]:
    """The ledger to read, or nothing if it cannot be read: the run itself will say so."""
    with ExitStack() as stack:
        try:
            ledger = stack.enter_context(open_ledger(folder))
        except LedgerError:
            ledger = None
        yield ledger

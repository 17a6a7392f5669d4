"""`errorbook verify FILE`: check any JSON Lines file of training samples. It parses, calls and renders."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from errorbook.cli.options import JSON, complain, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from errorbook.importing.check_samples import FileFunnel, ShownReject
    from errorbook.interfaces import Scorer, Task
    from errorbook.records import Example

_SHOWN = 100
_FOUND_BESIDES = {
    "repeated": "the question stands earlier in the file",
    "overlaps_train": "a run of words of a train question (not rejected)",
}


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--task", "task_name", help="Task plugin whose format, scorer and solver apply.")
@click.option("--scorer", "scorer_name", help="Scorer that reads the answers, without --task.  [default: numeric]")
@click.option("--against", multiple=True, help="Held-out questions: a file, a folder or a task. May be repeated.")
@click.option("--train", "train", multiple=True, help="Questions already trained on: a file. May be repeated.")
@click.option("--ngram", type=click.IntRange(min=3), default=10, show_default=True, help="Words that make an overlap.")
@click.option(
    "--near", type=click.FloatRange(0.3, 1.0), default=0.8, show_default=True, help="Similarity of near duplicates."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for accepted and rejected.jsonl.")
@click.option("--force", is_flag=True, help="Replace accepted and rejected.jsonl in that folder.")
@JSON
def verify(  # noqa: PLR0913, PLR0917 - one parameter for each option
    file: Path,
    task_name: str | None,
    scorer_name: str | None,
    against: tuple[str, ...],
    train: tuple[str, ...],
    ngram: int,
    near: float,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Check a file of training samples: leaks, arithmetic, duplicates, overlap with benchmarks.

    Without --against, the benchmark files below $ERRORBOOK_DATA are protected.
    """
    from errorbook.importing.check_samples import Rules, check_samples, require_results

    if out is not None:
        require_results(out, [file, *_list_files(*against, *train)], force)
    start = time.perf_counter()
    task, scorer = _create_judges(task_name, scorer_name)
    held, known = load_held_out(*against), [example for name in train for example in _read_file(Path(name))]
    funnel, _ = check_samples(file, Rules(task, scorer, held, known, ngram, near), out)
    if not held:  # said last, so that a bad file is one sentence
        complain("no held-out questions are known, so overlap is not checked; give --against.")
    seconds = time.perf_counter() - start
    if as_json:
        print_json(funnel)
    else:
        click.echo(funnel_text(funnel))
    click.echo(f"{seconds:.1f} s" + (f"; wrote {out}/accepted.jsonl and rejected.jsonl" if out else ""), err=True)


def funnel_text(funnel: FileFunnel) -> str:
    """The funnel as text."""
    from errorbook.verify import REASONS

    meanings = REASONS | _FOUND_BESIDES
    lines = [f"{funnel.samples:>7,}  samples"]
    lines += [f"{-count:>7,}  {reason:<15} {meanings[reason]}" for reason, count in funnel.rejected.items()]
    lines += [f"{funnel.accepted:>7,}  accepted", "", "Found by each check, whatever else was wrong:"]
    lines += [f"{count:>7,}  {name:<15} {meanings[name]}" for name, count in funnel.found.items()]
    if funnel.shown:
        lines += ["", "The first of each reason, with the answer that was read:"]
        lines += [_shown_text(shown) for shown in funnel.shown]
    listed = ", ".join(f"{name} {count:,}" for name, count in funnel.held.items()) or "none"
    lines += ["", f"Held-out questions: {listed}", f"Train questions: {funnel.train:,}", f"Answers: {funnel.answers}"]
    return "\n".join(lines)


def _shown_text(shown: ShownReject) -> str:
    detail = " ".join(shown.detail.split())[:_SHOWN]
    read = f"'{shown.answer}'" if shown.answer else "nothing"
    return f"  line {shown.line:<6,} {shown.reason:<15} read {read}: {detail}"


def _create_judges(task_name: str | None, scorer_name: str | None) -> tuple[Task, Scorer]:
    from errorbook import plugins
    from errorbook.errors import ConfigError
    from errorbook.importing.sample_rows import RecordedTask

    if task_name is None:
        name = scorer_name or "numeric"
        scorer: Scorer = plugins.create("scorers", name)
        return RecordedTask(name), scorer
    if scorer_name is not None:
        raise ConfigError("The task brings its own scorer; give --task or --scorer, not both.")
    task: Task = plugins.create("tasks", task_name)
    return task, plugins.create("scorers", task.scorer)


def load_held_out(*against: str) -> list[Example]:
    """The named held-out questions, or those of the benchmark files below $ERRORBOOK_DATA."""
    if against:
        return [example for name in against for example in _load_questions(name)]
    from errorbook.files import data_root

    folder = data_root()
    return _load_questions(str(folder)) if folder else []


def _load_questions(name: str) -> list[Example]:
    """The questions of a file, of a folder's benchmark files, or of a task's dev and test splits."""
    from errorbook import plugins
    from errorbook.errors import DataError

    path = Path(name)
    if path.is_dir():
        files = _list_benchmarks(path)
        if not files:
            raise DataError(f"There is no benchmark (*.jsonl, not train) in {path}; give --against a file.")
        return [example for file in files for example in _read_file(file)]
    if path.exists() or path.suffix:
        return _read_file(path)
    if name not in plugins.names("tasks"):
        raise DataError(f"There is no file, folder or task '{name}'; check the path (now in {Path.cwd()}).")
    task: Task = plugins.create("tasks", name)
    return [*task.examples("dev", None, 0), *task.examples("test", None, 0)]


def _read_file(file: Path) -> list[Example]:
    from errorbook.importing.sample_rows import read_questions

    return list(read_questions(file, _name_benchmark(file)))


def _list_files(*given: str) -> Iterator[Path]:
    """The files that are read for what was named; a task's are its own."""
    for path in map(Path, given):
        yield from _list_benchmarks(path) if path.is_dir() else [path]


def _name_benchmark(file: Path) -> str:
    folder = file.resolve().parent.name
    return folder if file.stem.startswith("test") else f"{folder}/{file.stem}"


def _list_benchmarks(folder: Path) -> list[Path]:
    """The benchmark files below a folder: no train splits, and nothing that a model wrote."""
    recorded = {"responses", "instructor", "reports"}
    files = sorted(folder.rglob("*.jsonl"))
    return [
        file
        for file in files
        if not file.stem.startswith("train") and not recorded & set(file.relative_to(folder).parts)
    ]

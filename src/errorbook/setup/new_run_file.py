"""Writes a commented run file from a few answers. It asks nothing itself, and starts nothing."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from errorbook import plugins
from errorbook.adapters.tasks.file_table import choose_kind
from errorbook.config import Config, RunSection, parse
from errorbook.errors import ConfigError
from errorbook.files import find_path, parse_toml, require_output, write_file
from errorbook.interfaces import Narrow
from errorbook.setup.data_layout import Layout, inspect_data

DEFAULT_NAME = "run.toml"
_COMMENT_COLUMN = 34
_COMMENTED = re.compile(r'(?P<value>(?:# )?(?=\S)(?:[^"#]|"(?:[^"\\]|\\.)*")*?)  # (?P<comment>.*)')
"""A line with a comment behind its value; what stands in a string is no comment."""


class Sizes(NamedTuple):
    """Questions of the user's own task by split, at most."""

    train: int = 1000
    dev: int = 1000
    test: int = 1000


class InitAnswers(NamedTuple):
    """What `init` needs to know; `data` is None for the built-in arithmetic.

    `instructor_options` are more keys of its section. `question` and `answer` are columns, empty to find them.
    """

    data: Path | None
    model: str
    instructor: str
    strategy: str
    cycles: int
    budget_usd: float | None
    instructor_model: str = ""
    instructor_url: str = ""
    instructor_options: Sequence[tuple[str, Any]] = ()
    question: str = ""
    answer: str = ""
    shots: int = 0
    sizes: Sizes = Sizes()


def choose_path(target: Path) -> Path:
    """The run file's path: `target` itself if it ends in .toml, or run.toml in that folder."""
    return target if target.suffix == ".toml" else target / DEFAULT_NAME


def require_free(path: Path, force: bool) -> None:
    """Refuse a run file's place.

    Raises:
        ConfigError: The file exists and `force` is not set.
        UserError: It is no run file, or may not be written.
    """
    if path.exists() and not force:
        raise ConfigError(f"'{path}' exists already; give another name, or --force to overwrite it.")
    require_output(path, is_ours=_is_run_file, made="run file")


def _is_run_file(content: bytes) -> bool:
    """Whether it may be one: TOML with a table [run], or what was meant to be and cannot be read."""
    try:
        return isinstance(parse_toml(content.decode("utf-8-sig")).get("run"), dict)
    except ValueError:
        return True


def write_run_file(path: Path, answers: InitAnswers, force: bool = False) -> None:
    """Write the run file, checked by the same code that reads it.

    Raises:
        ConfigError: The file exists and `force` is not set, or the answers contradict each other.
        DataError: The data file is missing, empty, or none that a task can read.
    """
    require_free(path, force)
    text = render(answers, path.parent)
    parse(text, source=str(path), folder=path.parent)
    write_file(path, text)


def render(answers: InitAnswers, folder: Path) -> str:
    """The run file's text; the data's path is written relative to `folder` if it lies below it."""
    defaults = Config(run=RunSection(name="defaults"))
    budget = f"budget_usd = {answers.budget_usd:g}" if answers.budget_usd is not None else "# budget_usd = 10.0"
    name = _slug(answers.data.stem) if answers.data else "arithmetic"
    tasks = _own_task(answers, answers.data, name, folder) if answers.data else "\n".join(_demo_tasks().values())
    text = _TEMPLATE.format(
        name=_quoted(name),
        cycles=answers.cycles,
        budget=budget,
        model=_quoted(answers.model),
        instructor=_quoted(answers.instructor),
        asked="".join(f"{line}\n" for line in _say_instructor(answers)),
        tasks=tasks.strip(),
        strategy=_quoted(answers.strategy),
        answers=_say_answers(answers),
        chosen=defaults.strategy,
        train=defaults.train,
        gate=defaults.gate,
    )
    return "\n".join(_aligned(line) for line in text.splitlines()) + "\n"


def find_untaught(answers: InitAnswers) -> str:
    """One sentence if the instructor understands some questions only, and these are not among them; else empty."""
    if not answers.data or not plugins.implements("instructors", answers.instructor, Narrow):
        return ""
    return (
        f"The instructor '{answers.instructor}' knows its own tasks only: it can analyse no mistake on"
        f" '{answers.data}', and nobody would check a sample's answer; name a model, such as with --instructor openai"
        " --instructor-model NAME."
    )


def _say_answers(answers: InitAnswers) -> str:
    """Whose word a draft's answer is taken on: the task's, that of blind votes, or that of whoever wrote it."""
    if not answers.data:
        return _RECOMPUTE
    return _VOTE if answers.instructor_model else _TRUST  # a model can solve a question that it has not seen


def _say_instructor(answers: InitAnswers) -> Iterator[str]:
    """The lines of an instructor at an endpoint."""
    told = (("model", answers.instructor_model), ("base_url", answers.instructor_url), *answers.instructor_options)
    for key, value in told:
        if value != "":
            comment = f"  # {_MEANINGS[key]}" if key in _MEANINGS else ""
            yield f"{key} = {_quoted(value)}{comment}"


def _own_task(answers: InitAnswers, data: Path, name: str, folder: Path) -> str:
    layout = inspect_data(data, answers.question, answers.answer)
    resolved, base = find_path(str(data)), find_path(str(folder))
    path = str(resolved.relative_to(base)) if resolved.is_relative_to(base) else str(resolved)
    return _OWN.format(
        name=_quoted(name),
        kind=_quoted(choose_kind(data)),
        path=_quoted(path),
        columns="\n".join(_say_columns(layout)),
        scorer=_quoted(layout.scorer),
        shots=answers.shots,
        sizes=answers.sizes,
        guard=_demo_tasks()["retention"],
    )


def _say_columns(layout: Layout) -> Iterator[str]:
    """The lines that say which column holds what, and how its question is put."""
    told = ("messages", "question", "answer", "after", "solution", "skill", "tests")
    yield from (f"{key} = {_quoted(getattr(layout, key))}" for key in told if getattr(layout, key))
    if layout.choices:
        each = layout.choices if isinstance(layout.choices, str) else list(layout.choices)
        yield f"choices = {json.dumps(each, ensure_ascii=False)}"
    if layout.count_from is not None:
        yield f"count_from = {layout.count_from}  # the number of the first option"
    if layout.asked:
        options = "\n{choices}" if layout.choices else ""
        yield f"prompt = {_quoted(f'{{question}}{options}' + chr(10) * 2 + layout.asked)}"
        yield f"max_new_tokens = {layout.max_new_tokens}"


def _demo_tasks() -> dict[str, str]:
    """The demo's [[tasks]] blocks by name: the sizes and margins that were tried out are written in one place."""
    demo = files("errorbook").joinpath("demo.toml").read_text(encoding="utf-8")
    tasks = demo[demo.index("[[tasks]]") :].split("\n[strategy]")[0]
    blocks = [f"[[tasks]]{block.rstrip()}\n" for block in tasks.split("[[tasks]]")[1:]]
    return {tomllib.loads(block)["tasks"][0]["name"]: block for block in blocks}


def _slug(text: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text).strip("-")
    return kept or "mine"


def _aligned(line: str) -> str:
    """A line whose comment begins in the same column as the others'."""
    found = _COMMENTED.fullmatch(line)
    return f"{found['value'].rstrip().ljust(_COMMENT_COLUMN)}# {found['comment']}" if found else line


def _quoted(text: object) -> str:
    """A text, a number or a truth value as TOML writes it."""
    return json.dumps(text, ensure_ascii=False)


_MEANINGS = {
    "api_key_env": "the variable with the key; the key itself is never written down",
    "price_input": "dollars per million tokens",
}
_RECOMPUTE = 'answers = "recompute"  # every answer is worked out again, independently of the instructor'
_TRUST = 'answers = "trust"  # your data cannot recompute answers: read some of the samples yourself'

_VOTE = 'answers = "recompute"  # the instructor solves each question blind, and most of its answers must agree'

_OWN = """
[[tasks]]  # examined, learnt from, and judged by
name = {name}
kind = {kind}
path = {path}
{columns}
scorer = {scorer}  # or "numeric", "exact", "contains"
role = "learn"
shots = {shots}  # solved questions shown before each: with some, a gain is not one of form alone
train = {sizes.train}  # at most: fewer are used if the file has fewer
dev = {sizes.dev}  # the gate decides on these
test = {sizes.test}  # read once, for the report

{guard}"""

_TEMPLATE = """# A run of Errorbook. Next: 'errorbook plan' says what it will do, 'errorbook run' does it.

[run]
name = {name}
cycles = {cycles}
seed = 1
{budget}  # the most that the instructor may cost, in dollars

[target]
model = {model}  # the embedded model, a folder, or a name on the Hugging Face hub

[instructor]
kind = {instructor}  # "tutor" is built in and knows arithmetic only
{asked}
{tasks}

[strategy]
name = {strategy}  # or "error", or a control: "undirected", "gold", "self" and others
k = {chosen.k}  # right questions shown beside each mistake ("contrast" only)
samples_per_error = {chosen.samples_per_error}

[verify]
{answers}

[train]
method = "{train.method}"
rank = {train.rank}
alpha = {train.alpha}
learning_rate = {train.learning_rate}
epochs = {train.epochs}
batch_size = {train.batch_size}
replay = {train.replay}  # share of lessons that rehearse what the model gets right

[gate]
alpha = {gate.alpha}  # chance that a useless run has any checkpoint accepted
"""

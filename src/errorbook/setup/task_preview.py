"""Tasks as people see them: which tasks there are, three prompts as the model reads them, and a response's score.

The chat template is the model's own if its tokenizer is on this machine; nothing is downloaded to show a prompt.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import msgspec

from errorbook import plugins
from errorbook.checks.verdicts import require_verdicts
from errorbook.errors import ConfigError, DataError, ErrorbookError, ModelError, PluginError
from errorbook.evaluate import ask, score_pairs
from errorbook.files import find_path
from errorbook.interfaces import Scorer, Task
from errorbook.records import Example, Score, Split

COUNT = 3
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One installed task. `scorer` is the default one, empty if it depends; `needs` are its required options."""

    name: str
    scorer: str
    about: str
    needs: tuple[str, ...]
    package: str
    version: str


class ShownExample(msgspec.Struct, frozen=True, kw_only=True):
    """One example with its rendered prompt."""

    id: str
    prompt: str
    answer: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A task's first examples; `template` names the model whose chat template rendered them, empty if none did.

    `score` is that of a response to the first example, if one was given.
    """

    name: str
    scorer: str
    split: Split
    template: str
    note: str
    examples: tuple[ShownExample, ...]
    score: Score | None = None


class Template(NamedTuple):
    """How a prompt is rendered: by which model's template (empty: as it is), and a sentence that says so.

    `measure` tells the tokens of what was rendered, if the model's tokenizer is there.
    """

    model: str
    render: Callable[[str], str]
    note: str
    measure: Callable[[str], int] | None = None


def known_tasks() -> list[TaskInfo]:
    """Every installed task, sorted by name; one that cannot be loaded says why."""
    return [_info(name) for name in plugins.names("tasks")]


def first_examples(task: Task, split: Split | None, seed: int) -> list[Example]:
    """The first examples of a split, by default of the first split that has any.

    Raises:
        DataError: There are none.
    """
    refused: DataError | None = None
    for chosen in (split,) if split else SPLITS:
        try:
            found = list(task.examples(chosen, COUNT, seed))
        except DataError as error:
            refused = refused or error
            continue
        if found:
            return found
    raise refused or DataError(f"The task '{task.name}' has no examples in {split or 'any split'}; choose another.")


def show_task(task: Task, examples: Sequence[Example], template: Template) -> Shown:
    """The examples with their prompts as the model reads them."""
    return Shown(
        name=task.name,
        scorer=task.scorer,
        split=examples[0].split,
        template=template.model,
        note=template.note,
        examples=tuple(
            ShownExample(id=item.id, prompt=template.render(ask(task, item)), answer=item.answer) for item in examples
        ),
    )


def score_response(task: Task, example: Example, text: str) -> Score:
    """The verdict of the task's scorer on a response, its thought left out. Raises UnjudgedError if it failed."""
    scorer: Scorer = plugins.create("scorers", task.scorer)
    return require_verdicts(score_pairs(scorer, [(example, text)]), "responses")[0]


def chat_template(model: str) -> Template:
    """The model's template if its tokenizer is at hand, else the bare message, with the reason."""
    try:
        tokenizer = _tokenizer(model)
    except ModelError as error:
        return Template("", str, f"The bare user message is shown, without a chat template. {error}")
    from errorbook.adapters.targets.conversation import render
    from errorbook.adapters.targets.loading import prompt_ids

    return Template(
        model,
        lambda prompt: render(tokenizer, prompt),
        f"Rendered with the chat template of '{model}'.",
        lambda text: len(prompt_ids(tokenizer, text)),
    )


def _tokenizer(model: str) -> Any:
    if find_spec("transformers") is None or find_spec("torch") is None:
        raise ModelError("Chat templates need transformers; install it with: pip install 'errorbook[local]'.")
    from errorbook.adapters.targets.embedded import EMBEDDED, public_name, resolve
    from errorbook.adapters.targets.loading import load_tokenizer

    carried = model in EMBEDDED and find_spec(EMBEDDED[model].package) is not None
    if carried or find_path(model).is_dir():
        return load_tokenizer(resolve(model))
    return load_tokenizer(public_name(model))  # from the hub's cache, if it is there


def _info(name: str) -> TaskInfo:
    origin = plugins.find_origin("tasks", name)
    try:
        factory = plugins.load("tasks", name)
        scorer, needs = _scorer(name)
        about = (inspect.getdoc(factory) or "").partition("\n")[0]
    except (PluginError, ConfigError) as error:
        scorer, needs, about = "", (), str(error)
    return TaskInfo(
        name=name, scorer=scorer, about=about, needs=needs, package=origin.distribution, version=origin.version
    )


def _scorer(name: str) -> tuple[str, tuple[str, ...]]:
    """The default scorer of a task and the options without which it cannot be made."""
    parameters = plugins.list_options("tasks", name)
    needs = tuple(
        key
        for key, item in parameters.items()
        if item.default is item.empty and item.kind not in {item.VAR_KEYWORD, item.VAR_POSITIONAL}
    )
    if needs:
        default = parameters["scorer"].default if "scorer" in parameters else ""
        return (default if isinstance(default, str) else ""), needs
    try:
        return plugins.create("tasks", name).scorer, ()
    except ErrorbookError:  # it needs its data even to be made; the command that shows it says so
        return "", ()

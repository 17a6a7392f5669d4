"""Any inspect_ai task as a source of examples: the samples of its dataset, not its solvers, tools or scorers.

A sample's first target counts. Messages other than the user's and the system's, files and sandboxes are not carried
over: a task that needs them asks something else here. An inspect task has one dataset, which is divided by hash.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.collection import Collection, Loaded, instructing_style
from errorbook.adapters.tasks.items import Item, make_examples
from errorbook.errors import DataError
from errorbook.files import find_path
from errorbook.plugins import Tokens
from errorbook.records import digest


def inspect_ai(
    task: str,
    *,
    name: str = "inspect_ai",
    args: dict[str, Any] | None = None,
    scorer: str = "exact",
    instruction: str = wording.WORDS,
    max_new_tokens: Tokens = 400,
) -> Collection:
    """An inspect_ai task, as "package/task" or "file.py@task".

    Args:
        task: A registered task, or a function in a file (relative to the working directory).
        name: What the task is called in the ledger.
        args: The task's own arguments.
        scorer: Name of the scorer plugin.
        instruction: What follows the question: the form in which the answer is wanted.
        max_new_tokens: Cap on one response, in tokens.
    """
    style = instructing_style(name, scorer, max_new_tokens, instruction)
    return Collection(style, lambda: _load(name, task, args or {}))


def _load(name: str, task: str, args: dict[str, Any]) -> Loaded:
    try:
        from inspect_ai import __version__
    except ImportError as error:
        raise DataError("inspect_ai is not installed; run: pip install 'errorbook[inspect]'.") from error
    try:
        made = _make_task(task, args)
    except (ImportError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(f"The inspect task '{task}' cannot be made ({reason}); check its name and args.") from error
    items = [_item(sample, number, task) for number, sample in enumerate(made.dataset, 1)]
    origin = f"inspect_ai {__version__} {task} blake2b:{digest(*(repr(item) for item in items))}"
    return Loaded(make_examples(name, [(item, "train") for item in items]), origin, f"'{task}'")


def _make_task(task: str, args: dict[str, Any]) -> Any:
    from inspect_ai.util import registry_create

    file, _, function = task.rpartition("@")
    if not file:
        return registry_create("task", task, **args)
    path = find_path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)(**args)


def _item(sample: Any, number: int, task: str) -> Item:
    targets = [sample.target] if isinstance(sample.target, str) else list(sample.target)
    choices = tuple(str(choice).strip() for choice in sample.choices or ())
    targets = [target.strip() for target in targets if target.strip()]
    if not targets:
        raise DataError(f"Sample {number} of '{task}' has no right answer; leave it out in a task of your own.")
    # Of options a list of targets means all of them, of texts any.
    answer, others = (", ".join(targets), ()) if choices else (targets[0], tuple(targets[1:]))
    return Item(_question(sample.input), answer, choices, id=str(sample.id or ""), accepted=others)


def _question(asked: Any) -> str:
    if isinstance(asked, str):
        return asked.strip()
    return "\n\n".join(message.text.strip() for message in asked if message.role in {"system", "user"})

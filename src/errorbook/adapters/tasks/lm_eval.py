"""Any task of the lm-evaluation-harness, or of your own YAML files for it, as a source of examples.

The harness renders each document to a question, a target and, for multiple choice, options; its few-shot examples,
filters and metrics are not used, since responses are judged by a scorer of ours. Training, validation and test
documents become train, dev and test. A target that is a list counts by its first entry. Tasks whose *question* differs
by option (Winogrande) are refused, and so are perplexity tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.collection import Collection, Loaded, instructing_style
from errorbook.adapters.tasks.items import Item, make_examples
from errorbook.adapters.tasks.table import cut_at_mark
from errorbook.errors import DataError
from errorbook.plugins import Tokens
from errorbook.records import Split, digest


def lm_eval(  # noqa: PLR0913 - the options of a run file, each a keyword
    task: str,
    *,
    name: str = "lm_eval",
    path: str = "",
    after: str = "",
    scorer: str = "exact",
    instruction: str = wording.WORDS,
    max_new_tokens: Tokens = 400,
) -> Collection:
    """A task, or a group of tasks, of the lm-evaluation-harness by its name.

    Args:
        task: The harness's name of the task or group.
        name: What the task is called in the ledger.
        path: A folder with task files of your own, in which alone the task is looked for; or empty.
        after: Mark in the target, such as "####": what follows is the answer, what precedes the solution.
        scorer: Name of the scorer plugin.
        instruction: What follows the question: the form in which the answer is wanted.
        max_new_tokens: Cap on one response, in tokens.
    """
    style = instructing_style(name, scorer, max_new_tokens, instruction)
    return Collection(style, lambda: _load(name, task, path, after))


def _load(name: str, task: str, path: str, after: str) -> Loaded:
    try:
        from lm_eval import __version__
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise DataError("The lm-evaluation-harness is not installed; run: pip install 'errorbook[lm-eval]'.") from error
    try:
        found = TaskManager(include_path=path or None, include_defaults=not path).load(task)["tasks"]
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(
            f"The harness cannot load '{task}' ({reason}); check its name, 'path' and the network."
        ) from error
    items = [
        (_item(one, doc, after)._replace(skill=kind), part)
        for kind, one in found.items()
        for part, docs in _documents(one)
        for doc in docs
    ]
    origin = f"lm_eval {__version__} {task} blake2b:{digest(*(repr(item) for item in items))}"
    return Loaded(make_examples(name, items), origin, f"'{task}'", "set {split} = 0 for this task")


def _documents(task: Any) -> Iterator[tuple[Split, Any]]:
    """The harness task's documents by the part of ours that they are."""
    if task.has_training_docs():
        yield "train", task.training_docs()
    if task.has_validation_docs():
        yield "dev", task.validation_docs()
    if task.has_test_docs():
        yield "test", task.test_docs()


def _item(task: Any, doc: Any, after: str) -> Item:
    kind = task.config.output_type
    text, target = task.doc_to_text(doc), task.doc_to_target(doc)
    if kind not in {"generate_until", "multiple_choice"} or not isinstance(text, str):
        raise DataError(f"'{task.config.task}' does not ask one question a document ({kind}); choose another task.")
    # The harness's last line asks for a continuation; the instruction asks for the answer here.
    question = text.strip().removesuffix("Answer:").strip()
    targets = target if isinstance(target, list) else [target]
    if kind == "generate_until":
        (answer, solution), *rest = (cut_at_mark(str(one), after) for one in targets)
        return Item(question, answer, solution=solution, accepted=tuple(other for other, _ in rest))
    choices = tuple(str(choice).strip() for choice in task.doc_to_choice(doc))
    places = [choices.index(one.strip()) if isinstance(one, str) else int(one) for one in targets]
    gold, *others = (wording.LETTERS[place] for place in places)
    # Bare letters: the question lists the options itself.
    shown = () if choices == tuple(wording.LETTERS[: len(choices)]) else choices
    return Item(question, gold, choices=shown, accepted=tuple(others))

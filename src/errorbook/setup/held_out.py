"""Questions that no sample may contain although the run does not ask them: the benchmarks' whole dev and test splits.

Those of the run's own tasks beyond the examples that it draws, and those of every benchmark that is at hand. What is
done with them is the verifier's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from errorbook import plugins
from errorbook.errors import ConfigError, DataError
from errorbook.files import data_root
from errorbook.interfaces import Sourced, Task
from errorbook.records import Example, Split

_HELD_OUT: tuple[Split, ...] = ("dev", "test")


def list_benchmarks_at_hand() -> tuple[str, ...]:
    """The tasks over published data whose files lie below $ERRORBOOK_DATA; none is downloaded for this."""
    root = data_root()
    return tuple(name for name in plugins.names("tasks") if root and (root / name).is_dir() and _is_published(name))


def _is_published(name: str) -> bool:
    """Whether a task has data by itself: not the user's own, nor made by a rule."""
    try:
        return isinstance(plugins.create("tasks", name), Sourced)
    except ConfigError:  # it needs options
        return False


def protected_questions(own: Iterable[Task], against: Sequence[str] | None) -> tuple[Example, ...]:
    """All dev and test questions of the run's own data sets and of the tasks in `against` (None: what is at hand).

    Raises:
        UserError: A task of `against` is unknown or has no held-out questions.
    """
    sets = [task for task in own if isinstance(task, Sourced)]
    known = {task.name for task in sets}
    found = [example for task in sets for example in _held_out(task)]
    for name in list_benchmarks_at_hand() if against is None else against:
        if name not in known:
            task: Task = plugins.create("tasks", name, {})
            questions = _held_out(task)
            if not questions:
                raise DataError(f"The task '{name}' has no dev or test questions; take it out of verify.against.")
            found += questions
    return tuple(found)


def _held_out(task: Task) -> list[Example]:
    found: list[Example] = []
    for split in _HELD_OUT:
        try:
            found += task.examples(split, None, 0)
        except DataError:  # some data sets have only one of the two; that there is neither is the caller's question
            continue
    return found

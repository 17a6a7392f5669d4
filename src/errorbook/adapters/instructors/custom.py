"""The user's own Python as an instructor: a function from messages to text, or a factory of a whole `Instructor`.

    [instructor]
    kind = "custom"
    function = "my_package.teacher:reply"

The function gets a list of `{"role": ..., "content": ...}` and returns the text of a reply. Its replies are held to the
same schemas and checks as a model's behind an endpoint, and asked again with the fault shown. Not here: cache, budget
and cost; finished diagnoses and drafts are in the ledger all the same, so a resumed run does not ask for them again.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from errorbook.adapters.instructors.asking import AskingSettings
from errorbook.adapters.instructors.model import ModelInstructor
from errorbook.errors import PluginError
from errorbook.files import mend_text
from errorbook.interfaces import Instructor
from errorbook.llm.asking import Asking
from errorbook.llm.client import Asker
from errorbook.llm.endpoint import Reply
from errorbook.llm.openai_chat import add_instruction
from errorbook.llm.orders import Bought, Order, OrderGroup, Outcome, Stopped, Unbought
from errorbook.llm.records import Ask, Result
from errorbook.plugins import AtOnce, Seed

Messages = list[dict[str, str]]
K = TypeVar("K")
T = TypeVar("T")


class FunctionAsker:
    """Implements `Asker` over a function; up to `concurrency` calls run at once, in threads."""

    def __init__(self, function: Callable[[Messages], str], concurrency: AtOnce = 1) -> None:
        self._function = function
        self._concurrency = concurrency

    def ask(self, asks: Iterable[tuple[K, Ask]], check: Callable[[K, Reply], T]) -> Iterator[Result[K, T]]:
        """One result for each key, as they finish; what the function raises is the reason of a Failed."""
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="errorbook-custom")
        try:
            yield from Asking(_FunctionBuyer(self._function, pool, self._concurrency), check).run(iter(asks))
        finally:
            pool.shutdown(cancel_futures=True)

    def forget(self, asks: Iterable[Ask]) -> None:
        """See `Asker`. Nothing is kept."""


class _FunctionBuyer:
    """Implements `Buyer`: a reply is what the function returns. Nothing is kept and nothing costs."""

    def __init__(self, function: Callable[[Messages], str], pool: Executor, window: int) -> None:
        self.window = window
        self._function = function
        self._pool = pool

    def key(self, ask: Ask) -> str:
        """See `Buyer`. Nothing is kept, so no key is needed."""
        return ""

    def buy(self, order: Order) -> None:
        """See `Buyer`."""
        self._pool.submit(lambda: order.end(self._call(order.ask)))

    def waiting(self) -> float:
        """See `Buyer`."""
        return 1.0

    def halt(self, group: OrderGroup) -> None:
        """See `Buyer`."""
        group.halted = True

    def _call(self, ask: Ask) -> Outcome:
        try:
            text = self._function(_plain(ask))
        except Exception as error:  # somebody else's code: whatever it raises is data
            return Unbought(mend_text(f"The function raised {type(error).__name__}: {error}."))
        except BaseException as error:  # such as SystemExit, which ends the caller and not just this thread
            return Stopped(error)
        if not isinstance(text, str):
            return Unbought(f"The function returned {type(text).__name__}; it must return a text.")
        return Bought(Reply(mend_text(text), None, None, truncated=False), cost_nano=0, cached=False)


def custom(
    *,
    function: str,
    concurrency: AtOnce = 1,
    options: dict[str, Any] | None = None,
    seed: Seed = 0,
) -> Instructor:
    """An instructor of the user's own.

    Args:
        function: "module:name" of a function from messages to text, or of a class or function that gives an object
            with the methods of `Instructor`.
        concurrency: How many calls run at once; 1 if the function must not be called from two threads.
        options: Keywords for a class or function that gives an Instructor.
        seed: Shuffles options.

    Raises:
        PluginError: There is no such function.
    """
    found = _find(function)
    if isinstance(found, type) or options is not None:
        made = found(**(options or {}))
        if not (callable(getattr(made, "diagnose", None)) and callable(getattr(made, "write", None))):
            raise PluginError(f"'{function}' gives no instructor; it needs the methods diagnose and write.")
        instructor: Instructor = made
        return instructor
    asker = FunctionAsker(found, concurrency)

    def opened() -> AbstractContextManager[Asker]:
        return nullcontext(asker)

    return ModelInstructor("custom", opened, AskingSettings(), seed)


def _find(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    try:
        found = getattr(_import(module), name, None) if module and name else None
    except ImportError as error:
        raise PluginError(
            f"The module '{module}' of '{function}' cannot be imported ({error}); start the command in the folder that"
            " holds it, or install it."
        ) from error
    if not callable(found):
        raise PluginError(f"There is no function '{function}'; give it as \"module:function\".")
    checked: Callable[..., Any] = found
    return checked


def _import(module: str) -> ModuleType:
    """A module that is installed, or that lies in the folder in which the command was started.

    A command that pip installed does not look there as `python -m` does.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        here = str(Path.cwd())
        if error.name != module.partition(".")[0] or here in sys.path:
            raise
        sys.path.append(here)
        importlib.invalidate_caches()
        return importlib.import_module(module)


def _plain(ask: Ask) -> Messages:
    """The messages with the schema told in words, since nothing else holds a function's reply to it."""
    return [
        {"role": turn.role, "content": turn.content} for turn in (add_instruction(ask) if ask.schema else ask.messages)
    ]

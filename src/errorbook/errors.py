"""The error tree. Every message is one sentence that names the fix.

    ErrorbookError
    +-- UserError            the user must fix something: exit code 2, nothing lost
    |   +-- ConfigError      the run file
    |   +-- DataError        a dataset
    |   +-- PluginError      a plugin that is unknown, doubled or broken
    |   +-- ModelError       a model folder or name, or a missing runtime
    |   +-- OutageError      a stage without usable answers: no result, and the same command asks again
    |   +-- LedgerError      a ledger that is not this run's, or cannot be written
    |   |   `-- BusyError    a ledger that another process is writing to
    |   |-- BudgetError      a cap that would be overshot, or a price that is not known
    |   `-- UnjudgedError    what judges responses failed, which says nothing about the responses
    `-- StageError           a stage broke its contract (empty training set, unchanged adapter): exit code 2 as well

A bad item (one response, one draft) is never an exception: it is a record with a reason.
"""

from __future__ import annotations

from errorbook.redact import mask


class ErrorbookError(Exception):
    """Root of all errors that Errorbook raises on purpose. What looks like a key is masked in the sentence."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*(mask(part) if isinstance(part, str) else part for part in parts))


class UserError(ErrorbookError):
    """Something that the user must fix; the CLI prints the sentence and exits with 2."""


class ConfigError(UserError):
    """The run file is missing, malformed or inconsistent."""


class DataError(UserError):
    """A dataset is missing, empty or malformed."""


class PluginError(UserError):
    """A plugin is unknown, defined twice, or failed to load."""


class ModelError(UserError):
    """A model cannot be found or loaded."""


class OutageError(UserError):
    """A stage got no answers, or none that can be used: nothing of it counts as a result."""


class LedgerError(UserError):
    """The ledger belongs to another run, is in use, or cannot be written."""


class BusyError(LedgerError):
    """Another process is writing to the ledger."""


class BudgetError(UserError):
    """A budget is used up, or cannot be enforced because a price is unknown."""


class UnjudgedError(UserError):
    """What judges responses failed (a sandbox, an endpoint): they have no verdict, and the same command goes on."""

    @classmethod
    def of(cls, missing: int, asked: int, what: str, reason: str) -> UnjudgedError:
        """`missing` of `asked` could not be judged; `what` names them in the plural, and `reason` is the first."""
        return cls(
            f"{missing} of {asked} {what} could not be judged ({reason.rstrip('.')}); mend that and give the same"
            " command again: nothing was counted, and nothing is lost."
        )


class StageError(ErrorbookError):
    """A stage broke its contract; the run stops, what was recorded stays."""

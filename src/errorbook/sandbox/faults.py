"""What can go wrong between the tests and a program, for the tests' side."""

from __future__ import annotations

from typing import Literal

Fault = Literal["", "no_code", "tests"]
"""Why a program was not judged, as far as something depends on it.

`no_code`: the response holds none. `tests`: they, or the question's own code, fail by themselves, whatever the program.
"""


class Gone(BaseException):
    """The program ended, was killed, or answered out of the format. Not an Exception: no test can catch it away."""


class CannotTell(BaseException):
    """The tests need something that cannot cross, so neither right nor wrong can be said."""

    def __init__(self, why: str, fault: Fault = "") -> None:
        super().__init__(why)
        self.fault = fault


class ProgramError(Exception):
    """The program raised an exception that is not a built-in one, or answered what is no answer."""


MARK = "_errorbook_program"
"""The attribute by which an exception is known to be the program's."""

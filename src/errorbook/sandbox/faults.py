"""What can go wrong between the tests and a program, for the tests' side."""

from __future__ import annotations


class Gone(BaseException):
    """The program ended, was killed, or answered out of the format. Not an Exception: no test can catch it away."""


class CannotTell(BaseException):
    """The tests need something that cannot cross, so neither right nor wrong can be said."""


class ProgramError(Exception):
    """The program raised an exception that is not a built-in one, or answered what is no answer."""


MARK = "_errorbook_program"
"""The attribute by which an exception is known to be the program's."""

"""A second reader of responses that are not right: is it the form alone that is wrong?

It is generous where the scorer could read nothing and strict where it read something else, and it never makes a
response right: it only says how many of a base's mistakes may be mistakes of form.
"""

from __future__ import annotations

from errorbook.checks.tokens import words


def gives_answer(response: str, answer: str, *, readable: bool) -> bool:
    """Whether a response gives the gold answer all the same: anywhere, or at its very end if it was `readable`.

    An answer of a single letter is never found: a letter stands in every text.
    """
    wanted = _plain(answer)
    if not wanted or (len(wanted) == 1 and len(wanted[0]) == 1 and not wanted[0].isdigit()):
        return False
    said = _plain(response)
    size = len(wanted)
    if readable:
        return said[-size:] == wanted
    return any(said[start : start + size] == wanted for start in range(len(said) - size + 1))


def _plain(text: str) -> list[str]:
    return [word.replace(",", "") for word in words(text)]

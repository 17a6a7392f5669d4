"""Words that reports and pages share: a number with its noun, a kind of error as people read it."""

from __future__ import annotations


def count(n: int, noun: str) -> str:
    """A number with its noun, plural by adding s."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def words(kind: str) -> str:
    """An error kind or reason as words: dropped_carry is read as 'dropped carry'."""
    return kind.replace("_", " ")

"""Parses Python that a model wrote: its syntax tree, or the line that is no Python. It runs nothing."""

from __future__ import annotations

import ast


def parse_program(code: str) -> ast.Module | None:
    """The syntax tree, or None if the code does not parse."""
    found = find_tree(code)
    return found if isinstance(found, ast.Module) else None


def find_tree(code: str) -> ast.Module | int:
    """The syntax tree, or the number of the line that does not parse (from 1); 0 if that is not known."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid escape sequence in the model's string
            return ast.parse(code)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0

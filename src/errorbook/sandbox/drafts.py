"""Whether a program that an instructor wrote, with its tests, is Python of the form that is asked for."""

from __future__ import annotations

import ast

from errorbook.sandbox import programs
from errorbook.sandbox.parsing import parse_program


def find_broken_part(program: str, entry: str, tests: list[str]) -> str:
    """What is wrong with a draft's program or one of its tests, as a clause; empty if nothing is."""
    if parse_program(program) is None or not programs.defines(program, entry):
        return "program"
    return next((test for test in tests if not _asserts(test, entry)), "")


def _asserts(test: str, entry_point: str) -> bool:
    """Whether the test is nothing but one assertion that calls the function."""
    tree = parse_program(test.strip())
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        return False
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(isinstance(call, ast.Name) and call.id == entry_point for call in calls)

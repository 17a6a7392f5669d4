"""Whose fault it is that tests raise an error: the program's, or the tests' own.

What a test computes from the program's answers can fail because of them: dividing by a result that is zero. What it
computes from nothing but its own names fails by itself: a missing import, `1 / 0`, an unknown helper. So names are
followed: those that the program defines, and all that is assigned, passed, looped over or returned with them. The part
of the tests that raised is the program's fault if it holds such a name. In doubt it is.
"""

from __future__ import annotations

import ast
import builtins
import sys
from types import CodeType, TracebackType
from typing import Any

from errorbook.sandbox.faults import MARK, ProgramError

_KNOWN = frozenset(dir(builtins)) | frozenset(sys.stdlib_module_names) | {"__name__", "__file__"}
_BRANCHES = (ast.If, ast.While, ast.For, ast.AsyncFor, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)


class Names:
    """Which names of the tests depend on the program."""

    def __init__(self, tree: ast.Module, entry: str) -> None:
        self.tree = tree
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.bound = find_bound(tree)
        loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        self.tainted = {name for name in loaded if name not in self.bound and name not in _KNOWN} | {entry}
        self._functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        known = -1
        while known != len(self.tainted):
            known = len(self.tainted)
            for node in ast.walk(tree):
                self._follow(node)

    def depends(self, node: ast.AST | None) -> bool:
        """Whether a part of the tests depends on the program."""
        return node is not None and any(
            isinstance(part, ast.Name) and part.id in self.tainted for part in ast.walk(node)
        )

    def blame_tests(self, error: BaseException, files: tuple[str, ...]) -> str:
        """What is wrong with the tests if this error is their own fault, else an empty text."""
        if isinstance(error, ProgramError) or getattr(error, MARK, False):
            return ""
        found = _innermost(error.__traceback__, files)
        if found is None:
            return ""
        node = self._part_at(found)
        if node is None or self.depends(node):
            return ""
        deliberate = isinstance(node, ast.Assert | ast.Raise) or isinstance(error, SystemExit)
        if deliberate and any(self.depends(above) for above in self._branches(node)):
            return ""
        source = ast.unparse(node)[:120]
        return f"the tests fail by themselves: {type(error).__name__} in '{source}'"[:300]

    def _follow(self, node: ast.AST) -> None:
        match node:
            case ast.ExceptHandler(name=str(name)):
                self.tainted.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if any(map(self.depends, node.body)):
                self.tainted.add(node.name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if any(map(self.depends, node.decorator_list)):
                self.tainted.update({node.name, *_list_names(node)})
            case ast.With(items=items) | ast.AsyncWith(items=items) if any(map(self.depends, node.body)):
                self.tainted.update(name for item in items for name in _list_names(item))  # such as what is printed
            case ast.Lambda(args=args):
                self.tainted.update(_parameters(args))
            case ast.Call():
                self._follow_call(node)
            case _:
                targets, value = _find_assignment(node)
                if targets and self.depends(value):
                    self._taint(*targets)

    def _follow_call(self, node: ast.Call) -> None:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if self.depends(node.func):
            # The program may change what it is given, and call the functions that it is given.
            for item in given:
                self._hand_over(item)
        named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        passed = {item.id for item in given if isinstance(item, ast.Name)}
        for other in self._functions:
            if other.name == named and any(map(self.depends, given)):
                self.tainted.update(_parameters(other.args))
            if other.name in passed and self.depends(node.func):
                self.tainted.update(_list_names(other))

    def _hand_over(self, item: ast.AST) -> None:
        if isinstance(item, ast.Name | ast.Attribute):
            self._taint(item)
        elif isinstance(item, ast.Lambda):
            self.tainted.update(_list_names(item))

    def _taint(self, *targets: ast.AST) -> None:
        for target in targets:
            names = [part for part in ast.walk(target) if isinstance(part, ast.Name)]
            self.tainted.update(part.id for part in names[:1] if not isinstance(target, ast.Tuple | ast.List))
            if isinstance(target, ast.Tuple | ast.List | ast.Starred):
                self._taint(*(target.elts if not isinstance(target, ast.Starred) else [target.value]))

    def _part_at(self, place: tuple[int | None, ...]) -> ast.AST | None:
        """The expression or statement that stands exactly there, else the statement on that line."""
        first, last, start, end = place
        line = None
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.expr | ast.stmt):
                continue
            at = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
            if at == (first, last, start, end):
                return node
            if isinstance(node, ast.stmt) and first is not None and node.lineno <= first <= (node.end_lineno or 0):
                line = node
        return line

    def _branches(self, node: ast.AST) -> list[ast.AST]:
        found: list[ast.AST] = []
        above = self._parents.get(node)
        while above is not None:
            if isinstance(above, _BRANCHES):
                found.append(above)
            above = self._parents.get(above)
        return found


def find_bound(tree: ast.AST) -> set[str]:
    """Every name that the code binds anywhere: by assignment, import, definition, parameter or handler."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.partition(".")[0])
            case ast.arg(arg=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)):
                found.add(name)
    return found


def find_free(tree: ast.Module) -> list[str]:
    """The names that the code uses and neither binds nor has from Python or its library, in order."""
    bound = find_bound(tree)
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(names) if name not in bound and name not in _KNOWN]


def list_safe_places(tree: ast.Module, names: Names) -> dict[ast.Call, list[int | str]]:
    """For each call of the program the arguments in which the tests may see what it did to them.

    An argument is such a one if it is a name that the tests otherwise only compare with what does not depend on the
    program, or ask for its identity: so no expected value can be made out of what the program did to it.
    """
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    unsafe = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and not _is_harmless(node, parents, names)
    }
    found: dict[ast.Call, list[int | str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not any(isinstance(item, ast.Starred) for item in node.args):
            places: list[int | str] = [
                place for place, item in enumerate(node.args) if isinstance(item, ast.Name) and item.id not in unsafe
            ]
            places += [
                each.arg
                for each in node.keywords
                if each.arg and isinstance(each.value, ast.Name) and each.value.id not in unsafe
            ]
            if places and names.depends(node.func):
                found[node] = places
    return found


def _is_harmless(node: ast.Name, parents: dict[ast.AST, ast.AST], names: Names) -> bool:
    above: ast.AST = node
    parent = parents.get(node)
    if isinstance(parent, ast.keyword):
        above, parent = parent, parents.get(parent)
    if isinstance(parent, ast.Call) and above is not parent.func and names.depends(parent.func):
        return True
    while parent is not None and isinstance(parent, ast.expr):
        if isinstance(parent, ast.Compare):
            others = [side for side in (parent.left, *parent.comparators) if side is not above]
            by_identity = all(isinstance(sign, ast.Is | ast.IsNot) for sign in parent.ops) and above is node
            return by_identity or not any(map(names.depends, others))
        above, parent = parent, parents.get(parent)
    return False


def _list_names(tree: ast.AST) -> set[str]:
    """The names of the tests' own that a part of them uses or takes."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return (names | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}) - _KNOWN


def _find_assignment(node: ast.AST) -> tuple[list[ast.expr], ast.expr | None]:
    """What a part of the code binds, and what to."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return targets, value
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
            return [target], node.value
        case ast.For(target=target) | ast.AsyncFor(target=target) | ast.comprehension(target=target):
            return [target], node.iter
        case ast.withitem(context_expr=value, optional_vars=target):
            return [target] if target else [], value
    return [], None


def _parameters(arguments: ast.arguments) -> list[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument.arg for argument in every if argument is not None]


def _innermost(trace: TracebackType | None, files: tuple[str, ...]) -> tuple[int | None, ...] | None:
    """Where, in these files, the error arose, as line, last line, column and last column."""
    found = None
    while trace is not None:
        code: CodeType = trace.tb_frame.f_code
        if code.co_filename in files:
            positions: list[Any] = list(code.co_positions())
            found = positions[trace.tb_lasti // 2] if trace.tb_lasti >= 0 else (trace.tb_lineno, None, None, None)
        trace = trace.tb_next
    return found

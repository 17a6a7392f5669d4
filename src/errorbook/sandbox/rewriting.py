"""Rewrites tests so that each assertion is counted, and one that fails does not hide the next.

An assertion inside `try` or `with`, also with `except*` or `async`, keeps its own meaning: it raises, and is counted if
it holds. Calls whose result is dropped go through `remote.call`, and so do those whose arguments may be seen to change
(`blame.list_safe_places`). Everything else runs as written.
"""

from __future__ import annotations

import ast

from errorbook.sandbox import blame

BEGIN, NOTE, COMPARE, CALL = "__errorbook_begin__", "__errorbook_note__", "__errorbook_compare__", "__errorbook_call__"
_ERROR = "__errorbook_error__"
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


LONG = 20_000
"""Parts of tests above which it is not looked into what depends on what."""


def rewrite(source: str, entry: str) -> tuple[ast.Module, blame.Names | None]:
    """The tests as a tree that can be compiled, and which of their names depend on the program.

    Raises:
        SyntaxError: They do not parse.
    """
    tree, names, places = ast.parse(source), None, {}
    if sum(1 for _ in ast.walk(tree)) <= LONG:
        names = blame.Names(ast.parse(source), entry)
        places = blame.list_safe_places(tree, names)
    _Rewriter(places).visit(tree)
    return ast.fix_missing_locations(tree), names


class _Rewriter(ast.NodeTransformer):
    def __init__(self, places: dict[ast.Call, list[int | str]]) -> None:
        self._guarded = 0
        self._places: dict[ast.AST, ast.expr] = {
            node: ast.List([ast.Constant(place) for place in where], ast.Load()) for node, where in places.items()
        }

    def visit_Try(self, node: ast.Try | ast.TryStar) -> ast.AST:
        # `assert False` behind the call says that an exception must come: then one that is caught is what was asserted.
        due = [item for item in node.body if isinstance(item, ast.Assert) and _is_false(item.test)]
        for handler in node.handlers if due else []:
            if not _catches_all(handler.type):
                handler.body[:0] = [_statement(NOTE, ast.Constant(None))]
        return self._inside(node)

    def visit_TryStar(self, node: ast.TryStar) -> ast.AST:
        return self.visit_Try(node)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> ast.AST:
        return self._inside(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.visit_With(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call):
            self._places[node.value] = ast.Constant(True)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if node in self._places:
            node.args[:0] = [self._places[node], node.func]
            node.func = ast.Name(CALL, ast.Load())
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        source = ast.unparse(node)[:400]
        self.generic_visit(node)
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            sign = ast.Constant(_SIGNS[type(test.ops[0])])
            node.test = ast.Call(ast.Name(COMPARE, ast.Load()), [sign, test.left, *test.comparators], [])
        noted = [_statement(BEGIN, ast.Constant(source)), node, _statement(NOTE, ast.Constant(None))]
        if self._guarded:
            return ast.If(ast.Constant(True), noted, [])
        handler = ast.ExceptHandler(
            ast.Name("__errorbook_exception__", ast.Load()), _ERROR, [_statement(NOTE, ast.Name(_ERROR, ast.Load()))]
        )
        return ast.copy_location(ast.Try(noted, [handler], [], []), node)

    def _inside(self, node: ast.AST) -> ast.AST:
        self._guarded += 1
        self.generic_visit(node)
        self._guarded -= 1
        return node


def _is_false(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and not test.value


def _catches_all(kind: ast.expr | None) -> bool:
    names = {part.id for part in ast.walk(kind) if isinstance(part, ast.Name)} if kind else {"BaseException"}
    return bool(names & {"BaseException", "Exception", "AssertionError"})


def _statement(name: str, argument: ast.expr) -> ast.Expr:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [argument], []))

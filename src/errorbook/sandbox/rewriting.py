"""Rewrites tests so that each assertion is counted, and one that fails does not hide the next.

An assertion inside `try` or `with` keeps its own meaning (it raises); it is counted if it holds. Calls whose result
is dropped go through `remote.call`. Everything else runs as written.
"""

from __future__ import annotations

import ast

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


def rewrite(source: str) -> ast.Module:
    """The tests as a tree that can be compiled. Raises SyntaxError if they do not parse."""
    tree = ast.parse(source)
    _Rewriter().visit(tree)
    return ast.fix_missing_locations(tree)


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self._guarded = 0

    def visit_Try(self, node: ast.Try) -> ast.AST:
        return self._inside(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        return self._inside(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Call):
            node.value.args.insert(0, node.value.func)
            node.value.func = ast.Name(CALL, ast.Load())
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


def _statement(name: str, argument: ast.expr) -> ast.Expr:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [argument], []))

"""Worked steps of integer calculations: columns with carries, partial products, long division, expression trees.

Every step is one line that holds an equation between integers, so that it can be checked by itself. Lines are short
and alike, because a very small model has to imitate them. Fractions and percentages are composed elsewhere from
these; nothing here knows wordings, skills or levels.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Tree: TypeAlias = "int | tuple[str, Tree, Tree]"
"""An expression: a number, or (operator, left, right) with one of + - * /."""

_NAMES = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


class Sketch(NamedTuple):
    """A problem before it is filed under a skill and level."""

    question: str
    answer: str
    steps: tuple[str, ...]
    key: str


def add_columns(a: int, b: int) -> tuple[str, ...]:
    """Column addition from the right; a column that overflows says what is written and carried."""
    steps, carry = [], 0
    width = max(len(str(a)), len(str(b)))
    for place in range(width):
        x, y = _digit(a, place), _digit(b, place)
        total = x + y + carry
        line = f"{x} + {y}{' + 1' if carry else ''} = {total}"
        carry = total // 10
        steps.append(f"{line}, write {total % 10}, carry 1" if carry and place < width - 1 else line)
    return (*steps, f"{a} + {b} = {a + b}")


def subtract_columns(a: int, b: int) -> tuple[str, ...]:
    """Column subtraction from the right for a >= b >= 0; a column that goes below zero borrows ten."""
    steps, borrow = [], 0
    for place in range(len(str(a))):
        x, y = _digit(a, place), _digit(b, place)
        below = x - y - borrow < 0
        top = x + 10 if below else x
        line = f"{top} - {y}{' - 1' if borrow else ''} = {top - y - borrow}"
        steps.append(f"{line}, borrow 1" if below else line)
        borrow = int(below)
    return (*steps, f"{a} - {b} = {a - b}")


def carries(a: int, b: int) -> int:
    """How many columns carry in a + b."""
    count = carry = 0
    for place in range(max(len(str(a)), len(str(b)))):
        carry = int(_digit(a, place) + _digit(b, place) + carry > 9)
        count += carry
    return count


def borrows(a: int, b: int) -> int:
    """How many columns borrow in a - b, for a >= b."""
    return carries(a - b, b)


def partial_products(a: int, b: int) -> tuple[str, ...]:
    """One product for each non-zero digit of `a`, then their running sum."""
    parts = [_digit(a, place) * 10**place for place in reversed(range(len(str(a))))]
    products = [(part, part * b) for part in parts if part]
    steps = [f"{part} * {b} = {product}" for part, product in products]
    total = products[0][1]
    for _, product in products[1:]:
        steps.append(f"{total} + {product} = {total + product}")
        total += product
    return tuple(steps)


def long_division(a: int, b: int) -> tuple[str, ...]:
    """Digits of the quotient from the left, and one line that puts them together; the remainder may be positive."""
    quotient, remainder = divmod(a, b)
    steps, rest, started = [], 0, False
    for place in reversed(range(len(str(a)))):
        rest = rest * 10 + _digit(a, place)
        digit = rest // b
        started = started or digit > 0
        if not started:
            continue
        steps.append(f"{digit} * {b} = {digit * b}")
        if place or remainder:
            steps.append(f"{rest} - {digit * b} = {rest - digit * b}")
        rest -= digit * b
    closing = f"{quotient} * {b} + {remainder} = {a}" if remainder else f"{a} / {b} = {quotient}"
    return (*steps, closing)


def value(tree: Tree) -> int | None:
    """The tree's value, or None where it or a part of it is not a positive whole number."""
    if isinstance(tree, int):
        return tree
    operator, left, right = tree[0], value(tree[1]), value(tree[2])
    if left is None or right is None:
        return None
    if operator == "/":
        return left // right if left % right == 0 else None
    result = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return result if result > 0 else None


def infix(tree: Tree, above: int = 0) -> str:
    """The tree as an expression, with brackets only where they are needed."""
    if isinstance(tree, int):
        return str(tree)
    precedence = _PRECEDENCE[tree[0]]
    text = f"{infix(tree[1], precedence)} {tree[0]} {infix(tree[2], precedence + 1)}"
    return f"({text})" if precedence < above else text


def tree_steps(tree: Tree) -> tuple[str, ...]:
    """One equation for each operation, inner ones first. The tree's value must not be None."""
    if isinstance(tree, int):
        return ()
    step = f"{value(tree[1])} {tree[0]} {value(tree[2])} = {value(tree)}"
    return (*tree_steps(tree[1]), *tree_steps(tree[2]), step)


def tree_key(tree: Tree) -> str:
    """Canonical identity: equal for trees that differ only in the order of addends or of factors."""
    if isinstance(tree, int):
        return str(tree)
    operator = tree[0]
    parts = [key if isinstance(part, int) else f"({key})" for part in _operands(tree) for key in (tree_key(part),)]
    if operator in "+*":
        parts.sort(key=lambda part: (len(part), part), reverse=True)
    return ":".join((_NAMES[operator], *parts))


def _operands(tree: tuple[str, Tree, Tree]) -> list[Tree]:
    """Both operands; chains of one commutative operator are flattened."""
    found: list[Tree] = []
    for part in (tree[1], tree[2]):
        if isinstance(part, tuple) and part[0] == tree[0] and tree[0] in "+*":
            found.extend(_operands(part))
        else:
            found.append(part)
    return found


def _digit(number: int, place: int) -> int:
    return int(str(number)[-1 - place]) if place < len(str(number)) else 0

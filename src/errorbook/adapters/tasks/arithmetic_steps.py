"""Worked steps of integer calculations: part by part, partial products, division, expression trees.

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


def add_parts(a: int, b: int) -> tuple[str, ...]:
    """Addition of the second number part by part, hundreds before tens before ones: 47 + 38 is 47 + 30, then + 8."""
    return _in_turn("+", a, b)


def subtract_parts(a: int, b: int) -> tuple[str, ...]:
    """Subtraction of the second number part by part, for a >= b >= 0: 83 - 37 is 83 - 30, then - 7."""
    return _in_turn("-", a, b)


def _in_turn(operator: str, a: int, b: int) -> tuple[str, ...]:
    steps, total = [], a
    for part in _parts(b) or [0]:
        result = total + part if operator == "+" else total - part
        steps.append(f"{total} {operator} {part} = {result}")
        total = result
    return tuple(steps)


def _parts(number: int) -> list[int]:
    """The number's digits with their place values, largest first, without zeros: 305 is 300 and 5."""
    digits = str(number)
    return [int(digit) * 10 ** (len(digits) - 1 - place) for place, digit in enumerate(digits) if digit != "0"]


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
    """One product for each part of `a`, then their running sum; a product of the multiplication table is one step."""
    if a <= 12:
        return (f"{a} * {b} = {a * b}",)
    products = [(part, part * b) for part in _parts(a)]
    steps = [f"{part} * {b} = {product}" for part, product in products]
    total = products[0][1]
    for _, product in products[1:]:
        steps.append(f"{total} + {product} = {total + product}")
        total += product
    return tuple(steps)


def division(a: int, b: int) -> tuple[str, ...]:
    """Division part by part: as many tens of times as fit, then the rest; the remainder may be positive.

    What the multiplication table answers is one step.
    """
    quotient, remainder = divmod(a, b)
    if not remainder:
        parts = _parts(quotient) if quotient > 12 else [quotient]
        steps = [f"{part * b} / {b} = {part}" for part in parts]
        return (*steps, " + ".join(map(str, parts)) + f" = {quotient}") if len(parts) > 1 else tuple(steps)
    steps, rest = [], a
    for part in _parts(quotient) if quotient > 12 else [quotient]:
        steps += [f"{part} * {b} = {part * b}", f"{rest} - {part * b} = {rest - part * b}"]
        rest -= part * b
    return tuple(steps)


def value(tree: Tree) -> int | None:
    """The tree's value, or None if it or a part of it is not a positive whole number."""
    if isinstance(tree, int):
        return tree
    operator, left, right = tree[0], value(tree[1]), value(tree[2])
    if left is None or right is None:
        return None
    return apply(operator, left, right)


def apply(operator: str, left: int, right: int) -> int | None:
    """One operation on two positive whole numbers, or None if it does not come to such a number."""
    if operator == "/":
        return left // right if left % right == 0 else None
    result = left + right if operator == "+" else left - right if operator == "-" else left * right
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

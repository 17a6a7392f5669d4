"""Arithmetic as people write it, read into trees: each form on its own, with what is left over after it.

A tree is shown with brackets around each operation, `@` and the decimal places that a number shows, and its unit in
square brackets; dots at the end say that something follows. An empty text is what is not read.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from errorbook.checks.expressions import (
    Number,
    Operation,
    Parsed,
    Tree,
    evaluate,
    is_operator,
    is_plain,
    numbers_in,
    operators_in,
    parse_expression,
    tokenize,
    units_in,
)

FORMS = [
    ("3 + 4", "(3 + 4)"),
    ("3 - 4 - 5", "((3 - 4) - 5)"),
    ("3 - 4 * 5 + 6", "((3 - (4 * 5)) + 6)"),
    ("12 / 3 / 2", "((12 / 3) / 2)"),
    ("2 * 3 / 4", "((2 * 3) / 4)"),
    ("(3 + 4) * 2", "((3 + 4) * 2)"),
    ("[3 + 4] * 2", "((3 + 4) * 2)"),
    ("2(3 + 4)", "(2 * (3 + 4))"),
    ("2 (3 + 4)", ""),
    ("(1 + 1)(2 + 2)", "((1 + 1) * (2 + 2))"),
    ("3 +", ""),
    ("3 + * 4", ""),
    ("3 * x", ""),
    ("-3 + 4", "((0 - 3) + 4)"),
    ("− 3 * 2", "((0 - 3) * 2)"),
    ("–3", "(0 - 3)"),
    ("+3", "3"),
    ("--3", ""),
    ("- (3 + 4)", "(0 - (3 + 4))"),
    ("3 * -4", "(3 * (0 - 4))"),
    ("20% of 50", "(20% [%] * 50)"),
    ("20% of the 50", "(20% [%] * 50)"),
    ("20% of those 50", "(20% [%] * 50)"),
    ("20% of these 50 pens", "(20% [%] * 50 [pens])"),
    ("20% of (30 + 20)", "(20% [%] * (30 + 20))"),
    ("20% of", "20% [%] ..."),
    ("20% of the", "20% [%] ..."),
    ("20% of pens", ""),
    ("20 of 50", "20 ..."),
    ("1/4 of 20", "((1 / 4) * 20)"),
    ("1/4 of 1/2", "((1 / 4) * (1 / 2))"),
    ("0.5 of 20", "1/2@1 ..."),
    ("(1 * 4) of 20", "(1 * 4) ..."),
    ("(1 / 4) of 20", "((1 / 4) * 20)"),
    ("20% OF 50", "(20% [%] * 50)"),
    ("3 plus 4", "(3 + 4)"),
    ("3 minus 4", "(3 - 4)"),
    ("3 times 4", "(3 * 4)"),
    ("3 multiplied by 4", "(3 * 4)"),
    ("12 divided by 4", "(12 / 4)"),
    ("12 divided", "12 ..."),
    ("12 divided into 4", "12 ..."),
    ("12 multiplied by", ""),
    ("3 Times 4", "(3 * 4)"),
    ("3 DIVIDED BY 4", "(3 / 4)"),
    ("2 1/2", "(2 + (1 / 2))"),
    ("2 1/2 cups", "(2 + (1 / 2)) [cups]"),
    ("2 3/2", "2 ..."),
    ("2 2/2", "2 ..."),
    ("2.0 1/2", "2@1 ..."),
    ("2% 1/2", "2% [%] ..."),
    ("$2 1/2", "(2 [$] + (1 / 2))"),
    ("-2 1/2", "(0 - (2 + (1 / 2)))"),
    ("2 1/2 * 3", "((2 + (1 / 2)) * 3)"),
    ("(2) 1/2", "(2 + (1 / 2))"),
    ("3 kg", "3 [kg]"),
    ("3kg", "3 [kg]"),
    ("3 kg * 2", "(3 [kg] * 2)"),
    ("3xyz", ""),
    ("3 red pens", "3 [red pens]"),
    ("3 a b", "3 ..."),
    ("3 of the", "3 ..."),
    ("3 of pens", ""),
    ("3 boxes of pens", "3 [boxes of pens]"),
    ("3 boxes of the", "3 [boxes] ..."),
    ("3 boxes of", "3 [boxes] ..."),
    ("3 boxes of 4", "3 [boxes] ..."),
    ("3 dollars/hour", "3 [dollars hour]"),
    ("3 dollars / hour", "3 [dollars hour]"),
    ("3 dollars / 4", "(3 [dollars] / 4)"),
    ("3 pens and 4", "3 [pens] ..."),
    ("3 pens so", "3 [pens] ..."),
    ("3 one two three four five six seven eight", "3 [one two three four five six seven] ..."),
    ("3 (red pens)", "3"),
    ("3 (red pens) left", "3 [left]"),
    ("3(red pens)", ""),
    ("3 pens (red) * 2", "(3 [pens] * 2)"),
    ("3 ()", "3"),
    ("3 (cost + tax)", ""),
    ("3 (cost - tax)", "3"),
    ("3 (cost * tax)", ""),
    ("3 (cost / tax)", "3"),
    ("3 (a b c d e f g h i j)", "3"),
    ("3 (a b c d e f g h i j k)", ""),
    ("3 (two", ""),
    ("3 (4)", ""),
    ("3 (pens (red))", ""),
    ("3kg (red)", "3 [kg]"),
    ("3 (red)kg", "3 [kg]"),
    ("3 a", "3 ..."),
    ("3 x", "3 ..."),
    ("3 é", "3 ..."),
    ("3 # ", "3 [#]"),
    ("3 °", "3 [°]"),
    ("$3", "3 [$]"),
    ("€3.50", "7/2@2 [$]"),
    ("US$3", "3 [$]"),
    ("\\$3", "3 [$]"),
    ("$ 3", "3 [$]"),
    ("$1/4", "(1 [$] / 4)"),
    ("1,000", "1000"),
    ("1,00", "1 ..."),
    ("1,000.5", "2001/2@1"),
    ("1,0000", "1 ..."),
    (".5", "1/2@1"),
    ("0.50", "1/2@2"),
    ("00.5", "1/2@1"),
    ("07", ""),
    ("0", "0"),
    ("10%", "10% [%]"),
    ("10 %", "10% [%]"),
    ("10\\%", "10% [%]"),
    ("10 percent", "10 [percent]"),
    ("3/4", "(3 / 4)"),
    ("3/4.5", "(3 / 9/2@1)"),
    ("3/4 kg", "(3 / 4) [kg]"),
    ("3/4kg", "(3 / 4 [kg])"),
    ("3 / 4", "(3 / 4)"),
    ("\\frac{3}{4}", "(3 / 4)"),
    ("\\dfrac{3}{4}", "(3 / 4)"),
    ("\\tfrac{1 + 2}{4}", "((1 + 2) / 4)"),
    ("\\frac{(3)}{4}", "(3 / 4)"),
    ("\\frac {3} {4}", "(3 / 4)"),
    ("\\frac{x}{4}", ""),
    ("\\frac{3}{x}", ""),
    ("\\frac{3 4}{5}", ""),
    ("\\frac{3}{4}x", ""),
    ("2 \\frac{1}{2}", "(2 + (1 / 2))"),
    ("2\\frac{1}{2}", "2 ..."),
    ("\\text{pens} 3", ""),
    ("3 \\text{red pens} * 2", "(3 [red pens] * 2)"),
    ("3 \\text{cost 4} * 2", "3 ..."),
    ("3 \\text{}", "3"),
    ("3 \\times 4", "(3 * 4)"),
    ("3 \\cdot 4", "(3 * 4)"),
    ("12 \\div 4", "(12 / 4)"),
    ("3 · 4 ∙ 5", "((3 * 4) * 5)"),
    ("3 x 4", "(3 * 4)"),
    ("3 X 4", "(3 * 4)"),
    ("3x4", "(3 * 4)"),
    ("3 x y", "3 ..."),
    ("x1 + 2", ""),
    ("a_b", ""),
    ("ab", ""),
    ("don't", ""),
    ("3 don't know", "3 [don't know]"),
    ("(3 + 4", ""),
    ("(3 + 4]", "(3 + 4)"),
    ("(3", ""),
    ("()", ""),
    (")", ""),
    ("(pens)", ""),
    ("(3 pens) * 2", "(3 [pens] * 2)"),
    ("**3** + 4", "(3 + 4)"),
    ("3 & 4", "3 ..."),
    ("3 \\, 4", "3 ..."),
    ("3\\left(4\\right)", ""),
    ("3 → 4", "3 ..."),
    ("3 . 4", "3 ..."),
    ("3/4/5", "((3 / 4) / 5)"),
    ("$3/4/5", "((3 [$] / 4) / 5)"),
    ("(3 + 5)/4/2", "(((3 + 5) / 4) / 2)"),
    ("3 / 4/5", "(3 / (4 / 5))"),
]


def show(tree: Tree) -> str:
    if isinstance(tree, Number):
        text = str(tree.value) + (f"@{tree.places}" if tree.places else "") + ("%" if tree.percent else "")
    else:
        text = f"({show(tree.left)} {tree.sign} {show(tree.right)})"
    return f"{text} [{tree.unit}]" if tree.unit else text


def read(text: str, start: int = 0) -> Parsed:
    parsed = parse_expression(tokenize(text), start)
    assert parsed is not None
    return parsed


def tree(text: str) -> Tree:
    return read(text).tree


def operation(text: str) -> Operation:
    found = tree(text)
    assert isinstance(found, Operation)
    return found


@pytest.mark.parametrize(("text", "wanted"), FORMS, ids=[text for text, _ in FORMS])
def test_each_form_is_read_whole_or_not_at_all(text: str, wanted: str) -> None:
    cut = tokenize(text)
    parsed = parse_expression(cut, 0)
    found = "" if parsed is None else show(parsed.tree) + (" ..." if parsed.end < len(cut) else "")
    assert found == wanted


def test_brackets_are_read_twelve_deep() -> None:
    for depth, known in ((1, True), (12, True), (13, False), (14, False)):
        line = tokenize("(" * depth + "1 + 1" + ")" * depth)
        assert (parse_expression(line, 0) is not None) is known
    assert parse_expression(tokenize("1"), 0, depth=12) is not None
    assert parse_expression(tokenize("1"), 0, depth=13) is None
    assert parse_expression(tokenize("(1)"), 0, depth=12) is None


def test_reading_starts_at_any_token_and_says_where_it_ends() -> None:
    assert (show(read("so 3 + 4, 5", 1).tree), read("so 3 + 4, 5", 1).end) == ("(3 + 4)", 4)
    assert parse_expression(tokenize("3 + 4"), 3) is None
    assert parse_expression([], 0) is None
    assert read("3 + 4 pens = 5").end == 4
    assert read("2 1/2 pens = 5").end == 3
    assert read("20% of the 50 pens = 5").end == 5


def test_a_token_says_what_and_where_it_is() -> None:
    line = "so  $1/2pens (3.5) \\frac{1}{2}\\text{ kg } \\text{2 kg}x_1 a1 =≈, \\foo"
    cut = tokenize(line)
    assert [(token.kind, token.text) for token in cut] == [
        ("word", "so"),
        ("number", "$1"),
        ("sign", "/"),
        ("number", "2"),
        ("word", "pens"),
        ("open", "("),
        ("number", "3.5"),
        ("close", ")"),
        ("fraction", "\\frac{1}{2}"),
        ("word", "kg"),
        ("other", "2 kg"),
        ("other", "x_1"),
        ("other", "a1"),
        ("equals", "="),
        ("equals", "≈"),
        ("break", ","),
        ("other", "\\foo"),
    ]
    for token in cut:
        assert line[token.start : token.end] == token.text or "\\text" in line[token.start : token.end]
        assert token.glued == (token.start > 0 and line[token.start - 1] != " ")
        assert (token.value is not None) == (token.kind in {"number", "fraction"})
    assert [line[token.start : token.end] for token in cut[9:11]] == ["\\text{ kg }", "\\text{2 kg}"]


def test_digits_after_a_zero_are_a_number_only_if_they_are_padded() -> None:
    assert [token.kind for token in tokenize("07 00 0 0.5 10")] == ["other", "other", "number", "number", "number"]
    padded = tokenize("07 00 0 0.5 10", padded=True)
    assert [token.value for token in padded] == [
        Number(Fraction(7), 0),
        Number(Fraction(0), 0),
        Number(Fraction(0), 0),
        Number(Fraction(1, 2), 1),
        Number(Fraction(10), 0),
    ]


def test_values_are_exact() -> None:
    def value(text: str, percent: bool = False) -> Fraction | int | None:
        return evaluate(tree(text), percent, {})

    assert value("1/3 + 1/6") == Fraction(1, 2)
    assert (value("7 - 3 - 2"), value("2 * 3 / 4"), value("0.1 + 0.2")) == (2, Fraction(3, 2), Fraction(3, 10))
    assert (value("20% of 50"), value("20% of 50", percent=True)) == (1000, 10)
    assert value("20% * 20%", percent=True) == Fraction(1, 25)
    assert value("20 * 2", percent=True) == 40
    assert (value("0 / 5"), value("5 / 0"), value("1 + 5 / (2 - 2)"), value("(5 / 0) * 0")) == (0, None, None, None)
    assert value("5 * 0") == 0


def test_a_rounded_value_may_be_put_back_in_full() -> None:
    exact = {Fraction(33, 100): Fraction(1, 3), Fraction(50): Fraction(100)}
    assert evaluate(tree("0.33 * 3 + 1"), False, exact) == 2
    assert evaluate(tree("50% + 0.33"), True, exact) == Fraction(4, 3)
    assert evaluate(tree("0.34"), False, exact) == Fraction(17, 50)


def test_a_tree_is_listed_from_left_to_right() -> None:
    found = tree("(1 kg + 2 Red pens) * -3 / 4%")
    assert [number.value for number in numbers_in(found)] == [1, 2, 0, 3, 4]
    assert operators_in(found) == ["+", "*", "-", "/"]
    assert units_in(found).split() == ["kg", "red", "pens", "%"]
    assert units_in(tree("1 1/2 cups / 3 jars")).split() == ["cups", "jars"]
    assert (numbers_in(tree("7")), operators_in(tree("7")), units_in(tree("7"))) == ([Number(Fraction(7), 0)], [], "")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("-3", True),
        ("-3 kg", True),
        ("-(1 + 2)", False),
        ("-(1/2)", False),
        ("0 - 3", True),
        ("1 - 3", False),
        ("(1 - 1) - 3", False),
        ("3/4", True),
        ("3 / 4", True),
        ("3 kg / 4", False),
        ("3.0 / 4", False),
        ("3 / 4.0", False),
        ("3 / (4 / 5)", False),
        ("2 1/2", True),
        ("2 + 1/2", True),
        ("2 - 1/2", False),
        ("2 + 1 * 2", False),
        ("1/2 + 1/2", False),
        ("2 + 3", False),
        ("2 * 3", False),
        ("1 + 1 + 1/2", False),
    ],
)
def test_a_tree_is_plain_if_it_is_one_number(text: str, plain: bool) -> None:
    assert is_plain(operation(text)) is plain


def test_a_sign_may_be_a_word() -> None:
    line = tokenize("+ times multiplied by divided into x 3 multiplied")
    found = [is_operator(line, place) for place in range(len(line) + 1)]
    assert found == [True, True, True, False, False, False, True, False, False, False]

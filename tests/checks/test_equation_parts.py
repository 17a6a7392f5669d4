"""What others ask the reader of equations: the first wrong one, the side before an equals sign, a remainder."""

from __future__ import annotations

import pytest

from errorbook.checks.equations import find_wrong_equation, remainder_after, side_before
from errorbook.checks.expressions import parse_expression, tokenize


def test_the_first_equation_that_does_not_hold_is_shown() -> None:
    assert find_wrong_equation("1 + 1 = 2\n1 + 2 = 4\n1 + 3 = 5") == "1 + 2 = 4"
    assert find_wrong_equation("1 + 1 = 2") == ""
    assert find_wrong_equation("") == ""


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("3 * 4 = 12", 0),
        ("so 3 * 4 = 12", 1),
        ("-3 + 4 = 1", 1),
        ("x: (3 + 4) * 2 = 14", 2),
        ("1/2 * 4 = 2", 0),
        ("7 = 7", 0),
        ("5, 7 = 7", 2),
        ("3 * 4 pens = 12", 0),
    ],
)
def test_the_longest_side_before_an_equals_sign_is_found(text: str, start: int) -> None:
    line = tokenize(text)
    place = [token.kind for token in line].index("equals")
    found = side_before(line, place)
    assert found is not None
    assert (found[0], found[1].end) == (start, place)


@pytest.mark.parametrize("text", ["= 4", "x = 4", "3 * 4, = 12", "3 * x = 4", "3 + = 4"])
def test_what_does_not_end_at_the_equals_sign_is_no_side_of_it(text: str) -> None:
    line = tokenize(text)
    assert side_before(line, [token.kind for token in line].index("equals")) is None


def test_a_side_begins_at_most_sixty_tokens_before_its_equals_sign() -> None:
    for terms, start in ((1, 0), (30, 0), (31, 2), (40, 20)):
        line = tokenize(" + ".join("1" * terms) + " = 9")
        found = side_before(line, 2 * terms - 1)
        assert found is not None
        assert (found[0], found[1].end) == (start, 2 * terms - 1)


@pytest.mark.parametrize(
    ("text", "remainder"),
    [
        ("3 remainder 2", "2"),
        ("3 Remainder of 2", "2"),
        ("3 rem 2", "2"),
        ("3 r 2", "2"),
        ("3 with a remainder 2", "2"),
        ("3 pens, remainder 2", "2"),
        ("3 pens and then a remainder 2", None),
        ("3, 4 remainder 2", None),
        ("3 remainder", None),
        ("3 remainder 1/2", None),
        ("3 remainder is now 2", "2"),
        ("3 remainder is now again 2", None),
        ("3 pens", None),
    ],
)
def test_a_remainder_stands_soon_after_the_result(text: str, remainder: str | None) -> None:
    line = tokenize(text)
    right = parse_expression(line, 0)
    assert right is not None
    found = remainder_after(line, right)
    assert (found.text if found else None) == remainder

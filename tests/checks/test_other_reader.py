"""The second reader finds a gold answer in another form, and takes no mistake for one of form."""

from __future__ import annotations

import pytest

from errorbook.checks.other_reader import gives_answer


@pytest.mark.parametrize(
    ("response", "answer", "readable", "found"),
    [
        ("This ticket belongs to the billing team, I think.", "billing", False, True),
        ("It costs 1,250 euros, so it does.", "1250", False, True),
        ("It costs 1,250 euros.", "125", False, False),
        ("Not quite New Delhi", "New York", False, False),
        ("First 12 + 30 = 42, then I am wrong. Answer: 32", "42", True, False),
        ("Answer: the first sum\n\nSo it is 42.", "42", True, True),
        ("A dog is an animal.", "A", False, False),
        ("", "42", False, False),
        ("Anything", "", False, False),
    ],
)
def test_the_answer_is_found_anywhere_or_at_the_end(response: str, answer: str, readable: bool, found: bool) -> None:
    assert gives_answer(response, answer, readable=readable) == found

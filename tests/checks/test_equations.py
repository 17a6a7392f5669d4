"""The reader of equations, one form of writing after another: what is read, what holds, and what is passed over.

Each line of a table is a text with the equations that are read in it; an empty one is passed over, never judged.
"""

from __future__ import annotations

import pytest

from errorbook.checks.equations import find_equations, find_wrong_equation, remainder_after, side_before
from errorbook.checks.expressions import parse_expression, tokenize

Read = dict[str, bool]
"""Each equation as it stands in the text, and whether it holds."""

SIGNS: list[tuple[str, Read]] = [
    ("3 + 4 = 7", {"3 + 4 = 7": True}),
    ("3 + 4 = 8", {"3 + 4 = 8": False}),
    ("3 + 4 == 7", {"3 + 4 == 7": True}),
    ("3 + 4 ≈ 7.001", {"3 + 4 ≈ 7.001": True}),
    ("100 * 3 ≈ 300.2", {"100 * 3 ≈ 300.2": True}),
    ("100 * 3 ≈ 301", {"100 * 3 ≈ 301": False}),
    ("7 * 8 >= 50", {}),
    ("x = 3", {}),
    ("- 3 + 4 = 7", {"3 + 4 = 7": True}),
    ("-3 + 4 = 1", {"-3 + 4 = 1": True}),
    ("-3 + 4 = 7", {"-3 + 4 = 7": False}),
    ("5 = -3 + 8", {}),
    ("1 + 1 = - 3 + 5", {}),
    ("1 + 1 = -3 + 5", {}),
    ("cost - 3 + 4 = 7", {}),
    ("cost -3 + 4 = 7", {"-3 + 4 = 7": False}),
    ("cost -3 + 4 = 1", {"-3 + 4 = 1": True}),
    ("a: -3 + 4 = 1", {"-3 + 4 = 1": True}),
]
COMMENTS: list[tuple[str, Read]] = [
    ("12 (red pens) * 2 = 24", {"12 (red pens) * 2 = 24": True}),
    ("12 (red pens) * 2 = 25", {"12 (red pens) * 2 = 25": False}),
    ("12 (red and blue pens) + 3 (more pens) = 15", {"12 (red and blue pens) + 3 (more pens) = 15": True}),
    ("12 (3 pens) * 2 = 24", {}),
    ("2 (red + blue) * 3 = 6", {}),
    ("2(3 + 4) = 14", {"2(3 + 4) = 14": True}),
    ("2(3 + 4) = 15", {"2(3 + 4) = 15": False}),
    ("20 (4 * 5) = 20", {}),
    ("12 (a b c d e f g h i j k) * 2 = 24", {}),
    ("12 (a b c d e f g h i j) * 2 = 24", {"12 (a b c d e f g h i j) * 2 = 24": True}),
    ("12 (open * 2 = 24", {}),
]
LATEX: list[tuple[str, Read]] = [
    ("\\frac{1}{2} * 10 = 5", {"\\frac{1}{2} * 10 = 5": True}),
    ("\\frac{1}{2} * 10 = 6", {"\\frac{1}{2} * 10 = 6": False}),
    ("\\frac{1 + 2}{3} * 10 = 10", {"\\frac{1 + 2}{3} * 10 = 10": True}),
    ("\\frac{1 + 2}{3} * 10 = 11", {"\\frac{1 + 2}{3} * 10 = 11": False}),
    ("\\frac{x}{3} * 10 = 10", {}),
    ("\\frac{1 2}{3} * 10 = 10", {}),
    ("\\frac{ }{3} = 1", {}),
    ("5\\frac{1}{2} = 5", {}),
    ("10 = 2 * \\frac{10}{2}", {}),
    ("\\dfrac{6}{3} + 1 = 3", {"\\dfrac{6}{3} + 1 = 3": True}),
]
REMAINDERS: list[tuple[str, Read]] = [
    ("17 / 5 = 3 remainder 2", {"17 / 5 = 3 remainder": True}),
    ("17 / 5 = 3 remainder 3", {"17 / 5 = 3 remainder": False}),
    ("17 / 5 = 2 remainder 7", {"17 / 5 = 2 remainder": False}),
    ("15 / 5 = 3 remainder 0", {"15 / 5 = 3 remainder": True}),
    ("15 / 5 = 2 remainder 5", {"15 / 5 = 2 remainder": False}),
    ("17 / 5 = 3 r 2", {"17 / 5 = 3": True}),
    ("17 / 5 = 3 rem 2", {"17 / 5 = 3 rem": True}),
    ("17 + 5 = 22 remainder 0", {}),
    ("17 / 0 = 3 remainder 2", {}),
    ("17 / 5 = 3.4 remainder", {"17 / 5 = 3.4 remainder": True}),
    ("17 / 5 = 3 with a remainder of 2", {"17 / 5 = 3 with": True}),
    ("17 / 5 = 3 pens remainder 2", {"17 / 5 = 3 pens remainder": True}),
]
LABELS: list[tuple[str, Read]] = [
    ("cost = 3 * 5\ncost = 15", {"cost = 15": True}),
    ("cost = 3 * 5\ncost = 16", {"cost = 16": False}),
    ("Cost = 3 * 5\ncost = 16 dollars", {"cost = 16 dollars": False}),
    ("cost = 3 * 5\nprice = 16", {}),
    ("cost = 3 * 5\n\ncost = 16", {"cost = 16": False}),
    ("cost = 3 * 5\nso far\ncost = 16", {}),
    ("cost = 15\ncost = 16", {}),
    ("cost = 3 * 5\ncost = 2 * 8", {}),
    ("cost = 3 * 5\ncost = 16, fine", {"cost = 16": False}),
    ("cost 2 = 3 * 5\ncost 2 = 16", {}),
    ("cost = 3 * 5 = 15\ncost = 16", {"3 * 5 = 15": True}),
]
PERCENT: list[tuple[str, Read]] = [
    ("50 + 20% = 60", {}),
    ("50 * 20% = 10", {"50 * 20% = 10": True}),
    ("50 * 20% = 11", {"50 * 20% = 11": False}),
    ("20% of 50 = 10", {"20% of 50 = 10": True}),
    ("20% of the 50 = 10", {"20% of the 50 = 10": True}),
    ("20% of those 50 = 12", {"20% of those 50 = 12": False}),
    ("100% - 20% = 80%", {"100% - 20% = 80%": True}),
    ("100 - 20% = 80", {"100 - 20% = 80": True}),
    ("1 - 20% = 80%", {"1 - 20% = 80%": True}),
    ("1 - 20% = 0.8", {"1 - 20% = 0.8": True}),
    ("20% + 30% = 50%", {"20% + 30% = 50%": True}),
    ("20% + 30% = 0.5", {"20% + 30% = 0.5": True}),
    ("20% + 30% = 60%", {"20% + 30% = 60%": False}),
    ("50% = 0.5", {}),
    ("1/4 of 20 = 5", {"1/4 of 20 = 5": True}),
    ("1/4 of the 20 = 6", {"1/4 of the 20 = 6": False}),
    ("1/4 of a 20 = 6", {}),
]
ROUNDING: list[tuple[str, Read]] = [
    ("10 / 3 = 3.33", {"10 / 3 = 3.33": True}),
    ("10 / 3 = 3.34", {"10 / 3 = 3.34": True}),
    ("10 / 3 = 3.3", {"10 / 3 = 3.3": True}),
    ("10 / 3 = 3.4", {"10 / 3 = 3.4": True}),
    ("10 / 3 = 3.5", {"10 / 3 = 3.5": False}),
    ("10 / 3 = 3", {"10 / 3 = 3": False}),
    ("10 / 3 = 3, rounded", {"10 / 3 = 3": True}),
    ("10 / 3 = 4, rounded", {"10 / 3 = 4": True}),
    ("10 / 3 = 5, rounded", {"10 / 3 = 5": False}),
    ("10 / 3 = 3.33\n3.33 * 3 = 10", {"10 / 3 = 3.33": True, "3.33 * 3 = 10": True}),
    ("3.33 * 3 = 10", {"3.33 * 3 = 10": True}),
    ("66.67 * 3 = 200", {"66.67 * 3 = 200": True}),
    ("0.33 * 6 = 2", {"0.33 * 6 = 2": True}),
    ("0.35 * 6 = 2", {"0.35 * 6 = 2": False}),
]
CHAINS: list[tuple[str, Read]] = [
    ("3 * 5 = 10 + 5 = 15", {"3 * 5 = 10 + 5": True, "10 + 5 = 15": True}),
    ("3 * 5 = 10 + 6 = 16", {"3 * 5 = 10 + 6": False, "10 + 6 = 16": True}),
    ("3 * 5 = 15 + 2 = 17", {"15 + 2 = 17": True}),
    ("3 * 5 = 15 = 15", {"3 * 5 = 15": True, "15 = 15": True}),
    ("3 * 5 = 15 = 16", {"3 * 5 = 15": True, "15 = 16": False}),
    ("<<48/2=24>>", {"48/2=24": True}),
    ("<<48/2=25>>", {"48/2=25": False}),
    ("48 / 2 = <<48/2=24>>24", {"48/2=24": True, "48 / 2 = <<48/2=24>>24": True}),
    ("48 / 2 = <<48/2=25>>24", {"48/2=25": False, "48 / 2 = <<48/2=25>>24": True}),
]
BEGINNINGS: list[tuple[str, Read]] = [
    ("Day 2 - 5 = 3", {}),
    ("5 more than 3 * 2 = 6", {}),
    ("and 1/2 * 4 = 2", {"1/2 * 4 = 2": True}),
    ("3 and 1/2 * 4 = 2", {}),
    ("so 3 * 4 = 12", {"3 * 4 = 12": True}),
    ("(so) 3 * 4 = 13", {}),
    ("(3 * 4 = 13)", {"3 * 4 = 13": False}),
    ("f(3 * 4 = 13)", {}),
    ("a 3 * 4 = 13", {}),
    ("Total:3 * 4 = 13", {"3 * 4 = 13": False}),
    ("2:3 * 4 = 13", {}),
    ("x3 * 4 = 13", {}),
    ("\\(3 * 4 = 13\\)", {"3 * 4 = 13": False}),
    ("so \\(3 * 4 = 13\\)", {"3 * 4 = 13": False}),
    ("2 \\(3 * 4 = 13\\)", {}),
    ("1, 3 * 4 = 13", {"3 * 4 = 13": False}),
    ("1,3 * 4 = 13", {}),
]
ENDINGS: list[tuple[str, Read]] = [
    ("3 * 4 = 13x", {}),
    ("3 * 4 = 13 x", {}),
    ("3 * 4 = 13 a day", {"3 * 4 = 13": False}),
    ("3 * 4 = 13 r", {"3 * 4 = 13": False}),
    ("3 * 4 = 13(2)", {}),
    ("3 * 4 = 13 (two)", {"3 * 4 = 13 (two)": False}),
    ("3 * 4 = 13 * 2", {}),
    ("3 * 4 = 13 kg", {"3 * 4 = 13 kg": False}),
    ("3 * 4 = 13\\(x\\)", {}),
    ("3 * 4 = 13.\\overline{3}", {}),
    ("3 * 4 = 13 * 2 = 26", {"3 * 4 = 13 * 2": False, "13 * 2 = 26": True}),
    ("2 * 3 = 1/6", {"2 * 3 = 1/6": False}),
    ("6 / 4 = 3/2", {"6 / 4 = 3/2": True}),
    ("6 / 4 = 5/2", {"6 / 4 = 5/2": False}),
    ("6 / 4 = 1 1/2", {"6 / 4 = 1 1/2": True}),
    ("6 / 4 = 1 3/4", {"6 / 4 = 1 3/4": False}),
    ("6 / 4 = 1.0 1/2", {}),
]
UNITS: list[tuple[str, Read]] = [
    ("500 / 2/5 = 1250", {"500 / 2/5 = 1250": True}),
    ("500 / 2 / 5 = 40", {}),
    ("100/4/5 = 5", {"100/4/5 = 5": True}),
    ("100/4/5 = 125", {}),
    ("(60 + 40)/4/5 = 5", {"(60 + 40)/4/5 = 5": True}),
    ("2 hours + 45 minutes = 3 hours", {}),
    ("2 hours * 60 = 120 minutes", {"2 hours * 60 = 120 minutes": True}),
    ("2 hours * 60 = 130 minutes", {"2 hours * 60 = 130 minutes": False}),
    ("3 feet * 4 = 144 inches", {}),
    ("3 feet * 4 = 145 inches", {"3 feet * 4 = 145 inches": False}),
    ("24 pens / 12 = 3 dozen", {"24 pens / 12 = 3 dozen": False}),
    ("1/4 cup = 2", {}),
    ("3 pm + 4 = 8", {}),
    ("3 y + 4 = 8", {}),
    ("1 hour = 60 minutes", {}),
    ("3 = 4", {}),
]
NOTATIONS: list[tuple[str, Read]] = [
    ("1,000 + 1 = 1,001", {"1,000 + 1 = 1,001": True}),
    ("1,000 + 1 = 1,002", {"1,000 + 1 = 1,002": False}),
    ("$3 * 4 = $12", {"$3 * 4 = $12": True}),
    ("$3 * 4 = $13", {"$3 * 4 = $13": False}),
    ("$1/4 * 8 = $2", {"$1/4 * 8 = $2": True}),
    ("3 × 4 = 12", {"3 × 4 = 12": True}),
    ("3 x 4 = 13", {"3 x 4 = 13": False}),
    ("3 times 4 = 13", {"3 times 4 = 13": False}),
    ("3 multiplied by 4 = 13", {"3 multiplied by 4 = 13": False}),
    ("12 divided by 4 = 4", {"12 divided by 4 = 4": False}),
    ("12 divided 4 = 4", {}),
    ("12 ÷ 4 = 3", {"12 ÷ 4 = 3": True}),
    ("3 plus 4 = 8", {"3 plus 4 = 8": False}),
    ("9 minus 4 = 4", {"9 minus 4 = 4": False}),
    ("3 − 4 = −1", {"3 − 4 = −1": True}),
    ("3 − 4 = -2", {"3 − 4 = -2": False}),
    ("9 – 4 = 6", {"9 – 4 = 6": False}),
    ("2 ** 3 = 8", {}),
    ("2^3 = 8", {}),
    ("3 squared = 9", {}),
    ("6:00 + 3 = 9", {}),
    ("0730 + 1 = 731", {}),
    ("07 + 1 = 9", {}),
    (".5 * 4 = 2", {".5 * 4 = 2": True}),
    (".5 * 4 = 3", {".5 * 4 = 3": False}),
    ("2 + 2 = 5 and 50 cents", {}),
    ("2 + 2 = 5, 50 cents", {}),
    ("2 + 2 = 5 and more", {"2 + 2 = 5": False}),
]
BRACKETS: list[tuple[str, Read]] = [
    ("2 dollars per pen * 3 pens = 7 dollars", {"2 dollars per pen * 3 pens = 7 dollars": False}),
    ("6 pounds / (1/4 pound per jar) = 24", {"6 pounds / (1/4 pound per jar) = 24": True}),
    ("6 pounds / (1/4 pound per jar) = 25", {"6 pounds / (1/4 pound per jar) = 25": False}),
    ("((((1 + 1)))) = 3", {"((((1 + 1)))) = 3": False}),
    ("(((((((((((((1 + 1))))))))))))) = 3", {}),
    ("3 kg * 2 = 7 kg", {"3 kg * 2 = 7 kg": False}),
    ("3kg * 2 = 7kg", {"3kg * 2 = 7kg": False}),
    ("3foo * 2 = 7", {}),
    ("+3 + 4 = 8", {}),
    ("3 * -4 = -12", {"3 * -4 = -12": True}),
    ("3 * -4 = 12", {"3 * -4 = 12": False}),
    ("3 * +4 = 13", {"3 * +4 = 13": False}),
    ("3 + = 4", {}),
    ("3 * = 4", {}),
    ("1 + 2 = 3 + 0", {}),
    ("2 + 2\n= 5", {"2 + 2\n= 5": False}),
    ("2 + 2\n&= 5\n&= 4", {"2 + 2\n&= 5": False, "5\n&= 4": False}),
]
CARRIED: list[tuple[str, Read]] = [
    ("1.43 * 7 = 10", {"1.43 * 7 = 10": False}),
    ("10 / 7 = 1.43\nso\n1.43 * 7 = 10", {"10 / 7 = 1.43": True, "1.43 * 7 = 10": True}),
    ("<<10/7=1.43>>\n1.43 * 7 = 10", {"10/7=1.43": True, "1.43 * 7 = 10": True}),
    ("10 / 7 = 1.43\nx = 1.43 * 7\nx = 10", {"10 / 7 = 1.43": True, "x = 10": True}),
    ("10 / 7 = 1.43\nx = 1.43 * 7\nx = 11", {"10 / 7 = 1.43": True, "x = 11": False}),
]
NEARBY: list[tuple[str, Read]] = [
    ("round\n10 / 3 = 3", {"10 / 3 = 3": True}),
    ("round" + " " * 194 + "\n10 / 3 = 3", {"10 / 3 = 3": True}),
    ("round" + " " * 195 + "\n10 / 3 = 3", {"10 / 3 = 3": False}),
    ("10 / 3 = 3\n" + " " * 294 + "round", {"10 / 3 = 3": True}),
    ("10 / 3 = 3\n" + " " * 295 + "round", {"10 / 3 = 3": False}),
    ("round\n<<10/3=3>>", {"10/3=3": True}),
    ("<<10/3=3>>", {"10/3=3": False}),
    ("round\nx = 10 / 3\nx = 3", {"x = 3": True}),
    ("x = 10 / 3\nx = 3", {"x = 3": False}),
    ("; " + "word " * 57 + "3 * 4 = 13", {"3 * 4 = 13": False}),
    ("word " * 200 + "3 * 4 = 13", {"3 * 4 = 13": False}),
    ("3 * 4 = 13" + " " * 19_990, {"3 * 4 = 13": False}),
    ("3 * 4 = 13" + " " * 19_991, {}),
    ("3 * 4 = 13" + " " * 19_991 + "\n3 * 4 = 14", {"3 * 4 = 14": False}),
]
FOLLOWED: list[tuple[str, Read]] = [
    ("6 / 4 = 1 and 1/2", {}),
    ("3 * 4 = 13 and 2", {}),
    ("3 * 4 = 13, 2", {}),
    ("3 * 4 = 13 , 2/3", {}),
    ("3 * 4 = 13 AND 2", {}),
    ("3 * 4 = 13, x 2", {"3 * 4 = 13": False}),
    ("3 * 4 = 13; 2", {"3 * 4 = 13": False}),
    ("3 * 4 = 13,", {"3 * 4 = 13": False}),
    ("17 / 5 = 3 pens, remainder 2", {"17 / 5 = 3 pens": True}),
    ("17 / 5 = 3 a remainder 2", {"17 / 5 = 3": True}),
    ("17 / 5 = 3 a remainder 3", {"17 / 5 = 3": False}),
    ("17 / 5 = 3, 4 remainder 2", {}),
    ("17 / 5 = 3 remainder is now 2", {"17 / 5 = 3 remainder": True}),
    ("17 / 5 = 3 remainder is now again 2", {"17 / 5 = 3 remainder": False}),
    ("17 / 5 = 3 R 2", {"17 / 5 = 3": True}),
    ("17 / 5 = 3 r 3", {"17 / 5 = 3": False}),
    ("17 / 5 = 3 rem. 3", {"17 / 5 = 3 rem": False}),
    ("17 / 5 = 3 Remainder 2", {"17 / 5 = 3 Remainder": True}),
    ("17 / 5 = 3 remainder 1/2", {}),
    ("17 pens / 5 = 3 pens remainder 2 pens", {"17 pens / 5 = 3 pens remainder": True}),
    ("3 * 4\n= 12", {"3 * 4\n= 12": True}),
    ("1 + 1 = 2 = 2 = 3", {"1 + 1 = 2": True, "2 = 2": True, "2 = 3": False}),
    ("3 * 4 = = 12", {}),
]
PRECEDED: list[tuple[str, Read]] = [
    ("= 3 * 4 = 13", {"3 * 4 = 13": False}),
    ("= -3 + 4 = 2", {"-3 + 4 = 2": False}),
    ("= - 3 + 4 = 2", {"- 3 + 4 = 2": False}),
    ("5 = -3 + 8 = 6", {"-3 + 8 = 6": False}),
    ("Day 1: 3 * 4 = 13", {"3 * 4 = 13": False}),
    ("3; 4 * 2 = 9", {"4 * 2 = 9": False}),
    ("x. 4 * 2 = 9", {"4 * 2 = 9": False}),
    ("1. 4 * 2 = 9", {"4 * 2 = 9": False}),
    ("5) 3 * 4 = 13", {}),
    ("half of 3 * 4 = 13", {}),
    ("OF 3 * 4 = 13", {}),
    ("the 3 * 4 = 13", {"3 * 4 = 13": False}),
    ("I 3 * 4 = 13", {}),
    ("that3 * 4 = 13", {}),
    ("b - 3 + 4 = 2", {}),
    ("* -3 + 4 = 2", {}),
    ("of -3 + 4 = 2", {}),
    (", -3 + 4 = 2", {"-3 + 4 = 2": False}),
    ("cost-3 + 4 = 2", {}),
]
SHARES: list[tuple[str, Read]] = [
    ("20% + 5 = 25", {}),
    ("5 + 20% = 25", {}),
    ("0 + 20% = 30%", {"0 + 20% = 30%": False}),
    ("1 + 20% = 1.2", {"1 + 20% = 1.2": True}),
    ("2 * (50 + 20%) = 120", {}),
    ("(50 + 20%) * 2 = 120", {}),
    ("20% * 50 + 5 = 15", {"20% * 50 + 5 = 15": True}),
    ("20% * 50 + 5 = 16", {"20% * 50 + 5 = 16": False}),
    ("20% of 50 + 10% of 20 = 12", {"20% of 50 + 10% of 20 = 12": True}),
    ("20% of 50 + 10% of 20 = 13", {"20% of 50 + 10% of 20 = 13": False}),
    ("20% * 20% = 4%", {"20% * 20% = 4%": True}),
    ("20% * 20% = 5%", {"20% * 20% = 5%": False}),
    ("20% * 20% + 1% = 5%", {"20% * 20% + 1% = 5%": True}),
    ("(20% + 5%) * 4 = 1", {"(20% + 5%) * 4 = 1": True}),
    ("(1 - 20%) * 50 = 41", {"(1 - 20%) * 50 = 41": False}),
    ("20% + 5% * 20% = 21%", {"20% + 5% * 20% = 21%": True}),
]
ABOUT: list[tuple[str, Read]] = [
    ("1000 / 3 ≈ 334", {"1000 / 3 ≈ 334": True}),
    ("1000 / 3 = 334", {"1000 / 3 = 334": False}),
    ("1000 * 3 = 3002", {"1000 * 3 = 3002": False}),
    ("1000 * 3 ≈ 3002.9", {"1000 * 3 ≈ 3002.9": True}),
    ("1000 * 3 ≈ 3003", {"1000 * 3 ≈ 3003": False}),
    ("1000 * 3 \\approx 3002", {"1000 * 3 \\approx 3002": True}),
    ("1000 - 4000 ≈ -3002", {"1000 - 4000 ≈ -3002": True}),
    ("1000 - 4000 ≈ -3004", {"1000 - 4000 ≈ -3004": False}),
]
TABLES = {
    "signs": SIGNS,
    "comments": COMMENTS,
    "latex": LATEX,
    "remainders": REMAINDERS,
    "labels": LABELS,
    "percent": PERCENT,
    "rounding": ROUNDING,
    "chains": CHAINS,
    "beginnings": BEGINNINGS,
    "endings": ENDINGS,
    "units": UNITS,
    "notations": NOTATIONS,
    "brackets": BRACKETS,
    "carried": CARRIED,
    "nearby": NEARBY,
    "followed": FOLLOWED,
    "preceded": PRECEDED,
    "shares": SHARES,
    "about": ABOUT,
}


@pytest.mark.parametrize("form", TABLES)
def test_each_form_is_read_as_it_is_meant_or_not_at_all(form: str) -> None:
    found = {text: {equation.text: equation.holds for equation in find_equations(text)} for text, _ in TABLES[form]}

    assert found == dict(TABLES[form])


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

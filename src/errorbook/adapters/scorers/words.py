"""Text as a list of comparable words: what `exact` and `contains` mean by "the same".

Case, spacing, Unicode compatibility forms and punctuation do not count; a sign, decimal point or percent sign that
belongs to a number does, and so do the marks of `C++` and `C#`. It does not know synonyms, stems or languages.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"(?:(?<!\w)-)?[0-9]+(?:[.,:/][0-9]+)*%?(?!\w)|\w+[+#]*")


def words(text: str) -> tuple[str, ...]:
    """The words of `text`, case-folded and without punctuation; empty if there are none."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").casefold()
    return tuple(_WORD.findall(plain))

"""Text of any script with the signs of ASCII: full-width letters, other full stops, and letters that stand glued.

Chinese, Japanese, Korean and Thai put "18" and "C" next to their own letters; here they get spaces, so that a number or
a letter is seen to stand alone. It changes no word, and nothing in a text that is ASCII.
"""

from __future__ import annotations

import re

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_STOPS = {0x06D4: ".", 0x0964: ".", 0x0965: "."}  # Urdu, Hindi and Bengali
_MARKS = {0x3001: ",", 0x060C: ",", 0x061B: ";", 0x061F: "?", 0x066A: "%", 0x066B: ".", 0x3000: " "}
_BRACKETS = dict(zip(range(0x300C, 0x3012), '""""[]', strict=True)) | {0x3014: "[", 0x3015: "]"}
_SIGNS: dict[int, str | int] = {**_WIDE, **_STOPS, **_MARKS, **_BRACKETS}
_GLUED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf"
    r"\u4e00-\u7b2b\u7b2d-\u9fff\uac00-\ud7af\uf900-\ufaff"  # but for U+7B2C, which makes a rank of a number
)
_STOP = re.compile(r"[\u3002\uff61](?P<glued>(?=\S))?")
_BORDER = re.compile(rf"(?<=[{_GLUED}])(?=[0-9A-Za-z$])|(?<=[0-9A-Za-z%)\]])(?=[{_GLUED}])")


def write_plainly(text: str) -> str:
    """`text` with the signs of ASCII, and spaces around letters and digits that stand in a script without spaces."""
    if text.isascii():
        return text
    plain = _STOP.sub(lambda stop: "." if stop["glued"] is None else ". ", text)
    return _BORDER.sub(" ", plain.translate(_SIGNS))

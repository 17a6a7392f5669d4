"""Characters that would not be seen, or would change how others are seen, and the names that are shown instead.

Terminal escapes, control characters, bidirectional controls, zero-width characters and lone surrogates: each becomes
one private-use character, which no parser takes for anything, and at the end a marked-up name. Line ends and tabs
stay. It knows nothing of Markdown or HTML beyond the one element that holds a name.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

C0 = re.findall(
    r"\w+",
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC"
    " FS GS RS US",
)
NAMED = {
    0x7F: "DEL",
    0xAD: "SHY",
    0x61C: "ALM",
    0x180E: "MVS",
    0x200B: "ZWSP",
    0x200C: "ZWNJ",
    0x200D: "ZWJ",
    0x200E: "LRM",
    0x200F: "RLM",
    0x2028: "LS",
    0x2029: "PS",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2060: "WJ",
    0x2061: "FA",
    0x2062: "IT",
    0x2063: "IS",
    0x2064: "IP",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
    0x3164: "HF",
    0xFEFF: "BOM",
    0xFFFC: "OBJ",
}
_JOINERS = (0x200C, 0x200D)
_FIRST = 0xF0000
"""Where the stand-ins begin: the supplementary private-use planes, to which nobody assigns a meaning."""


def _names() -> dict[int, str]:
    named = {code: name for code, name in enumerate(C0) if name not in {"TAB", "LF"}}
    named.update(NAMED)
    unnamed = [*range(0x80, 0xA0), *range(0xFFF9, 0xFFFC), *range(0xD800, 0xE000), *range(0xE0000, 0xE0080)]
    named.update({code: f"U+{code:04X}" for code in unnamed})
    return named


_NAMES = _names()
_STAND_INS = {code: chr(_FIRST + index) for index, code in enumerate(_NAMES)}
_MEANT = {stand_in: code for code, stand_in in _STAND_INS.items()}
_LITERAL = {"<": chr(0xFFF00), ">": chr(0xFFF01), "&": chr(0xFFF02)}
_SHOWN = {stand_in: escape(letter) for letter, stand_in in _LITERAL.items()}
_TABLE = {**_STAND_INS, **dict.fromkeys(range(0xFFF00, 0xFFF03), "\ufffd")}
_TABLE.update({_FIRST + index: "\ufffd" for index in range(len(_NAMES))})
_TABLE.update({code: chr(code) for code in _JOINERS})
_ANY = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + len(_NAMES))}{chr(0xFFF00)}-{chr(0xFFF02)}]")
# Between letters beyond ASCII a joiner is spelling (Persian, Hindi, emoji); anywhere else it hides something.
_STRAY_JOINER = re.compile(r"(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")


def hide(text: str) -> str:
    r"""The text with a stand-in for each character that would not be seen; `\r\n` becomes a plain line end."""
    return _STRAY_JOINER.sub(lambda found: _STAND_INS[ord(found[0])], text.replace("\r\n", "\n").translate(_TABLE))


def literal(text: str) -> str:
    """The text with stand-ins for what HTML takes for markup."""
    return "".join(_LITERAL.get(letter, letter) for letter in text)


def reveal(html: str) -> str:
    """HTML with each stand-in replaced by its marked-up name."""
    return _ANY.sub(_mark, html)


def spell(text: str) -> str:
    """The text with each character that would not be seen as its name in brackets, where no markup can stand."""
    return _ANY.sub(lambda found: f"[{_NAMES[_MEANT[found[0]]]}]" if found[0] in _MEANT else found[0], hide(text))


def _mark(found: re.Match[str]) -> str:
    if found[0] in _SHOWN:
        return _SHOWN[found[0]]
    code = _MEANT[found[0]]
    return f'<span class="control" title="{escape(_title(code))}">{_NAMES[code]}</span>'


def _title(code: int) -> str:
    """What the character is, for those who hover over its name."""
    if code < len(C0) or 0x7F <= code < 0xA0:
        return f"control character U+{code:04X}"
    if 0xD800 <= code < 0xE000:
        return f"half of a surrogate pair, U+{code:04X}"
    return f"{unicodedata.name(chr(code), 'character').lower()}, U+{code:04X}"

"""What a server says when it refuses: its own words, its codes, the fields that it names, and the numbers in them.

Servers echo requests in their refusals, so that every word of a prompt may stand there: what is an echo is left out
before anything is concluded. What is to be done about a refusal is decided in `faults` and by the endpoints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from errorbook.files import NOT_JSON, parse_json

_LONGEST = 4000
"""Characters of a refusal that are looked at."""
_DEEPEST = 8
_WORDS = (
    *("message", "msg", "error_message", "error_msg", "error_description", "status_msg", "description", "title"),
    *("detail", "reason", "text"),
)
_CODES = (
    "code",
    "type",
    "status",
    "error_code",
    "status_code",
    "statusCode",
    "error_type",
    "kind",
    "http_status",
    "reason",
)
_INSIDE = (
    *("error", "errors", "detail", "details", "metadata", "raw", "base_resp", "innererror", "message"),
    *("fieldViolations", "upstream", "cause", "headers", "data"),
)
_ECHO = re.compile(
    r"""(['"])(?:input|ctx)\1\s*:.*?(?=,\s*(['"])(?:url|type|loc|msg)\2\s*:|\}\s*,\s*\{\s*(['"])(?:type|loc)|\Z)"""
    r"""|\{(?=.*['"]messages['"]\s*:)\s*['"]\w+['"]\s*:.*""",
    re.DOTALL,
)
"""What a refusal quotes of the request: the value that a field had, as JSON or as Python shows it, or all of it."""
_PLACE = re.compile(r"""(['"])loc\1\s*:\s*[(\[]([^)\]]*)[)\]]""")
_STATUS = re.compile(r"[45]\d\d")


class Complaint(NamedTuple):
    """`words` are the server's sentences, `codes` what it calls the kind of error, `fields` the fields it names."""

    words: str
    codes: tuple[str, ...] = ()
    fields: frozenset[str] = frozenset()

    def names(self, field: str, among: tuple[str, ...] = ()) -> bool:
        """Whether it is about this field; what it names as a field counts before what it says, if it is `among`."""
        named = self.fields & {field, *among}
        return field in named if named else re.search(rf"\b{field}\b", self.words.lower()) is not None


def read_complaint(body: bytes) -> Complaint:
    """What a body says, if it is a refusal; its text if it is no JSON."""
    text = body[:_LONGEST].decode("utf-8", "replace").strip()
    value = _read_json(body)
    if value is None:
        return Complaint("" if text.startswith("<") else _drop_echo(text), fields=_read_places(text))
    if isinstance(value, str):
        return Complaint(_drop_echo(value[:_LONGEST]), fields=_read_places(value[:_LONGEST]))
    words: dict[str, None] = {}
    codes: dict[str, None] = {}
    fields: set[str] = set()
    for part in _walk(value, 0):
        place = part.get("loc") or part.get("param") or part.get("field") or part.get("parameter")
        names = [str(one) for one in (place if isinstance(place, list) else [place]) if isinstance(one, str)]
        fields.update(piece for name in names for piece in re.split(r"[.\[\]]", name) if piece)
        said = [str(part[name]).strip() for name in _WORDS if isinstance(part.get(name), str)]
        said += [part["error"]] if isinstance(part.get("error"), str) else []
        shown = ".".join(names) + ": " if names and isinstance(place, list) else ""
        for one in said:
            fields |= _read_places(one)
            words.setdefault(shown + _drop_echo(one[:_LONGEST]))
        codes.update(dict.fromkeys(_simplify(part[name]) for name in _CODES if isinstance(part.get(name), str | int)))
    return Complaint(". ".join(one for one in words if one), tuple(codes), frozenset(fields))


def read_message(body: bytes) -> str:
    """The server's own words about an error, short; the start of the text if it has none."""
    words = read_complaint(body).words
    text = body[:2000].decode("utf-8", "replace").strip()
    return _short(words or ("" if text.startswith("<") else text))


def read_status(body: bytes) -> int:
    """The status that a body deserves: 200, unless it is an error that a server has sent as a success.

    An error of the server's own within a reply keeps 200: it may have been billed. Its envelope cannot be read.
    """
    if not re.search(rb'"(?:error|errors|code|detail|base_resp|status_code|statusCode|status_msg)"', body):
        return 200
    value = read_object(body)
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    error = choice.get("error") or value.get("error")
    if not error and not choice and not value.get("content"):
        error = value
    if not error:
        return 200
    complaint = read_complaint(json.dumps({"error": error}).encode())
    return next((status for status in _list_statuses(complaint) if status < 500 or status in {503, 529}), 200)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a server has sent, alone or as the first of a list; empty if it is none.

    Half a character, which JSON can spell but no text can hold, becomes U+FFFD.
    """
    value = _read_json(body)
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, dict) else {}


def _list_statuses(complaint: Complaint) -> Iterator[int]:
    """The statuses that an error may stand for, the surest first."""
    if is_unpaid(complaint):
        yield 402
    yield from (int(code) for code in complaint.codes if _STATUS.fullmatch(code))
    yield from (status for code in complaint.codes for status, names in _NAMED.items() if code in names)
    if _SLOWER.search(complaint.words):
        yield 429


_NAMED = {
    401: {
        "authenticationerror",
        "invalidapikey",
        "apikeyinvalid",
        "unauthenticated",
        "unauthorized",
        "invalidauthentication",
    },
    402: {"paymentrequired", "billingerror", "insufficientbalance", "insufficientcredits", "insufficientquota"},
    403: {"permissionerror", "permissiondenied", "forbidden"},
    404: {"notfounderror", "notfound", "modelnotfound"},
    429: {"ratelimiterror", "ratelimitexceeded", "toomanyrequests", "resourceexhausted", "ratelimitreached"},
    529: {"overloadederror", "engineoverloaded", "engineoverloadederror", "overloaded", "serveroverloaded"},
    503: {"unavailable", "serviceunavailable", "serviceunavailableerror", "modeloverloaded", "loading"},
    400: {
        *("invalidrequesterror", "badrequest", "badrequesterror", "invalidargument", "contextlengthexceeded"),
        *("invalidparameter", "invalidparametererror", "unsupportedparameter", "unsupportedvalue"),
    },
}
"""What providers call the kinds of refusals that they tell in a body, by the status that others give them."""
_SLOWER = re.compile(r"(?i)rate.?limit|too many requests|overloaded|at (?:full )?capacity|please slow down")
_UNPAID = re.compile(
    r"""(?ix) insufficient[_\s-]?(?:user[_\s])?(?:quota|balance|credits?|funds?)
    | \bbalance\b.{0,30}\b(?:insufficient|not\ enough|too\ low|depleted|negative|exhausted|zero)
    | (?:not|n't|without)\ (?:have\ )?enough\ (?:credits?|balance|funds|money) | not_?enough_?(?:balance|credits?)
    | \bout\ of\ (?:credits?|funds)\b | (?:used|spent|exhausted|consumed)\b.{0,30}\bcredits\b
    | \bcredits?\b.{0,30}\b(?:exhausted|depleted|used\ up|run\ out|ran\ out|expired)
    | requires?\ (?:more|at\ least).{0,20}\bcredits | (?:add|purchase|buy)\ (?:more\ )?(?:credits|funds)
    | \b(?:key|credit|spend(?:ing)?|billing|monthly|budget)[\s_]+(?:\w+\ )?limit\b.{0,40}(?:exceeded|reached|hit)
    | (?:reached|exceed\w*|hit)\b.{0,40}\b(?:spend(?:ing)?|billing|budget|credit)[\s_]limit
    | exceed\w*\b.{0,20}\bincluded\ credits
    | billing_?(?:hard_?limit|not_?active) | arrear | overdue | past\ due | payment\ (?:is\ )?required
    | account\b.{0,60}(?:suspended|not\ active|inactive|deactivated).{0,80}(?:bill|pa[iy]|balance|spend|invoice)
    | exceeded_?current_?quota | top[\s-]?up | recharge | \u4f59\u989d | \u6b20\u8d39 | \u5145\u503c"""
)


def is_unpaid(complaint: Complaint) -> bool:
    """Whether the account has no money left, or its owner allows no more."""
    codes = " ".join(complaint.codes)
    return bool(_UNPAID.search(complaint.words) or _UNPAID.search(codes) or _NAMED[402] & set(complaint.codes))


def is_about_key(complaint: Complaint) -> bool:
    """Whether the key, or the account that it stands for, is not let in, though the status says something else."""
    codes = set(complaint.codes)
    return bool(_OF_KEY.search(complaint.words) or codes & (_NAMED[401] | {"accountdeactivated", "apikeyexpired"}))


_OF_KEY = re.compile(
    r"(?i)\bapi[ _-]?key\b.{0,40}\b(?:not valid|invalid|incorrect|expired|disabled|revoked|blocked|not found)"
    r"|\b(?:invalid|incorrect|expired|revoked|missing|unknown)\b.{0,20}\bapi[ _-]?key\b"
    r"|\b(?:account|organi[sz]ation|project|workspace)\b.{0,40}\b(?:disabled|suspended|deactivated|blocked|banned)\b"
)


def is_throttled(complaint: Complaint) -> bool:
    """Whether the server asks for fewer requests, though the status says something else."""
    slower = _NAMED[429] | {"userratelimitexceeded", "quotaexceeded"}
    return bool(slower & set(complaint.codes)) or any("throttl" in code for code in complaint.codes)


def _walk(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The objects of a refusal that tell something, outermost ones first."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value[:20]:
            yield from _walk(item, depth + 1)
    elif isinstance(value, dict):
        yield value
        for name in _INSIDE:
            yield from _walk(value.get(name), depth + 1)
    elif isinstance(value, str) and depth and value.lstrip().startswith(("{", "[")):
        inner = _read_json(value.encode("utf-8", "replace"))  # what a relay was told by the server behind it
        if isinstance(inner, dict | list):
            yield from _walk(inner, depth + 1)


def _read_json(body: bytes) -> Any:
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return parse_json(body, spelt=False) if body.lstrip()[:1] in {b"{", b"["} else None
    except NOT_JSON:
        return None


def _read_places(text: str) -> frozenset[str]:
    found = (re.findall(r"""['"]([\w.]+)['"]""", place[2]) for place in _PLACE.finditer(text))
    return frozenset(piece for names in found for name in names for piece in name.split("."))


def _drop_echo(text: str) -> str:
    return _ECHO.sub("", text)


def _simplify(code: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(code).lower())


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= 200 else line[:197] + "..."

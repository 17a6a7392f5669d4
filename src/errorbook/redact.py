"""Keeps secrets out of everything that is kept or said: what is one, and how it is masked. Nothing else decides that.

A secret is the value of an environment variable that the run names or whose name says so, and whatever has the shape of
a key. Sentences are masked when an error is made, tracebacks and logs when they are printed, replies before they are
kept (`llm/redact`), a run file before it is stored; a run file that holds a secret itself is refused. What strangers
may read of a run file is not what is left without the secrets: it is what `PUBLIC` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

MASK = "[key]"
LEFT_OUT = "Left out:"
"""Begins the comment of a published run file on the keys of a section that it does not show."""
SHORTEST = 6
"""Characters; a shorter value is no secret, and taking it out would garble texts."""
_SHORTEST_UNNAMED = 8
"""Characters of the value of a variable that only its own name gives away."""

_SHAPES = re.compile(
    r"""(?x) (?<![A-Za-z0-9]) (?:
    sk-[\w-]{16,} | [sprw][kh]_(?:live|test|prod)_\w{12,} | whsec_\w{16,} | hf_[A-Za-z0-9]{20,} | gh[oprsu]_\w{20,}
    | github_pat_\w{20,} | glpat-[\w-]{16,} | gsk_\w{20,} | xai-[\w-]{20,} | r8_\w{20,} | nvapi-[\w-]{20,}
    | pplx-\w{20,} | tgp_v1_[\w-]{20,} | fw_\w{20,} | xox[abeprs]-[\w-]{10,} | A[KS]IA[0-9A-Z]{16}
    | AIza[\w-]{30,} | ya29\.[\w-]{20,} | eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----(?:[^-]*-----END\ [A-Z ]*PRIVATE\ KEY-----)?
    )"""
)
"""Keys that their makers let begin with a mark of their own."""
_INTRODUCED = re.compile(r"(?i)\b((?:bearer|basic)[ =:]+)[A-Za-z0-9._~+/-]{8,}=*")
_IN_ADDRESS = re.compile(
    r"(:/{1,3})[^/\s@\"'<>]+@|([?&;][\w.-]*(?:key|token|secret|sig|auth|passw)[\w.-]*=)[^&\s\"'#]+"
)
_SAID = re.compile(
    r"(?i)((?:key|token|secret|passw(?:or)?d|pwd|credentials?)\b[\"']?\s*(?:[:=]|is)\s*)([^\s\"',;]{4,})"
)
_TOKEN = re.compile(r"[A-Za-z0-9_.~+-]{20,}={0,2}")
_HEX = re.compile(r"(?i)\b(?:[0-9a-f]{32,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SECRET_NAME = re.compile(r"(?i)(?:^|[_-])(?:(?:api|access)?_?key|token|secret|passw(?:or)?d|credentials?)$")
_SECRET_HEADER = re.compile(r"(?i)auth|key|token|secret|cookie|passw|credential")
_TOLD_ELSEWHERE = re.compile(r"(?i)^(?:model|base_url|address|uri|project|entity|name)$")
"""Keys of a run file that say what is asked and where: the places at which a key is pasted by mistake."""
PUBLIC: dict[str, frozenset[str]] = {
    section: frozenset(keys.split())
    for section, keys in {
        "run": "name cycles seed budget_usd",
        "target": "model engine device dtype batch_size thinking",
        "instructor": "kind calls model seed temperature max_tokens concurrency batch stream dialect timeout"
        " price_input price_output budget_usd max_calls max_total_tokens",
        "tasks": "name kind role train dev test margin shots dataset subset revision train_split dev_split test_split"
        " question messages answer several accepted choices tests entry_point solution id skill group count_from scorer"
        " max_new_tokens size seed",
        "strategy": "name k samples_per_error max_samples max_samples_per show_gold rounds retriever draws temperature",
        "verify": "answers near_duplicate ngram votes against only_missed",
        "train": "method rank alpha learning_rate epochs batch_size warmup warmup_steps schedule weight_decay"
        " max_tokens replay start objective beta divergence context scales device dtype strategy thinking",
        "gate": "alpha noise_floor counts guards_against sequential",
        "compute": "engine workers cpus_per_worker gpus_per_worker processes strategy cache",
        "sinks": "kind",
    }.items()
}
"""Keys of a run file, by section, that say how a run was made and never where, by whom or with what access."""
_PLAIN = re.compile(r"\w[\w .,+:/()%-]{0,99}")
_PLACE = re.compile(
    r"(?i)^[a-z]:|\\|//|\b(?:\d{1,3}\.){3}\d|\blocalhost\b|:\d{2,5}(?:/|$)"
    r"|\.(?:internal|intranet|intra|local|lan|corp|home|private|test|example|com|org|net|io|dev|ai|cloud|app)(?:[:/]|$)"
)
"""What makes a value a path or the name of a machine."""
_NOTED: set[str] = set()


def note_secret(value: str) -> None:
    """Remember a secret of this process, so that no sentence holds it."""
    if len(value) >= SHORTEST:
        _NOTED.add(value)


def list_secrets() -> list[str]:
    """Every secret that is known: those noted, and the variables whose own name says it; the longest first."""
    named = {
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_UNNAMED and not value.startswith("/")
    }
    return sorted(_NOTED | named, key=len, reverse=True)


def mask(text: str) -> str:
    """A sentence, a log or a traceback without secrets."""
    return _TOKEN.sub(lambda found: MASK if _is_random(found[0]) else found[0], _mask_certain(text))


def _mask_certain(text: str) -> str:
    """A text without what is a secret wherever it stands: known ones, known shapes, and what is introduced as one."""
    for secret in list_secrets():
        text = mask_secret(text, secret)
    text = _INTRODUCED.sub(rf"\1{MASK}", mask_shapes(text))
    return _IN_ADDRESS.sub(lambda found: f"{found[1]}{MASK}@" if found[1] else f"{found[2]}{MASK}", text)


def mask_shapes(text: str) -> str:
    """A text without what has the shape of a known maker's keys; all else of it stays."""
    return _SHAPES.sub(MASK, text)


def mask_secret(text: str, secret: str) -> str:
    """A text without the secret, and without any third of it: a server may tell it in pieces."""
    text = text.replace(secret, MASK)
    size = max(8, len(secret) // 3)
    for start in range(len(secret) - size + 1):
        piece = secret[start : start + size]
        while piece in text:
            place, end = text.index(piece), start + size
            stop = place + size
            while end < len(secret) and text[stop : stop + 1] == secret[end]:
                stop, end = stop + 1, end + 1
            text = text[:place] + MASK + text[stop:]
    return text


def mask_run_file(text: str) -> str:
    """A run file's text to be kept: comments without what looks like a key, values as they are unless they do."""
    values = [value for _, value in _strings(_read(text))]

    def keep(token: str) -> bool:
        return any(token in value for value in values)

    lines = []
    for line in _mask_certain(text).splitlines(keepends=True):
        head, sign, comment = line.partition("#")
        comment = _SAID.sub(lambda found: found[0] if keep(found[2]) else f"{found[1]}{MASK}", comment)
        lines.append(head + sign + comment)
    text = _HEX.sub(lambda found: found[0] if keep(found[0]) else MASK, "".join(lines))
    return _TOKEN.sub(lambda found: MASK if _is_random(found[0]) and not keep(found[0]) else found[0], text)


def publish_run_file(text: str) -> str:
    """What strangers may read of a run file: the keys of `PUBLIC` with plain values, and the names of the others.

    No comment is kept. The text is TOML; it is empty if the run file cannot be read.
    """
    parts = []
    for section, found in _read(text).items():
        tables = found if isinstance(found, list) else [found]
        head = f"[[{section}]]" if isinstance(found, list) else f"[{section}]"
        if section in PUBLIC:
            parts += [_publish_table(head, table, PUBLIC[section]) for table in tables if isinstance(table, dict)]
    return "\n".join(parts)


def publish_change(place: str, *values: str) -> tuple[str, ...]:
    """The place of a value in a run file and what it was and is, for strangers: "…" for what they may not read."""
    section, *inner = re.sub(r"\[\d+\]", "", place).split(".")
    keys = [key for key in inner if key != "options"]
    if len(keys) == 1 and keys[0] in PUBLIC.get(section, ()):
        return place, *(value if _is_plain(value) else "…" for value in values)
    named = [key for key in inner if re.fullmatch(r"[a-z_]{1,30}", key) and mask(key) == key]
    return ".".join([section, *(named[:2] if named else ["…"])]), *("…" for _ in values)


def _publish_table(head: str, table: Mapping[str, Any], public: frozenset[str]) -> str:
    lines = [f"{key} = {_write_value(value)}" for key, value in table.items() if key in public and _is_plain(value)]
    held = [key for key, value in table.items() if key not in public or not _is_plain(value)]
    named = [key if re.fullmatch(r"[a-z_]{1,30}", key) and mask(key) == key else "a key" for key in held]
    told = [f"# {LEFT_OUT} {', '.join(named)}"] if named else []
    return "\n".join([head, *lines, *told, ""])


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a word or a name, or holds only such: no path, address, key or sentence."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    if not isinstance(value, str):
        return isinstance(value, bool | int | float)
    plain = _PLAIN.fullmatch(value) and not _PLACE.search(value)
    return value == "" or (bool(plain) and not _looks_like_key(value) and mask(value) == value)


def _write_value(value: Any) -> str:
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_write_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)


def find_misplaced(data: Mapping[str, Any]) -> str:
    """One sentence on the first secret that stands in a run file itself, without it; an empty text if there is none.

    The environment variables that the run file names are noted on the way.
    """
    for place, value in _strings(data):
        key = place.rpartition(".")[2]
        if key.endswith("_env") or value.startswith("$"):
            note_secret(os.environ.get(value.removeprefix("$"), "").strip())
    for place, value in _strings(data):
        if fault := _judge_setting(place, value):
            return f"'{mask(place)}' {fault}"
    return ""


def _judge_setting(place: str, value: str) -> str:
    above, _, key = place.rpartition(".")
    if key.endswith("_env") and value:
        usual = value.isupper() and _NAME.fullmatch(value) is not None and not _looks_like_key(value)
        if not usual and value not in os.environ:
            return "names no environment variable that is set; put the key into one, such as MY_API_KEY, and name that."
    elif above.rpartition(".")[2] == "headers" and not value.startswith("$"):
        if _SECRET_HEADER.search(key) or _looks_like_key(value):
            return 'holds a secret itself; put it into an environment variable and write "$NAME" here.'
    elif _TOLD_ELSEWHERE.match(key) or ".sampling." in place:
        path = value.startswith((".", "~", "/"))
        if (_has_shape if path else _looks_like_key)(value):
            return "holds what looks like a key; put that into an environment variable and name it by api_key_env."
    elif _has_shape(value):
        return "holds what looks like a key; a run file is kept with the run, so put that into an environment variable."
    return ""


def _has_shape(value: str) -> bool:
    return mask_shapes(value) != value or any(secret in value for secret in list_secrets())


def _looks_like_key(value: str) -> bool:
    return _has_shape(value) or bool(_HEX.search(value)) or any(map(_is_random, _TOKEN.findall(value)))


def _is_random(token: str) -> bool:
    """Whether letters and digits change as often as in no word, name or date; no hexadecimal number counts."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]", token) if not re.fullmatch(r"[0-9a-f]{8,}", part)]
    return any(_changes_often(part, 20, 0.2, 0.35) for part in parts) or _changes_often("".join(parts), 24, 1.0, 0.52)


def _changes_often(text: str, shortest: int, two: float, three: float) -> bool:
    """Whether its kinds of characters change in that share of places, for two kinds and for three."""
    kinds = ["digit" if letter.isdigit() else "upper" if letter.isupper() else "lower" for letter in text]
    if len(text) < shortest or "digit" not in kinds or len(set(kinds)) < 2:
        return False
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= (three if len(set(kinds)) == 3 else two) * (len(text) - 1)


def _strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text in nested tables and lists, with its place."""
    pending = [(place, value)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, Mapping):
            inner = [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
            pending.extend(reversed(inner))
        elif isinstance(value, list | tuple):
            pending.extend((place, item) for item in reversed(value))


def _read(text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}

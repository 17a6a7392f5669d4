"""What `errorbook init` finds without asking: files of questions in a folder, and a provider's key in the environment.

It looks at names only. No key is read, and none is sent anywhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_DATA = (".csv", ".tsv", ".jsonl", ".parquet")


class Account(NamedTuple):
    """A provider whose key is in the environment: its instructor plugin, its address (empty: the plugin's own)."""

    kind: str
    key: str
    url: str = ""


_KNOWN = (
    Account("openai", "OPENAI_API_KEY"),
    Account("anthropic", "ANTHROPIC_API_KEY"),
    Account("openai", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    Account("openai", "GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai"),
    Account("openai", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    Account("openai", "MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
    Account("openai", "DEEPSEEK_API_KEY", "https://api.deepseek.com"),
)
KEYS = tuple(account.key for account in _KNOWN)
"""The variables that are looked at, first to last."""


def find_account(environment: Mapping[str, str], kind: str = "") -> Account | None:
    """The first provider with a key, of one `kind` if it is given.

    OPENAI_BASE_URL and ANTHROPIC_BASE_URL say where its key goes, as for the providers' own libraries.
    """
    for account in _KNOWN:
        if environment.get(account.key, "").strip() and kind in {"", account.kind}:
            moved = "" if account.url else environment.get(account.key.replace("_API_KEY", "_BASE_URL"), "").strip()
            return account._replace(url=moved) if moved else account
    return None


def find_data(folder: Path) -> list[Path]:
    """The files in a folder that may hold questions, by their endings."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _DATA and file.is_file())


def is_near(url: str) -> bool:
    """Whether an address is on this machine or in its own network."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))

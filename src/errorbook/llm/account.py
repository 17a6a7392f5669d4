"""Who is asked, where, and with which key: what the endpoints of all providers have in common.

A key is read from the environment when a request needs it and kept nowhere. How a provider writes a request and a
reply is its own module's.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec

from errorbook.errors import ModelError
from errorbook.llm.endpoint import Dialect, web_address
from errorbook.redact import note_secret


class Account:
    """Base of the endpoints: model, address, headers, key and sampling settings.

    `api_key_env` names the environment variable with the key; it defaults to the provider's usual one for the provider
    itself and to none elsewhere, so that no key goes where it was not meant to. A value in `headers` that starts with
    `$` is read from the environment, too. `sampling` (top_p, seed, reasoning_effort, ...) is added to every request as
    it is. `dialect` says by the names of `Dialect` what the server accepts, for whoever knows it beforehand.
    """

    protocol: ClassVar[str]
    official: ClassVar[str]
    usual_key: ClassVar[str]
    version_path: ClassVar[str] = ""
    request_path: ClassVar[str]
    """Ends of an address that each request adds by itself; who copies an address from a document has them, too."""

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str | None = None,
        headers: Mapping[str, str] | None = None,
        sampling: Mapping[str, Any] | None = None,
        dialect: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = model
        address = self.official if base_url is None else base_url
        self._base_url = web_address(address).removesuffix(self.request_path).removesuffix(self.version_path)
        if api_key_env is None:
            api_key_env = self.usual_key if self._base_url == self.official else ""
        self._api_key_env = api_key_env
        self._headers = dict(headers or {})
        self._sampling = dict(sampling or {})
        self.dialect = read_dialect(dialect or {})
        settings = msgspec.json.encode(self._sampling, order="sorted").decode()
        self._identity = f"{self.protocol} {self._base_url} {model} {settings}"

    def __repr__(self) -> str:
        """Without headers, which may hold secrets."""
        return f"{type(self).__name__}(model={self._model!r}, base_url={self._base_url!r})"

    @property
    def identity(self) -> str:
        """See `Endpoint`."""
        return self._identity

    def identify_as(self, identity: str) -> Self:
        """The same endpoint under another identity, for a caller who knows better which model answers there."""
        other = copy.copy(self)
        other._identity = identity
        return other

    @property
    def base_url(self) -> str:
        """See `Endpoint`."""
        return self._base_url

    @property
    def model(self) -> str:
        """See `Endpoint`."""
        return self._model

    @property
    def sampling(self) -> Mapping[str, Any]:
        """See `Endpoint`."""
        return self._sampling

    def secrets(self) -> tuple[str, ...]:
        """See `Endpoint`: the key, and the values of the user's own headers."""
        return tuple(value.removeprefix("Bearer ") for value in (*self._own_headers().values(), self._key()) if value)

    def _own_headers(self) -> dict[str, str]:
        """The user's headers. Raises ModelError if one is to come from the environment and is not there."""
        return {name: self._from_environment(value) for name, value in self._headers.items()}

    def _key(self) -> str:
        """The key, or nothing if none is wanted. Raises ModelError if it is not set."""
        return self._from_environment("$" + self._api_key_env) if self._api_key_env else ""

    def _from_environment(self, value: str) -> str:
        return read_secret(value[1:], self._base_url) if value.startswith("$") else value


def read_secret(name: str, where: str) -> str:
    """The key for an address from an environment variable. Raises ModelError if it is not set, or can be no key."""
    found, shown = os.environ.get(name, "").strip(), name if name.isupper() else "that is named"
    if not found:  # a name that is not written as usual may be the key itself: it is not shown
        raise ModelError(f"The environment variable {shown} with the key for {where} is not set; set it.")
    note_secret(found)
    if not (found.isascii() and found.isprintable()):
        raise ModelError(
            f"The environment variable {shown} holds a line break or another sign that no key has; set it to the key"
            " alone."
        )
    return found


def read_dialect(given: Mapping[str, Any]) -> dict[str, object]:
    """The switches of a run file. Raises ModelError for one that a dialect does not have."""
    try:
        known = msgspec.structs.asdict(msgspec.convert(dict(given), Dialect))
    except msgspec.ValidationError as error:
        raise ModelError(f"dialect cannot be read ({error}); {_SWITCHES}.") from None
    for name in given:
        if name not in known:
            raise ModelError(f"dialect has no switch '{name}'; {_SWITCHES}.")
    return {name: known[name] for name in given}


_SWITCHES = (
    "give mode ('schema', 'json' or 'text'), cap ('max_tokens' or 'max_completion_tokens'), stream ('off', 'on' or "
    "'unsaid'), most (a number of tokens), and temperature, system, seed, strict or usage as true or false"
)

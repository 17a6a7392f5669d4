"""The connection to a server that speaks Tinker's protocol: opened with a key, waited on with patience, always ended.

Everything that the SDK can raise leaves here as one sentence. A session that is closed holds nothing at the server; one
whose process was killed is ended there as soon as its heartbeat is missed. What is asked for is not known here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from errorbook.errors import ConfigError, ErrorbookError, ModelError, OutageError
from errorbook.llm.account import read_secret

OFFICIAL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
"""The provider's own address."""
KEY = "TINKER_API_KEY"
"""The environment variable with the key, for the provider as for its SDK."""
_CLOSING = 20.0
_SHOWN = 8


class Host(NamedTuple):
    """Which model is asked for, where, with which key, and how many seconds without an answer are too many."""

    model: str
    base_url: str = OFFICIAL
    api_key_env: str = KEY
    patience: float = 900.0

    @property
    def name(self) -> str:
        """What the host is called in a sentence."""
        return "Tinker" if self.base_url == OFFICIAL else self.base_url


class GoneError(ModelError):
    """Something that was at the server is not there any more."""


class Connection:
    """One session at the server. Leaving its block ends it there."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._key = read_key(host)
        _require_sdk()
        self.service: Any = self.wait(lambda: _connect(host, self._key), "opening a session")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        ended: Literal["success", "errored", "interrupted"] = "success"
        if kind is not None and kind is not GeneratorExit:
            ended = "errored" if issubclass(kind, Exception) else "interrupted"
        self.close(ended)

    def wait(self, start: Callable[[], Any], doing: str) -> Any:
        """What a call of the SDK gives, or what its future does.

        Raises:
            OutageError: No answer came in time, or the server failed: the same command goes on.
            ModelError: The server refuses, and the user has to mend something.
        """
        try:
            return _within(self.host.patience, start)
        except ErrorbookError:
            raise
        except Exception as error:
            raise explain(error, self.host, doing) from error

    def require_model(self) -> None:
        """Raise ModelError if the server does not offer the model."""

        def ask() -> list[str]:
            rest = self.rest()
            source = rest if hasattr(rest, "get_server_capabilities") else self.service
            answer = _settle(source.get_server_capabilities(), self.host.patience)
            return [one.model_name for one in answer.supported_models if one.model_name]

        offered: list[str] = self.wait(ask, "asking for its models")
        if self.host.model not in offered:
            shown = ", ".join(sorted(offered)[:_SHOWN]) + (", ..." if len(offered) > _SHOWN else "")
            raise ModelError(
                f"{self.host.name} does not offer the model '{self.host.model}'; set model in [target] to one that it"
                f" does: {shown or 'it names none'}."
            )

    def rest(self) -> Any:
        """The SDK's client for what is stored at the server."""
        import tinker

        if hasattr(tinker, "RestClient"):
            return tinker.RestClient(base_url=self.host.base_url, api_key=self._key)
        return self.service.create_rest_client()

    def delete(self, path: str) -> None:
        """Delete what is stored under a path, if it is still there; what cannot be deleted expires by itself."""
        with contextlib.suppress(ErrorbookError):
            self.wait(lambda: self.rest().delete_checkpoint_from_tinker_path(path), "deleting what is not needed")

    def close(self, ended: Literal["success", "errored", "interrupted"] = "success") -> None:
        """End the session at the server, so that nothing goes on there; an unreachable one ends it by itself."""
        service = self.service

        def end() -> Any:
            return service.close(ended) if hasattr(service, "close") else service.holder.close()

        with contextlib.suppress(Exception):
            _within(min(_CLOSING, self.host.patience), end)


def read_key(host: Host) -> str:
    """The key from the environment. Raises ModelError if it is not there or cannot be one."""
    found = read_secret(host.api_key_env, host.name)
    if not found.startswith(("tml-", "eyJ")):
        raise ModelError(
            f"The environment variable {host.api_key_env} holds no key of Tinker's form, which begins with 'tml-'; set"
            " it to the key alone."
        )
    return found


def explain(error: BaseException, host: Host, doing: str) -> ErrorbookError:
    """The sentence for what the SDK raised while it was `doing` something."""
    status, words = _find_status(error), _shorten(error)
    again = "give the same command again, which goes on"
    if status in {401, 403}:
        return ModelError(
            f"{host.name} does not accept the key in {host.api_key_env}{_quote(words)}; set it to the right one and"
            f" {again}."
        )
    if status == 402:
        return OutageError(f"The account at {host.name} is empty{_quote(words)}; fill it and {again}.")
    if status in {404, 410}:
        return GoneError(f"{host.name} does not know what it was asked for while {doing}{_quote(words)}; see to it.")
    if status is not None and 400 <= status < 500 and status not in {408, 409, 425, 429}:
        return ModelError(f"{host.name} refused {doing} with status {status}{_quote(words)}; mend that and {again}.")
    if isinstance(error, TimeoutError) and status is None:
        return OutageError(
            f"{host.name} gave no answer within {host.patience:g} seconds while {doing}; see to the connection and"
            f" {again}."
        )
    return OutageError(f"{host.name} failed at {doing} ({words}); see to it and {again}.")


def _connect(host: Host, key: str) -> Any:
    """The SDK's client with an open session. It speaks with the server at once, so that a wrong key shows here."""
    import tinker

    # What it tells its own developers stays off the terminal: one sentence of ours says what is wrong.
    logging.getLogger("tinker").setLevel(logging.CRITICAL)
    service = tinker.ServiceClient(user_metadata={"made_by": "errorbook"}, base_url=host.base_url, api_key=key)
    _ = service.holder  # opens the session
    return service


def _within(seconds: float, start: Callable[[], Any]) -> Any:
    """What `start` gives, in a thread of its own: some of the SDK's calls wait without a limit. Raises TimeoutError."""
    outcome: Future[Any] = Future()

    def work() -> None:
        try:
            outcome.set_result(_settle(start(), seconds))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="errorbook-tinker", daemon=True).start()
    return outcome.result(seconds)


def _settle(value: Any, seconds: float) -> Any:
    """The result of a future, or the value itself: what is a future differs between versions of the SDK."""
    return value.result(seconds) if callable(getattr(type(value), "result", None)) else value


def _find_status(error: BaseException | None) -> int | None:
    """The status of the refusal behind an error; the SDK wraps some of them."""
    for _ in range(8):
        if error is None:
            return None
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def _shorten(error: BaseException) -> str:
    """What the server said, or else what kind of error it is."""
    body = getattr(error, "body", None)
    told = body.get("detail") or body.get("message") or body.get("error") if isinstance(body, dict) else None
    # The SDK adds its own numbers and types behind what the server said.
    text = " ".join(str(told or error).removeprefix("Request failed: ").partition(" for self.request_id=")[0].split())
    return text[:200].rstrip(".") or type(error).__name__


def _quote(words: str) -> str:
    return f" ({words})" if words else ""


def _require_sdk() -> None:
    if find_spec("tinker") is None:
        raise ConfigError("This needs Tinker's SDK: pip install 'errorbook[tinker]'.")

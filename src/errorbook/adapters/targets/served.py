"""What targets behind a server share: questions to it, and answers through the engine of `errorbook.llm`.

The engine paces, sends again, keeps what was answered and lets no key into anything that is kept. This module adds
what an answer under examination needs: whether it was cut off, and that no failed request passes for a wrong answer.
Which model answers, and where, is the targets' own business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from errorbook.adapters.targets.decoding import cut_at_stop
from errorbook.checks.thoughts import find_answer, has_marks
from errorbook.errors import ConfigError, ModelError
from errorbook.interfaces import Target
from errorbook.llm import faults
from errorbook.llm.endpoint import Endpoint, Reply
from errorbook.llm.engine import Engine
from errorbook.llm.http import Http, HttpLimits, ServerAnswer
from errorbook.llm.orders import Terms
from errorbook.llm.pace import compute_backoff
from errorbook.llm.records import Accepted, Ask
from errorbook.llm.redact import collect_secrets, redact
from errorbook.llm.refusals import read_message
from errorbook.records import Checkpoint, Completion, Generation, digest, key_of, messages_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SERVED = "served.json"
"""The file in a checkpoint's folder that says under which name a model trained elsewhere is served."""

FAILURES_AT_MOST = 16
"""Failed requests after which no more are sent: whatever is wrong is not about single prompts."""
_NOT_SERVED = {400, 403, 404, 405, 501}
_OF_THE_START = {"n_ctx"}
"""What llama.cpp tells of the server and not of the model: the context that it was started with."""
_ATTEMPTS = 4
_LEAST_ANSWER = 16


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `served.json` holds."""

    model: str


def served_model(folder: Path) -> str:
    """The name under which a checkpoint trained elsewhere is served. Raises ModelError if none is given."""
    path = folder / SERVED
    try:
        name = msgspec.json.decode(path.read_bytes(), type=Served).model.strip()
    except OSError:
        raise ModelError(f'\'{path}\' is missing; write {{"model": "NAME"}} into it, with the served name.') from None
    except msgspec.DecodeError as error:
        raise ModelError(f'\'{path}\' cannot be read ({error}); write {{"model": "NAME"}} into it.') from None
    if not name:
        raise ModelError(f"'{path}' names no model; write the name under which the trained model is served.")
    return name


class Api:
    """Small questions to a server, outside the engine: nothing of them is kept. May be called from any thread."""

    def __init__(self, endpoint: Endpoint, limits: HttpLimits | None = None, terms: Terms | None = None) -> None:
        self._endpoint = endpoint
        self._limits = limits or HttpLimits(seconds=60.0)
        self._terms = terms or Terms()

    def send(self, method: str, url: str, value: object = None) -> ServerAnswer:
        """One attempt. Raises faults.Fault if no answer came, ModelError if the key is missing."""
        headers, secrets = self._endpoint.headers(), collect_secrets(self._endpoint)
        body = None if value is None else msgspec.json.encode(value)

        async def attempt() -> ServerAnswer:
            terms = self._terms
            http = Http(headers, self._limits, 1, proxies=terms.proxies, authorities=terms.authorities)
            try:
                return await http.send(method, url, body)
            finally:
                await http.close()

        # In a thread, because the caller's own may be running an event loop (a notebook's, say).
        with ThreadPoolExecutor(max_workers=1) as thread:
            answer = thread.submit(asyncio.run, attempt()).result()
        return answer._replace(body=redact(answer.body, secrets))

    def ask(self, method: str, path: str, value: object = None) -> ServerAnswer:
        """The server's answer to a question below its base URL, asked again if it was busy or failed.

        Raises:
            ModelError: It did not answer, is busy or failing all the time, or refuses the key.
        """
        base, reason = self._endpoint.base_url, ""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self.send(method, base + path, value)
            except faults.Fault as fault:
                reason = fault.reason
            else:
                if answer.status == 401:
                    raise ModelError(
                        f"{base} does not accept the key; set api_key_env to the variable with the right one."
                    )
                if (answer.status < 500 and answer.status not in {408, 425, 429}) or answer.status == 501:
                    return answer
                reason = describe_refusal(answer)
            if attempt < _ATTEMPTS:
                time.sleep(compute_backoff(attempt, None))
        raise ModelError(f"{base}{path} did not answer ({reason}); see to the server or correct base_url.")

    def describe(self, model: str) -> dict[str, Any]:
        """What the server says of a model's identity in its list; empty if it keeps no list or leaves it out.

        Only what stays the same from one start of the server to the next: no dates, no counters.
        """
        answer = self.ask("GET", "/models")
        if answer.status in _NOT_SERVED:
            return {}
        for entry in _list_models(answer):
            if entry.get("id") == model:
                return _keep_identity(entry)
        return {}


def describe_refusal(answer: ServerAnswer) -> str:
    """A refusal in a few words."""
    words = read_message(answer.body)
    return f"status {answer.status}" + (f": {words}" if words else "")


def _keep_identity(entry: dict[str, Any]) -> dict[str, Any]:
    """What an entry of a list of models says of the model itself, and not of how its server was started."""
    told = {key: entry[key] for key in ("id", "root", "parent", "owned_by", "meta") if entry.get(key)}
    meta = told.get("meta")
    if isinstance(meta, dict):
        told["meta"] = {key: value for key, value in meta.items() if key not in _OF_THE_START}
    return told


def _list_models(answer: ServerAnswer) -> list[dict[str, Any]]:
    try:
        listed = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    entries = listed.get("data") if isinstance(listed, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


class PromptPlace(NamedTuple):
    """Where a prompt stands: in which block, and at which place there."""

    block: int
    at: int


class Chat:
    """Answers prompts, as messages, through an engine that stays open from one block to the next.

    `store` keeps every answer, so that a killed run buys none twice; None forgets them on `close`. `max_context` is
    what the server takes in tokens, prompt and answer together (0: not known here). `opening` is the mark of a thought
    that the server's prompts open, if they do: then a text that is cut off before the thought ends has no mark at all.
    """

    def __init__(
        self, concurrency: int, store: Path | None = None, max_context: int = 0, terms: Terms | None = None
    ) -> None:
        self._terms = terms or Terms(limits=HttpLimits(seconds=600.0))
        self._concurrency = concurrency
        self._store = store
        self._max_context = max_context
        self.opening = ""
        self._engine: Engine | None = None
        self._identity = ""

    def blocks(
        self, endpoint: Endpoint, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """(block number, its completions in order) as blocks finish; requests of several blocks are in the air at once.

        Raises:
            ModelError: Some requests failed for good; what was answered before was yielded, or is in the store.
        """
        missing = {number: len(block) for number, block in enumerate(blocks)}
        done: dict[int, list[Completion]] = {number: [] for number in missing}
        for number, count in missing.items():
            if not count:
                yield number, ()
        places = (
            (PromptPlace(number, index), prompt)
            for number, block in enumerate(blocks)
            for index, prompt in enumerate(block)
        )
        for place, completion in self.answers(endpoint, places, settings):
            finished = done[place.block]
            finished.append(completion)
            if len(finished) == missing[place.block]:
                yield place.block, sorted(done.pop(place.block), key=lambda item: item.index)

    def answers(
        self, endpoint: Endpoint, prompts: Iterable[tuple[PromptPlace, str]], settings: Generation, *, kept: bool = True
    ) -> Iterator[tuple[PromptPlace, Completion]]:
        """Completions in the order in which they finish; if not `kept`, none is stored or taken from the store.

        Raises ModelError as `blocks` does.
        """
        failures: list[str] = []
        hashes: dict[PromptPlace, str] = {}

        def asks() -> Iterator[tuple[PromptPlace, Ask]]:
            for place, prompt in prompts:
                if len(failures) >= FAILURES_AT_MOST:
                    return
                hashes[place] = digest(key_of(prompt))
                yield place, self._ask(prompt, settings)

        for result in self._open(endpoint, kept=kept).ask(asks(), lambda _, reply: reply):
            if isinstance(result, Accepted):
                yield result.key, _completion(result, hashes.pop(result.key), settings.stop, self.opening)
            else:
                failures.append(result.reason)
        if not kept:
            self.close()
        if failures:
            count = f"{len(failures)} request{'s' if len(failures) > 1 else ''}"
            raise ModelError(
                f"{count} to '{endpoint.model}' at {endpoint.base_url} failed (the first: {failures[0].rstrip('.')}); "
                "see to it and give the same command again, what was recorded is kept."
            )

    def forget(self, endpoint: Endpoint) -> None:
        """Ask for every answer anew, those of earlier processes too; those that count are in the ledger already."""
        (self._engine or self._open(endpoint, kept=True)).forget_all()

    def close(self) -> None:
        """End the engine; the next prompt starts another."""
        if self._engine is not None:
            self._engine.close()
            self._engine, self._identity = None, ""

    def _open(self, endpoint: Endpoint, *, kept: bool) -> Engine:
        """The engine for this endpoint: one at a time, since only one model answers at a time."""
        if self._engine is None or self._identity != endpoint.identity or not kept:
            self.close()
            store = self._store if kept else None
            self._engine = Engine(endpoint, store=store, concurrency=self._concurrency, terms=self._terms)
            self._identity = endpoint.identity
        return self._engine

    def _ask(self, prompt: str, settings: Generation) -> Ask:
        return Ask(
            messages=messages_of(prompt),
            max_tokens=self._cap(prompt, settings.max_new_tokens),
            temperature=settings.temperature,
        )

    def _cap(self, prompt: str, wanted: int) -> int:
        """The tokens that an answer may have; fewer than wanted if the context is known and may be too short."""
        if not self._max_context:
            return wanted
        # Without the model's tokenizer only an estimate, on the high side for prose: 3 bytes a token, and a template.
        left = self._max_context - 64 - len(prompt.encode()) // 3
        if left < min(wanted, _LEAST_ANSWER):
            raise ConfigError(
                f"A prompt of {len(prompt)} characters leaves no room for an answer in max_context = "
                f"{self._max_context}; serve the model with a longer context and raise max_context in [target]."
            )
        return min(wanted, left)


def _completion(
    result: Accepted[PromptPlace, Reply], prompt_hash: str, stop: Sequence[str], opening: str
) -> Completion:
    """A target's completion, its answer cut at a stop; a server that counts no tokens is taken to have written none."""
    text, thought = result.value.text, result.value.thought
    if opening and result.value.truncated and not thought and not has_marks(text):
        text = f"{opening}{text}"
    start = find_answer(text)
    answer = cut_at_stop(text[start:], stop)
    return Completion(
        index=result.key.at,
        text=text[:start] + answer,
        tokens=result.usage.output_tokens,
        truncated=result.value.truncated and not answer.endswith(tuple(stop)),
        prompt_hash=prompt_hash,
        thought=thought,
    )


class Answering(Target, Protocol):
    """A target that can be asked past what it keeps of earlier answers."""

    def answer(self, prompts: Sequence[str], settings: Generation, *, kept: bool) -> Iterator[Completion]:
        """As `generate`; if answers are not `kept`, every prompt is asked again."""
        ...


class Afresh:
    """Implements `Target` over one that keeps its answers: the same model, and nothing that it said before.

    The noise floor is measured so: an answer out of a store shows no noise.
    """

    def __init__(self, target: Answering) -> None:
        self._target = target

    @property
    def base(self) -> str:
        """That of the target itself."""
        return self._target.base

    @property
    def fingerprint(self) -> str:
        """That of the target itself."""
        return self._target.fingerprint

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """As the target itself."""
        self._target.use(checkpoint, root)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions as they finish, every one of them asked for now."""
        return self._target.answer(prompts, settings, kept=False)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the target itself."""
        return self._target.embed(texts)

    def close(self) -> None:
        """As the target itself."""
        self._target.close()


def refuse(checkpoint: Checkpoint, engine: str, fix: str) -> ModelError:
    """The error for a checkpoint whose weights an engine cannot put on its model."""
    return ModelError(f"The engine '{engine}' cannot apply a checkpoint of the method '{checkpoint.method}'; {fix}.")

"""A target that remembers: equal requests to equal weights under equal settings are answered from the user's cache.

What is kept is a whole request, the prompts of one call in their order, and never a part of one: a batch's composition
can change its texts, so a run that finds some of its answers here gets the same ones as a run that asks for them all.
It does not know tasks or scores, and does not cache embeddings, which depend on nothing that is asked twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from errorbook.adapters.targets.answer_cache import FILE, AnswerFile, Note, on_stderr
from errorbook.files import cache_root
from errorbook.interfaces import Applies, BlockTarget, Likelihood, Paced, Remembers, Target
from errorbook.records import Checkpoint, Completion, Generation, Record, digest, key_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Weighed(Record, frozen=True, kw_only=True):
    """What a target told of the options of one prompt."""

    index: int
    weights: tuple[float, ...]


T = TypeVar("T", Completion, _Weighed)

_COMPLETIONS = msgspec.json.Decoder(list[Completion])
_WEIGHED = msgspec.json.Decoder(list[_Weighed])


def remember_answers(target: Target, options: Mapping[str, object], note: Note = on_stderr) -> Target:
    """`target` with the user's cache before it, or `target` itself if ERRORBOOK_NO_CACHE is set to 1.

    `options` are those that the run file gives the engine: the batch size and the device round differently.
    """
    if os.environ.get("ERRORBOOK_NO_CACHE", "0") not in {"", "0"}:
        return target
    return Remembering(target, AnswerFile(cache_root() / FILE, note=note), options)


class Remembering:
    """Implements `Target`, and `Likelihood`, `BlockTarget`, `Paced` and `Applies` if the target behind it does.

    That target is told of a checkpoint when it is first asked something, so that answers which are all remembered
    load no model. Then a checkpoint whose weights are missing is not noticed either.
    """

    def __init__(self, target: Target, answers: AnswerFile, options: Mapping[str, object] | None = None) -> None:
        self._target = target
        self._answers = answers
        self._options = msgspec.json.encode(dict(options or {}), order="deterministic")
        self._wanted: tuple[Checkpoint, Path] | None = None
        self._told: tuple[Checkpoint, Path] | None = None
        # On the instance, since a class that had them would claim the protocols for every target.
        if isinstance(target, Likelihood):
            self.log_likelihoods = partial(self._log_likelihoods, target)
        if isinstance(target, BlockTarget):
            self.generate_blocks = partial(self._generate_blocks, target)
        if isinstance(target, Paced):
            self.block_size = target.block_size
        if isinstance(target, Applies):
            self.forms = target.forms

    @property
    def uncached(self) -> Target:
        """The target itself, answering as the checkpoint that is in use."""
        self._tell()
        return self._target.uncached if isinstance(self._target, Remembers) else self._target

    @property
    def fingerprint(self) -> str:
        """That of the target itself."""
        return self._target.fingerprint

    @property
    def base(self) -> str:
        """That of the target itself."""
        return self._target.base

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on. A ModelError comes with the first request that is not remembered."""
        self._wanted = (checkpoint, root)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions in the order in which they finished; remembered once all of them are there."""
        key = _request_key(self._who(), prompts, settings)
        known = self._find(key, _COMPLETIONS, len(prompts))
        if known is not None:
            yield from known
            return
        self._tell()
        found = []
        for completion in self._target.generate(prompts, settings):
            found.append(completion)
            yield completion
        self._keep(key, found, len(prompts))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the target itself."""
        self._tell()
        return self._target.embed(texts)

    def close(self) -> None:
        """Free the target's memory; what is remembered stays."""
        self._target.close()

    def _generate_blocks(
        self, target: BlockTarget, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """The remembered blocks first, then the others as they finish; a block is what `generate` calls a request."""
        who = self._who()
        keys = [_request_key(who, block, settings) for block in blocks]
        missing = []
        for number, block in enumerate(blocks):
            known = self._find(keys[number], _COMPLETIONS, len(block))
            if known is None:
                missing.append(number)
            else:
                yield number, known
        if missing:
            self._tell()
            for place, found in target.generate_blocks([blocks[number] for number in missing], settings):
                number = missing[place]
                self._keep(keys[number], found, len(blocks[number]))
                yield number, found

    def _log_likelihoods(
        self, target: Likelihood, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """As `generate`, for the weights of given options."""
        who = self._who()
        key = who and digest(who, "log_likelihoods", msgspec.json.encode(options), *map(key_of, prompts))
        known = self._find(key, _WEIGHED, len(prompts))
        if known is not None:
            yield from ((item.index, item.weights) for item in known)
            return
        self._tell()
        found = []
        for index, weights in target.log_likelihoods(prompts, options):
            found.append(_Weighed(index=index, weights=tuple(weights)))
            yield index, weights
        self._keep(key, found, len(prompts))

    def _tell(self) -> None:
        """Have the target answer as the wanted checkpoint, if it does not yet."""
        if self._wanted is not None and self._wanted != self._told:
            self._target.use(*self._wanted)
            self._told = self._wanted

    def _who(self) -> str:
        """What answers: weights, template and engine, the checkpoint on top; empty if its weights have no hash."""
        weights = "base"
        if self._wanted is not None and self._wanted[0].form != "base":
            checkpoint = self._wanted[0]
            if not checkpoint.weights_hash:
                return ""
            weights = digest(checkpoint.form, checkpoint.weights_hash, repr(checkpoint.scale))
        return digest("1", self._target.fingerprint, self._options, weights)

    def _find(self, key: str, decoder: msgspec.json.Decoder[list[T]], n: int) -> list[T] | None:
        body = self._answers.find(key) if key else None
        try:
            found = None if body is None else decoder.decode(body)
        except msgspec.DecodeError:
            return None
        return found if found is not None and _is_whole(found, n) else None

    def _keep(self, key: str, found: Sequence[T], n: int) -> None:
        if key and _is_whole(found, n):
            self._answers.keep(key, msgspec.json.encode(found))


def _request_key(who: str, prompts: Sequence[str], settings: Generation) -> str:
    """The key of a request for texts; empty if nobody knows who answers."""
    return who and digest(who, "generate", settings.hash, *map(key_of, prompts))


def _is_whole(found: Sequence[Completion] | Sequence[_Weighed], n: int) -> bool:
    """Whether every prompt of the request is answered, once."""
    return sorted(item.index for item in found) == list(range(n))

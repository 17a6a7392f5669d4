"""The target on a CPU through OpenVINO GenAI: its continuous batching decodes small models several times as fast.

The checkpoint's merged weights are written as a GGUF file, which the engine reads. Token ids go in and come out, so
prompts and texts are made as the transformers target makes them; hidden states and likelihoods are computed by it.
After each change of weights a canary proves that the engine computes with them. It does not train.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets import gguf_file, loading, openvino_engine
from errorbook.adapters.targets.conversation import Thinking, render
from errorbook.adapters.targets.decoding import RowLimits
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.transformers import TransformersTarget, completion_of, end_tokens, stops_at
from errorbook.adapters.targets.weights import Weights, load
from errorbook.checks.thoughts import find_opening
from errorbook.errors import ConfigError, ModelError
from errorbook.plugins import AtOnce
from errorbook.records import Checkpoint, Completion, Generation, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CANARY = ("What is 17 + 25?", "Name three colours.", "Is water wet?", "Write a short poem about rain.")
_FAITHFUL = 0.25
"""Nats: how far the engine's log-probabilities may be from those of transformers, on average over the canary."""


class OpenVinoTarget:
    """Implements `Target` and `Likelihood`.

    `dtype` is "auto", "bfloat16" or "float32"; `batch_size` is how many responses are written at once.
    `thinking` says whether the model thinks before it answers.
    """

    block_size = 256
    """Continuous batching refills the batch as responses end, so that larger blocks leave it full for longer."""

    def __init__(self, model: str, dtype: str = "auto", batch_size: AtOnce = 128, thinking: Thinking = "off") -> None:
        if find_spec("openvino_genai") is None:
            raise ConfigError(
                "The engine 'openvino' is not installed: pip install 'errorbook[openvino]', or set engine = "
                "'transformers' in [target]."
            )
        self._name = model
        self._dtype = dtype
        self._batch_size = batch_size
        self._plain = TransformersTarget(model, device="cpu", dtype=dtype, thinking=thinking)
        self._thinking: Thinking = thinking
        self._wanted = Weights()
        self._applied = ""
        self._engine: Any = None
        self._vocabulary: Any = None
        self._base_says: list[list[float]] = []

    @property
    def base(self) -> str:
        """The model's name or folder as given."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of base weights, chat template, number format and engine version. Raises ModelError."""
        return digest(self._plain.fingerprint, "openvino", version("openvino-genai"))

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on. Raises ModelError if its weights are missing."""
        self._plain.use(checkpoint, root)
        self._wanted = Weights(checkpoint, root)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions as they finish. Equal prompts with equal settings are sampled equally.

        Raises:
            ModelError: The model cannot be loaded, is of a family that cannot be written, or fails the canary.
        """
        engine, tokenizer = self._ready(), self._tokens()
        rendered = [render(tokenizer, prompt, self._thinking) for prompt in prompts]
        ids = [loading.prompt_ids(tokenizer, text) for text in rendered]
        ends = end_tokens(self._folder(), tokenizer)
        seeds = [int(digest(str(settings.seed), text)[:8], 16) for text in rendered]
        over = stops_at(tokenizer, settings.stop, find_opening(rendered[0])) if settings.stop and rendered else None
        limits = RowLimits(ends, tokenizer.eos_token_id, settings.max_new_tokens, settings.temperature, over)
        for index, tokens in openvino_engine.decode(engine, ids, seeds, limits):
            yield completion_of(index, tokens, rendered[index], tokenizer, (ends, settings.stop))

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """As `TransformersTarget.log_likelihoods`, which computes it."""
        return self._plain.log_likelihoods(prompts, options)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `TransformersTarget.embed`, which computes it."""
        return self._plain.embed(texts)

    def close(self) -> None:
        """Free the model's memory; the next use loads it again."""
        self._engine, self._applied = None, ""
        self._plain.close()

    def _folder(self) -> str:
        return resolve(self._name)

    def _tokens(self) -> Any:
        return self._plain.tokenizer

    def _ready(self) -> Any:
        """The engine with the wanted checkpoint's weights, proven to compute with them."""
        if self._applied == self._wanted.name:
            return self._engine
        self._engine, self._applied = None, ""
        folder = self._folder()
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        if not gguf_file.can_write(config):
            raise ModelError(
                f"The engine 'openvino' reads models of the kinds {', '.join(gguf_file.FAMILIES)}, and '{self._name}' "
                f"is a {config.get('model_type')}; set engine = 'transformers' in [target]."
            )
        dtype = loading.choose_dtype(self._dtype, "cpu")
        prompts = [loading.prompt_ids(self._tokens(), render(self._tokens(), text)) for text in _CANARY]
        model = load(folder, self._wanted, "cpu", dtype)
        expected = openvino_engine.next_tokens(model, prompts)
        if not self._base_says:
            of_base = self._wanted.name == "base"
            base = model if of_base else load(folder, Weights(), "cpu", dtype)
            self._base_says = expected if of_base else openvino_engine.next_tokens(base, prompts)
            del base
        with tempfile.TemporaryDirectory(prefix="errorbook-") as space:
            path = Path(space) / "model.gguf"
            gguf_file.write(model, self._tokens(), path)
            del model
            self._vocabulary = self._vocabulary or openvino_engine.load_tokenizer(path)
            engine = openvino_engine.build(path, self._vocabulary, dtype, self._batch_size)
        self._prove(engine, prompts, expected)
        self._engine, self._applied = engine, self._wanted.name
        return engine

    def _prove(self, engine: Any, prompts: list[list[int]], expected: list[list[float]]) -> None:
        """Compare the engine's next tokens with those of transformers: near the checkpoint's, and not the base's.

        Raises:
            ModelError: The engine computes something else.
        """
        said = openvino_engine.first_tokens(engine, prompts)
        away = _distance(said, expected)
        from_base = _distance(said, self._base_says)
        apart = sum(abs(expected[row][token] - self._base_says[row][token]) for row, (token, _) in enumerate(said))
        if away > _FAITHFUL or (self._wanted.name != "base" and away > from_base and apart / len(said) > _FAITHFUL):
            raise ModelError(
                f"The engine 'openvino' does not compute '{self._name}' with the weights of this checkpoint (its "
                f"log-probabilities are {away:.2f} nats away); set engine = 'transformers' in [target]."
            )


def _distance(said: list[tuple[int, float]], expected: list[list[float]]) -> float:
    """Mean distance, in nats, of the log-probabilities of the tokens that the engine chose."""
    return sum(abs(value - expected[row][token]) for row, (token, value) in enumerate(said)) / len(said)

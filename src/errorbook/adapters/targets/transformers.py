"""The target behind Hugging Face transformers: one model on one device, as base, LoRA adapter or full weights.

Loads on first use. It does not train, and knows nothing of tasks or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import Thinking, end_of_turn, hides_marks, render
from errorbook.adapters.targets.decoding import RowLimits, cut_at_stop, decode, read_states, score_options
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.weights import Weights, load
from errorbook.checks.thoughts import find_answer, find_opening
from errorbook.errors import ModelError
from errorbook.plugins import AtOnce
from errorbook.records import Checkpoint, Completion, Generation, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGEST_EMBEDDED = 1024
_BATCH_TOKENS = 65_536
"""Tokens of prompts and responses that a batch may come to hold: long prompts are asked in smaller batches."""


class TransformersTarget:
    """Implements `Target` and `Likelihood`.

    `device` is "auto", "cpu", "cuda", ...; `dtype` is "auto", "bfloat16", "float16" or "float32"; `batch_size` is
    halved by itself if memory runs out, and stays so. `thinking` says whether the model thinks before it answers.
    """

    def __init__(
        self,
        model: str,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: AtOnce = 128,
        thinking: Thinking = "off",
    ) -> None:
        self._name = model
        self._thinking: Thinking = thinking
        self._device = device
        self._dtype = dtype
        self._batch_size = batch_size
        self._folder = ""
        self._tokenizer: Any = None
        self._model: Any = None  # with the weights of _applied on it
        self._wanted = Weights()
        self._applied = ""

    @property
    def base(self) -> str:
        """The model's name or folder as given."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of base weights, template, mode of thinking, number format and engine version. Raises ModelError."""
        folder = self._locate()
        dtype = loading.choose_dtype(self._dtype, loading.choose_device(self._device))
        template = str(self.tokenizer.chat_template or "")
        weights, mode = loading.cached_weights_hash(Path(folder)), () if self._thinking == "off" else (self._thinking,)
        return digest(weights, template, dtype, "transformers", version("transformers"), *mode)

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on. Raises ModelError if its weights are missing."""
        if checkpoint.form != "base":
            loading.checkpoint_folder(checkpoint, root)
        self._wanted = Weights(checkpoint, root)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions as they finish. Equal prompts with equal settings are sampled equally.

        Raises:
            ModelError: The model cannot be loaded, or memory runs out even for a single prompt.
        """
        model, tokenizer = self._ready(), self.tokenizer
        rendered = [render(tokenizer, prompt, self._thinking) for prompt in prompts]
        ids = [loading.prompt_ids(tokenizer, text) for text in rendered]
        loading.require_rows(model, tokenizer, ids)
        ends = end_tokens(self._locate(), tokenizer)
        over = stops_at(tokenizer, settings.stop, find_opening(rendered[0])) if settings.stop and rendered else None
        limits = RowLimits(ends, tokenizer.eos_token_id, settings.max_new_tokens, settings.temperature, over)
        # Longest first: neighbours pad each other least, and the batch that may not fit comes at once.
        waiting = sorted(range(len(prompts)), key=lambda index: (-len(ids[index]), index))
        while waiting:
            longest = len(ids[waiting[0]]) + settings.max_new_tokens
            batch = waiting[: max(1, min(self._batch_size, _BATCH_TOKENS // longest))]
            finished: set[int] = set()
            seeds = [int(digest(str(settings.seed), rendered[index])[:15], 16) for index in batch]
            try:
                for row, tokens in decode(model, [ids[index] for index in batch], seeds, limits):
                    index = batch[row]
                    finished.add(index)
                    yield completion_of(index, tokens, rendered[index], tokenizer, (ends, settings.stop))
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise ModelError(
                        f"One prompt of '{self._name}' does not fit in memory; use a smaller model."
                    ) from None
            if len(finished) < len(batch):
                self._batch_size = max(1, len(batch) // 2)
                _free_unused()
            waiting = [index for index in waiting if index not in finished]

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """For each prompt (by index) the summed log-probability, in nats, of each of its options as the answer.

        An option is read as the whole beginning of the answer, which comes without a thought.

        Raises:
            ModelError: The model cannot be loaded, or memory runs out even for a single prompt.
        """
        model, tokenizer = self._ready(), self.tokenizer
        ids = [loading.prompt_ids(tokenizer, render(tokenizer, prompt)) for prompt in prompts]
        continued = [
            [tokenizer(option, add_special_tokens=False)["input_ids"] for option in group] for group in options
        ]
        loading.require_rows(model, tokenizer, [*ids, *(tokens for group in continued for tokens in group)])
        if any(not tokens for group in continued for tokens in group):
            raise ModelError("An option to weigh is empty; take it out of the example's choices.")
        waiting = sorted(
            (index for index in range(len(prompts)) if continued[index]), key=lambda at: (-len(ids[at]), at)
        )
        while waiting:
            batch = _choose_fitting(waiting, continued, self._batch_size)
            try:
                weighed = score_options(
                    model, [ids[at] for at in batch], [continued[at] for at in batch], tokenizer.eos_token_id
                )
            except (RuntimeError, MemoryError) as error:
                self._batch_size = self._halve_batch(error, len(batch))
                continue
            yield from zip(batch, weighed, strict=True)
            waiting = waiting[len(batch) :]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Mean of the last hidden states over each text's own tokens (no chat template), shape (len(texts), width).

        Unit length, float32. A text without tokens is read as the end token; one beyond 1024 tokens is cut there.
        """
        import numpy as np

        model, tokenizer = self._ready(), self.tokenizer
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"][:_LONGEST_EMBEDDED] for text in texts]
        ids = [row or [tokenizer.eos_token_id] for row in ids]
        loading.require_rows(model, tokenizer, ids)
        order = sorted(range(len(texts)), key=lambda index: (len(ids[index]), index))
        found: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            states = read_states(model, [ids[index] for index in batch], tokenizer.eos_token_id)
            for index, state in zip(batch, states, strict=True):
                mean = state.mean(dim=0)
                found[index] = (mean / mean.norm().clamp(min=1e-12)).cpu().numpy()
        if not found:
            return np.zeros((0, model.config.get_text_config(decoder=True).hidden_size), dtype=np.float32)
        return np.stack([found[index] for index in range(len(texts))])

    def close(self) -> None:
        """Free the model's memory; the next use loads it again."""
        if self._model is not None:
            self._model, self._applied = None, ""
            _free_unused()

    def _halve_batch(self, error: BaseException, prompts: int) -> int:
        """Half the batch size, if memory ran out; anything else, and a single prompt, is raised."""
        if not _out_of_memory(error):
            raise error
        if prompts == 1:
            raise ModelError(f"One prompt of '{self._name}' does not fit in memory; use a smaller model.") from None
        _free_unused()
        return max(1, self._batch_size // 2)

    def _locate(self) -> str:
        if not self._folder:
            self._folder = resolve(self._name)
        return self._folder

    @property
    def tokenizer(self) -> Any:
        """The model's own tokenizer, loaded once. Raises ModelError."""
        if self._tokenizer is None:
            self._tokenizer = loading.load_tokenizer(self._locate())
        return self._tokenizer

    def _ready(self) -> Any:
        """The model with the wanted checkpoint's weights, loaded afresh at each switch: nothing of another is left."""
        if self._applied == self._wanted.name:
            return self._model
        self.close()
        device = loading.choose_device(self._device)
        self._model = load(self._locate(), self._wanted, device, loading.choose_dtype(self._dtype, device))
        self._applied = self._wanted.name
        return self._model


def _choose_fitting(waiting: Sequence[int], options: Sequence[Sequence[object]], size: int) -> list[int]:
    """The first prompts whose options together make at most `size` rows, at least one."""
    batch, rows = [waiting[0]], len(options[waiting[0]])
    for index in waiting[1:]:
        rows += len(options[index])
        if rows > size:
            break
        batch.append(index)
    return batch


def end_tokens(folder: str, tokenizer: Any) -> frozenset[int]:
    """Every token that ends an answer: the tokenizer's, the chat template's, and those that the folder names."""
    from transformers import GenerationConfig

    named: Any = None
    if (Path(folder) / "generation_config.json").is_file():
        named = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    more = named if isinstance(named, list) else [named]
    turn = tokenizer.convert_tokens_to_ids(end_of_turn(tokenizer))
    return frozenset(token for token in [tokenizer.eos_token_id, turn, *more] if token is not None)


def stops_at(tokenizer: Any, stop: Sequence[str], opening: str = "") -> Callable[[Sequence[int]], bool]:
    """Whether token ids have just written one of the strings in the answer; a thought may hold them.

    `opening` is the mark of a thought that the prompt has opened. Only the last tokens are looked at in general.
    """
    most = max(len(text.encode()) for text in stop) + 4  # a token holds a byte at least, and a character four at most

    def over(tokens: Sequence[int]) -> bool:
        tail = tokenizer.decode(tokens[-most:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return any(text in tail for text in stop) and _stops(_write(tokenizer, tokens, opening), stop)

    return over


def _stops(text: str, stop: Sequence[str]) -> bool:
    answer = text[find_answer(text) :]
    return any(item in answer for item in stop)


def _write(tokenizer: Any, tokens: Sequence[int], opening: str) -> str:
    """The text of token ids with the marks of a thought, the one that the prompt opened included.

    Marks that are special tokens stay in the thought; in the answer there are none.
    """
    plain = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if not hides_marks(tokenizer):
        return f"{opening}{plain}"
    text: str = opening + tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    start = find_answer(text)
    if not start:
        return str(plain)
    answer = text[start:]
    for token in tokenizer.all_special_tokens:
        answer = answer.replace(token, "")
    return text[:start] + answer


def completion_of(
    index: int, tokens: Sequence[int], prompt: str, tokenizer: Any, ends: tuple[frozenset[int], Sequence[str]]
) -> Completion:
    """A response from its token ids, the end token included; without an end, token or string, it was cut off.

    Its text begins with the mark of a thought that the rendered prompt has opened, if it has opened one.
    """
    ended = tokens[-1] in ends[0]
    text = _write(tokenizer, tokens[:-1] if ended else tokens, find_opening(prompt))
    start = find_answer(text)
    return Completion(
        index=index,
        text=text[:start] + cut_at_stop(text[start:], ends[1]),
        tokens=len(tokens),
        truncated=not ended and not _stops(text, ends[1]),
        prompt_hash=digest(prompt),
    )


def _out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _free_unused() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

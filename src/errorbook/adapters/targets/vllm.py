"""The target behind a vLLM server that it starts itself: base and adapters on one server, full weights on another.

    [target]
    engine = "vllm"
    model = "Qwen/Qwen2.5-1.5B-Instruct"
    args = ["--gpu-memory-utilization", "0.85"]

It answers only. The server is started on first use, on this machine, and ended on `close`, so that a training has the
GPU to itself. An adapter is loaded while the server runs, and believed to be applied only after the canary says so.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import msgspec
from annotated_types import Interval

from errorbook.adapters.targets import canary, loading
from errorbook.adapters.targets.conversation import SWITCHES, TODAY, Thinking, hides_marks, opened_by
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.served import Afresh, Api, Chat, PromptPlace, describe_refusal, refuse
from errorbook.adapters.targets.serving import ServedCommand, free_port
from errorbook.errors import ConfigError, ErrorbookError, ModelError
from errorbook.llm import faults
from errorbook.llm.http import HttpLimits
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.plugins import AtOnce
from errorbook.records import Checkpoint, Completion, Form, Generation, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BASE = "base"
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # the ones that vLLM takes
_TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json")

T = TypeVar("T")


class _Up(NamedTuple):
    """A server that answers: what it serves, how to ask it, and how the base of its adapters answers the canary."""

    server: ServedCommand
    weights: str
    base_url: str
    key: str
    api: Api


class VLLMTarget:
    """Implements `Target` and `BlockTarget`.

    `args` are given to `vllm serve` as they are and `port` 0 is a free one. `max_lora_rank` must not be below the
    rank in [train]. `start_seconds` is how long the server may take until it is ready. `command` is what is run in
    place of `vllm serve`. `thinking` says whether the model thinks before it answers.
    """

    def __init__(  # noqa: PLR0913 - the keys of the run file
        self,
        model: str,
        *,
        args: tuple[str, ...] = (),
        port: Annotated[int, Interval(ge=0, le=65535)] = 0,
        max_lora_rank: Annotated[int, Interval(ge=1, le=4096)] = 64,
        concurrency: AtOnce = 256,
        start_seconds: Annotated[float, Interval(gt=0, le=1_000_000)] = 900.0,
        command: tuple[str, ...] = ("vllm", "serve"),
        thinking: Thinking = "off",
        workspace: str | None = None,
    ) -> None:
        if max_lora_rank not in _RANKS:
            known = ", ".join(map(str, _RANKS))
            raise ConfigError(f"vLLM takes no max_lora_rank of {max_lora_rank}; set it to one of {known} in [target].")
        if not command:
            raise ConfigError("The command of the vLLM server is empty; leave it out, or name a program in [target].")
        self._name = model
        self._args = tuple(args)
        self._port = port
        self._rank = max_lora_rank
        self._start_seconds = start_seconds
        self._command = tuple(command)
        self._thinking: Thinking = thinking
        store = Path(workspace) / "answers.sqlite" if workspace else None
        self._answers = Chat(concurrency, store)
        self._wanted: tuple[Checkpoint, Path] | None = None
        self._fingerprint = ""
        self._up: _Up | None = None
        self._base_takes: list[tuple[canary.Take, ...]] = []
        self._applied = ""
        self._scaled: tempfile.TemporaryDirectory[str] | None = None

    @property
    def base(self) -> str:
        """The model's name or folder as given."""
        return self._name

    @property
    def forms(self) -> tuple[Form, ...]:
        """What it can answer as: what a training leaves in files."""
        return ("adapter", "weights")

    @property
    def fingerprint(self) -> str:
        """Hash of base weights, chat template, the server's arguments and vLLM's version. Raises ModelError."""
        if not self._fingerprint:
            folder = Path(resolve(self._name))
            files = [folder / name for name in _TEMPLATE_FILES]
            template = digest(*(file.read_bytes() if file.is_file() else b"" for file in files))
            weights = loading.cached_weights_hash(folder)
            mode = () if self._thinking == "off" else (self._thinking,)
            self._fingerprint = digest("vllm", _version(), weights, template, *self._args, *mode)
        return self._fingerprint

    @property
    def uncached(self) -> Afresh:
        """The same target, asked past what it keeps."""
        return Afresh(self)

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on. Raises ModelError if that cannot be or its weights are missing."""
        if checkpoint.form == "served":
            raise refuse(checkpoint, "vllm", "set engine = 'openai' in [target] with the base_url of its server")
        if checkpoint.form == "weights" and checkpoint.scale != 1.0:
            raise ModelError("The engine 'vllm' cannot scale full weights; set scales = [1.0] in [train].")
        if checkpoint.form != "base":
            loading.checkpoint_folder(checkpoint, root)
        self._wanted = (checkpoint, root)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions as they finish. Raises ModelError if server, adapter or a request fails."""
        return self.answer(prompts, settings)

    def answer(self, prompts: Sequence[str], settings: Generation, *, kept: bool = True) -> Iterator[Completion]:
        """As `generate`; if answers are not `kept`, every prompt is asked again."""
        places = [(PromptPlace(0, index), prompt) for index, prompt in enumerate(prompts)]
        found = self._watch(lambda: self._answers.answers(self._endpoint(settings), places, settings, kept=kept))
        for _, completion in found:
            yield completion

    def generate_blocks(
        self, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """Blocks as they finish, with the requests of several in the air so that the GPU is never idle."""
        yield from self._watch(lambda: self._answers.blocks(self._endpoint(settings), blocks, settings))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Not possible: a vLLM server that generates embeds nothing. Raises ConfigError."""
        raise ConfigError(
            "The engine 'vllm' embeds no texts; set retriever = 'tfidf' in [strategy], or engine = 'transformers'."
        )

    def close(self) -> None:
        """End the server and free its memory; using the target again starts another."""
        self._answers.close()
        up, self._up = self._up, None
        self._applied, self._base_takes = "", []
        if up is not None:
            up.server.close()
        if self._scaled is not None:
            self._scaled.cleanup()
            self._scaled = None

    def _watch(self, start: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What the server answers; if it has ended, its log says more than the requests that failed for it."""
        try:
            yield from start()
        except ErrorbookError as error:
            up = self._up
            if up is None or _healthy(up.api, f"{up.base_url.removesuffix('/v1')}/health"):
                raise
            server, status = up.server, up.server.ended(within=3.0)
            if status is None:
                raise
            tail = server.tail()
            self.close()
            raise ModelError(
                f"The server '{server.name}' ended with status {status} while it answered; put right what the end of "
                f"its log says and give the same command again: {tail}"
            ) from error

    def _endpoint(self, settings: Generation) -> OpenAIChat:
        """The endpoint that answers as the wanted checkpoint, which is applied by then."""
        weights, model, answering = resolve(self._name), _BASE, _BASE
        if self._wanted is not None and self._wanted[0].form == "weights":
            checkpoint, root = self._wanted
            weights, answering = str(loading.checkpoint_folder(checkpoint, root)), checkpoint.hash
        up = self._serve(weights)
        if self._wanted is not None and self._wanted[0].form == "adapter":
            checkpoint, root = self._wanted
            model, answering = self._load_adapter(up, checkpoint, root), checkpoint.hash
        chat = _chat(up.base_url, model, up.key, {**self._sampling(), "seed": settings.seed})
        return chat.identify_as(f"vllm {self.fingerprint} {answering} {settings.seed}")

    def _sampling(self) -> dict[str, Any]:
        """As our own rendering of a prompt: no date of today, and thinking as it was told.

        The marks of thoughts are asked for if they are special tokens; the answers know what the prompt has opened.
        """
        told: dict[str, Any] = {"chat_template_kwargs": {**SWITCHES[self._thinking], "date_string": TODAY}}
        try:
            tokenizer = loading.load_tokenizer(resolve(self._name))
        except ModelError:  # one that only vLLM can read
            return told
        self._answers.opening = opened_by(tokenizer, self._thinking)
        return told | ({"skip_special_tokens": False} if hides_marks(tokenizer) else {})

    def _serve(self, weights: str) -> _Up:
        """The server with these weights, started if it is not running. Raises ModelError."""
        if self._up is not None and (self._up.weights != weights or self._up.server.ended() is not None):
            self.close()
        if self._up is None:
            self._up = self._start(weights)
        return self._up

    def _start(self, weights: str) -> _Up:
        port, key = self._port or free_port(), secrets.token_hex(16)
        address = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", _BASE]
        adapters = ["--enable-lora", "--max-lora-rank", str(self._rank)]
        # vLLM's own sampling defaults: those in a model's folder would add penalties that no other engine knows of.
        plain = ["--generation-config", "vllm"]
        root = f"http://127.0.0.1:{port}"
        api = Api(_chat(f"{root}/v1", _BASE, key, {}), HttpLimits(seconds=120.0))
        # The key keeps other users of this machine from loading adapters; in the environment `ps` does not show it.
        environment = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_API_KEY": key}
        server = ServedCommand([*self._command, weights, *address, *adapters, *plain, *self._args], environment)
        try:
            server.wait_until(lambda: _healthy(api, f"{root}/health"), self._start_seconds)
        except BaseException:
            server.close()
            raise
        return _Up(server, weights, f"{root}/v1", key, api)

    def _load_adapter(self, up: _Up, checkpoint: Checkpoint, root: Path) -> str:
        """The name of the checkpoint's adapter on the server, loaded and proved to be applied. Raises ModelError."""
        name = f"errorbook-{checkpoint.hash}"
        if self._applied == name:
            return name
        if not self._base_takes:
            self._base_takes = [canary.take(up.api, _BASE) for _ in range(2)]
        if self._applied:
            # Only one is in use at a time; a refusal to forget one that is gone already harms nobody.
            up.api.ask("POST", "/unload_lora_adapter", {"lora_name": self._applied})
            self._applied = ""
        folder = self._adapter_folder(checkpoint, root)
        answer = up.api.ask("POST", "/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        if answer.status != 200:
            raise ModelError(
                f"The server does not take the adapter in '{folder}' ({describe_refusal(answer)}); compare its rank "
                "with max_lora_rank in [target], or set engine = 'transformers'."
            )
        self._applied = name
        try:
            canary.prove(name, canary.take(up.api, name), self._base_takes)
        except ModelError:
            self.close()
            raise
        return name

    def _adapter_folder(self, checkpoint: Checkpoint, root: Path) -> Path:
        """The adapter's folder, absolute; if it is scaled, a copy with another alpha."""
        folder = loading.checkpoint_folder(checkpoint, root).resolve()
        if checkpoint.scale == 1.0:
            return folder
        if self._scaled is None:
            self._scaled = tempfile.TemporaryDirectory(prefix="errorbook-scaled-")
        copy = Path(self._scaled.name) / checkpoint.hash
        if not copy.is_dir():
            scale_adapter(folder, copy, checkpoint.scale)
        return copy


def scale_adapter(folder: Path, copy: Path, scale: float) -> None:
    """Write an adapter whose effect is multiplied: its alpha is, and its weights are links to the original's."""
    config: dict[str, Any] = msgspec.json.decode((folder / "adapter_config.json").read_bytes())
    config["lora_alpha"] *= scale
    config["alpha_pattern"] = {key: alpha * scale for key, alpha in (config.get("alpha_pattern") or {}).items()}
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        if file.name != "adapter_config.json":
            (copy / file.name).symlink_to(file)
    (copy / "adapter_config.json").write_bytes(msgspec.json.encode(config))


def _chat(base_url: str, model: str, key: str, sampling: dict[str, Any]) -> OpenAIChat:
    return OpenAIChat(model, base_url, headers={"Authorization": f"Bearer {key}"}, sampling=sampling)


def _healthy(api: Api, url: str) -> bool:
    try:
        return api.send("GET", url).status == 200
    except faults.Fault:
        return False


def _version() -> str:
    """vLLM's, if it is installed beside us; one that is reached by `command` alone tells none."""
    try:
        return version("vllm")
    except PackageNotFoundError:
        return ""

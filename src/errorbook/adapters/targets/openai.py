"""The target behind an OpenAI-compatible endpoint: a model that is served, and trained, elsewhere.

    [target]
    engine = "openai"
    model = "my-model"
    base_url = "http://gpu-machine:8000/v1"

It answers and embeds. It loads no weights: a checkpoint is another name at the same endpoint (see
`trainers.external`). It weighs no options by likelihood, since chat endpoints do not tell the likelihood of a given
answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from annotated_types import Interval

from errorbook.adapters.targets.conversation import SWITCHES, Thinking
from errorbook.adapters.targets.served import Afresh, Api, Chat, PromptPlace, describe_refusal, refuse, served_model
from errorbook.errors import ConfigError, ModelError
from errorbook.llm.client import set_terms
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.plugins import AtOnce, Seconds
from errorbook.records import Checkpoint, Completion, Form, Generation, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EMBEDDED_AT_ONCE = 64


class _Vector(msgspec.Struct):
    index: int
    embedding: list[float]


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class OpenAITarget:
    """Implements `Target` and `BlockTarget`.

    `api_key_env` names the environment variable with the key (OPENAI_API_KEY for OpenAI's own address); `headers` and
    `sampling` are added to every request, `concurrency` is how many requests are in the air at most. `max_context` is
    the server's limit on prompt and answer together, in tokens. `embedding_model` embeds if the model itself does
    not. `thinking` "on" and "off" are told to the server's chat template; "auto" tells nothing. `timeout` is the
    seconds that an answer may take or, with `stream`, be silent; `proxies` uses those of the environment,
    `certificates` is a file of authorities to trust, and `dialect` says what the server does not accept, such as
    `{seed = false}`. `workspace` is the folder that keeps the answers; the run gives its own.
    """

    is_script: ClassVar[bool] = False

    def __init__(  # noqa: PLR0913 - the keys of the run file
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str | None = None,
        headers: dict[str, str] | None = None,
        sampling: dict[str, Any] | None = None,
        concurrency: AtOnce = 64,
        max_context: Annotated[int, Interval(ge=0, le=10**9)] = 0,
        embedding_model: str = "",
        thinking: Thinking = "auto",
        timeout: Seconds = 600.0,
        stream: bool = False,
        proxies: bool = False,
        certificates: str = "",
        dialect: dict[str, Any] | None = None,
        workspace: str | None = None,
    ) -> None:
        if concurrency < 1:
            raise ConfigError(f"concurrency is {concurrency}; set it to 1 or more in [target].")
        self._name = model
        self._served = model
        self._embedding_model = embedding_model or model
        self._sampling = dict(sampling or {})
        if thinking != "auto":
            told = self._sampling.get("chat_template_kwargs", {})
            self._sampling["chat_template_kwargs"] = {**SWITCHES[thinking], **told}
        self._account = (base_url, api_key_env, headers)
        self._dialect = {**({"stream": "on"} if stream else {}), **(dialect or {})}
        terms = set_terms(timeout=timeout, stream=stream, proxies=proxies, certificates=certificates)
        self._api = Api(self._chat(model, self._sampling), terms=terms)
        store = Path(workspace) / "answers.sqlite" if workspace else None
        self._answers = Chat(concurrency, store, max_context, terms)
        self._answers.opening = "<think>\n" if thinking == "on" else ""
        self._fingerprint = ""

    @property
    def base(self) -> str:
        """The model's name at the endpoint."""
        return self._name

    @property
    def forms(self) -> tuple[Form, ...]:
        """What it can answer as: a model that is served at the same address."""
        return ("served",)

    @property
    def fingerprint(self) -> str:
        """Hash of address, model, sampling settings and what the server says of the model. Raises ModelError.

        A served model's weights cannot be hashed: one that is exchanged behind an unchanged name goes unseen.
        """
        if not self._fingerprint:
            endpoint = self._chat(self._name, self._sampling)
            described = msgspec.json.encode(self._api.describe(self._name), order="deterministic")
            self._fingerprint = digest("openai", endpoint.identity, described)
        return self._fingerprint

    @property
    def uncached(self) -> Afresh:
        """The same target, asked past what it keeps."""
        return Afresh(self)

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on: the model itself, or one trained elsewhere by its served name.

        Raises:
            ModelError: The checkpoint was trained here, or its served name is not given.
        """
        if checkpoint.form == "base":
            self._served = self._name
            return
        if checkpoint.form != "served":
            fix = "set method = 'external' in [train], or engine = 'vllm' or 'transformers' in [target]"
            raise refuse(checkpoint, "openai", fix)
        if checkpoint.scale != 1.0:
            raise ModelError("A model that is served elsewhere cannot be scaled; set scales = [1.0] in [train].")
        self._served = served_model(root / checkpoint.folder)

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions as they finish; `settings.seed` is passed on, for what it is worth there. Raises ModelError."""
        return self.answer(prompts, settings)

    def answer(self, prompts: Sequence[str], settings: Generation, *, kept: bool = True) -> Iterator[Completion]:
        """As `generate`; if answers are not `kept`, every prompt is asked again."""
        places = ((PromptPlace(0, index), prompt) for index, prompt in enumerate(prompts))
        for _, completion in self._answers.answers(self._endpoint(settings), places, settings, kept=kept):
            yield completion

    def generate_blocks(
        self, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """Blocks as they finish, with the requests of several in the air so that the server is never idle."""
        yield from self._answers.blocks(self._endpoint(settings), blocks, settings)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector a text, of unit length. Raises ConfigError if the endpoint embeds nothing, or ModelError."""
        import numpy as np

        found = [
            vector
            for start in range(0, len(texts), _EMBEDDED_AT_ONCE)
            for vector in self._embed_batch(texts[start : start + _EMBEDDED_AT_ONCE])
        ]
        vectors = np.array(found, dtype=np.float32).reshape(len(texts), len(found[0]) if found else 0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
        return vectors

    def forget_unread(self) -> None:
        """See `Forgets`."""
        self._answers.forget(self._chat(self._served, self._sampling))

    def close(self) -> None:
        """End what is in the air; using the target again starts anew."""
        self._answers.close()

    def _chat(self, model: str, sampling: dict[str, Any]) -> OpenAIChat:
        return OpenAIChat(model, *self._account, sampling, self._dialect)

    def _endpoint(self, settings: Generation) -> OpenAIChat:
        """The endpoint of the model in use; answers of a server that describes itself otherwise are not taken up."""
        chat = self._chat(self._served, {**self._sampling, "seed": settings.seed})
        drawn = f" seed {settings.seed}" if settings.seed else ""  # another draw is another answer
        return chat.identify_as(f"{chat.identity} {self.fingerprint}{drawn}")

    def _embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        # An empty text is no input to most servers; a space is the nearest thing to it.
        wanted = {"model": self._embedding_model, "input": [text or " " for text in texts]}
        answer = self._api.ask("POST", "/embeddings", wanted)
        reason = describe_refusal(answer)
        if answer.status == 200:
            try:
                rows = sorted(msgspec.json.decode(answer.body, type=_Vectors).data, key=lambda row: row.index)
            except msgspec.DecodeError:
                rows = []
            if len(rows) == len(texts) and len({len(row.embedding) for row in rows}) == 1:
                return [row.embedding for row in rows]
            reason = "its reply holds no vectors"
        raise ConfigError(
            f"The endpoint embeds no texts with '{self._embedding_model}' ({reason}); set retriever = 'tfidf' in "
            "[strategy], or embedding_model in [target]."
        )

"""The target behind the Tinker API: the base and what was trained there, sampled on the provider's machines.

    [target]
    engine = "tinker"
    model = "Qwen/Qwen3-8B"

Prompts are rendered here, by the model's own chat template, and sent as tokens. It answers; it embeds nothing. A
checkpoint answers as what the training by the method "tinker" has left at the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Interval

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import Thinking, render
from errorbook.adapters.targets.served import Afresh, PromptPlace
from errorbook.adapters.targets.transformers import completion_of, end_tokens
from errorbook.adapters.tinker.connection import KEY, Connection, GoneError
from errorbook.adapters.tinker.keys import read_access
from errorbook.adapters.tinker.remote import read_place
from errorbook.adapters.tinker.sampling import Wanted, Written, write
from errorbook.adapters.tinker.spending import Bill, Cap, read_spent
from errorbook.adapters.tinker.tokenizer import load_tokenizer
from errorbook.errors import ConfigError, ModelError
from errorbook.plugins import AtOnce, Dollars
from errorbook.records import Checkpoint, Completion, Form, Generation, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Patience = Annotated[float, Interval(ge=1, le=604_800)]


class TinkerTarget:
    """Implements `Target`, `BlockTarget` and `Likelihood`.

    `base_url` is the server (Tinker's own if it is not given), `api_key_env` names the environment variable with the
    key. `price_prefill`, `price_sample` and `price_train` are dollars per million tokens, 0 for a server of your own;
    some of Tinker's are known. `tokenizer` is a folder or a name on the hub, if the model's own is not to be used,
    `concurrency` is how many prompts are in the air at most, and `patience` the seconds without an answer after which
    the run stops. `thinking` says whether the model thinks before it answers. The run gives `workspace` and
    `budget_usd`, the cap that holds for all that it buys.
    """

    methods: ClassVar[tuple[str, ...]] = ("tinker",)

    def __init__(  # noqa: PLR0913 - the keys of the run file
        self,
        model: str,
        *,
        base_url: str = "",
        api_key_env: str = KEY,
        price_prefill: Dollars | None = None,
        price_sample: Dollars | None = None,
        price_train: Dollars | None = None,
        tokenizer: str = "",
        concurrency: AtOnce = 64,
        patience: Patience = 900.0,
        thinking: Thinking = "off",
        budget_usd: Dollars | None = None,
        workspace: str | None = None,
    ) -> None:
        prices = (price_prefill, price_sample, price_train)
        access = read_access(model, (base_url, api_key_env, patience), prices, budget_usd, tokenizer)
        self._name, self._host, self._cap = model, access.host, access.cap
        self._thinking: Thinking = thinking
        self._at_once = concurrency
        self._folder = Path(workspace) if workspace else None
        refused = self._cap.refuse(self._host.model) if workspace else ""
        if refused:  # better now than after an hour of work
            raise ConfigError(refused)
        self._words_of = access.tokenizer
        self._words: tuple[Path, Any] | None = None
        self._connection: Connection | None = None
        self._sampler: Any = None
        self._path = ""
        self._fingerprint = ""

    @property
    def base(self) -> str:
        """The model's name as given."""
        return self._name

    @property
    def forms(self) -> tuple[Form, ...]:
        """What it can answer as: adapters, if they were trained at the same server."""
        return ("adapter",)

    @property
    def fingerprint(self) -> str:
        """Hash of server, model, chat template and mode of thinking. Asks the server whether it has the model.

        The weights there cannot be hashed: a model that is exchanged behind an unchanged name goes unseen.

        Raises:
            UserError: The key or the model is refused, or nobody answers.
        """
        if not self._fingerprint:
            template = str(self.tokenizer.chat_template or "")
            self._open().require_model()
            mode = () if self._thinking == "off" else (self._thinking,)
            self._fingerprint = digest("tinker", self._host.base_url, self._host.model, template, *mode)
        return self._fingerprint

    @property
    def tokenizer(self) -> Any:
        """The model's own tokenizer, loaded once. Raises ModelError."""
        return self._load_tokenizer()[1]

    @property
    def uncached(self) -> Afresh:
        """The same target, asked past what it keeps."""
        return Afresh(self)

    def spent_usd(self, folder: Path) -> float:
        """Dollars for tokens at such servers in the run's folder, those of the trainer included."""
        return read_spent(folder)

    def forecast_usd(self, read: int, written: int) -> float | None:
        """What so many tokens cost; None if the price is not known."""
        return None if self._cap.prices is None else self._cap.prices.amount(read=read, written=written).usd

    def use(self, checkpoint: Checkpoint, root: Path) -> None:
        """Answer as `checkpoint` from now on.

        Raises:
            ModelError: It was not trained at this server, or is to be scaled.
        """
        path = ""
        if checkpoint.form != "base":
            if checkpoint.scale != 1.0:
                raise ModelError("An adapter at the server cannot be scaled; set scales = [1.0] in [train].")
            path = read_place(root / checkpoint.folder, self._host.base_url).sampler
        if path != self._path:
            self._path, self._sampler = path, None

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        """Completions as they finish. Raises UserError if the server refuses or fails, or the cap is reached."""
        return self.answer(prompts, settings)

    def answer(self, prompts: Sequence[str], settings: Generation, *, kept: bool = True) -> Iterator[Completion]:
        """As `generate`; if answers are not `kept`, every prompt is asked again."""
        places = ((PromptPlace(0, index), prompt) for index, prompt in enumerate(prompts))
        for _, completion in self._answers(places, settings, kept=kept):
            yield completion

    def generate_blocks(
        self, blocks: Sequence[Sequence[str]], settings: Generation
    ) -> Iterator[tuple[int, Sequence[Completion]]]:
        """Blocks as they finish, with the prompts of several in the air so that the server is never idle."""
        done: dict[int, list[Completion]] = {number: [] for number in range(len(blocks))}
        places = (
            (PromptPlace(number, index), prompt)
            for number, block in enumerate(blocks)
            for index, prompt in enumerate(block)
        )
        yield from ((number, ()) for number, block in enumerate(blocks) if not block)
        for place, completion in self._answers(places, settings, kept=True):
            done[place.block].append(completion)
            if len(done[place.block]) == len(blocks[place.block]):
                yield place.block, sorted(done.pop(place.block), key=lambda item: item.index)

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[float]]]:
        """For each prompt (by index) the summed log-probability, in nats, of each of its options as the answer.

        Raises:
            UserError: The server refuses or fails, or the cap is reached.
        """
        tokenizer = self.tokenizer
        with self._bill() as bill:
            for index, prompt in enumerate(prompts):
                start = loading.prompt_ids(tokenizer, render(tokenizer, prompt))
                weighed = []
                for option in options[index]:
                    ids = tokenizer(option, add_special_tokens=False)["input_ids"]
                    if not ids:
                        raise ModelError("An option to weigh is empty; take it out of the example's choices.")
                    weighed.append(self._weigh(bill, [*start, *ids], len(ids)))
                yield index, weighed

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Not possible: the server shows no hidden states. Raises ConfigError."""
        raise ConfigError("The engine 'tinker' embeds no texts; set retriever = 'tfidf' in [strategy].")

    def forget_unread(self) -> None:
        """See `Forgets`."""
        with self._bill() as bill:
            bill.forget()

    def close(self) -> None:
        """End the session at the server; using the target again opens another."""
        connection, self._connection, self._sampler = self._connection, None, None
        if connection is not None:
            connection.close()

    def _bill(self) -> Bill:
        return Bill(self._folder, Cap(self._cap.prices, self._cap.usd if self._folder else None), self._host.model)

    def _load_tokenizer(self) -> tuple[Path, Any]:
        if self._words is None:
            self._words = load_tokenizer(self._words_of)
        return self._words

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._host)
        return self._connection

    def _asked(self) -> Any:
        """The SDK's client that samples from the weights in use. Raises ModelError if they are gone."""
        if self._sampler is None:
            connection, path = self._open(), self._path
            where = {"model_path": path} if path else {"base_model": self._host.model}
            try:
                self._sampler = connection.wait(
                    lambda: connection.service.create_sampling_client(**where), "opening a sampler"
                )
            except GoneError as error:
                raise ModelError(
                    f"{self._host.name} has '{path or self._host.model}' no more. The adapter of a checkpoint is in the"
                    " run's folder: set engine = 'transformers' or 'vllm' in [target] with another --out folder, or"
                    " train again there."
                ) from error
        return self._sampler

    def _answers(
        self, prompts: Iterable[tuple[PromptPlace, str]], settings: Generation, *, kept: bool
    ) -> Iterator[tuple[PromptPlace, Completion]]:
        folder, tokenizer = self._load_tokenizer()
        ends = end_tokens(str(folder), tokenizer)
        name = f"{self.fingerprint} {self._path}"
        shown: dict[PromptPlace, str] = {}

        def wanted() -> Iterator[Wanted[PromptPlace]]:
            for place, prompt in prompts:
                shown[place] = text = render(tokenizer, prompt, self._thinking)
                ids = loading.prompt_ids(tokenizer, text)
                seed = int(digest(str(settings.seed), text)[:7], 16)
                yield Wanted(place, name, ids, settings.max_new_tokens, settings.temperature, seed, sorted(ends))

        with self._bill() as bill:
            for place, written in write(self._open(), self._asked, bill, wanted(), self._at_once, kept=kept):
                tokens = _with_end(written, ends, tokenizer.eos_token_id)
                yield place, completion_of(place.at, tokens, shown.pop(place), tokenizer, (ends, settings.stop))

    def _weigh(self, bill: Bill, ids: Sequence[int], last: int) -> float:
        """The log-probability of the last of the tokens, behind those before them."""
        import msgspec
        from tinker import types

        def ask() -> bytes:
            sampler, connection = self._asked(), self._open()
            prompt = types.ModelInput.from_ints(list(ids))
            return msgspec.json.encode(connection.wait(lambda: sampler.compute_logprobs(prompt), "weighing options"))

        key = digest("weigh", bill.round, self.fingerprint, self._path, *map(str, ids))
        found = bill.find(key) or bill.buy(key, bill.prices.amount(read=len(ids), written=1), ask)
        return float(sum(msgspec.json.decode(found)[-last:]))


def _with_end(written: Written, ends: frozenset[int], end: int) -> list[int]:
    """The tokens with the one that ended them: some servers leave it out."""
    if written.ended and (not written.tokens or written.tokens[-1] not in ends):
        return [*written.tokens, end]
    return written.tokens or [end]

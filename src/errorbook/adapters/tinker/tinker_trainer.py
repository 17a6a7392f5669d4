"""Training behind the Tinker API: LoRA on the provider's machines, the adapter brought home at the end.

    [train]
    method = "tinker"

The state of the optimiser is saved at the server now and then. A killed training goes on from the last saved state: of
what was paid, only the steps after it are done again. Nothing is left at the server but what the run still needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from annotated_types import Interval

from errorbook.adapters.targets import loading
from errorbook.adapters.targets.conversation import Thinking
from errorbook.adapters.targets.transformers import end_tokens
from errorbook.adapters.tinker.connection import KEY, Connection, GoneError, Host
from errorbook.adapters.tinker.distilling import Distilling, Work, prepare
from errorbook.adapters.tinker.download import fetch_adapter
from errorbook.adapters.tinker.keys import read_access
from errorbook.adapters.tinker.remote import PLACE, Place, Remote, read_place, read_remote, write_remote
from errorbook.adapters.tinker.spending import Bill, Cap, read_spent
from errorbook.adapters.tinker.teaching import imitate, measure_likelihoods, prefer
from errorbook.adapters.tinker.tinker_target import Patience
from errorbook.adapters.tinker.tokenizer import load_tokenizer
from errorbook.adapters.trainers.adapter_check import check_adapter, name_base
from errorbook.adapters.trainers.batches import TokenRow, encode, plan_steps
from errorbook.adapters.trainers.preference import encode_pairs
from errorbook.adapters.trainers.result import RECORD, read_record, training_folder
from errorbook.errors import BudgetError, ModelError, OutageError
from errorbook.files import create_folder
from errorbook.interfaces import Progress
from errorbook.plugins import Dollars
from errorbook.records import Checkpoint, Form, Lesson, Recipe, Training
from errorbook.train import training_set_hash

_ALPHA = 64
"""What the run file has if nothing is said: the server has an alpha of its own."""
_STATE_SECONDS = 7 * 86_400
"""How long a state in the middle of a training may lie at the server if no later one replaces it."""


class _Job(NamedTuple):
    """One training: its rows, what they are preferred over, its steps, and where its own progress is kept."""

    connection: Connection
    bill: Bill
    recipe: Recipe
    rows: list[TokenRow]
    rejected: list[TokenRow | None]
    steps: list[list[int]]
    remote: Remote
    file: Path
    name: str
    own: Distilling | None

    def tokens_of(self, step: int) -> int:
        """What a step reads."""
        sides = (row for number in self.steps[step] for row in (self.rows[number], self.rejected[number]))
        return sum(len(row.ids) for row in sides if row is not None)


class TinkerTrainer:
    """Implements `Trainer` for the method "tinker".

    `base_url`, `api_key_env`, the prices, `tokenizer`, `patience` and `thinking` are those of the engine "tinker",
    and are taken from [target] if they are there. `save_every` is how many steps are done between two saved states:
    so many may be paid again after a kill. The run gives `budget_usd`.
    """

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
        patience: Patience = 900.0,
        thinking: Thinking = "off",
        save_every: Annotated[int, Interval(ge=1, le=100_000)] = 10,
        budget_usd: Dollars | None = None,
    ) -> None:
        prices = (price_prefill, price_sample, price_train)
        access = read_access(model, (base_url, api_key_env, patience), prices, budget_usd, tokenizer)
        self._name = model
        self._host: Host = access.host
        self._cap: Cap = access.cap
        self._words_of = access.tokenizer
        self._thinking: Thinking = thinking
        self._save_every = save_every

    def produces(self, recipe: Recipe) -> Form:
        """An adapter of the base, here as well as at the server."""
        return "adapter"

    def refuse(self, recipe: Recipe) -> str:
        """What the server cannot do, or what the cap cannot be kept for."""
        if recipe.alpha != _ALPHA:
            return "The server chooses the alpha of its adapters; take alpha out of [train], or choose another method."
        if recipe.objective == "self_distill" and recipe.divergence != "reverse":
            return (
                "The server tells the likelihood of what was written and of nothing else, so only one divergence can be"
                " estimated; set divergence = 'reverse' in [train]."
            )
        return self._cap.refuse(self._host.model)

    def forecast_usd(self, read: int, written: int) -> float | None:
        """What training on so many tokens costs; None if the price is not known."""
        return None if self._cap.prices is None else self._cap.prices.amount(trained=read, written=written).usd

    def spent_usd(self, folder: Path) -> float:
        """As the target's."""
        return read_spent(folder)

    def train(
        self, parent: Checkpoint, lessons: Sequence[Lesson], recipe: Recipe, root: Path, progress: Progress
    ) -> Training:
        """Train `parent` at the server and write the adapter below `root`/checkpoints; see `Trainer`.

        Raises:
            BudgetError: The cap has no room for the next step; what is done is kept.
            OutageError: The server does not answer, or the loss is no number.
            ModelError: The server refuses the key or the model, or has lost what was saved there.
            StageError: No lesson is left.
        """
        folder = training_folder(parent, lessons, recipe)
        done = read_record(root / folder)
        if done is not None:
            return done
        with Bill(root, self._cap, self._host.model) as bill, Connection(self._host) as connection:
            connection.require_model()
            job, kept = self._job(connection, bill, lessons, recipe, root / folder)
            start = self._start(parent, recipe, root)
            client = self._begin(job, start)
            teacher = read_place(root / parent.folder, self._host.base_url).sampler if parent.form != "base" else ""
            _run(job, client, teacher, self._save_every, progress)
            place = _save_last(job, client)
            training = Training(
                training_set=training_set_hash(lessons),
                parent=parent.hash,
                lessons=len(kept),
                replayed=sum(lesson.replay for lesson in kept),
                trainable_parameters=0,
                steps=len(job.steps),
                tokens=job.remote.tokens,
                truncated=len(lessons) - len(kept),
                losses=tuple(job.remote.losses),
                folder=folder.as_posix(),
                weights_hash="",
            )
            return self._bring_home(job, client, place, training, root)

    def _job(
        self, connection: Connection, bill: Bill, lessons: Sequence[Lesson], recipe: Recipe, folder: Path
    ) -> tuple[_Job, list[Lesson]]:
        """The training as far as it is, and the lessons that it takes."""
        place, tokenizer = load_tokenizer(self._words_of)
        rejected: list[TokenRow | None]
        own = None
        if recipe.objective == "dpo":
            rows, rejected, kept = encode_pairs(tokenizer, lessons, recipe.max_tokens, self._thinking)
        elif recipe.objective == "self_distill":
            ends = end_tokens(str(place), tokenizer)
            own, rows, kept = prepare(tokenizer, lessons, recipe, ends, self._thinking)
            rejected = [None] * len(rows)
        else:
            rows, kept = encode(tokenizer, lessons, recipe.max_tokens, self._thinking)
            rejected = [None] * len(rows)
        file = folder.with_suffix(".remote.json")
        steps = plan_steps(rows, recipe)
        return _Job(connection, bill, recipe, rows, rejected, steps, read_remote(file), file, folder.name, own), kept

    def _start(self, parent: Checkpoint, recipe: Recipe, root: Path) -> str:
        """The path of the state to go out from; empty for the base."""
        if parent.form == "base" or recipe.start == "restart":
            return ""
        return read_place(root / parent.folder, self._host.base_url).state

    def _begin(self, job: _Job, start: str) -> Any:
        """The SDK's client with the weights to go on from.

        Raises:
            ModelError: They are gone from the server; the next command begins this training anew.
        """
        connection, remote = job.connection, job.remote
        try:
            if remote.state:
                return self._load(job, remote.state, "_with_optimizer")
            if start:
                return self._load(job, start, "")
        except GoneError as error:
            job.file.unlink(missing_ok=True)
            lost = f"the state after step {len(remote.losses)}" if remote.state else "the parent's weights"
            fix = (
                "the same command trains this cycle from its first step, which is paid again"
                if remote.state
                else "set start = 'restart' in [train] with another --out folder"
            )
            raise ModelError(f"{connection.host.name} has lost {lost} ({error}); {fix}.") from error
        return self._create(job)

    def _create(self, job: _Job) -> Any:
        """A new adapter on the base, for the layers that our own trainer takes: not on the head."""
        connection, recipe = job.connection, job.recipe
        wanted = {"base_model": connection.host.model, "rank": recipe.rank, "seed": recipe.seed, "train_unembed": False}
        return connection.wait(lambda: connection.service.create_lora_training_client(**wanted), "beginning a training")

    def _load(self, job: _Job, path: str, how: str) -> Any:
        """What is saved at the server; `how` is the end of the SDK's names, which says what of it."""
        connection = job.connection
        if hasattr(connection.service, "close"):
            begin = getattr(connection.service, f"create_training_client_from_state{how}")
            return connection.wait(lambda: begin(path), "going on from a saved state")
        # Older SDKs make an adapter of all layers for it, which what we have saved does not fit.
        client = self._create(job)
        connection.wait(lambda: getattr(client, f"load_state{how}")(path), "going on from a saved state")
        return client

    def _bring_home(self, job: _Job, client: Any, place: Place, training: Training, root: Path) -> Training:
        """Write adapter, place and record as one whole folder, and delete what is not needed at the server any more."""
        folder = root / training.folder
        with create_folder(folder) as making:
            fetch_adapter(job.connection, place.sampler, lambda: client, making)
            name_base(making, self._name)
            parameters = check_adapter(making, self._name)
            training = msgspec.structs.replace(
                training, trainable_parameters=parameters, weights_hash=loading.weights_hash(making)
            )
            (making / PLACE).write_bytes(msgspec.json.encode(place))
            (making / RECORD).write_bytes(msgspec.json.encode(training))
        for path in job.remote.stale:
            job.connection.delete(path)
        job.file.unlink(missing_ok=True)
        return training


def _run(job: _Job, client: Any, teacher: str, save_every: int, progress: Progress) -> None:
    """All steps that are not done yet, each paid before it is sent."""
    remote = job.remote
    if any(job.rejected) and not remote.reference:
        _measure_reference(job, client)
    saved = len(remote.losses)
    work = Work(job.connection, client, job.bill, teacher, job.recipe, job.steps, job.name)
    while len(remote.losses) < len(job.steps):
        step = len(remote.losses)
        try:
            loss, tokens = job.own.do(work, step) if job.own else _buy_step(job, client, step)
        except BudgetError:
            if step > saved:  # what is paid is not lost
                _save(job, client)
            raise
        if not math.isfinite(loss):
            raise OutageError(
                f"The loss of step {step + 1} is no finite number; lower learning_rate in [train], or look for broken"
                " lessons."
            )
        remote.losses.append(loss)
        remote.tokens += tokens
        progress(step + 1, len(job.steps))
        whole = job.own is None or job.own.is_read(step + 1)
        if whole and step + 1 - saved >= save_every and step + 1 < len(job.steps):
            _save(job, client)
            saved = step + 1


def _buy_step(job: _Job, client: Any, step: int) -> tuple[float, int]:
    """Do one step and pay for it; returns its loss and the tokens read. Raises BudgetError if the cap has no room."""
    numbers, place, tokens = job.steps[step], (step, len(job.steps)), job.tokens_of(step)
    rows, rejected = [job.rows[one] for one in numbers], [job.rejected[one] for one in numbers]

    def do() -> bytes:
        if job.recipe.objective == "dpo":
            pairs = [job.remote.reference[one] for one in numbers if job.rejected[one] is not None]
            return repr(prefer(job.connection, client, (rows, rejected), pairs, job.recipe, place)).encode()
        return repr(imitate(job.connection, client, rows, job.recipe, place)).encode()

    # A loss of one's own is computed here from one pass, and its slope goes back in another.
    passes = 2 if job.recipe.objective == "dpo" else 1
    amount = job.bill.prices.amount(trained=passes * tokens)
    return float(job.bill.buy(f"{job.name} step {step}", amount, do)), tokens


def _measure_reference(job: _Job, client: Any) -> None:
    """The log-probabilities of both sides of every pair before the first step, bought once."""
    numbers = [number for number, other in enumerate(job.rejected) if other is not None]
    size, sums = job.recipe.batch_size, dict[int, tuple[float, float]]()
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size]
        both = [job.rows[one] for one in part] + [other for one in part if (other := job.rejected[one]) is not None]
        amount = job.bill.prices.amount(trained=sum(len(row.ids) for row in both))
        key = f"{job.name} reference {start}"

        def ask(both: list[TokenRow] = both) -> bytes:
            return msgspec.json.encode(measure_likelihoods(job.connection, client, both))

        found = msgspec.json.decode(job.bill.find(key) or job.bill.buy(key, amount, ask), type=list[float])
        sums |= zip(part, zip(found[: len(part)], found[len(part) :], strict=True), strict=True)
    job.remote.reference = sums
    write_remote(job.file, job.remote)


def _save(job: _Job, client: Any) -> None:
    """Save weights and optimiser at the server, write down where, and delete the state before."""
    remote, step = job.remote, len(job.remote.losses)
    saved = job.connection.wait(
        lambda: client.save_state(f"step-{step}", ttl_seconds=_STATE_SECONDS), f"saving the state after step {step}"
    )
    stale, remote.stale = [*remote.stale, *([remote.state] if remote.state else [])], []
    remote.state = str(saved.path)
    write_remote(job.file, remote)
    for path in stale:
        job.connection.delete(path)


def _save_last(job: _Job, client: Any) -> Place:
    """Save what later cycles train on and what exams sample from; both are kept. Done once."""
    remote, connection = job.remote, job.connection
    if not remote.sampler:
        saved = connection.wait(lambda: client.save_state("last"), "saving the last state")
        sampler = connection.wait(lambda: client.save_weights_for_sampler("last"), "saving the weights to sample from")
        remote.stale, remote.state = [*remote.stale, *([remote.state] if remote.state else [])], str(saved.path)
        remote.sampler = str(sampler.path)
        write_remote(job.file, remote)
    return Place(
        address=connection.host.base_url, model=connection.host.model, state=remote.state, sampler=remote.sampler
    )

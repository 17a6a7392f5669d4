"""Self-distillation at a server: the model writes there, and is pulled to what its own teacher finds likely.

As `trainers.distilling`, with what the server can tell: the likelihood of the tokens that were written, not of all that
might have been. So the divergence is the reverse one, estimated by the student's own tokens; see "On-policy
distillation" (Thinking Machines Lab, 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from errorbook.adapters.targets.conversation import Thinking
from errorbook.adapters.tinker.connection import Connection
from errorbook.adapters.tinker.sampling import Wanted, Written, write
from errorbook.adapters.tinker.spending import Bill
from errorbook.adapters.tinker.teaching import pull
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.distilling import STEPS_AHEAD, OwnText, encode_own
from errorbook.errors import OutageError
from errorbook.records import Lesson, Recipe, digest

_AT_ONCE = 64


class Work(NamedTuple):
    """What one step needs: the session, who learns there, the path of the teacher (empty for the base), the steps."""

    connection: Connection
    client: Any
    bill: Bill
    teacher: str
    recipe: Recipe
    steps: Sequence[Sequence[int]]
    name: str


class Distilling:
    """The answers that the student has written for the steps to come."""

    def __init__(self, own: OwnText) -> None:
        self._own = own
        self._written: dict[int, list[Written]] = {}

    def is_read(self, step: int) -> bool:
        """Whether the answers for a step are still to be written: only then a saved state is all that is needed."""
        return step not in self._written

    def do(self, work: Work, step: int) -> tuple[float, int]:
        """One step, paid before it is sent; returns the mean divergence and the tokens that were read.

        Raises:
            BudgetError: The cap has no room.
            UserError: The server refuses or fails.
        """
        if step not in self._written:
            self._write(work, step)
        numbers = work.steps[step]
        pairs = [(one, text) for one, text in zip(numbers, self._written[step], strict=True) if text.tokens]
        rows = [TokenRow((*self._own.asked[one], *text.tokens), len(self._own.asked[one])) for one, text in pairs]
        shown = [[*self._own.shown[one], *text.tokens] for one, text in pairs]
        taught = self._ask_teacher(work, step, shown, [len(text.tokens) for _, text in pairs])
        gains = [(text.likely, his) for (_, text), his in zip(pairs, taught, strict=True)]
        read = sum(len(row.ids) for row in rows)

        def learn() -> bytes:
            pull(work.connection, work.client, rows, gains, work.recipe, (step, len(work.steps)))
            return b"done"

        work.bill.buy(f"{work.name} step {step}", work.bill.prices.amount(trained=read), learn)
        del self._written[step]
        lost = [mine - his for own, him in gains for mine, his in zip(own, him, strict=True)]
        return sum(lost) / len(lost), read + sum(map(len, shown))

    def _write(self, work: Work, step: int) -> None:
        """Have the student write the answers of this step and those after it."""
        ahead = range(step, min(step + STEPS_AHEAD, len(work.steps)))
        asked = [(place, number) for place in ahead for number in work.steps[place]]
        connection, client = work.connection, work.client

        def open_sampler() -> Any:
            return connection.wait(client.save_weights_and_get_sampling_client, "taking the weights to sample from")

        sampler = open_sampler()
        wanted = (
            Wanted(
                key=index,
                name=f"{work.name} {place}",
                ids=self._own.asked[number],
                most=self._own.caps[number],
                temperature=1.0,
                seed=int(digest(str(work.recipe.seed), str(place), str(number))[:7], 16),
                ends=sorted(self._own.ends),
            )
            for index, (place, number) in enumerate(asked)
        )
        found = dict(write(connection, lambda: sampler, work.bill, wanted, _AT_ONCE))
        if any(len(text.likely) != len(text.tokens) for text in found.values()):
            raise OutageError(
                "The server does not tell how likely its own words were; set objective = 'sft' in [train]."
            )
        self._written = {place: [] for place in ahead}
        for index, (place, _) in enumerate(asked):
            self._written[place].append(found[index])

    def _ask_teacher(
        self, work: Work, step: int, shown: Sequence[Sequence[int]], lengths: Sequence[int]
    ) -> list[list[float]]:
        """The teacher's log-probability of every token of every answer."""
        connection = work.connection
        where = {"model_path": work.teacher} if work.teacher else {"base_model": connection.host.model}

        def ask() -> bytes:
            from tinker import types

            teacher = connection.wait(lambda: connection.service.create_sampling_client(**where), "opening the teacher")
            asked = [teacher.compute_logprobs(types.ModelInput.from_ints(list(ids))) for ids in shown]
            found = [
                connection.wait(partial(one.result, connection.host.patience), "asking the teacher") for one in asked
            ]
            return msgspec.json.encode([one[-length:] for one, length in zip(found, lengths, strict=True)])

        amount = work.bill.prices.amount(read=sum(map(len, shown)), written=len(shown))
        key = digest(work.name, "teacher", str(step), *(",".join(map(str, ids)) for ids in shown))
        body = work.bill.find(key) or work.bill.buy(key, amount, ask)
        return msgspec.json.decode(body, type=list[list[float]])


def prepare(
    tokenizer: Any, lessons: Sequence[Lesson], recipe: Recipe, ends: frozenset[int], thinking: Thinking
) -> tuple[Distilling, list[TokenRow], list[Lesson]]:
    """The distilling, the longest rows that there can be, and the lessons that leave room. Raises StageError."""
    own, kept = encode_own(tokenizer, lessons, recipe.max_tokens, ends, thinking)
    return Distilling(own), own.longest(), kept

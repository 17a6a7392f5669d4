"""The steps of a training as calls of the SDK: which tokens carry which weight in the loss, and what a pair gains.

Losses are ours, so that a recipe means the same here and there: the mean over a step's completion tokens, and direct
preference optimisation as `trainers.preference` has it. The server adds up, and moves the weights by Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from errorbook.adapters.tinker.connection import Connection
from errorbook.adapters.trainers.batches import TokenRow
from errorbook.adapters.trainers.preference import preference_loss
from errorbook.adapters.trainers.stepping import learning_rate
from errorbook.errors import OutageError
from errorbook.records import Recipe

BETAS, EPSILON, LONGEST_SLOPE = (0.9, 0.999), 1e-8, 1.0
"""As our own trainer, and PyTorch, has them; a longer gradient is cut to that length."""


def make_datum(row: TokenRow, weight: float) -> Any:
    """One row for the server: what is read, the token after each place, and the weight of its loss."""
    from tinker import types

    taught = len(row.ids) - row.prompt
    return types.Datum(
        model_input=types.ModelInput.from_ints(list(row.ids[:-1])),
        loss_fn_inputs={
            "target_tokens": _tensor(list(row.ids[1:]), "int64"),
            "weights": _tensor([0.0] * (row.prompt - 1) + [weight] * taught, "float32"),
        },
    )


def imitate(
    connection: Connection, client: Any, rows: Sequence[TokenRow], recipe: Recipe, place: tuple[int, int]
) -> float:
    """One supervised step; returns the mean loss of its completion tokens, in nats."""
    weight = 1 / sum(len(row.ids) - row.prompt for row in rows)
    data = [make_datum(row, weight) for row in rows]
    out = _step(connection, client, lambda: client.forward_backward(data, "cross_entropy"), recipe, place)
    return -weight * sum(_likelihood(one, row) for one, row in zip(out.loss_fn_outputs, rows, strict=True))


def prefer(
    connection: Connection,
    client: Any,
    sides: tuple[Sequence[TokenRow], Sequence[TokenRow | None]],
    reference: Sequence[tuple[float, float]],
    recipe: Recipe,
    place: tuple[int, int],
) -> float:
    """One step of preference; rows without a rejected one are imitated, each weighing as much as a pair.

    `reference` belongs to the rows that have one, in their order. Returns the step's loss.
    """
    rows, rejected = sides
    others = [other for other in rejected if other is not None]
    both = [*rows, *others]
    found: list[float] = []

    def loss(data: Any, likely: list[Any]) -> tuple[Any, dict[str, float]]:
        sums = [one[row.prompt - 1 :].sum() for one, row in zip(likely, both, strict=True)]
        total = _preference(sums, rows, rejected, reference, recipe.beta)
        found.append(float(total.detach()))
        return total, {}

    data = [make_datum(row, 1.0) for row in both]
    _step(connection, client, lambda: client.forward_backward_custom(data, loss), recipe, place)
    return found[0]


def measure_likelihoods(connection: Connection, client: Any, rows: Sequence[TokenRow]) -> list[float]:
    """The log-probability of each row's completion under the weights as they are, in nats."""
    data = [make_datum(row, 1.0) for row in rows]
    out = connection.wait(lambda: client.forward(data, "cross_entropy"), "measuring the reference")
    return [_likelihood(one, row) for one, row in zip(out.loss_fn_outputs, rows, strict=True)]


def pull(
    connection: Connection,
    client: Any,
    rows: Sequence[TokenRow],
    gains: Sequence[tuple[Sequence[float], Sequence[float]]],
    recipe: Recipe,
    place: tuple[int, int],
) -> None:
    """One step towards a teacher: for each row its own log-probabilities of what it wrote, and the teacher's.

    The slope is that of the reverse divergence, estimated by the tokens that were written (importance sampling).
    """
    from tinker import types

    count = sum(len(own) for own, _ in gains)
    data = []
    for row, (own, taught) in zip(rows, gains, strict=True):
        silent = [0.0] * (row.prompt - 1)
        data.append(
            types.Datum(
                model_input=types.ModelInput.from_ints(list(row.ids[:-1])),
                loss_fn_inputs={
                    "target_tokens": _tensor(list(row.ids[1:]), "int64"),
                    "logprobs": _tensor([*silent, *own], "float32"),
                    "advantages": _tensor(
                        [*silent, *((his - mine) / count for mine, his in zip(own, taught, strict=True))], "float32"
                    ),
                },
            )
        )
    _step(connection, client, lambda: client.forward_backward(data, "importance_sampling"), recipe, place)


def _step(connection: Connection, client: Any, start: Callable[[], Any], recipe: Recipe, place: tuple[int, int]) -> Any:
    """Gradients, and the update by them, asked for together so that the server loses no time between the two."""
    from tinker import types

    params = types.AdamParams(
        learning_rate=learning_rate(recipe, *place),
        beta1=BETAS[0],
        beta2=BETAS[1],
        eps=EPSILON,
        weight_decay=recipe.weight_decay,
        grad_clip_norm=LONGEST_SLOPE,
    )

    def both() -> Any:
        first = start()
        second = client.optim_step(params)
        out = first.result(connection.host.patience)
        second.result(connection.host.patience)
        return out

    return connection.wait(both, f"step {place[0] + 1}")


def _preference(
    sums: Sequence[Any],
    rows: Sequence[TokenRow],
    rejected: Sequence[TokenRow | None],
    reference: Sequence[tuple[float, float]],
    beta: float,
) -> Any:
    """The loss of `trainers.updating`, of log-probabilities that the server has computed."""
    import torch

    alone = [place for place, other in enumerate(rejected) if other is None]
    pairs = [place for place, other in enumerate(rejected) if other is not None]
    tokens = sum(len(rows[place].ids) - rows[place].prompt for place in alone)
    loss = torch.zeros(())
    for place in alone:
        loss = loss - sums[place] * (len(alone) / max(1, tokens))
    if pairs:
        chosen = torch.stack([sums[place] for place in pairs])
        loss = loss + preference_loss(chosen, torch.stack(list(sums[len(rows) :])), reference, beta).sum()
    return loss / len(rows)


def _likelihood(output: Any, row: TokenRow) -> float:
    """The log-probability of a row's completion, from what the server gives for every place of it."""
    found = output.get("logprobs")
    if found is None:
        raise OutageError("The server tells no log-probabilities of what it is taught; use another server.")
    values = found.tolist() if hasattr(found, "tolist") else found.data
    return float(sum(list(values)[row.prompt - 1 :]))


def _tensor(values: list[Any], dtype: Any) -> Any:
    from tinker import types

    return types.TensorData(data=values, dtype=dtype, shape=[len(values)])

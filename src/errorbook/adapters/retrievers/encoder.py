"""Nearest questions by a text encoder: a model of its own, such as the paper's bert-base-uncased (paper section 2.3).

Any model that transformers loads by `AutoModel`, from a folder or from the hub: its last hidden states are averaged
over the question's tokens. No text gets an instruction before it, as some encoders want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from errorbook.adapters.retrievers.hidden import find_others
from errorbook.adapters.retrievers.searching import find_nearest
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.loading import choose_device, load_encoder, require_rows
from errorbook.errors import ModelError
from errorbook.records import Example

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_TOKENS = 16_384
"""Tokens of one batch, its padding included."""
_LONGEST = 512
"""Tokens that are read of a question, unless the encoder can read fewer."""


class Encoder:
    """Implements `Retriever` with the encoder in the folder, or with the name on the hub, that `encoder` says.

    A text is encoded once and its vector is kept; the model is loaded only while there are new texts.
    """

    def __init__(self, encoder: str) -> None:
        self._name = encoder
        self._known: dict[str, NDArray[np.float32]] = {}

    def nearest(
        self, queries: Sequence[Example], candidates: Sequence[Example], k: int
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """By cosine similarity of the questions; a query that is itself a candidate is not its own neighbour.

        Raises:
            ModelError: The encoder cannot be loaded, or cannot read the questions.
        """
        import numpy as np

        if not queries or not candidates:
            return [[] for _ in queries]
        texts = [example.question for example in (*queries, *candidates)]
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, _encode(self._name, new), strict=True))
        vectors = np.stack([self._known[text] for text in texts])
        left, right = vectors[: len(queries)], vectors[len(queries) :]
        return find_others(queries, candidates, k, lambda most: find_nearest(left, right, most))


def _encode(name: str, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """One vector of unit length for each text; one without tokens is near to nothing."""
    tokenizer, model = load_encoder(resolve(name, "[strategy] encoder"), choose_device("auto"))
    longest = min(_LONGEST, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", _LONGEST))
    rows = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    require_rows(model, tokenizer, rows)
    found: dict[int, NDArray[np.float32]] = {}
    for batch in _list_batches([len(row) for row in rows]):
        padded = tokenizer.pad({"input_ids": [rows[place] for place in batch]}, return_tensors="pt").to(model.device)
        found.update(zip(batch, _average(name, model, padded["input_ids"], padded["attention_mask"]), strict=True))
    return [found[place] for place in range(len(texts))]


def _average(name: str, model: Any, ids: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float32]:
    import torch

    try:
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise ModelError(
            f"The encoder '{name}' cannot read the questions ({reason}); give one that reads texts, or a smaller one,"
            " as encoder in [strategy]."
        ) from error
    # Of a row without tokens there may be no states that are numbers.
    states = states.float().where(mask.bool().unsqueeze(-1), 0.0)
    unit = torch.nn.functional.normalize(states.sum(dim=1), dim=1)
    if not bool(torch.isfinite(unit).all()):
        raise ModelError(
            f"What the encoder '{name}' makes of the questions are no finite numbers; download it again, or give "
            "another as encoder in [strategy]."
        )
    return unit.cpu().numpy()


def _list_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts in batches of like lengths, so that little of them is padding."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if batches and (len(batches[-1]) + 1) * max(1, lengths[batches[-1][0]]) <= _TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches

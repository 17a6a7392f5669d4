"""Nearest questions by a text encoder: a model of its own, such as the paper's bert-base-uncased (paper section 2.3).

Any model that transformers loads by `AutoModel`, from a folder or from the hub: its last hidden states are averaged
over the question's tokens. No text gets an instruction before it, as some encoders want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from errorbook.adapters.retrievers.hidden import find_others
from errorbook.adapters.retrievers.searching import find_nearest
from errorbook.adapters.targets.embedded import quiet_transformers
from errorbook.adapters.targets.loading import choose_device
from errorbook.errors import ModelError
from errorbook.records import Example

if TYPE_CHECKING:
    import numpy as np
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
            ModelError: The encoder cannot be loaded.
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
    import torch

    tokenizer, model = _load(name)
    longest = min(_LONGEST, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", _LONGEST))
    rows = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    found: dict[int, NDArray[np.float32]] = {}
    for batch in _list_batches([len(row) for row in rows]):
        padded = tokenizer.pad({"input_ids": [rows[place] for place in batch]}, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            states = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).last_hidden_state
        mask = padded["attention_mask"].unsqueeze(-1)
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        unit = torch.nn.functional.normalize(mean.float(), dim=1).nan_to_num()
        found.update(zip(batch, unit.cpu().numpy(), strict=True))
    return [found[place] for place in range(len(texts))]


def _list_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts in batches of like lengths, so that little of them is padding."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if batches and (len(batches[-1]) + 1) * max(1, lengths[batches[-1][0]]) <= _TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    device = choose_device("auto")
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(name)
            model = AutoModel.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"The encoder '{name}' cannot be loaded ({type(error).__name__}); give a folder that save_pretrained wrote"
            " or a name on the hub as encoder in [strategy]."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer, model.float().to(device).eval()
